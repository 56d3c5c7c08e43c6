/**
 * Rebuild: the guest goes, and comes again where it was, from another image. Claim, generation and addresses stay.
 *
 *   wipe   the guest and its disks go
 *   spawn  it is made again
 *   stop   a server that was stopped is stopped again
 *
 * What fails leaves the server in error: its disk may be gone.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import type { PowerState } from '../../model/server-state.ts';
import { toGuestSpec } from '../guest-spec.ts';
import type { Verb } from '../messages.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, NO_SOFT, type InstanceState, type Working } from '../state.ts';
import { runVerb, type OperationRules } from './rules.ts';

export const REBUILD: OperationRules = {
  resume(state, facts, settings) {
    const { host, operation } = state.record;
    if (host === null) return REBUILD.failed(state, NO_HOST, facts, settings);
    switch (operation.step) {
      case 'wipe':
        // Nothing is taken away from who asked to keep it.
        if (operation.args['preserveEphemeral'] === true) return REBUILD.failed(state, KEEPS_NOTHING, facts, settings);
        return runVerb(state, host, { name: 'destroy' }, settings);
      case 'spawn':
        return runVerb(state, host, { name: 'spawn', spec: toGuestSpec(state.record) }, settings);
      default:
        return runVerb(state, host, { name: 'stop', graceMs: settings.stopGraceMs }, settings);
    }
  },

  verbDone(state, power, facts, settings) {
    const { record } = state;
    switch (record.operation.step) {
      case 'wipe':
        return goTo(state, 'spawn', { taskState: 'rebuild_spawning', powerState: 'pending' }, facts, settings);
      case 'spawn': {
        const up = { vmState: 'active', powerState: power ?? 'running', launchedAt: toIso(facts.nowMs), fault: null } as const;
        if (record.operation.args['stopped'] === true) return goTo(state, 'stop', { ...up, taskState: 'powering-off' }, facts, settings);
        return ended(change(state, up, facts) as Working, up.powerState, facts);
      }
      default:
        return ended(state, power ?? 'shutdown', facts);
    }
  },

  failed(state, fault, facts) {
    const { record } = state;
    // It runs: what the next look at its host tells is what counts.
    if (record.operation.step === 'stop') return ended(state, 'running', facts);
    const actions = actionEnded(record, facts, { fault, host: record.host });
    const broken = { vmState: 'error', taskState: null, operation: null, fault: { ...fault, at: toIso(facts.nowMs) }, actions } as const;
    return next({ ...change(state, broken, facts), soft: NO_SOFT });
  },
};

/** What the record says of it from its acceptance on. */
export function rebuilt(verb: Extract<Verb, { name: 'rebuild' }>): Partial<InstanceRecord> {
  const { image, kernel, ramdisk, changes } = verb;
  return { ...changes, image, kernel, ramdisk, shelved: null };
}

const NO_HOST = new Fault('conflict', 'server.noHost', 'The server is on no host.').toRecord();
const KEEPS_NOTHING = new Fault('unsupported', 'rebuild.preserveEphemeral', 'The current driver does not support preserving ephemeral partitions.').toRecord();

function goTo(state: Working, step: 'spawn' | 'stop', more: Partial<InstanceRecord>, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const limitMs = step === 'spawn' ? settings.spawnLimitMs : settings.stopGraceMs + settings.powerLimitMs;
  return REBUILD.resume(change(state, { ...atStep(state.record, step, limitMs, facts), ...more }, facts) as Working, facts, settings);
}

function ended(state: Working, powerState: PowerState, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const actions = actionEnded(record, facts, { fault: null, host: record.host });
  const vmState = powerState === 'running' ? 'active' : 'stopped';
  return next({ ...change(state, { vmState, powerState, taskState: null, operation: null, actions }, facts), soft: NO_SOFT });
}
