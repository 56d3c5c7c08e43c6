/**
 * The actors of one node without anything around them: the system, turns, a room for node actors and shards with a
 * store, as a node joins them. Two kinds that do next to nothing, so that what is measured is the runtime's own part:
 * `counter` on the node and `keeper` on shards, each message a turn with its checks, crash count and fence.
 */
import type { AskOptions } from '../../../runtime/actor/ask.ts';
import { defineKind, type ActorKind } from '../../../runtime/actor/kind.ts';
import type { AnyMessage } from '../../../runtime/actor/protocol.ts';
import { NodeRoom } from '../../../runtime/actor/room.ts';
import type { Store } from '../../../runtime/actor/store.ts';
import { ActorSystem } from '../../../runtime/actor/system.ts';
import { openTurns } from '../../../runtime/actor/turn.ts';
import { systemClock, type Clock } from '../../../runtime/base/clock.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { Shards } from '../../../runtime/shard/shards.ts';

type CountProtocol = {
  note: { body: { readonly n: number }; reply: undefined };
  read: { body: object; reply: number };
};
type CountState = { readonly count: number };
type KeptState = CountState & { readonly record: { readonly id: string } };

const MAILBOX_MAX = 10_000;

export const counted = { messages: 0 };

export const counterKind: ActorKind = defineKind<CountProtocol, CountState>({
  kind: 'counter',
  home: 'node',
  mailboxMax: MAILBOX_MAX,
  passivateAfterMs: Number.POSITIVE_INFINITY,
  load: () => ({ count: 0 }),
  decide: (state, message) => {
    counted.messages++;
    if (message.type === 'read') return { state, effects: [{ do: 'reply', value: state.count }] };
    return { state: { count: state.count + 1 }, effects: [] };
  },
});

/** Loads a row at its first message and keeps it; nothing that is said to it changes the row. */
export const keeperKind: ActorKind = defineKind<CountProtocol, KeptState, KeptState['record']>({
  kind: 'keeper',
  home: 'shard',
  mailboxMax: MAILBOX_MAX,
  passivateAfterMs: 60_000,
  load: (id, record) => ({ count: 0, record: record ?? { id } }),
  recordOf: (state) => state.record,
  recover: (state) => ({ state, effects: [] }),
  decide: (state, message) => {
    counted.messages++;
    if (message.type === 'read') return { state, effects: [{ do: 'reply', value: state.count }] };
    return { state: { ...state, count: state.count + 1 }, effects: [] };
  },
});

export const emptyStore: Store = {
  load: () => Promise.resolve(undefined),
  commit: () => Promise.resolve({ is: 'unknown' }),
  open: () => Promise.resolve([]),
  due: () => Promise.resolve([]),
};

export type Inside = { readonly system: ActorSystem; readonly room: NodeRoom; readonly shards: Shards; close(): void };

export function openInside({ store = emptyStore, clock = systemClock }: { store?: Store; clock?: Clock } = {}): Inside {
  const system = new ActorSystem({ clock, random: systemRandom, log: silentLog, node: 'bench' });
  const turns = openTurns('bench');
  const parts = { clock, random: systemRandom, log: silentLog, turns, actors: system, failpoint: noFailpoint };
  const room = new NodeRoom(parts);
  const shards = new Shards({ ...parts, store }, () => 1);
  system.plug({ room, shards });
  system.register(counterKind);
  system.register(keeperKind);
  const close = (): void => {
    shards.close();
    room.close();
    system.close();
    turns.close();
  };
  return { system, room, shards, close };
}

/** Of a kind that is not known here: addresses are made as text. */
export function ask(system: ActorSystem, to: string, message: AnyMessage, options?: AskOptions): Promise<unknown> {
  return system.ask(to as never, message as never, options);
}
