/** The part of the store's suite about orders: quota by project and user, and idempotency keys. */
import { describe, expect, it } from 'vitest';
import type { CellStore } from '../../actors/conductor/store.ts';
import { accepted, after, building, commit, create, deletion, orderOf, placedOn, startHost, type Change, type StoreRig } from './store-rig.ts';

export function storeQuotaContract(now: () => { rig: StoreRig; store: CellStore }): void {
  const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);

  describe('quota (P4)', () => {
    it('accepts exactly as many of 40 orders in one batch as the project may have', async () => {
      const { store, rig } = now();
      const answers = await Promise.all(many(1, 40).map((nth) => store.accept(orderOf([building(nth)]))));
      expect(accepted(answers)).toBe(10);
      const over = answers.find((answer) => answer.is === 'overQuota');
      expect(over).toMatchObject({ over: { project: { limit: [10, 20, 51_200], used: [10, 10, 5_120] }, user: { limit: [-1, -1, -1] } } });
      expect((await rig.dump()).quota).toEqual([
        { project: 'blue', user: '', instances: 10, cores: 10, ram: 5_120 },
        { project: 'blue', user: 'ann', instances: 10, cores: 10, ram: 5_120 },
      ]);
    });

    it('accepts a part of an order down to its least count, and nothing below it', async () => {
      const { store } = now();
      await create(store, many(1, 7));
      const part = await store.accept(
        orderOf(
          many(11, 5).map((nth) => building(nth)),
          { minCount: 2 },
        ),
      );
      expect(part).toMatchObject({ is: 'accepted' });
      expect(part.is === 'accepted' && part.instances.map(({ record }) => record.number)).toEqual([8, 9, 10]);
      expect(await store.accept(orderOf([building(30)]))).toMatchObject({ is: 'overQuota' });
    });

    it('keeps a user to the user’s own limit, and the project to the sum of its users', async () => {
      const { store, rig } = now();
      await rig.setLimit('blue', 'ann', { instances: 3 });
      await rig.setLimit('blue', '', { instances: 5, cores: -1, ram: -1 });
      const of = (userId: string, nth: number) => store.accept(orderOf([building(nth, { userId })]));
      const answers = await Promise.all(many(1, 12).map((nth) => of(nth % 2 === 0 ? 'ann' : 'bob', nth)));
      expect(answers.filter((answer) => answer.is === 'accepted').length).toBe(5);
      const { quota } = await rig.dump();
      expect(quota.find(({ user }) => user === 'ann')?.instances).toBe(3);
      expect(quota.find(({ user }) => user === 'bob')?.instances).toBe(2);
    });

    it('takes the limit of the project before the default class, and that before the configuration', async () => {
      const { store, rig } = now();
      await rig.setDefaultClass({ instances: 2 });
      await rig.setLimit('red', '', { instances: 3 });
      const ask = (projectId: string, from: number) => Promise.all(many(from, 6).map((nth) => store.accept(orderOf([building(nth, { projectId })]))));
      expect(accepted(await ask('blue', 1))).toBe(2);
      expect(accepted(await ask('red', 11))).toBe(3);
    });

    it('does not mix up projects, and counts cores and memory as well', async () => {
      const { store, rig } = now();
      await rig.setLimit('blue', '', { cores: 3 });
      await rig.setLimit('red', '', { ram: 1_024 });
      const orders = many(1, 20).map((nth) => orderOf([building(nth, { projectId: nth % 2 === 0 ? 'blue' : 'red' })]));
      await Promise.all(orders.map((order) => store.accept(order)));
      const totals = (await rig.dump()).quota.filter(({ user }) => user === '').map(({ project, instances }) => [project, instances]);
      expect(totals).toEqual([
        ['blue', 3],
        ['red', 2],
      ]);
    });

    it('of addresses is kept to by those that come in one batch and later, and is free again when they are', async () => {
      const { store, rig } = now();
      const { epoch } = await startHost(store, 'h1', { vcpus: 99, memoryMiB: 99_999, diskGiB: 999 });
      await rig.setLimit('blue', '', { fixed_ips: 2 });
      const servers = await create(store, many(1, 5));
      const place = (nth: number) => commit(store, servers[nth]!, placedOn(servers[nth]!, 'h1', epoch, `10.20.0.${nth + 5}`));
      const ends = (await Promise.all([place(0), place(1), place(2)])).map((answer) => (answer.is === 'refused' ? answer.why : answer.is));
      expect(ends).toEqual(['done', 'done', 'quota']);
      expect(await place(3)).toEqual({ is: 'refused', why: 'quota' });
      const [red] = await create(store, [9], { projectId: 'red' });
      expect(await commit(store, red!, placedOn(red!, 'h1', epoch, '10.20.0.99'))).toMatchObject({ is: 'done' });
      await rig.setLimit('blue', '', { fixed_ips: 3 });
      expect([await place(3), await place(4)]).toMatchObject([{ is: 'done' }, { is: 'refused' }]);
    });

    it('gives back what a deleted server used, once', async () => {
      const { store, rig } = now();
      const servers = await create(store, many(1, 10));
      const [first, second] = servers;
      const answers = await Promise.all([
        commit(store, first!, deletion(first!)),
        commit(store, first!, deletion(first!)),
        commit(store, second!, { ...deletion(second!), epoch: 4 }),
      ]);
      expect(answers.map((answer) => answer.is)).toEqual(['done', 'refused', 'refused']);
      expect((await rig.dump()).quota).toContainEqual({ project: 'blue', user: 'ann', instances: 9, cores: 9, ram: 4_608 });
      expect(await store.accept(orderOf([building(30)]))).toMatchObject({ is: 'accepted' });
    });

    it('is kept by commits that take more, side by side with orders; giving back is always allowed', async () => {
      const { store, rig } = now();
      const servers = await create(store, many(1, 6));
      const one = { projectId: 'blue', userId: 'ann', instances: 1, cores: 1, ram: 512 };
      const gone = { ...one, instances: -1, cores: -1, ram: -512 };
      const softDeleted = await Promise.all(
        servers.slice(0, 4).map(async (server) => {
          const change: Change = { record: { vmState: 'soft-delete', reclaimAtMs: 5 }, parts: { quota: gone } };
          return after(server, change, await commit(store, server, change));
        }),
      );
      await rig.setLimit('blue', '', { instances: 4 });
      const restore = (nth: number) => commit(store, softDeleted[nth]!, { record: { reclaimAtMs: null }, parts: { quota: one } });
      const { flavor } = servers[4]!.record;
      const answers = await Promise.all([
        restore(0),
        restore(1),
        restore(2),
        store.accept(orderOf([building(11)])),
        commit(store, servers[4]!, { record: { flavor: { ...flavor, vcpus: 2 } }, parts: { quota: { ...one, instances: 0, ram: 0 } } }),
      ]);
      expect(answers.map((answer) => (answer.is === 'refused' ? answer.why : answer.is))).toEqual(['done', 'done', 'quota', 'overQuota', 'done']);
      await rig.setLimit('blue', '', { instances: 1, cores: 1 });
      expect(await commit(store, servers[5]!, deletion(servers[5]!))).toMatchObject({ is: 'done' });
      expect(await restore(2)).toEqual({ is: 'refused', why: 'quota' });
    });

    it('never falls below zero: the commit that would do it is broken', async () => {
      const { store, rig } = now();
      const [server] = await create(store, [1]);
      const twice = deletion(server!);
      const quota = { projectId: 'blue', userId: 'ann', instances: -2, cores: -1, ram: -512 };
      expect(await commit(store, server!, { ...twice, parts: { ...twice.parts, quota } })).toMatchObject({ is: 'broken' });
      expect((await rig.dump()).instances).toMatchObject([{ deleted: false, version: 1 }]);
    });

    it('an order and refused commits of every kind share a batch, and each gets its own answer', async () => {
      const { store, rig } = now();
      const { epoch } = await startHost(store, 'h1', { vcpus: 1, memoryMiB: 4_096, diskGiB: 10 });
      const [a, b, c, d, e, f] = await create(store, many(1, 6));
      await rig.setLimit('blue', '', { instances: 7 });
      const answers = await Promise.all([
        commit(store, a!, placedOn(a!, 'h1', epoch, '10.20.0.5')),
        store.accept(orderOf([building(11)])),
        commit(store, b!, placedOn(b!, 'h1', epoch, '10.20.0.6')),
        commit(store, c!, placedOn(c!, 'h1', epoch + 1)),
        store.accept(orderOf([building(12)])),
        commit(store, d!, placedOn(d!, 'nowhere', epoch)),
        commit(store, e!, { version: 8 }),
        commit(store, f!, { epoch: 8 }),
      ]);
      expect(answers.map((answer) => (answer.is === 'refused' ? answer.why : answer.is))).toEqual([
        'done',
        'accepted',
        'hostFull',
        'hostEpoch',
        'overQuota',
        'hostGone',
        'version',
        'epoch',
      ]);
    });
  });

  describe('an idempotency key', () => {
    const keyed = (nth: number, key: string, bodyHash: string, projectId = 'blue') =>
      orderOf([building(nth, { projectId })], { idempotency: { key, bodyHash } });

    it('used again with the same body answers with the servers of then, and makes none', async () => {
      const { store, rig } = now();
      expect(await store.accept(keyed(1, 'k', 'body'))).toMatchObject({ is: 'accepted' });
      expect(await store.accept(keyed(2, 'k', 'body'))).toEqual({ is: 'seen', ids: [building(1).id] });
      expect((await rig.dump()).instances.length).toBe(1);
    });

    it('used again with another body is refused; in another project it is another key', async () => {
      const { store } = now();
      await store.accept(keyed(1, 'k', 'body'));
      expect(await store.accept(keyed(2, 'k', 'other'))).toEqual({ is: 'keyReused' });
      expect(await store.accept(keyed(3, 'k', 'other', 'red'))).toMatchObject({ is: 'accepted' });
    });

    it('used many times at once makes the servers once', async () => {
      const { store, rig } = now();
      const answers = await Promise.all(many(1, 8).map((nth) => store.accept(keyed(nth, 'k', nth === 8 ? 'other' : 'body'))));
      expect(answers.map((answer) => answer.is).sort()).toEqual(['accepted', 'keyReused', ...Array(6).fill('seen')]);
      const dump = await rig.dump();
      expect([dump.instances.length, dump.quota.map(({ instances }) => instances)]).toEqual([1, [1, 1]]);
    });

    it('of an order that the quota refused is free for the next try', async () => {
      const { store, rig } = now();
      await rig.setLimit('blue', '', { instances: 0 });
      expect(await store.accept(keyed(1, 'k', 'body'))).toMatchObject({ is: 'overQuota' });
      await rig.setLimit('blue', '', { instances: 1 });
      expect(await store.accept(keyed(1, 'k', 'body'))).toMatchObject({ is: 'accepted' });
    });
  });
}
