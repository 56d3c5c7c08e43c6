import { describe, expect, it } from 'vitest';
import { silentLog } from '../../../runtime/base/log.ts';
import type { NodeTable } from '../../../runtime/database/node-table.ts';
import type { OwnedShard, ShardTable } from '../../../runtime/database/shard-table.ts';
import { MembershipView } from '../../../runtime/membership/view.ts';
import { Leases } from '../../../runtime/shard/leases.ts';
import { SHARD_COUNT } from '../../../runtime/shard/ring.ts';
import { VirtualWorld } from '../../doubles/virtual-clock.ts';

const SETTINGS = { leaseMs: 3_000, beatMs: 1_000, marginMs: 500 };
type Row = { owner: string | null; boot: string | null; epoch: number };

/** The two tables in memory; `cut` makes the next call of a name fail, after it was done when it says so. */
function openTables(world: VirtualWorld) {
  const nodes = new Map<string, { boot: string; beat: number }>();
  const rows: Row[] = Array.from({ length: SHARD_COUNT }, () => ({ owner: null, boot: null, epoch: 0 }));
  const cuts: { name: string; done: boolean; times: number }[] = [];
  const call = async <T>(name: string, work: () => T): Promise<T> => {
    await world.clock.sleep(2);
    const cut = cuts.find((one) => one.name === name && one.times-- > 0);
    if (cut && !cut.done) throw new Error('cut');
    const answer = work();
    if (cut) throw new Error('cut');
    return answer;
  };
  const change = (wanted: (row: Row) => boolean, to: Pick<Row, 'owner' | 'boot'>, max = Infinity): OwnedShard[] =>
    rows.flatMap((row, shard) => {
      if (!wanted(row) || max-- <= 0) return [];
      Object.assign(row, to, { epoch: row.epoch + 1 });
      return [{ shard, epoch: row.epoch }];
    });
  const nodeTable: NodeTable = {
    enter: (row) => call('enter', () => void nodes.set(row.name, { boot: row.boot, beat: 0 })),
    beat: (name, boot) =>
      call('beat', () => {
        const node = nodes.get(name);
        if (node?.boot !== boot) return false;
        node.beat += 1;
        return true;
      }),
    all: () => call('all', () => [...nodes].map(([name, { boot, beat }]) => ({ name, boot, beat, endpoint: '', publicKey: '', roles: ['control'] }))),
    leave: (name) => call('leave', () => void nodes.delete(name)),
  } as NodeTable;
  const shardTable: ShardTable = {
    takeBack: (owner, boot) => call('takeBack', () => change((row) => row.owner === owner && row.boot !== boot, { owner, boot })),
    takeFree: (owner, boot, max) => call('takeFree', () => change((row) => row.owner === null, { owner, boot }, max)),
    takeFrom: (owner, boot, former, max) =>
      call('takeFrom', () => (nodes.get(former.name)?.beat === former.beat ? change((row) => row.owner === former.name, { owner, boot }, max) : [])),
    owned: (owner, boot) => call('owned', () => rows.flatMap((row, shard) => (row.owner === owner && row.boot === boot ? [{ shard, epoch: row.epoch }] : []))),
    owners: () => call('owners', () => rows.map((row, shard) => ({ shard, owner: row.owner }))),
    giveUp: (owner, boot, shards) =>
      call(
        'giveUp',
        () => void change((row) => row.owner === owner && row.boot === boot && (!shards || shards.includes(rows.indexOf(row))), { owner: null, boot: null }),
      ),
  };
  return { nodes, rows, cuts, nodeTable, shardTable };
}

function open(world: VirtualWorld, tables: ReturnType<typeof openTables>, node: string) {
  const view = new MembershipView({ self: node, nodes: tables.nodeTable, clock: world.clock, settings: SETTINGS });
  const lost: number[] = [];
  const leases = new Leases({
    node,
    boot: `${node}-1`,
    nodes: tables.nodeTable,
    shards: tables.shardTable,
    view,
    role: 'control',
    clock: world.clock,
    log: silentLog,
    settings: SETTINGS,
    enter: () => tables.nodeTable.enter({ name: node, boot: `${node}-1`, endpoint: '', publicKey: '', roles: ['control'] }),
    onTaken: () => {},
    onLost: (shards) => void lost.push(...shards),
  });
  tables.nodes.set(node, { boot: `${node}-1`, beat: 0 });
  return { leases, lost };
}

/** Shards that a node runs; `broken` are those that it runs under another epoch than the table's, or that are not its. */
function running(leases: Leases, tables: ReturnType<typeof openTables>, node: string): { count: number; broken: number } {
  const mine = tables.rows.map((row, shard) => ({ row, epoch: leases.epochOf(shard) })).filter(({ epoch }) => epoch !== undefined);
  return { count: mine.length, broken: mine.filter(({ row, epoch }) => row.owner !== node || row.epoch !== epoch).length };
}

describe('the leases of a node', () => {
  it('take everything when it is alone, and end by themselves when no beat is answered', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const { leases, lost } = open(world, tables, 'a');
    await world.run(async () => {
      await leases.open();
      expect(running(leases, tables, 'a')).toEqual({ count: SHARD_COUNT, broken: 0 });
      tables.cuts.push({ name: 'beat', done: false, times: 4 });
      await world.clock.sleep(2_600);
      expect([running(leases, tables, 'a').count, lost.length]).toEqual([0, SHARD_COUNT]);
      await world.clock.sleep(4_000);
      expect(running(leases, tables, 'a')).toEqual({ count: SHARD_COUNT, broken: 0 });
    }, 60_000);
  });

  it('are shared with a node that comes, and taken from one that is gone', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const [a, b] = [open(world, tables, 'a'), open(world, tables, 'b')];
    await world.run(async () => {
      tables.nodes.delete('b');
      await a.leases.open();
      tables.nodes.set('b', { boot: 'b-1', beat: 0 });
      await b.leases.open();
      await world.clock.sleep(4_000);
      expect([running(a.leases, tables, 'a'), running(b.leases, tables, 'b')]).toEqual([
        { count: 512, broken: 0 },
        { count: 512, broken: 0 },
      ]);
      await b.leases.close();
      await world.clock.sleep(10_000);
      expect(running(a.leases, tables, 'a')).toEqual({ count: SHARD_COUNT, broken: 0 });
    }, 60_000);
  });

  it('are taken from a silent node as soon as its lease is over, not at the next beat', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const a = open(world, tables, 'a');
    tables.nodes.set('b', { boot: 'b-1', beat: 7 });
    for (const row of tables.rows) Object.assign(row, { owner: 'b', boot: 'b-1' });
    await world.run(async () => {
      await a.leases.open();
      await world.clock.sleep(SETTINGS.leaseMs + SETTINGS.marginMs - 20);
      expect(running(a.leases, tables, 'a').count).toBe(0);
      await world.clock.sleep(50);
      expect(running(a.leases, tables, 'a')).toEqual({ count: SHARD_COUNT, broken: 0 });
    }, 60_000);
  });

  for (const [name, done] of [
    ['takeFree', true],
    ['takeFree', false],
    ['giveUp', true],
    ['giveUp', false],
  ] as const) {
    it(`leave no shard to nobody when the outcome of ${name} is unknown, ${done ? 'done' : 'not done'}`, async () => {
      const world = new VirtualWorld();
      const tables = openTables(world);
      const [a, b] = [open(world, tables, 'a'), open(world, tables, 'b')];
      await world.run(async () => {
        tables.nodes.delete('b');
        await a.leases.open();
        tables.nodes.set('b', { boot: 'b-1', beat: 0 });
        await b.leases.open(); // nothing is free yet
        tables.cuts.push({ name, done, times: 1 });
        await world.clock.sleep(12_000);
        expect(tables.cuts[0]?.times).toBeLessThan(1);
        const owned = tables.rows.filter((row, shard) => (row.owner === 'a' ? a : b).leases.epochOf(shard) === row.epoch).length;
        expect([owned, running(a.leases, tables, 'a').broken, running(b.leases, tables, 'b').broken]).toEqual([SHARD_COUNT, 0, 0]);
      }, 60_000);
    });
  }

  it('P1 are not run again while a giving up may still be done by a server that works on', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const [a, b] = [open(world, tables, 'a'), open(world, tables, 'b')];
    await world.run(async () => {
      tables.nodes.delete('b');
      await a.leases.open();
      tables.nodes.set('b', { boot: 'b-1', beat: 0 });
      await b.leases.open();
      const { giveUp } = tables.shardTable;
      let given = 0;
      const late: ShardTable['giveUp'] = async (...args) => {
        if (given++ > 0) return giveUp(...args);
        world.after(1_900, () => void giveUp(...args));
        tables.nodes.delete('b'); // and so there is nobody to give up for any more
        void b.leases.close();
        throw new Error('cut');
      };
      Object.assign(tables.shardTable, { giveUp: late });
      for (let ms = 0; ms < 12_000; ms += 50) {
        await world.clock.sleep(50);
        expect(running(a.leases, tables, 'a').broken).toBe(0);
      }
      expect([given > 0, running(a.leases, tables, 'a').count]).toEqual([true, SHARD_COUNT]);
    }, 60_000);
  });

  it('are not lost while a change of owner waits for the cell’s row', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const { leases, lost } = open(world, tables, 'a');
    await world.run(async () => {
      await leases.open();
      Object.assign(tables.rows[7]!, { owner: null, boot: null });
      const { takeFree } = tables.shardTable;
      Object.assign(tables.shardTable, { takeFree: (...args: Parameters<typeof takeFree>) => world.clock.sleep(1_900).then(() => takeFree(...args)) });
      await world.clock.sleep(12_000);
      expect(lost.filter((shard) => shard !== 7)).toEqual([]);
      expect(running(leases, tables, 'a')).toEqual({ count: SHARD_COUNT, broken: 0 });
    }, 60_000);
  });

  it('notice a shard that was taken although the beat was answered', async () => {
    const world = new VirtualWorld();
    const tables = openTables(world);
    const { leases, lost } = open(world, tables, 'a');
    await world.run(async () => {
      await leases.open();
      Object.assign(tables.rows[7]!, { owner: 'b', boot: 'b-1', epoch: 9 });
      await world.clock.sleep(6_000);
      expect([leases.epochOf(7), lost]).toEqual([undefined, [7]]);
    }, 60_000);
  });
});
