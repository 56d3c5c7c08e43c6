/**
 * Verbs that touch no guest: lock, unlock, and an administrator's word about the state. One commit is all of it; what
 * the history shows of it has ended as soon as it stands there.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import { nextGeneration } from '../../model/between.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import type { ActionRecord } from '../../model/operation.ts';
import type { Caller, RecordVerb, Verb } from '../messages.ts';
import { migrationOf } from '../migrations.ts';
import { calledOff, leftOver, NOTHING, type Opening } from '../moves.ts';
import { quotaAgain } from '../quota-change.ts';
import { ACTIONS_MAX, actionEnded, change, next, NO_SOFT, type InstanceState, type Living, type Parts } from '../state.ts';
import { answerWaiter } from './answered.ts';
import { releaseAt } from './create.ts';
import { imageLeft } from './snapshot.ts';

const RECORD_VERBS: readonly string[] = ['lock', 'unlock', 'resetState'] satisfies RecordVerb['name'][];

export function isRecordVerb(verb: Verb): verb is RecordVerb {
  return RECORD_VERBS.includes(verb.name);
}

export function changeRecord(state: Living, verb: RecordVerb, caller: Caller, facts: Facts): Next<InstanceState> {
  switch (verb.name) {
    case 'lock':
      return lock(state, verb.reason, caller, facts);
    case 'unlock':
      return unlock(state, verb.override, caller, facts);
    default:
      return resetState(state, verb.to, caller, facts);
  }
}

/** Of the caller's own project, or of somebody who may more. */
export function ownerOf(record: Pick<InstanceRecord, 'projectId'>, caller: { readonly projectId: string | null }): 'owner' | 'admin' {
  return record.projectId === caller.projectId ? 'owner' : 'admin';
}

function lock(state: Living, reason: string | null, caller: Caller, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const lockedBy = ownerOf(record, caller);
  if (record.locked && lockedBy === 'owner') return next(state, { do: 'replyStored' });
  const lockedReason = reason ?? record.lockedReason;
  return done(state, { locked: true, lockedBy, lockedReason, actions: noted(record, 'lock', 'api_lock', caller, facts) }, facts);
}

function unlock(state: Living, override: boolean, caller: Caller, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const isOthers = record.locked && (record.lockedBy ?? null) !== null && record.lockedBy !== ownerOf(record, caller);
  if (isOthers && !override) {
    const fault = new Fault('forbidden', 'server.lockOfAnother', "The lock of this server is somebody else's.").toRecord();
    return next(state, { do: 'refuse', fault });
  }
  return done(state, { locked: false, lockedBy: null, lockedReason: null, actions: noted(record, 'unlock', 'api_unlock', caller, facts) }, facts);
}

/**
 * What runs is called off. A delete that was accepted is not: it goes on under the new state. Nor is a move, which leaves
 * its guest asleep in between: it ends by itself, or goes back.
 */
function resetState(state: Living, vmState: 'active' | 'error', caller: Caller, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const name = record.operation?.name;
  if (name === 'delete' || name === 'softDelete') {
    return done(
      state,
      { vmState: record.vmState === 'soft-delete' ? record.vmState : vmState, actions: noted(record, 'resetState', null, caller, facts) },
      facts,
    );
  }
  const left = record.move ? moveLeft(record, vmState, facts) : NOTHING;
  if (left === undefined) return next(state, { do: 'refuse', fault: stillMoves(record.id) });
  const fault = new Fault('cancelled', 'operation.replaced.resetState', 'Called off by resetState.').toRecord();
  const called = record.operation === null ? record : { ...record, actions: actionEnded(record, facts, { fault }) };
  const actions = noted(called, 'resetState', null, caller, facts);
  const changes = { ...left.changes, vmState, taskState: null, operation: null, reclaimAtMs: null, actions } as const;
  const migration = record.operation?.name === 'evacuate' ? calledOff(record, facts) : null;
  const after = change({ ...state, soft: NO_SOFT }, changes, facts, { quota: quotaAgain(record), migration, ...left.parts });
  const takenBack = state.soft.asked ? [releaseAt(state.soft.asked.host, record.id, nextGeneration(record))] : [];
  return next(after, { do: 'replyStored' }, ...takenBack, ...left.effects, ...answerWaiter(state.soft), ...(record.operation ? imageLeft(record) : []));
}

/**
 * An error keeps both places of a server that has moved, so that it may still go back; who says that it is active says
 * that it stays where it is. Undefined: neither can be said.
 */
function moveLeft(record: InstanceRecord, vmState: 'active' | 'error', facts: Facts): Opening | undefined {
  const { move, operation } = record;
  if (!move?.hasSwapped || operation !== null) return undefined;
  if (vmState === 'active') return leftOver(record, move, record.vmState === 'resized' ? 'confirmed' : 'error', facts);
  return { ...NOTHING, parts: { migration: migrationOf(move, 'error', facts) } };
}

function stillMoves(id: string): FaultRecord {
  return new Fault('conflict', 'server.moves', `Instance ${id} is on its way to another host or size.`).toRecord();
}

function done(state: Living, changes: Partial<InstanceRecord>, facts: Facts, parts: Partial<Parts> = {}): Next<InstanceState> {
  return next(change(state, changes, facts, parts), { do: 'replyStored' });
}

/** The history with what is done already. */
function noted(record: InstanceRecord, action: string, event: string | null, caller: Caller, facts: Facts): readonly ActionRecord[] {
  const at = toIso(facts.nowMs);
  const { requestId, userId, projectId } = caller;
  const events = event === null ? [] : [{ event, startedAt: at, finishedAt: at, result: 'Success' as const, host: record.host, fault: null }];
  const entry: ActionRecord = { requestId, action, userId, projectId, startedAt: at, updatedAt: at, message: null, events };
  return [...record.actions, entry].slice(-ACTIONS_MAX);
}
