/** Start, stop and reboot: one verb at the host, one commit at each end. A failure leaves the server as it was. */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import type { FaultRecord } from '../../../runtime/base/fault.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { PowerState, VmState } from '../../model/server-state.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, change, next, NO_SOFT, type InstanceState, type Working } from '../state.ts';
import { runVerb, type OperationRules } from './rules.ts';
import type { GuestVerb } from '../../host/messages.ts';

export const START: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), { name: 'start' }, settings),
  verbDone: (state, power, facts) => ended(state, 'active', power ?? 'running', facts),
  failed: unchanged,
};

export const STOP: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), { name: 'stop', graceMs: settings.stopGraceMs }, settings),
  verbDone: (state, power, facts) => ended(state, 'stopped', power ?? 'shutdown', facts),
  failed: unchanged,
};

export const REBOOT: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), rebootOf(state, settings), settings),
  verbDone: (state, power, facts) => ended(state, 'active', power ?? 'running', facts),
  failed: (state, fault, facts) => {
    const failed = unchanged(state, fault, facts);
    // A guest that is not up after a reboot is not what the user left: say so.
    const down = state.record.powerState !== 'running' || state.record.operation.args['kind'] === 'hard';
    const { record } = failed.state;
    if (!down || !record) return failed;
    const broken = { ...record, vmState: 'error' as const, fault: { ...fault, at: toIso(facts.nowMs) } };
    return next({ ...failed.state, record: broken }, ...failed.effects);
  },
};

function rebootOf(state: Working, settings: InstanceSettings): GuestVerb {
  const kind = state.record.operation.args['kind'] === 'hard' ? 'hard' : 'soft';
  return { name: 'reboot', kind, graceMs: settings.rebootGraceMs };
}

function ended(state: Working, vmState: VmState, powerState: PowerState, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault: null, host: state.record.host });
  return next({ ...change(state, { vmState, powerState, taskState: null, operation: null, fault: null, actions }, facts), soft: NO_SOFT });
}

function unchanged(state: Working, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault, host: state.record.host });
  return next({ ...change(state, { taskState: null, operation: null, actions }, facts), soft: NO_SOFT });
}

function hostOf(state: Working): string {
  const { host } = state.record;
  if (host === null) throw new Error('a power operation without a host');
  return host;
}
