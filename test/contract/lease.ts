/** What the node table and the shard table promise together, run on each implementation: `leaseContract(name, openRig)`. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { NodeRow, StoredNodeTable } from '../../runtime/database/node-table.ts';
import type { OwnedShard, ShardTable } from '../../runtime/database/shard-table.ts';
import { SHARD_COUNT } from '../../runtime/shard/ring.ts';

/** Empty tables: no node, no key, no owner. */
export type LeaseRig = { readonly nodes: StoredNodeTable; readonly shards: ShardTable; close(): Promise<void> };

const row = (name: string, boot: string, more: Partial<NodeRow> = {}): Omit<NodeRow, 'beat'> => ({
  name,
  boot,
  endpoint: `tcp://${name}:1`,
  publicKey: `key of ${name}`,
  roles: ['control'],
  ...more,
});
const numbers = (taken: readonly OwnedShard[]): number[] => taken.map(({ shard }) => shard).sort((x, y) => x - y);
const ALL = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);

export function leaseContract(name: string, openRig: () => Promise<LeaseRig>): void {
  describe(`${name} keeps the promises of leases`, () => {
    let rig: LeaseRig;
    let nodes: StoredNodeTable;
    let shards: ShardTable;
    beforeEach(async () => {
      rig = await openRig();
      ({ nodes, shards } = rig);
    });
    afterEach(() => rig.close());

    const beatOf = async (node: string): Promise<number> => (await nodes.all()).find((found) => found.name === node)?.beat ?? -1;
    const former = async (node: string, boot: string) => ({ name: node, boot, beat: await beatOf(node) });
    const epochs = async (node: string, boot: string): Promise<Map<number, number>> =>
      new Map((await shards.owned(node, boot)).map(({ shard, epoch }) => [shard, epoch]));

    describe('node rows', () => {
      it('come back as they were entered, in the order of their names', async () => {
        await nodes.enter(row('b', 'b1', { roles: ['control', 'api'] }));
        await nodes.enter(row('a', 'a1'));
        const entered = await nodes.all();
        expect(entered.map(({ name: found }) => found)).toEqual(['a', 'b']);
        expect(entered).toMatchObject([row('a', 'a1'), row('b', 'b1', { roles: ['control', 'api'] })]);
      });

      it('raise their beat for the boot that has the row, and for no other', async () => {
        await nodes.enter(row('a', 'a1'));
        const before = await beatOf('a');
        expect([await nodes.beat('a', 'a1'), await nodes.beat('a', 'a0'), await nodes.beat('z', 'z1')]).toEqual([true, false, false]);
        expect(await beatOf('a')).toBe(before + 1);
      });

      it('are taken over by the next boot, whose entering moves the beat', async () => {
        await nodes.enter(row('a', 'a1'));
        await nodes.beat('a', 'a1');
        const before = await beatOf('a');
        await nodes.enter(row('a', 'a2'));
        expect(await beatOf('a')).toBe(before + 1);
        expect([await nodes.beat('a', 'a1'), await nodes.beat('a', 'a2')]).toEqual([false, true]);
      });

      it('leave with their own boot alone', async () => {
        await nodes.enter(row('a', 'a2'));
        await nodes.leave('a', 'a1');
        expect((await nodes.all()).length).toBe(1);
        await nodes.leave('a', 'a2');
        expect(await nodes.all()).toEqual([]);
      });

      it('raise many beats at once, and say whose', async () => {
        await nodes.enter(row('a', 'a1'));
        await nodes.enter(row('b', 'b1'));
        const [a, b] = [await beatOf('a'), await beatOf('b')];
        const raised = await nodes.beatAll([
          { name: 'a', boot: 'a1' },
          { name: 'b', boot: 'b0' },
          { name: 'c', boot: 'c1' },
        ]);
        expect([...raised]).toEqual(['a']);
        expect([await beatOf('a'), await beatOf('b')]).toEqual([a + 1, b]);
      });
    });

    describe('keys of nodes without credentials', () => {
      const key = { name: 'c', publicKey: 'key of c', roles: ['compute'] };
      const compute = (more: Partial<NodeRow> = {}) => row('c', 'c1', { roles: ['compute'], ...more });

      it('let in the node that they stand for, with no more than their roles', async () => {
        expect(await nodes.enterKnown(compute())).toBe(false);
        expect(await nodes.addKey(key)).toBe(true);
        expect(await nodes.enterKnown(compute({ publicKey: 'another' }))).toBe(false);
        expect(await nodes.enterKnown(compute({ roles: ['compute', 'control'] }))).toBe(false);
        expect(await nodes.enterKnown(row('d', 'd1', { publicKey: key.publicKey, roles: ['compute'] }))).toBe(false);
        expect(await nodes.all()).toEqual([]);
        expect(await nodes.enterKnown(compute())).toBe(true);
        expect(await nodes.enterKnown(compute({ boot: 'c2' }))).toBe(true);
        expect((await nodes.all()).map(({ name: found, boot, roles }) => [found, boot, roles])).toEqual([['c', 'c2', ['compute']]]);
      });

      it('stand for one node each', async () => {
        await nodes.addKey(key);
        expect(await nodes.addKey({ ...key, name: 'd' })).toBe(false);
        expect(await nodes.addKey({ ...key, roles: ['compute', 'network'] })).toBe(true);
        expect(await nodes.keys()).toEqual([{ ...key, roles: ['compute', 'network'] }]);
      });

      it('take the row of their node along when they go', async () => {
        await nodes.addKey(key);
        await nodes.enterKnown(compute());
        await nodes.enter(row('a', 'a1'));
        expect([await nodes.removeKey('c'), await nodes.removeKey('c'), await nodes.removeKey('a')]).toEqual([true, false, false]);
        expect((await nodes.all()).map((found) => found.name)).toEqual(['a']);
      });
    });

    describe('shards', () => {
      it('are all free at first, and are taken once each', async () => {
        const first = await shards.takeFree('a', 'a1', 300);
        const second = await shards.takeFree('b', 'b1', SHARD_COUNT);
        expect([first.length, second.length]).toEqual([300, SHARD_COUNT - 300]);
        expect([...numbers(first), ...numbers(second)].sort((x, y) => x - y)).toEqual(ALL);
        expect(await shards.takeFree('c', 'c1', 1)).toEqual([]);
      });

      it('taken by many at once go to one owner each', async () => {
        const taken = await Promise.all(['a', 'b', 'c', 'd'].map((node) => shards.takeFree(node, `${node}1`, 400)));
        const all = taken.flatMap(numbers);
        expect(new Set(all).size).toBe(all.length);
        for (const [i, node] of ['a', 'b', 'c', 'd'].entries()) expect(numbers(await shards.owned(node, `${node}1`))).toEqual(numbers(taken[i] ?? []));
      });

      it('have a higher epoch after every change of owner, and the one that the taker was told', async () => {
        const taken = await shards.takeFree('a', 'a1', 10);
        expect(taken.every(({ epoch }) => epoch === 1)).toBe(true);
        expect(await epochs('a', 'a1')).toEqual(new Map(taken.map(({ shard, epoch }) => [shard, epoch])));
        await shards.giveUp('a', 'a1');
        const again = await shards.takeFree('b', 'b1', SHARD_COUNT);
        const mine = new Set(numbers(taken));
        for (const { shard, epoch } of again) expect(epoch).toBe(mine.has(shard) ? 3 : 1);
      });

      it('are given up by their owner alone, those that are named or all', async () => {
        await shards.takeFree('a', 'a1', 10);
        const mine = numbers(await shards.owned('a', 'a1'));
        await shards.giveUp('a', 'a0');
        await shards.giveUp('b', 'a1');
        await shards.giveUp('a', 'a1', []);
        expect(numbers(await shards.owned('a', 'a1'))).toEqual(mine);
        await shards.giveUp('a', 'a1', [...mine.slice(0, 4), 1_000]);
        expect(numbers(await shards.owned('a', 'a1'))).toEqual(mine.slice(4));
        await shards.giveUp('a', 'a1');
        expect(await shards.owned('a', 'a1')).toEqual([]);
      });

      it('are taken back by the next boot of their owner, from whatever boot has them', async () => {
        const before = await shards.takeFree('a', 'a1', 20);
        await shards.takeFree('b', 'b1', 5);
        const back = await shards.takeBack('a', 'a2');
        expect(numbers(back)).toEqual(numbers(before));
        expect(back.every(({ epoch }) => epoch === 2)).toBe(true);
        expect([await shards.owned('a', 'a1'), (await shards.owned('b', 'b1')).length]).toEqual([[], 5]);
        await shards.giveUp('a', 'a1');
        expect((await shards.owned('a', 'a2')).length).toBe(20);
      });

      it('are shown with their owners', async () => {
        const [first] = await shards.takeFree('a', 'a1', 1);
        const owners = await shards.owners();
        expect(owners.length).toBe(SHARD_COUNT);
        expect(owners.filter(({ owner }) => owner !== null)).toEqual([{ shard: first?.shard, owner: 'a' }]);
        await shards.giveUp('a', 'a1');
        expect((await shards.owners()).every(({ owner }) => owner === null)).toBe(true);
      });
    });

    describe('taking from a former owner', () => {
      beforeEach(async () => {
        await nodes.enter(row('a', 'a1'));
        await shards.takeFree('a', 'a1', 100);
      });

      it('takes as many as are wanted while its beat stands where it was seen', async () => {
        const seen = await former('a', 'a1');
        const taken = await shards.takeFrom('b', 'b1', seen, 40);
        expect(taken.length).toBe(40);
        expect(taken.every(({ epoch }) => epoch === 2)).toBe(true);
        expect((await shards.takeFrom('c', 'c1', seen, 1_000)).length).toBe(60);
        expect(await shards.owned('a', 'a1')).toEqual([]);
      });

      it('takes nothing when its beat has moved', async () => {
        const seen = await former('a', 'a1');
        await nodes.beat('a', 'a1');
        expect(await shards.takeFrom('b', 'b1', seen, 40)).toEqual([]);
      });

      it('takes nothing when it has started anew, also of what its former boot had', async () => {
        const seen = await former('a', 'a1');
        await nodes.enter(row('a', 'a2'));
        expect(await shards.takeFrom('b', 'b1', seen, 40)).toEqual([]);
        expect((await shards.owned('a', 'a1')).length).toBe(100);
        expect((await shards.takeBack('a', 'a2')).length).toBe(100);
      });

      it('takes nothing when its row is gone', async () => {
        const seen = await former('a', 'a1');
        await nodes.leave('a', 'a1');
        expect(await shards.takeFrom('b', 'b1', seen, 40)).toEqual([]);
      });

      it('gives each shard to one of two who take at once', async () => {
        const seen = await former('a', 'a1');
        const [b, c] = await Promise.all([shards.takeFrom('b', 'b1', seen, 70), shards.takeFrom('c', 'c1', seen, 70)]);
        const all = [...numbers(b), ...numbers(c)];
        // The second may get less than there is: it chose before the first was done. What is left comes with its next round.
        expect([all.length >= 70, new Set(all).size]).toEqual([true, all.length]);
        expect(numbers(await shards.owned('a', 'a1')).length).toBe(100 - all.length);
      });
    });
  });
}
