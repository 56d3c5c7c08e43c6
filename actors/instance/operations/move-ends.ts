/**
 * A move at its two ends: what the commit says that gives a server its second place, and the one that leaves it with
 * none. The steps between stand in transfer.ts and settle.ts. Pure.
 */
import type { Effect } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { FaultRecord, Json } from '../../../runtime/base/fault.ts';
import { quotaDelta, withoutMove } from '../../model/between.ts';
import type { ClaimChange } from '../../model/commit.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import type { MigrationStatus } from '../../model/migration.ts';
import type { Move, Place } from '../../model/move.ts';
import type { PowerState } from '../../model/server-state.ts';
import { migrationOf } from '../migrations.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, NO_SOFT, tagOf, type InstanceState, type Living, type Working } from '../state.ts';

export type Moving = Working & { readonly record: Working['record'] & { readonly move: Move } };

export function moving(state: Working): Moving {
  if (!state.record.move) throw new Error('a server that moves has a move');
  return state as Moving;
}

/** The step is taken up in a turn of its own, after this commit. */
export function takeUp(state: Working): Effect {
  return { do: 'wake', inMs: 0, message: { type: 'retry', tag: tagOf(state) } as { type: string }, tag: 'retry' };
}

/** A host has promised the standby place: one commit takes it. */
export function granted(
  state: Working,
  bid: { host: string; zone: string },
  claim: Extract<ClaimChange, { op: 'add' }>,
  facts: Facts,
  settings: InstanceSettings,
): Next<InstanceState> {
  const { move } = moving(state).record;
  const standby: Place = { host: bid.host, zone: bid.zone, generation: claim.generation };
  const isLive = move.kind === 'live-migration';
  const { record } = state;
  const placed = { ...move, standby, dest: bid.host };
  const begun = change(
    state,
    {
      ...atStep(record, isLive ? 'prepare' : 'park', isLive ? settings.moveLimitMs : settings.stopGraceMs + settings.powerLimitMs, facts),
      move: placed,
      taskState: isLive ? 'migrating' : 'resize_migrating',
    },
    facts,
    { claims: [{ ...claim, standby: true }], migration: migrationOf(placed, isLive ? 'preparing' : 'migrating', facts) },
  ) as Working;
  return next(begun, takeUp(begun));
}

/** No host takes it: it stays as it was. */
export function unplaced(state: Working, fault: FaultRecord, explanation: Json | null, facts: Facts): Next<InstanceState> {
  return ended(
    moving(state),
    { vmState: moving(state).record.move.was, fault: isCalledOff(state) ? null : fault, ...(explanation !== null && { explanation }) },
    facts,
  );
}

export type MoveEnd = {
  readonly vmState: InstanceRecord['vmState'];
  readonly powerState?: PowerState;
  readonly fault: FaultRecord | null;
  readonly explanation?: Json;
};

export function ended(state: Moving, end: MoveEnd, facts: Facts): Next<InstanceState> {
  const status = isCalledOff(state) && end.vmState !== 'error' ? 'cancelled' : 'error';
  return next({ ...finishedMove(state, end, [], status, end.explanation ?? null, facts), soft: NO_SOFT });
}

/** The end of a move: nothing of it is left in the record, and the quota is that of the flavor. */
export function finishedMove(
  state: Moving | (Working & Living),
  end: MoveEnd,
  claims: readonly ClaimChange[],
  status: MigrationStatus,
  explanation: Json | null,
  facts: Facts,
): Living {
  const { record } = state;
  const { move } = record;
  if (!move) throw new Error('a move that ends was there');
  const settled: InstanceRecord = { ...record, ...withoutMove(record) };
  const actions = actionEnded(record, facts, { fault: end.fault, host: record.host, ...(explanation !== null && { explanation }) });
  return change(
    state,
    {
      ...withoutMove(record),
      vmState: end.vmState,
      taskState: null,
      operation: null,
      fault: end.fault && { ...end.fault, at: toIso(facts.nowMs) },
      actions,
      ...(end.powerState && { powerState: end.powerState }),
    },
    facts,
    { claims, quota: quotaDelta(record, settled), migration: migrationOf(move, status, facts) },
  );
}

export function standbyOf(state: Working): Place {
  const { standby } = moving(state).record.move;
  if (!standby) throw new Error(`step ${state.record.operation.step} without a second place`);
  return standby;
}

export function isCalledOff({ record }: Working): boolean {
  return record.operation.args['aborted'] === true;
}

export function faultOf({ record }: Working): FaultRecord | null {
  return (record.operation.args['fault'] as FaultRecord | undefined) ?? null;
}
