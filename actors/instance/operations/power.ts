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
    // A guest that is not up after a reboot is not what the user left: say so.
    const down = state.record.powerState !== 'running' || state.record.operation.args['kind'] === 'hard';
    return down ? broken(state, fault, facts) : unchanged(state, fault, facts);
  },
};

function rebootOf(state: Working, settings: InstanceSettings): GuestVerb {
  const kind = state.record.operation.args['kind'] === 'hard' ? 'hard' : 'soft';
  return { name: 'reboot', kind, graceMs: settings.rebootGraceMs };
}

/** The end of an operation that left the server in these states. */
export function ended(state: Working, vmState: VmState, powerState: PowerState, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault: null, host: state.record.host });
  return next({ ...change(state, { vmState, powerState, taskState: null, operation: null, fault: null, actions }, facts), soft: NO_SOFT });
}

/** The end of an operation that failed and left the server as it was. */
export function unchanged(state: Working, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault, host: state.record.host });
  return next({ ...change(state, { taskState: null, operation: null, actions }, facts), soft: NO_SOFT });
}

/** The end of an operation that failed and left what nobody wanted. */
export function broken(state: Working, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault, host: state.record.host });
  const changes = { vmState: 'error', taskState: null, operation: null, fault: { ...fault, at: toIso(facts.nowMs) }, actions } as const;
  return next({ ...change(state, changes, facts), soft: NO_SOFT });
}

export function hostOf(state: Working): string {
  const { host } = state.record;
  if (host === null) throw new Error('a power operation without a host');
  return host;
}
