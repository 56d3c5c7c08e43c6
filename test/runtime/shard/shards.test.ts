import { describe, expect, it } from 'vitest';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { defineKind } from '../../../runtime/actor/kind.ts';
import type { Store } from '../../../runtime/actor/store.ts';
import { openTurns } from '../../../runtime/actor/turn.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { SHARD_COUNT, shardOf } from '../../../runtime/shard/ring.ts';
import { Shards } from '../../../runtime/shard/shards.ts';
import { Takeover } from '../../../runtime/shard/takeover.ts';
import { VirtualWorld } from '../../doubles/virtual-clock.ts';

const KIND = defineKind<never, { readonly row: { readonly open: boolean } | undefined }, { readonly open: boolean }>({
  kind: 'thing',
  home: 'shard',
  mailboxMax: 8,
  passivateAfterMs: 60_000,
  load: (_id, row) => ({ row }),
  decide: (state, message) => ((message as { type: string }).type === 'wait' ? { state, effects: [] } : { state, effects: [{ do: 'replyStored' }] }),
  recordOf: (state) => state.row,
  isIdle: (state) => !state.row?.open,
});

function open(rows: { [address: string]: { open: boolean } } = {}) {
  const world = new VirtualWorld();
  const loads: string[] = [];
  const opened: { shards: readonly number[]; after: string | null }[] = [];
  const epochs = new Map<number, number>(Array.from({ length: SHARD_COUNT }, (_, shard) => [shard, 1]));
  const fails = { opens: 0 };
  const store: Store = {
    load: async (address) => {
      loads.push(address);
      await world.clock.sleep(1);
      const record = rows[address];
      return record && { record, version: 1, revision: 1 };
    },
    commit: async () => ({ is: 'unknown' }),
    open: async (shards, limit, after) => {
      opened.push({ shards, after });
      if (fails.opens-- > 0) throw new Error('away');
      return Object.keys(rows)
        .filter((address) => shards.includes(shardOf(address)) && (after === null || address > after))
        .sort()
        .slice(0, limit);
    },
    due: async (_shards, nowMs, limit) =>
      nowMs - world.clock.wallMs() === 0
        ? Object.keys(rows)
            .filter((address) => address.endsWith('due'))
            .slice(0, limit)
        : [],
  };
  const parts = {
    clock: world.clock,
    random: seededRandom(1),
    log: silentLog,
    turns: openTurns('shards'),
    actors: {} as Actors,
    store,
    failpoint: noFailpoint,
  };
  const shards = new Shards(parts, (shard) => epochs.get(shard));
  const ask = (address: string, type = 'get') =>
    new Promise<Outcome | string>((resolve) => {
      const taken = shards.deliver(KIND, address, { message: { type }, commandId: undefined, senderEpoch: undefined, reply: resolve });
      if (taken !== 'taken') resolve(taken);
    });
  return { world, shards, store, loads, opened, fails, epochs, ask };
}

describe('the ring', () => {
  it('spreads addresses evenly, and the same for ever', () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 20_480; i++) counts.set(shardOf(`instance/${i}`), (counts.get(shardOf(`instance/${i}`)) ?? 0) + 1);
    expect([counts.size, Math.max(...counts.values()) < 60]).toEqual([SHARD_COUNT, true]);
    expect(['instance/a', 'network/x', 'instance/00000000-0000-4000-8000-000000000001'].map((address) => shardOf(address))).toEqual([777, 399, 262]);
  });
});

describe('shards', () => {
  it('activate an address with its first message and load it once', async () => {
    const { world, shards, loads, ask } = open({ 'thing/1': { open: false } });
    await world.run(async () => {
      const answers = await Promise.all([ask('thing/1'), ask('thing/1'), ask('thing/2')]);
      expect(answers).toMatchObject([
        { ok: true, value: { version: 1 } },
        { ok: true, value: { version: 1 } },
        { ok: true, value: null },
      ]);
    }, 1_000);
    expect([loads, shards.size]).toEqual([['thing/1', 'thing/2'], 2]);
  });

  it('answer nothing for what this node does not own', async () => {
    const { world, epochs, ask } = open();
    epochs.delete(shardOf('thing/1'));
    expect(await world.run(() => ask('thing/1'), 1_000)).toBe('absent');
  });

  it('let an idle activation leave memory, but none with something open', async () => {
    const { world, shards, ask } = open({ 'thing/1': { open: false }, 'thing/2': { open: true } });
    await world.run(async () => {
      await Promise.all([ask('thing/1'), ask('thing/2')]);
      await world.clock.sleep(58_000);
      expect(shards.size).toBe(2);
      await world.clock.sleep(4_000);
      expect([shards.size, shards.counts.passivations]).toEqual([1, 1]);
      expect(await ask('thing/1')).toMatchObject({ ok: true });
    }, 100_000);
  });

  it('that are dropped tell who waits to ask elsewhere, and are loaded anew when they come back', async () => {
    const { world, shards, epochs, loads, ask } = open({ 'thing/1': { open: true } });
    await world.run(async () => {
      const asked = ask('thing/1');
      shards.drop(new Set([shardOf('thing/1')]));
      expect(await asked).toMatchObject({ ok: false, fault: { reason: 'route.moved' } });
      expect(shards.size).toBe(0);
      epochs.set(shardOf('thing/1'), 2);
      expect(await ask('thing/1')).toMatchObject({ ok: true });
    }, 1_000);
    expect(loads.filter((address) => address === 'thing/1').length).toBeGreaterThanOrEqual(1);
  });

  it('whose epoch moved meanwhile answer nothing under the old one', async () => {
    const { world, epochs, ask } = open({ 'thing/1': { open: true } });
    await world.run(async () => {
      const asked = ask('thing/1');
      await world.clock.sleep(0.5); // the row is being loaded
      epochs.set(shardOf('thing/1'), 2);
      expect(await asked).toMatchObject({ ok: false, fault: { reason: 'route.moved' } });
    }, 1_000);
  });
});

describe('a takeover', () => {
  const rows = Object.fromEntries(Array.from({ length: 1_200 }, (_, i) => [`thing/${String(i).padStart(4, '0')}`, { open: true }]));
  const begin = (rig: ReturnType<typeof open>) => {
    const woken: string[] = [];
    const actors = { tell: (to: string, message: { type: string }) => void woken.push(`${to} ${message.type}`) } as unknown as Actors;
    return { woken, takeover: new Takeover({ store: rig.store, actors, clock: rig.world.clock, log: silentLog }) };
  };
  const all = Array.from({ length: SHARD_COUNT }, (_, shard) => shard);

  it('wakes everything that is open on the new shards, page by page', async () => {
    const rig = open(rows);
    const { woken, takeover } = begin(rig);
    await rig.world.run(async () => {
      takeover.taken(all);
      await rig.world.clock.sleep(500);
    }, 1_000);
    expect([woken.length, new Set(woken).size, rig.opened.length]).toEqual([1_200, 1_200, 3]);
    expect(woken[0]).toBe('thing/0000 wake');
  });

  it('looks only through those that are new', async () => {
    const rig = open(rows);
    const { takeover } = begin(rig);
    await rig.world.run(async () => {
      takeover.taken(all, [1, 2, 3]);
      await rig.world.clock.sleep(500);
    }, 1_000);
    expect(rig.opened).toEqual([{ shards: [1, 2, 3], after: null }]);
  });

  it('tries again while the store is away, and stops when the shards are gone', async () => {
    const rig = open(rows);
    const { woken, takeover } = begin(rig);
    rig.fails.opens = 2;
    await rig.world.run(async () => {
      takeover.taken(all);
      await rig.world.clock.sleep(5_000);
      expect(woken.length).toBe(1_200);
      woken.length = 0;
      rig.fails.opens = 1;
      takeover.taken(all);
      await rig.world.clock.sleep(100);
      takeover.lost();
      await rig.world.clock.sleep(5_000);
    }, 20_000);
    expect(woken).toEqual([]);
  });

  it('wakes what is due, every second, until it is closed', async () => {
    const rig = open({ 'thing/due': { open: true } });
    const { woken, takeover } = begin(rig);
    await rig.world.run(async () => {
      takeover.taken(all, []);
      await rig.world.clock.sleep(3_500);
      expect(woken).toEqual(Array.from({ length: 3 }, () => 'thing/due wake'));
      takeover.close();
      await rig.world.clock.sleep(5_000);
    }, 20_000);
    expect(woken.length).toBe(3);
  });
});
