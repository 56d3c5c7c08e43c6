import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../runtime/actor/activation.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { defineKind, defineService, type ActorKind } from '../../../runtime/actor/kind.ts';
import { NodeRoom, type Taken } from '../../../runtime/actor/room.ts';
import { ActorSystem } from '../../../runtime/actor/system.ts';
import { openTurns } from '../../../runtime/actor/turn.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { VirtualWorld } from '../../doubles/virtual-clock.ts';

const fault = (code: 'unavailable' | 'conflict', reason: string): Outcome => ({ ok: false, fault: new Fault(code, reason, reason).toRecord() });
const THING: ActorKind = defineKind<never, object>({
  kind: 'thing',
  home: 'shard',
  mailboxMax: 1,
  passivateAfterMs: 1,
  load: () => ({}),
  decide: (state) => ({ state, effects: [] }),
  withCommands: (record) => record,
});

/** A system whose shards are a script: how each delivery is taken and answered. */
function open(script: (delivery: Delivery, nth: number) => Taken) {
  const world = new VirtualWorld();
  const system = new ActorSystem({ clock: world.clock, random: seededRandom(1), log: silentLog });
  const seen: Delivery[] = [];
  system.register(THING);
  system.plug({ shards: { deliver: (_kind, _address, delivery) => script(delivery, seen.push(delivery)) } });
  const ask = (timeoutMs = 5_000, more: object = {}) =>
    world.run(
      () => (system as Actors).ask('thing/1' as never, { type: 'hello' } as never, { timeoutMs, ...more }).catch((error: unknown) => error as Fault),
      600_000,
    );
  return { world, system, seen, ask };
}
const answering =
  (outcome: Outcome) =>
  (delivery: Delivery): Taken => {
    delivery.reply?.(outcome);
    return 'taken';
  };

describe('an ask', () => {
  it('is answered with the reply, or with the fault that the actor refused with', async () => {
    expect(await open(answering({ ok: true, value: 7 })).ask()).toBe(7);
    expect(await open(answering(fault('conflict', 'server.state'))).ask()).toMatchObject({ code: 'conflict', reason: 'server.state' });
  });

  it('tries again with the same command id while the owner moves, and not after a refusal', async () => {
    const { ask, seen } = open((delivery, nth) => {
      if (nth === 1) return 'absent';
      return answering(nth < 4 ? fault('unavailable', 'route.moved') : { ok: true, value: nth })(delivery);
    });
    expect(await ask()).toBe(4);
    expect(new Set(seen.map(({ commandId }) => commandId)).size).toBe(1);
    const refusing = open(answering(fault('unavailable', 'scheduler.silent')));
    await refusing.ask();
    expect(refusing.seen.length).toBe(1);
  });

  it('ends at its deadline, whatever happens', async () => {
    for (const script of [() => 'absent', () => 'taken', answering(fault('unavailable', 'route.moved'))] as const) {
      const { ask, world } = open(script as never);
      expect(await ask(3_000)).toMatchObject({ code: 'timeout' });
      expect(world.nowMs).toBe(3_000);
    }
  });

  it('waits no longer than any ask may', async () => {
    const { ask, world } = open(() => 'taken');
    expect(await ask(10_000_000)).toMatchObject({ code: 'timeout' });
    expect(world.nowMs).toBe(60_000);
  });

  it('of a full inbox fails at once as overloaded (P8)', async () => {
    const { ask, world } = open(() => 'full');
    expect([await ask(), world.nowMs]).toMatchObject([{ code: 'overloaded' }, 0]);
  });

  it('that is called off ends so, is not tried again, and its answer is not heard', async () => {
    const abort = new AbortController();
    const { ask, world, seen } = open(() => 'absent');
    world.after(30, () => abort.abort());
    expect(await ask(5_000, { signal: abort.signal })).toMatchObject({ code: 'cancelled' });
    const tries = seen.length;
    await world.run(() => world.clock.sleep(5_000), 10_000);
    expect(seen.length).toBe(tries);
    expect(() => seen[0]?.reply?.({ ok: true, value: 'late' })).not.toThrow();
  });
});

describe('a tell', () => {
  it('never throws, and counts what got lost', () => {
    const { system } = open(() => 'full');
    (system as Actors).tell('thing/1' as never, { type: 'hello' } as never);
    (system as Actors).tell('nobody/1' as never, { type: 'hello' } as never);
    expect(system.counts).toMatchObject({ tells: 2, lostTells: 2 });
  });
});

describe('a service', () => {
  it('serves so many at once, lets so many wait, and refuses the rest', async () => {
    const { system, world } = open(() => 'absent');
    let most = 0;
    let running = 0;
    const serve = async (): Promise<number> => {
      most = Math.max(most, ++running);
      await world.clock.sleep(10);
      running -= 1;
      return 1;
    };
    system.register(defineService<{ work: { body: object; reply: number } }>({ kind: 'desk', mailboxMax: 3, concurrency: 2, serve: { work: serve } }));
    const ends = await world.run(
      () => Promise.allSettled(Array.from({ length: 7 }, () => (system as Actors).ask('desk/any' as never, { type: 'work' } as never))),
      60_000,
    );
    expect([ends.filter(({ status }) => status === 'fulfilled').length, most]).toEqual([5, 2]);
  });

  it('answers a message that it does not know as invalid, and a bug as internal', async () => {
    const { system, world } = open(() => 'absent');
    system.register(
      defineService<{ work: { body: object; reply: number } }>({
        kind: 'desk',
        mailboxMax: 3,
        concurrency: 2,
        serve: { work: () => Promise.reject(new TypeError('bug')) },
      }),
    );
    const ask = (type: string) =>
      world.run(() => (system as Actors).ask('desk/any' as never, { type } as never).catch((error: unknown) => (error as Fault).code), 60_000);
    expect([await ask('work'), await ask('sing')]).toEqual(['internal', 'invalid']);
  });
});

describe('a room', () => {
  it('starts an actor anew that gave up, and stops one by name', async () => {
    const world = new VirtualWorld();
    const kind = defineKind<never, { readonly turns: number }>({
      kind: 'host',
      home: 'node',
      mailboxMax: 8,
      passivateAfterMs: 1,
      load: () => ({ turns: 0 }),
      decide: (state, message) => {
        if ((message as { type: string }).type === 'boom') throw new Error('boom');
        return { state: { turns: state.turns + 1 }, effects: [{ do: 'reply', value: state.turns + 1 }] };
      },
    });
    const room = new NodeRoom({
      clock: world.clock,
      random: seededRandom(1),
      log: silentLog,
      turns: openTurns('room'),
      actors: {} as Actors,
      failpoint: noFailpoint,
    });
    room.start(kind, 'host/h1');
    const ask = (type: string) =>
      new Promise<Outcome>((reply) => room.deliver('host/h1', { message: { type }, commandId: undefined, senderEpoch: undefined, reply }));
    await world.run(async () => {
      expect([await ask('hello'), await ask('hello')]).toMatchObject([{ value: 1 }, { value: 2 }]);
      for (let i = 0; i < 6; i++) expect(await ask('boom')).toMatchObject({ fault: { code: 'internal' } });
      expect(await ask('hello')).toMatchObject({ value: 1 });
      room.stop('host/h1');
      expect(room.deliver('host/h1', { message: { type: 'hello' }, commandId: undefined, senderEpoch: undefined, reply: undefined })).toBe('absent');
    }, 60_000);
  });
});
