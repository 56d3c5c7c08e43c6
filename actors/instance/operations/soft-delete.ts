/**
 * A delete that can be undone for a while: the guest is turned off, its quota is given back, and a time in the row says
 * when it is deleted for good. Whoever owns the shard then does that. A restore takes the quota again, in the commit that
 * accepts it, and may be refused for it.
 *
 * The row's time is the one mark: as long as it stands, the server uses no quota.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { FaultRecord } from '../../../runtime/base/fault.ts';
import type { Operation } from '../../model/operation.ts';
import type { PowerState } from '../../model/server-state.ts';
import { quotaBack } from '../quota-change.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionBegun, actionEnded, change, next, NO_SOFT, type InstanceState, type Living, type Working } from '../state.ts';
import { DELETE, gone } from './delete.ts';
import { ended, hostOf } from './power.ts';
import { runVerb, type OperationRules } from './rules.ts';

export const SOFT_DELETE: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), { name: 'stop', graceMs: 0 }, settings),
  verbDone: (state, power, facts, settings) => softDeleted(state, power ?? 'shutdown', facts, settings),
  // The server is deleted for its user all the same. A guest that still runs is turned off when it is seen again.
  failed: (state, _fault, facts, settings) => softDeleted(state, state.record.powerState, facts, settings),
};

export const RESTORE: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), { name: 'start' }, settings),
  verbDone: (state, power, facts) => ended(state, 'active', power ?? 'running', facts),
  failed: (state, fault, facts, settings) => softDeleted(state, state.record.powerState, facts, settings, fault),
};

export function softDeleted(
  state: Working,
  powerState: PowerState,
  facts: Facts,
  settings: InstanceSettings,
  fault: FaultRecord | null = null,
): Next<InstanceState> {
  const { record } = state;
  const reclaimAtMs = record.reclaimAtMs ?? facts.nowMs + settings.reclaimAfterMs;
  const actions = actionEnded(record, facts, { fault, host: record.host });
  const changes = { vmState: 'soft-delete', taskState: null, powerState, operation: null, reclaimAtMs, actions } as const;
  return next({ ...change(state, changes, facts, { quota: quotaBack(record) }), soft: NO_SOFT });
}

export function isReclaimDue({ record }: Living, facts: Facts): boolean {
  const { operation, deleted, reclaimAtMs } = record;
  return operation === null && !deleted && typeof reclaimAtMs === 'number' && facts.nowMs >= reclaimAtMs;
}

/** The time to restore it is over: the server is deleted, in its user's name. */
export function reclaim(state: Living, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const begun = begin(state, 'delete', 'destroy', settings.destroyLimitMs, facts);
  const deleting = change(begun, { taskState: 'deleting' }, facts) as Working;
  return deleting.record.host === null ? gone(deleting, 'drop', facts) : DELETE.resume(deleting, facts, settings);
}

/** Somebody turned the guest of a soft-deleted server on: off again. Its time runs on. */
export function turnOffAgain(state: Living, powerState: PowerState, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const begun = begin(state, 'softDelete', 'softDelete', settings.powerLimitMs, facts);
  const stopping = change(begun, { taskState: 'soft-deleting', powerState }, facts) as Working;
  return SOFT_DELETE.resume(stopping, facts, settings);
}

function begin(state: Living, name: 'delete' | 'softDelete', step: string, limitMs: number, facts: Facts): Living {
  const { record } = state;
  const operation: Operation = {
    name,
    id: facts.newId(),
    step,
    args: {},
    requestId: `req-${facts.newId()}`,
    startedAt: toIso(facts.nowMs),
    stepDueMs: facts.nowMs + limitMs,
    attempt: 0,
    excludedHosts: [],
  };
  return change(state, { operation, actions: actionBegun(record, operation, record) }, facts);
}
