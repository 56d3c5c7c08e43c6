/**
 * A counter as an actor, on a store whose answers a test decides, in virtual time. Its record is a number; `add` is
 * effectively once with a command id; `open` leaves something open that `recover` takes up by telling it.
 */
import { Activation, type Delivery } from '../../../runtime/actor/activation.ts';
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import { defineKind, type ActorKind, type Facts, type Next } from '../../../runtime/actor/kind.ts';
import type { AnyMessage } from '../../../runtime/actor/protocol.ts';
import type { CommitAnswer, Loaded, Store } from '../../../runtime/actor/store.ts';
import { openTurns } from '../../../runtime/actor/turn.ts';
import { noFailpoint } from '../../../runtime/base/failpoint.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog, type Log } from '../../../runtime/base/log.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { VirtualWorld } from '../../doubles/virtual-clock.ts';

type Row = { readonly count: number; readonly open: boolean; readonly commands: readonly { readonly id: string; readonly atMs: number }[] };
type State = { readonly row: Row | undefined };
type Message = { readonly type: string; readonly by?: number; readonly effects?: readonly Effect[] };

const NO_ROW: Row = { count: 0, open: false, commands: [] };

export const COUNTER: ActorKind = defineKind<never, State, Row>({
  kind: 'counter',
  home: 'shard',
  mailboxMax: 4,
  passivateAfterMs: 60_000,
  load: (_id, row) => ({ row }),
  decide: (state, message, facts) => decide(state, message as Message, facts),
  recover: (state) => ({ state, effects: state.row?.open ? [{ do: 'tell', to: 'other/1', message: { type: 'resumed' } }] : [] }),
  refused: (state, why) => ({ state, effects: [{ do: 'reply', value: `refused ${why}` }] }),
  giveUp: (state) => ({ state: { row: { ...(state.row ?? NO_ROW), open: false, count: -1 } }, effects: [] }),
  recordOf: (state) => state.row,
  withRecord: (state, row) => ({ ...state, row }),
  withCommands: (row, commands) => ({ ...row, commands }),
  isIdle: (state) => !state.row?.open,
  commitOf: (_before, after) => ({ parts: {}, open: after.open, dueAtMs: null }),
  perform: {
    hang: (_args: object, signal) => new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    fine: async () => 7,
  },
});

function decide(state: State, { type, by = 1, effects = [] }: Message, facts: Facts): Next<State> {
  const row = state.row ?? NO_ROW;
  switch (type) {
    case 'add':
      return { state: { row: { ...row, count: row.count + by } }, effects: [...effects, { do: 'replyStored' }] };
    case 'open':
      return { state: { row: { ...row, open: true } }, effects: [{ do: 'replyStored' }] };
    case 'boom':
      throw new Error('boom');
    case 'hold':
      facts.holdReply();
      return { state, effects: [] };
    case 'get':
      return { state, effects: [{ do: 'replyStored' }] };
    default:
      return { state, effects };
  }
}

export type Rig = {
  readonly world: VirtualWorld;
  readonly store: Store & { rows: Map<string, Loaded>; answers: CommitAnswer[]; away: number; committing: (() => Promise<void>) | undefined };
  /** What happened, in order: commits, tells, asks, crashes. */
  readonly told: string[];
  readonly actor: Activation;
  /** Whether the shard is owned now, and under which epoch. */
  epoch: number | undefined;
  gone: number;
  ask(message: AnyMessage, commandId?: string): Promise<Outcome>;
  /** Answers to what the actor asks others, by message type. */
  readonly replies: Map<string, Promise<unknown>>;
};

export function openRig(): Rig {
  const world = new VirtualWorld();
  const told: string[] = [];
  const replies = new Map<string, Promise<unknown>>();
  const store = fakeStore(told);
  const log: Log = { ...silentLog, error: (event) => void told.push(event), with: () => log };
  const actors = {
    tell: (to: string, message: AnyMessage) => void told.push(`tell ${to} ${message.type}`),
    ask: (to: string, message: AnyMessage, options?: { signal?: AbortSignal }) => {
      told.push(`ask ${to} ${message.type}`);
      options?.signal?.addEventListener('abort', () => told.push(`called off ${message.type}`));
      return replies.get(message.type) ?? new Promise(() => {});
    },
  };
  const rig: Rig = {
    world,
    store,
    told,
    replies,
    epoch: 1,
    gone: 0,
    actor: new Activation(COUNTER, 'counter/1', '1', {
      clock: world.clock,
      random: seededRandom(1),
      log,
      turns: openTurns('rig'),
      actors: actors as never,
      store,
      failpoint: noFailpoint,
      fence: () => (rig.epoch === 1 ? { shard: 5, epoch: 1 } : undefined),
      gone: () => void rig.gone++,
    }),
    ask: (message, commandId) =>
      new Promise((resolve) => {
        const delivery: Delivery = { message, commandId, senderEpoch: undefined, reply: (outcome) => resolve(outcome) };
        if (!rig.actor.deliver(delivery)) resolve({ ok: false, fault: new Fault('overloaded', 'full', 'full').toRecord() });
      }),
  };
  return rig;
}

function fakeStore(told: string[]): Rig['store'] {
  const rows = new Map<string, Loaded>();
  const store: Rig['store'] = {
    rows,
    answers: [],
    away: 0,
    committing: undefined,
    async load(address) {
      if (store.away > 0) {
        store.away -= 1;
        throw new Fault('unavailable', 'store.away', 'away');
      }
      return rows.get(address);
    },
    async commit({ address, version, record }) {
      told.push('commit');
      await store.committing?.();
      const scripted = store.answers.shift();
      if (scripted && scripted.is !== 'done') return scripted;
      if ((rows.get(address)?.version ?? 0) !== version) return { is: 'refused', why: 'version' };
      rows.set(address, { record, version: version + 1, revision: version + 1 });
      return { is: 'done', version: version + 1, revision: version + 1 };
    },
    open: async () => [],
    due: async () => [],
  };
  return store;
}
