/**
 * When a step's time is over. Its due time stands in the row as wall time, since whoever owns the shard then has to
 * know it. A clock that ran ahead when it was noted would make it come hours too late: a time that lies further away
 * than any step may last is noted anew.
 */
import type { Facts } from '../../runtime/actor/kind.ts';
import type { InstanceSettings } from './settings.ts';
import { change, type Working } from './state.ts';

/** Between the limit of a copy on its host and that of the step that waits for it. */
export const COPY_SLACK_MS = 30_000;

export function isDue({ record }: Working, facts: Facts): boolean {
  return facts.nowMs >= record.operation.stepDueMs;
}

/** The state with a due time that can be: the same state when it has one. */
export function dueInTime(state: Working, facts: Facts, settings: InstanceSettings): Working {
  const { operation } = state.record;
  const latestMs = facts.nowMs + longestStepMs(operation.step, settings);
  if (operation.stepDueMs <= latestMs) return state;
  return change(state, { operation: { ...operation, stepDueMs: latestMs } }, facts) as Working;
}

/** Steps that copy disks last longer than any other. */
function longestStepMs(step: string, settings: InstanceSettings): number {
  if (step === 'snapshot') return settings.snapshotLimitMs + COPY_SLACK_MS;
  if (step === 'upload') return settings.uploadLimitMs + COPY_SLACK_MS;
  const { placeLimitMs, spawnLimitMs, destroyLimitMs, stopGraceMs, rebootGraceMs, powerLimitMs } = settings;
  return Math.max(placeLimitMs, spawnLimitMs, destroyLimitMs, stopGraceMs + powerLimitMs, rebootGraceMs + powerLimitMs);
}
