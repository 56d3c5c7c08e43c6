/** What every store of a cell promises, run on each implementation: `storeContract(name, openRig)`. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import type { EventBatch } from '../../actors/model/event.ts';
import { eventOf } from '../../actors/model/events-of.ts';
import { shardOf } from '../../runtime/shard/ring.ts';
import { uuidOf } from '../actors/conductor/rows.ts';
import { storeGroupContract } from './store-groups.ts';
import { storeMovesContract } from './store-moves.ts';
import { storeProofContract } from './store-proof.ts';
import { storeQuotaContract } from './store-quota.ts';
import { after, broken, building, CAPACITY, commit, create, deletion, macFor, NETWORK, orderOf, placedOn, startHost, type StoreRig } from './store-rig.ts';
import { storeStress } from './store-stress.ts';

export function storeContract(name: string, openRig: () => Promise<StoreRig>): void {
  describe(`${name} keeps the promises of a store`, () => {
    let rig: StoreRig;
    let store: CellStore;
    beforeEach(async () => {
      rig = await openRig();
      store = await rig.open();
      await rig.take();
      await rig.addNetwork(NETWORK);
    });
    afterEach(async () => {
      const problems = broken(await rig.dump());
      await store.close();
      await rig.close();
      expect(problems).toEqual([]);
    });

    describe('fences (P1)', () => {
      it('refuses a commit under an epoch that is over, and changes nothing', async () => {
        const [server] = await create(store, [1]);
        await rig.take();
        const before = await rig.dump();
        expect(await commit(store, server!, { record: { name: 'late' } })).toEqual({ is: 'refused', why: 'epoch' });
        expect(await rig.dump()).toEqual(before);
      });

      it('refuses a commit under an epoch that has not come', async () => {
        const [server] = await create(store, [1]);
        expect(await commit(store, server!, { epoch: 2 })).toEqual({ is: 'refused', why: 'epoch' });
      });

      it('refuses a commit that has not seen the last one', async () => {
        const [server] = await create(store, [1]);
        const first = await commit(store, server!, { record: { name: 'first' } });
        expect(first).toEqual({ is: 'done', version: 2, revision: 2 });
        expect(await commit(store, server!, { record: { name: 'second' } })).toEqual({ is: 'refused', why: 'version' });
        expect((await store.load(`instance/${server!.record.id}`))?.record).toMatchObject({ name: 'first' });
      });

      it('refuses a commit of an instance that does not exist', async () => {
        expect(await commit(store, { record: building(1), version: 0, revision: 0 }, {})).toEqual({ is: 'refused', why: 'version' });
      });

      it('of two commits of one instance in one batch takes the first alone', async () => {
        const [server] = await create(store, [1]);
        const answers = await Promise.all([commit(store, server!, { record: { name: 'first' } }), commit(store, server!, { record: { name: 'second' } })]);
        expect(answers).toEqual([
          { is: 'done', version: 2, revision: 2 },
          { is: 'refused', why: 'version' },
        ]);
        expect((await store.load(`instance/${server!.record.id}`))?.record).toMatchObject({ name: 'first' });
      });

      it('of two commits of one instance in one batch takes the one with the right epoch', async () => {
        const [server] = await create(store, [1]);
        const answers = await Promise.all([commit(store, server!, { epoch: 7 }), commit(store, server!, { record: { name: 'right' } })]);
        expect(answers).toEqual([
          { is: 'refused', why: 'epoch' },
          { is: 'done', version: 2, revision: 2 },
        ]);
      });
    });

    describe('rows', () => {
      it('come back as they were written, with the number that the store gave', async () => {
        const odd = building(1, { name: 'Ünï \\ " \' 名', metadata: { a: '\n\t', ключ: '💾' }, description: '', tags: ['x y', '{,}'] });
        const answer = await store.accept(orderOf([odd]));
        expect(answer).toMatchObject({ is: 'accepted', instances: [{ record: { ...odd, number: 1 }, version: 1, revision: 1 }] });
        expect(await store.load(`instance/${odd.id}`)).toEqual({ record: { ...odd, number: 1 }, version: 1, revision: 1 });
        expect(await store.load(`instance/${uuidOf(99)}`)).toBeUndefined();
      });

      it('are found while their operation is open, in pages, and when they are due', async () => {
        const servers = await create(store, [3, 1, 2]);
        const shards = Array.from({ length: 1024 }, (_, shard) => shard);
        const address = (nth: number): string => `instance/${uuidOf(nth)}`;
        expect(await store.open(shards, 2, null)).toEqual([address(1), address(2)]);
        expect(await store.open(shards, 2, address(2))).toEqual([address(3)]);
        expect(
          await store.open(
            shards.filter((shard) => shard !== shardOf(address(1))),
            9,
            null,
          ),
        ).not.toContain(address(1));
        expect(await store.due(shards, 59_999, 9)).toEqual([]);
        expect((await store.due(shards, 60_000, 2)).length).toBe(2);
        await commit(store, servers[0]!, { record: { operation: null, vmState: 'active', taskState: null } });
        expect(await store.open(shards, 9, null)).toEqual([address(1), address(2)]);
        expect(await store.due(shards, 60_000, 9)).not.toContain(address(3));
      });

      it('that a constraint forbids are broken alone: their neighbours in the batch are stored', async () => {
        const servers = await create(store, [1, 2, 3]);
        const wrong = { record: { deleted: true, vmState: 'active' as const } };
        const answers = await Promise.all([commit(store, servers[0]!, {}), commit(store, servers[1]!, wrong), commit(store, servers[2]!, {})]);
        expect(answers.map((answer) => answer.is)).toEqual(['done', 'broken', 'done']);
        const { instances } = await rig.dump();
        expect(instances.map(({ version }) => version)).toEqual([2, 1, 2]);
      });

      it('an order that comes again is answered with the instances of then, also in one batch, and counts once', async () => {
        await create(store, [1]);
        const answers = await Promise.all([1, 2, 2].map((nth) => store.accept(orderOf([building(nth)]))));
        expect(answers).toMatchObject([{ is: 'seen', ids: [building(1).id] }, { is: 'accepted' }, { is: 'seen', ids: [building(2).id] }]);
        expect((await rig.dump()).quota).toContainEqual({ project: 'blue', user: '', instances: 2, cores: 2, ram: 1_024 });
      });

      it('an order whose id another project uses fails, and its neighbours are accepted', async () => {
        await create(store, [1]);
        const strange = { ...orderOf([{ ...building(1), projectId: 'red' }]), projectId: 'red' };
        const ends = await Promise.allSettled([store.accept(strange), store.accept(orderOf([building(2)]))]);
        expect(ends.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
        expect((await rig.dump()).quota).toContainEqual({ project: 'blue', user: '', instances: 2, cores: 2, ram: 1_024 });
      });

      it('of a network tell which addresses are taken', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server] = await create(store, [1]);
        await commit(store, server!, placedOn(server!, 'h1', epoch, '10.20.0.5'));
        expect(await store.load(`network/${NETWORK.id}`)).toMatchObject({ record: { network: NETWORK, taken: ['10.20.0.5'] } });
        expect(await store.load(`network/${uuidOf(5)}`)).toBeUndefined();
      });
    });

    describe('claims (P4)', () => {
      it('refuses a claim on a host that nobody knows, or that has started anew since it granted', async () => {
        const [server] = await create(store, [1]);
        expect(await commit(store, server!, placedOn(server!, 'h1', 1))).toEqual({ is: 'refused', why: 'hostGone' });
        const { epoch } = await startHost(store, 'h1');
        await startHost(store, 'h1');
        expect(await commit(store, server!, placedOn(server!, 'h1', epoch))).toEqual({ is: 'refused', why: 'hostEpoch' });
      });

      it('counts what a host gives, and takes it back when the claim is dropped', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server] = await create(store, [1]);
        const placing = placedOn(server!, 'h1', epoch, '10.20.0.5');
        const placed = after(server!, placing, await commit(store, server!, placing));
        const need = { vcpus: 1, memoryMiB: 512, diskGiB: 1 };
        expect((await rig.dump()).hosts).toMatchObject([{ used: need, claims: 1 }]);
        expect(await store.hostClaims('h1', placed.record.id)).toEqual([{ instanceId: placed.record.id, generation: 1, host: 'h1', role: 'active', need }]);
        await commit(store, placed, deletion(placed));
        const dump = await rig.dump();
        expect([dump.hosts[0]?.used, dump.claims, dump.fixedIps]).toEqual([{ vcpus: 0, memoryMiB: 0, diskGiB: 0 }, [], []]);
      });

      it('a doomed claim counts until the host confirms that its guest is gone, and only once', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server] = await create(store, [1]);
        const placing = placedOn(server!, 'h1', epoch);
        const placed = after(server!, placing, await commit(store, server!, placing));
        await store.hostConfirmGone('h1', placed.record.id, 1);
        expect((await rig.dump()).claims).toMatchObject([{ role: 'active' }]);
        await commit(store, placed, deletion(placed, 'doom'));
        expect((await rig.dump()).hosts).toMatchObject([{ claims: 1, used: { vcpus: 1 } }]);
        await Promise.all([1, 2, 3].map(() => store.hostConfirmGone('h1', placed.record.id, 1)));
        expect((await rig.dump()).hosts).toMatchObject([{ claims: 0, used: { vcpus: 0 } }]);
      });

      it('an address stays taken while a doomed guest may still use it, and is free once its host confirms', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server, other] = await create(store, [1, 2]);
        const placing = placedOn(server!, 'h1', epoch, '10.20.0.5');
        const placed = after(server!, placing, await commit(store, server!, placing));
        await commit(store, placed, deletion(placed, 'doom'));
        expect(await commit(store, other!, placedOn(other!, 'h1', epoch, '10.20.0.5'))).toEqual({ is: 'refused', why: 'addressTaken' });
        await store.hostConfirmGone('h1', placed.record.id, 1);
        expect(await commit(store, other!, placedOn(other!, 'h1', epoch, '10.20.0.5'))).toMatchObject({ is: 'done' });
      });

      it('grants exactly what fits in one batch, by each resource', async () => {
        const { epoch } = await startHost(store, 'h1', { ...CAPACITY, vcpus: 5 });
        await rig.setLimit('blue', '', { instances: -1, cores: -1, ram: -1 });
        const servers = await create(
          store,
          Array.from({ length: 12 }, (_, nth) => nth + 1),
        );
        const answers = await Promise.all(servers.map((server) => commit(store, server, placedOn(server, 'h1', epoch))));
        expect(answers.map((answer) => (answer.is === 'refused' ? answer.why : answer.is))).toEqual([...Array(5).fill('done'), ...Array(7).fill('hostFull')]);
      });

      it('one commit may give a claim back and take that of the next generation', async () => {
        const { epoch } = await startHost(store, 'h1');
        const { epoch: other } = await startHost(store, 'h2');
        const [server] = await create(store, [1]);
        const placing = placedOn(server!, 'h1', epoch, '10.20.0.5');
        const placed = after(server!, placing, await commit(store, server!, placing));
        const moving = placedOn(placed, 'h2', other, '10.20.0.6');
        const claims = [...(moving.parts?.claims ?? []), { op: 'drop' as const, generation: 1 }];
        expect(await commit(store, placed, { ...moving, parts: { ...moving.parts, claims, dropAddresses: true } })).toMatchObject({ is: 'done' });
        const dump = await rig.dump();
        expect(dump.claims).toMatchObject([{ host: 'h2', generation: 2, role: 'active' }]);
        expect(dump.fixedIps).toMatchObject([{ address: '10.20.0.6' }]);
      });

      it('an instance has one active claim: a second is broken, the first stands', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server] = await create(store, [1]);
        const placing = placedOn(server!, 'h1', epoch);
        const placed = after(server!, placing, await commit(store, server!, placing));
        expect(await commit(store, placed, placedOn(placed, 'h1', epoch))).toMatchObject({ is: 'broken' });
        expect((await rig.dump()).claims).toMatchObject([{ generation: 1 }]);
      });

      it('knows a guest as gone when its instance is deleted or placed anew, and else not', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server] = await create(store, [1]);
        const placing = placedOn(server!, 'h1', epoch);
        const placed = after(server!, placing, await commit(store, server!, placing));
        const guests = [
          { instanceId: placed.record.id, generation: 1 },
          { instanceId: placed.record.id, generation: 0 },
          { instanceId: uuidOf(9), generation: 7 },
        ];
        const gone = async () =>
          (await store.hostStrays(guests))
            .filter(({ recordedGone }) => recordedGone)
            .map(({ generation }) => generation)
            .sort();
        expect(await gone()).toEqual([0]);
        await commit(store, placed, deletion(placed));
        expect(await gone()).toEqual([0, 1]);
      });

      it('a host that starts gets a higher epoch and its claims; a beat of a former life is not heard', async () => {
        expect(await startHost(store, 'h1')).toMatchObject({ epoch: 1, enabled: true, zone: 'nova', claims: [] });
        const [server] = await create(store, [1]);
        await commit(store, server!, placedOn(server!, 'h1', 1));
        expect(await startHost(store, 'h1')).toMatchObject({ epoch: 2, claims: [{ instanceId: server!.record.id, generation: 1, role: 'active' }] });
        await store.hostBeats([
          { host: 'h1', epoch: 1 },
          { host: 'nobody', epoch: 3 },
        ]);
        expect(await store.hostRow('h1')).toMatchObject({ epoch: 2, enabled: true });
        await expect(store.hostRow('nobody')).rejects.toMatchObject({ code: 'notFound' });
      });

      it('a host is told its aggregates, and the zone that one of them names', async () => {
        await startHost(store, 'h1');
        await startHost(store, 'h2');
        await rig.addAggregate({ id: 1, metadata: { ssd: 'true' }, hosts: ['h1', 'h2'] });
        await rig.addAggregate({ id: 2, metadata: { availability_zone: 'east' }, hosts: ['h1'] });
        const ssd = { id: 1, metadata: { ssd: 'true' } };
        expect(await store.hostRow('h1')).toMatchObject({ zone: 'east', aggregates: [ssd, { id: 2, metadata: { availability_zone: 'east' } }] });
        expect(await store.hostRow('h2')).toMatchObject({ zone: 'nova', aggregates: [ssd] });
        expect(await startHost(store, 'h1')).toMatchObject({ epoch: 2, zone: 'east', aggregates: [ssd, { id: 2 }] });
      });

      it('a host whose configured zone changed moves there as long as it has no servers', async () => {
        const { epoch } = await startHost(store, 'h1', CAPACITY, null, 'west');
        expect(await startHost(store, 'h1', CAPACITY, null, 'south')).toMatchObject({ zone: 'south' });
        const [server] = await create(store, [1]);
        await commit(store, server!, placedOn(server!, 'h1', epoch + 1));
        expect(await startHost(store, 'h1', CAPACITY, null, 'north')).toMatchObject({ zone: 'south' });
      });
    });

    describe('addresses (P4)', () => {
      it('are given once: in the table, and within one batch', async () => {
        const { epoch } = await startHost(store, 'h1');
        const servers = await create(store, [1, 2, 3]);
        const answers = await Promise.all(servers.slice(0, 2).map((server) => commit(store, server, placedOn(server, 'h1', epoch, '10.20.0.5'))));
        expect(answers).toMatchObject([{ is: 'done' }, { is: 'refused', why: 'addressTaken' }]);
        expect(await commit(store, servers[2]!, placedOn(servers[2]!, 'h1', epoch, '10.20.0.5'))).toEqual({ is: 'refused', why: 'addressTaken' });
        expect((await rig.dump()).fixedIps).toEqual([
          { networkId: NETWORK.id, address: '10.20.0.5', instanceId: servers[0]!.record.id, mac: macFor('10.20.0.5') },
        ]);
      });

      it('a refused commit takes neither claim nor address nor quota', async () => {
        const { epoch } = await startHost(store, 'h1');
        const [server, other] = await create(store, [1, 2]);
        await commit(store, other!, placedOn(other!, 'h1', epoch, '10.20.0.5'));
        const before = await rig.dump();
        const change = placedOn(server!, 'h1', epoch, '10.20.0.5');
        await commit(store, server!, {
          ...change,
          parts: { ...change.parts, quota: { projectId: 'blue', userId: 'ann', instances: -1, cores: -1, ram: -512 } },
        });
        expect(await rig.dump()).toEqual(before);
      });
    });

    describe('events (P5)', () => {
      it('are told in revision order, one batch per revision, and stand in the table as they were told', async () => {
        const told: EventBatch[] = [];
        store.onWritten((batch) => told.push(batch));
        const servers = await create(store, [1, 2]);
        await Promise.all(servers.map((server) => commit(store, server, { record: { name: 'new' } })));
        await commit(store, servers[0]!, { epoch: 9 });
        expect(told.map(({ revision, events }) => [revision, events.map((event) => event.change)])).toEqual([
          [1, ['created', 'created']],
          [2, ['changed', 'changed']],
        ]);
        const { events, revision } = await rig.dump();
        expect(revision).toBe(2);
        expect(events.map(({ revision: at, ord, body }) => [at, ord, body])).toEqual(
          told.flatMap((batch) => batch.events.map(({ revision: at, ...body }, i) => [at, i + 1, body])),
        );
        expect(events[2]?.body).toEqual(eventOf(servers[0]!.record, { ...servers[0]!.record, name: 'new' }));
      });

      it('a batch of which everything is refused takes no revision', async () => {
        const servers = await create(store, [1, 2]);
        await Promise.all(servers.map((server) => commit(store, server, { epoch: 5 })));
        expect(await commit(store, servers[0]!, {})).toMatchObject({ is: 'done', revision: 2 });
      });
    });

    storeProofContract(() => ({ rig, store }));
    storeMovesContract(() => ({ rig, store }));
    storeQuotaContract(() => ({ rig, store }));
    storeGroupContract(() => ({ rig, store }));
    storeStress(() => ({ rig, store }));
  });
}
