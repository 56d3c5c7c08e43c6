/**
 * Unshelve: back to where it can run, from the image of its disk.
 *
 *   start            of a server that is still on its host
 *   place → spawn    of one that left it: the steps of a create (create.ts); it keeps its addresses
 *
 * Then the image goes. What fails leaves the server shelved as it was; only a host that cannot be cleared of a guest that
 * may run there keeps it, in error (P3).
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import type { PowerState } from '../../model/server-state.ts';
import { actionEnded, change, next, NO_SOFT, type InstanceState, type Working } from '../state.ts';
import { CREATE } from './create.ts';
import { runVerb, type OperationRules } from './rules.ts';
import { imageLeft } from './snapshot.ts';

export const UNSHELVE: OperationRules = {
  resume(state, facts, settings) {
    const { host, operation } = state.record;
    if (operation.step !== 'start') return CREATE.resume(state, facts, settings);
    if (host === null) throw new Error('a server on no host cannot be started there');
    return runVerb(state, host, { name: 'start' }, settings);
  },

  verbDone(state, power, facts, settings) {
    return state.record.operation.step === 'unspawn' ? CREATE.verbDone(state, power, facts, settings) : ended(state, power ?? 'running', facts);
  },

  failed(state, fault, facts, settings) {
    return state.record.operation.step === 'start' ? unchanged(state, fault, facts) : CREATE.failed(state, fault, facts, settings);
  },

  /** The guest may run on that host: nothing else is begun, there it stays. */
  notProved(state, facts) {
    if (state.record.operation.step !== 'unspawn') return next(state);
    const fault = (state.record.operation.args['fault'] as FaultRecord | undefined) ?? LOST;
    const { state: after } = unchanged(state, fault, facts);
    const record = after.record && { ...after.record, vmState: 'error' as const, fault: { ...fault, at: toIso(facts.nowMs) } };
    return next({ ...after, record });
  },
};

const LOST: FaultRecord = new Fault('unavailable', 'host.lost', 'The host of the server was lost.').toRecord();

function ended(state: Working, powerState: PowerState, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const actions = actionEnded(record, facts, { fault: null, host: record.host });
  const active = {
    vmState: 'active',
    taskState: null,
    powerState,
    launchedAt: toIso(facts.nowMs),
    operation: null,
    fault: null,
    shelved: null,
    actions,
  } as const;
  return next({ ...change(state, active, facts), soft: NO_SOFT }, ...imageLeft(record));
}

function unchanged(state: Working, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const actions = actionEnded(state.record, facts, { fault, host: state.record.host });
  return next({ ...change(state, { taskState: null, operation: null, actions }, facts), soft: NO_SOFT });
}
