/**
 * When a step's time is over. Its due time stands in the row as wall time, since whoever owns the shard then has to
 * know it. A clock that ran ahead when it was noted would make it come hours too late: a time that lies further away
 * than any step may last is noted anew.
 */
import type { Facts } from '../../runtime/actor/kind.ts';
import type { InstanceRecord } from '../model/instance.ts';
import { COPY_SLACK_MS, type InstanceSettings } from './settings.ts';
import { confirmDueMs } from './moves.ts';
import { offloadDueMs } from './operations/shelve.ts';
import { change, type Working } from './state.ts';

export function isDue({ record }: Working, facts: Facts): boolean {
  return facts.nowMs >= record.operation.stepDueMs;
}

/** When whoever owns the shard has to look at the row: its open step ends, or what waits in it does. */
export function dueAtMs(record: InstanceRecord): number | null {
  if (record.operation) return record.operation.stepDueMs;
  const waiting = [confirmDueMs(record), offloadDueMs(record), record.reclaimAtMs ?? null].filter((ms) => ms !== null);
  return waiting.length === 0 ? null : Math.min(...waiting);
}

/** The state with a due time that can be: the same state when it has one. */
export function dueInTime(state: Working, facts: Facts, settings: InstanceSettings): Working {
  const { operation } = state.record;
  const latestMs = facts.nowMs + longestStepMs(state, settings);
  if (operation.stepDueMs <= latestMs) return state;
  return change(state, { operation: { ...operation, stepDueMs: latestMs } }, facts) as Working;
}

/** Steps that copy disks last longer than any other. The disk of a server that moves takes as long as it takes, and going back is two verbs in one step. */
function longestStepMs({ record }: Working, settings: InstanceSettings): number {
  const { step } = record.operation;
  if (step === 'snapshot') return settings.snapshotLimitMs + COPY_SLACK_MS;
  if (step === 'upload') return settings.uploadLimitMs + COPY_SLACK_MS;
  const { placeLimitMs, spawnLimitMs, destroyLimitMs, stopGraceMs, rebootGraceMs, powerLimitMs, moveLimitMs } = settings;
  const longest = Math.max(placeLimitMs, spawnLimitMs, destroyLimitMs, stopGraceMs + powerLimitMs, rebootGraceMs + powerLimitMs);
  return record.move ? Math.max(longest, moveLimitMs, spawnLimitMs + powerLimitMs) : longest;
}
