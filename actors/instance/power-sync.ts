/**
 * What a power state that nobody asked for means: a guest that went down by itself is a stopped server, one that came
 * up although it is stopped is stopped again, and so is one whose memory was saved behind our back. Pausing is only noted. While an operation runs it decides, not this.
 */
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import { toIso } from '../../runtime/base/clock.ts';
import type { Operation } from '../model/operation.ts';
import type { PowerState } from '../model/server-state.ts';
import { STOP } from './operations/power.ts';
import { turnOffAgain } from './operations/soft-delete.ts';
import type { InstanceSettings } from './settings.ts';
import { actionBegun, change, next, type InstanceState, type Living, type Working } from './state.ts';

type Seen = { readonly host: string; readonly generation: number; readonly power: PowerState };

const DOWN: readonly PowerState[] = ['shutdown', 'crashed'];
const UP: readonly PowerState[] = ['running', 'paused', 'suspended'];

export function powerSeen(state: Living, seen: Seen, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const isOurs = record.host === seen.host && record.generation === seen.generation;
  if (!isOurs || record.operation !== null || record.deleted) return next(state);
  if (record.vmState === 'active' && DOWN.includes(seen.power)) {
    return next(change(state, { vmState: 'stopped', powerState: seen.power }, facts));
  }
  if (record.vmState === 'paused' && DOWN.includes(seen.power)) return next(change(state, { vmState: 'stopped', powerState: seen.power }, facts));
  // Its memory was saved without us: what was saved cannot be what the user left.
  if (record.vmState === 'active' && seen.power === 'suspended') return stopAgain(state, seen.power, facts, settings);
  if (record.vmState === 'stopped' && UP.includes(seen.power)) return stopAgain(state, seen.power, facts, settings);
  if (record.vmState === 'soft-delete' && UP.includes(seen.power)) return turnOffAgain(state, seen.power, facts, settings);
  return record.powerState === seen.power ? next(state) : next(change(state, { powerState: seen.power }, facts));
}

function stopAgain(state: Living, power: PowerState, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const operation: Operation = {
    name: 'stop',
    id: facts.newId(),
    step: 'stop',
    args: {},
    requestId: `req-${facts.newId()}`,
    startedAt: toIso(facts.nowMs),
    stepDueMs: facts.nowMs + settings.stopGraceMs + settings.powerLimitMs,
    attempt: 0,
    excludedHosts: [],
  };
  const actions = actionBegun(record, operation, { userId: record.userId, projectId: record.projectId });
  const begun = change(state, { operation, taskState: 'powering-off', powerState: power, actions }, facts) as Working;
  return STOP.resume(begun, facts, settings);
}
