/**
 * A kind joins what an actor room says about its actors: where they live, what may be said, how they decide.
 *
 * Two sorts:
 * - `defineKind`: actors with state. `decide` is pure; the runtime commits a changed record and then runs the effects.
 * - `defineService`: stateless actors (the conductor): each message is served by an async function, at most
 *   `concurrency` at a time, past `mailboxMax` waiting ones the answer is `overloaded`.
 */
import type { Fault } from '../base/fault.ts';
import type { Effect, ReplyHandle } from './effect.ts';
import type { MessageOf, Protocol, ReplyOf } from './protocol.ts';
import type { Commit } from './store.ts';

/** What a decision may know besides state and message. The same input decides the same. */
export type Facts = {
  /** By the wall clock: for what is stored or shown. It jumps when the machine's clock is set. */
  readonly nowMs: number;
  /** By the node's monotonic clock, whose zero means nothing: for how long something is remembered in memory. Never stored. */
  readonly upMs: number;
  /** Uuids drawn for this turn, in order. */
  readonly newId: () => string;
  /** 0 ≤ x < 1, drawn for this turn. */
  readonly chance: () => number;
  /** The shard epoch of the actor that sent the message, when it has one. */
  readonly senderEpoch: number | undefined;
  /** Keeps this message's reply open beyond the turn; a later effect names it by `to`. */
  readonly holdReply: () => ReplyHandle;
  readonly commandId: string | undefined;
};

export type Next<State> = { readonly state: State; readonly effects: readonly Effect[] };

export type Job = (args: never, signal: AbortSignal) => Promise<unknown>;

export type ActorKind<P extends Protocol = Protocol, State = unknown, Record_ = unknown> = {
  readonly sort: 'actor';
  readonly kind: string;
  /** `shard`: on the owner of its shard, with a row. `node`: on the node that runs it; its state is memory. */
  readonly home: 'shard' | 'node';
  readonly mailboxMax: number;
  /** Idle and nothing open: leaves memory after this long. */
  readonly passivateAfterMs: number;
  /** Parses a message's body where a frame comes in from another node; throws Fault `invalid`. */
  readonly parse?: (type: string, body: unknown) => MessageOf<P>;
  /** State of a row, or of nothing: not existing is a state too. */
  readonly load: (id: string, record: Record_ | undefined) => State;
  readonly decide: (state: State, message: MessageOf<P>, facts: Facts) => Next<State>;
  /** What takes up an open operation after an activation. */
  readonly recover?: (state: State, facts: Facts) => Next<State>;
  /** The durable part; a change of it (by identity) is committed before any effect. Node kinds have none. */
  readonly recordOf?: (state: State) => Record_ | undefined;
  /** Puts a record into a state: the runtime remembers command ids in it. */
  readonly withRecord?: (state: State, record: Record_) => State;
  /** A record with these remembered commands; kinds that keep none have no effectively-once commands. */
  readonly withCommands?: (record: Record_, commands: readonly { readonly id: string; readonly atMs: number }[]) => Record_;
  /** What else changes in the same transaction: claims, quota, addresses, the event. Pure. */
  readonly commitOf?: (before: Record_ | undefined, after: Record_, state: State) => Commit;
  /** Decides on a refused commit: the state is as before the turn, its effects were dropped. */
  readonly refused?: (state: State, reason: string, facts: Facts) => Next<State>;
  /** True when the actor may leave memory. */
  readonly isIdle?: (state: State) => boolean;
  /** After repeated crashes: the state that gives up (operation failed, reads only). */
  readonly giveUp?: (state: State, fault: Fault, facts: Facts) => Next<State>;
  readonly perform?: { readonly [job: string]: Job };
};

export type ServiceKind<P extends Protocol = Protocol> = {
  readonly sort: 'service';
  readonly kind: string;
  readonly home: 'node';
  readonly mailboxMax: number;
  readonly concurrency: number;
  /** Messages that do no harm when they come twice: only these are sent again when no answer comes. */
  readonly repeatable?: ReadonlySet<string>;
  readonly parse?: (type: string, body: unknown) => MessageOf<P>;
  readonly serve: { readonly [T in keyof P & string]: (message: { readonly type: T } & P[T]['body'], context: ServeContext) => Promise<ReplyOf<P, T>> };
};

export type ServeContext = { readonly signal: AbortSignal; readonly commandId: string | undefined };

export type AnyKind = ActorKind | ServiceKind;

export function defineKind<P extends Protocol, State, Record_ = undefined>(kind: Omit<ActorKind<P, State, Record_>, 'sort'>): ActorKind {
  // The one place where a kind's own types are forgotten: the runtime carries every kind alike.
  return { ...kind, sort: 'actor' } as unknown as ActorKind;
}

export function defineService<P extends Protocol>(kind: Omit<ServiceKind<P>, 'sort' | 'home'>): ServiceKind {
  return { ...kind, sort: 'service', home: 'node' } as unknown as ServiceKind;
}
