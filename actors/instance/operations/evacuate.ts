/**
 * Evacuate: place elsewhere → spawn → (stop) → as it was. The steps are those of a create (create.ts); what is its own:
 *
 *   place    no address is asked for, the server keeps those it has; the commit dooms the claim on the host that was left
 *            and takes the new one with the next generation, and the store refuses it (`hostNotProved`) unless something
 *            proves at that moment that the guests of the old host are dead (P3)
 *   stop     a server that was stopped, or that is to be left stopped (2.95), is stopped again
 *
 * A host that comes back finds its claim doomed, destroys what it has of it and confirms. Delete wins at any step.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { PowerState } from '../../model/server-state.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, NO_SOFT, type InstanceState, type Working } from '../state.ts';
import { evacuationOf } from '../migrations.ts';
import { CREATE } from './create.ts';
import { runVerb, type OperationRules } from './rules.ts';
import { imageLeft } from './snapshot.ts';

export const EVACUATE: OperationRules = {
  resume: (state, facts, settings) => (state.record.operation.step === 'stop' ? stop(state, settings) : CREATE.resume(state, facts, settings)),

  verbDone(state, power, facts, settings) {
    const { operation } = state.record;
    switch (operation.step) {
      case 'unspawn':
        return CREATE.verbDone(state, power, facts, settings);
      case 'spawn':
        if (operation.args['stopped'] !== true) return ended(state, power ?? 'running', facts);
        return stop(
          change(state, { ...atStep(state.record, 'stop', settings.powerLimitMs, facts), powerState: power ?? 'running' }, facts) as Working,
          settings,
        );
      default:
        return ended(state, power ?? 'shutdown', facts);
    }
  },

  failed(state, fault, facts, settings) {
    // It runs where it should, but it runs: what the next look at its host tells is what counts.
    if (state.record.operation.step === 'stop') return ended(state, 'running', facts);
    return CREATE.failed(state, fault, facts, settings);
  },
};

function stop(state: Working, settings: InstanceSettings): Next<InstanceState> {
  const { host } = state.record;
  if (host === null) throw new Error('a server without a host cannot be stopped');
  return runVerb(state, host, { name: 'stop', graceMs: 0 }, settings);
}

function ended(state: Working, powerState: PowerState, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const actions = actionEnded(record, facts, { fault: null, host: record.host });
  const vmState = powerState === 'running' ? 'active' : 'stopped';
  const launchedAt = record.launchedAt ?? toIso(facts.nowMs);
  // One that came from the image of a shelved server has its disk again.
  const left = record.shelved ? { shelved: null } : {};
  const migration = evacuationOf(state, 'done', record.host, facts);
  const changes = { vmState, powerState, taskState: null, operation: null, fault: null, launchedAt, actions, ...left } as const;
  return next({ ...change(state, changes, facts, { migration }), soft: NO_SOFT }, ...imageLeft(record));
}
