/** The part of the store's suite about server groups: the commit that places a member decides, whatever was known before. */
import { describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import type { GroupPolicy, ServerGroup } from '../../actors/model/server-group.ts';
import { uuidOf } from '../actors/conductor/rows.ts';
import { after, building, commit, create, deletion, orderOf, placedOn, startHost, type StoreRig } from './store-rig.ts';

const ID = uuidOf(600_000);
const IN_GROUP = { group: { id: ID } };

export function storeGroupContract(now: () => { rig: StoreRig; store: CellStore }): void {
  const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
  const addGroup = (policy: GroupPolicy, more: Partial<ServerGroup> = {}) =>
    now().rig.addGroup({ id: ID, projectId: 'blue', userId: 'ann', name: 'g', policy, perHost: null, ...more });
  const place = async (server: Stored<InstanceRecord>, host: string): Promise<string> => {
    const answer = await commit(now().store, server, placedOn(server, host, 1));
    return answer.is === 'refused' ? answer.why : answer.is;
  };
  const hosts = async (...names: string[]) => {
    for (const name of names) await startHost(now().store, name);
  };

  describe('a server group', () => {
    it('of anti-affinity has one member on a host, of those that come in one batch and later', async () => {
      const { store } = now();
      await hosts('h1', 'h2');
      await addGroup('anti-affinity');
      const servers = await create(store, many(1, 4), IN_GROUP);
      expect((await Promise.all(servers.slice(0, 3).map((server) => place(server, 'h1')))).sort()).toEqual(['done', 'groupPolicy', 'groupPolicy']);
      expect([await place(servers[3]!, 'h1'), await place(servers[3]!, 'h2')]).toEqual(['groupPolicy', 'done']);
    });

    it('of anti-affinity with a number has so many on a host', async () => {
      const { store } = now();
      await hosts('h1');
      await addGroup('anti-affinity', { perHost: 2 });
      const servers = await create(store, many(1, 4), IN_GROUP);
      expect((await Promise.all(servers.map((server) => place(server, 'h1')))).filter((end) => end === 'done')).toHaveLength(2);
    });

    it('of affinity has all on one host, of those that come in one batch and later', async () => {
      const { store } = now();
      await hosts('h1', 'h2');
      await addGroup('affinity');
      const [a, b, c, d] = await create(store, many(1, 4), IN_GROUP);
      expect((await Promise.all([place(a!, 'h1'), place(b!, 'h2')])).sort()).toEqual(['done', 'groupPolicy']);
      const places = await store.groupPlaces(ID, c!.record.id);
      const [host = ''] = Object.keys(places?.hosts ?? {});
      expect([await place(c!, host), await place(d!, host === 'h1' ? 'h2' : 'h1')]).toEqual(['done', 'groupPolicy']);
    });

    it('binds servers of other groups, of none, of soft ones and of one that is gone to nothing', async () => {
      const { store, rig } = now();
      await hosts('h1');
      await addGroup('anti-affinity');
      await rig.addGroup({ id: uuidOf(600_001), projectId: 'blue', userId: 'ann', name: 'soft', policy: 'soft-anti-affinity', perHost: null });
      const [member] = await create(store, [1], IN_GROUP);
      const [free] = await create(store, [2]);
      const [x, y] = await create(store, [3, 4], { group: { id: uuidOf(600_001) } });
      expect(await Promise.all([member!, free!, x!, y!].map((server) => place(server, 'h1')))).toEqual(['done', 'done', 'done', 'done']);
      expect(await store.groupPlaces(uuidOf(600_001), x!.record.id)).toEqual({ policy: 'soft-anti-affinity', perHost: 0, hosts: { h1: 1 } });
      expect(await store.groupPlaces(uuidOf(600_002), x!.record.id)).toBeNull();
    });

    it('gets the place of a deleted member back when its guest is gone, and not while it may run', async () => {
      const { store } = now();
      await hosts('h1');
      await addGroup('anti-affinity');
      const [a, b, c] = await create(store, many(1, 3), IN_GROUP);
      const placing = placedOn(a!, 'h1', 1);
      const placed = after(a!, placing, await commit(store, a!, placing));
      expect(await place(b!, 'h1')).toBe('groupPolicy');
      await commit(store, placed, deletion(placed, 'doom'));
      expect(await place(b!, 'h1')).toBe('groupPolicy');
      await store.hostConfirmGone('h1', a!.record.id, 1);
      expect([await place(b!, 'h1'), await place(c!, 'h1')]).toEqual(['done', 'groupPolicy']);
    });

    it('looks at the second place of a member that moves, which then takes its share there', async () => {
      const { store } = now();
      await hosts('h1', 'h2', 'h3');
      await addGroup('anti-affinity');
      const [a, b, c] = await create(store, many(1, 3), IN_GROUP);
      const [first, second] = [placedOn(a!, 'h1', 1), placedOn(b!, 'h2', 1)];
      const moving = after(a!, first, await commit(store, a!, first));
      after(b!, second, await commit(store, b!, second));
      const to = async (host: string): Promise<string> => {
        const claims = [{ op: 'add', generation: 2, host, hostEpoch: 1, need: { vcpus: 1, memoryMiB: 512, diskGiB: 1 }, standby: true }] as const;
        const answer = await commit(store, moving, { record: {}, parts: { claims } });
        return answer.is === 'refused' ? answer.why : answer.is;
      };
      expect([await to('h2'), await to('h3'), await place(c!, 'h3'), await place(c!, 'h1')]).toEqual(['groupPolicy', 'done', 'groupPolicy', 'groupPolicy']);
    });

    it('of affinity leaves a host that is proved dead together, anti-affinity stays apart', async () => {
      const { store, rig } = now();
      await hosts('h1', 'h2', 'h3');
      await addGroup('affinity');
      await rig.addGroup({ id: uuidOf(600_001), projectId: 'blue', userId: 'ann', name: 'apart', policy: 'anti-affinity', perHost: null });
      const together = await create(store, [1, 2], IN_GROUP);
      const [one, two] = await Promise.all(
        together.map(async (server) => {
          const placing = placedOn(server, 'h1', 1);
          return after(server, placing, await commit(store, server, placing));
        }),
      );
      const [x, y] = await create(store, [3, 4], { group: { id: uuidOf(600_001) } });
      const placing = placedOn(x!, 'h1', 1);
      const there = after(x!, placing, await commit(store, x!, placing));
      expect(await place(y!, 'h2')).toBe('done');
      await store.hostProve({ host: 'h1', epoch: 1, mark: null, proof: 'fence' });
      const leave = async (server: Stored<InstanceRecord>, host: string): Promise<string> => {
        const change = placedOn(server, host, 1);
        const claims = [{ op: 'evacuate', generation: server.record.generation, host: 'h1' } as const, ...(change.parts?.claims ?? [])];
        const answer = await commit(store, server, { record: change.record ?? {}, parts: { ...change.parts, claims } });
        return answer.is === 'refused' ? answer.why : answer.is;
      };
      expect([await leave(one!, 'h2'), await leave(two!, 'h3'), await leave(two!, 'h2')]).toEqual(['done', 'groupPolicy', 'done']);
      expect([await leave(there, 'h2'), await leave(there, 'h3')]).toEqual(['groupPolicy', 'done']);
    });

    it('has as many members of a user as the quota lets be, exactly', async () => {
      const { store, rig } = now();
      await addGroup('affinity');
      await rig.setLimit('blue', '', { server_group_members: 3, instances: -1 });
      await rig.setLimit('blue', 'bob', { server_group_members: 1 });
      const order = (nth: number, more: Partial<InstanceRecord> = {}) => store.accept(orderOf([building(nth, { ...IN_GROUP, ...more })]));
      const ends = await Promise.all(many(1, 8).map((nth) => order(nth)));
      expect(ends.map(({ is }) => is).sort()).toEqual([...Array<string>(3).fill('accepted'), ...Array<string>(5).fill('groupFull')]);
      expect((await order(11, { userId: 'bob' })).is).toBe('accepted');
      expect((await order(12, { userId: 'bob' })).is).toBe('groupFull');
      const first = ends.find((end) => end.is === 'accepted');
      const gone = first?.is === 'accepted' ? first.instances[0] : undefined;
      await commit(store, gone!, deletion(gone!));
      expect((await order(13)).is).toBe('accepted');
      expect(
        await store.accept(
          orderOf(
            many(20, 2).map((nth) => building(nth, IN_GROUP)),
            { minCount: 1 },
          ),
        ),
      ).toEqual({ is: 'groupFull' });
    });

    it('that is a security group takes servers as long as it is there', async () => {
      const { store, rig } = now();
      await rig.addSecurityGroup('blue', 'web');
      const order = (nth: number, ...securityGroups: string[]) => store.accept(orderOf([building(nth, { securityGroups })]));
      const ends = await Promise.all([order(1, 'default'), order(2, 'default', 'web'), order(3, 'web', 'db'), order(4)]);
      expect(ends.map(({ is }) => is)).toEqual(['accepted', 'accepted', 'securityGroupGone', 'accepted']);
    });

    it('of another project, or that is gone, takes nobody', async () => {
      const { store } = now();
      await addGroup('affinity', { projectId: 'red' });
      expect(await store.accept(orderOf([building(1, IN_GROUP)]))).toEqual({ is: 'groupGone' });
      expect(await store.accept(orderOf([building(2, { group: { id: uuidOf(600_009) } })]))).toEqual({ is: 'groupGone' });
    });
  });
}
