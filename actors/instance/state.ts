/**
 * What an instance actor remembers: the durable record, and beside it what may be forgotten at any moment (`soft`):
 * bids under way, a granted promise, proposed addresses. `parts` is what the commit of this turn changes besides the
 * record; it is empty when a decision begins.
 */
import type { Nic } from '../model/addressing.ts';
import type { AddressTake, ClaimChange, QuotaChange } from '../model/commit.ts';
import type { DiskWay } from '../host/messages.ts';
import type { MigrationWrite } from '../model/migration.ts';
import type { InstanceRecord } from '../model/instance.ts';
import { beginAction, type ActionEvent, type ActionRecord, type Operation } from '../model/operation.ts';
import type { Bid, Explanation } from '../model/placement.ts';
import type { GroupPlaces } from '../model/server-group.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { Effect, ReplyHandle } from '../../runtime/actor/effect.ts';
import { toIso } from '../../runtime/base/clock.ts';
import type { FaultRecord, Json } from '../../runtime/base/fault.ts';

export type Parts = {
  readonly claims: readonly ClaimChange[];
  readonly takeAddresses: readonly AddressTake[];
  readonly dropAddresses: boolean;
  readonly quota: QuotaChange | null;
  readonly migration?: MigrationWrite | null;
};

export const NO_PARTS: Parts = { claims: [], takeAddresses: [], dropAddresses: false, quota: null };

export type Soft = {
  /** Grows with each ask; answers of an earlier round are stale. */
  readonly round: number;
  /** Slices that have not answered yet. */
  readonly slicesLeft: number;
  /** Slices of this round that gave no answer, or have only begun: the hosts that only they know may do. */
  readonly slicesSilent: number;
  readonly bids: readonly Bid[];
  readonly explanation: Explanation | null;
  readonly refusals: readonly { readonly host: string; readonly why: string }[];
  /** Addresses proposed so far, by network. */
  readonly nics: readonly Nic[];
  readonly nicsLeft: number;
  /** The host that is being asked for a claim. */
  readonly asked: Bid | null;
  /** Who waits for the end of the operation; and what it needs that must not be stored. */
  readonly waiter: ReplyHandle | null;
  readonly secret: string | null;
  /** When the schedulers first said that they know no host that could be meant, until one is known. */
  readonly noHostsMs: number | null;
  /** Where the source gives the disk that is to be fetched. */
  readonly way: DiskWay | null;
  /** Where the others of its group are, as far as this round knows; null: not asked, or no group. */
  readonly group: GroupPlaces | null;
};

export const NO_SOFT: Soft = {
  round: 0,
  slicesLeft: 0,
  slicesSilent: 0,
  bids: [],
  explanation: null,
  refusals: [],
  nics: [],
  nicsLeft: 0,
  asked: null,
  waiter: null,
  secret: null,
  noHostsMs: null,
  way: null,
  group: null,
};

export type InstanceState = {
  readonly id: string;
  readonly record: InstanceRecord | undefined;
  readonly soft: Soft;
  readonly parts: Parts;
};

/** A state whose instance exists. */
export type Living = InstanceState & { readonly record: InstanceRecord };
/** One with an open operation. */
export type Working = Living & { readonly record: InstanceRecord & { readonly operation: Operation } };

/** Entries of the history that are kept with the record. */
export const ACTIONS_MAX = 30;

export function next(state: InstanceState, ...effects: readonly Effect[]): Next<InstanceState> {
  return { state, effects };
}

/** The record changed: its time of change moves with it. */
export function change(state: Living, changes: Partial<InstanceRecord>, facts: Facts, parts: Partial<Parts> = {}): Living {
  const record = { ...state.record, ...changes, updatedAt: toIso(facts.nowMs) };
  return { ...state, record, parts: { ...NO_PARTS, ...parts } };
}

export function soften(state: InstanceState, soft: Partial<Soft>): InstanceState {
  return { ...state, soft: { ...state.soft, ...soft } };
}

/** Names the current round of the current step: an answer with another tag is stale. */
export function tagOf(state: Working): string {
  return `${state.record.operation.id}/${state.record.operation.step}/${state.soft.round}`;
}

export function isWorking(state: InstanceState): state is Working {
  return state.record !== undefined && state.record.operation !== null;
}

/** The open operation goes on with another step. */
export function atStep(record: InstanceRecord, step: string, limitMs: number, facts: Facts, more: Partial<Operation> = {}): Partial<InstanceRecord> {
  if (!record.operation) throw new Error('no operation is open');
  return { operation: { ...record.operation, step, stepDueMs: facts.nowMs + limitMs, ...more } };
}

/** The history with this operation begun. */
export function actionBegun(record: InstanceRecord, operation: Operation, by: { userId: string; projectId: string }): readonly ActionRecord[] {
  return [...record.actions, beginAction(operation, by, record.host)].slice(-ACTIONS_MAX);
}

/** The history with the open operation's event ended. */
export function actionEnded(
  record: InstanceRecord,
  facts: Facts,
  end: { fault: FaultRecord | null; host?: string | null; explanation?: Json },
): readonly ActionRecord[] {
  const requestId = record.operation?.requestId;
  const at = toIso(facts.nowMs);
  return record.actions.map((action) => {
    if (action.requestId !== requestId || action.events.every((event) => event.finishedAt !== null)) return action;
    const events = action.events.map((event): ActionEvent => {
      if (event.finishedAt !== null) return event;
      const ended: ActionEvent = { ...event, finishedAt: at, result: end.fault ? 'Error' : 'Success', fault: end.fault, host: end.host ?? event.host };
      return end.explanation === undefined ? ended : { ...ended, explanation: end.explanation };
    });
    return { ...action, updatedAt: at, message: end.fault ? 'Error' : null, events };
  });
}
