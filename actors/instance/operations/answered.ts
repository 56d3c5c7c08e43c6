/**
 * Verbs whose caller waits for the end: a new password, a crash dump. The accepting commit is not yet the answer; the
 * end is, whichever way it came. What must not be stored (the password) is remembered in memory alone, so whoever takes
 * such an operation over can only end it.
 */
import type { Effect } from '../../../runtime/actor/effect.ts';
import type { Next } from '../../../runtime/actor/kind.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { InstanceState, Soft, Working } from '../state.ts';
import { next } from '../state.ts';
import { broken, ended, hostOf, unchanged } from './power.ts';
import { runVerb, type OperationRules } from './rules.ts';

const INTERRUPTED = new Fault('unavailable', 'operation.interrupted', 'The password was not set: the work on it was interrupted.').toRecord();

export const CHANGE_PASSWORD: OperationRules = {
  resume(state, facts, settings) {
    const { secret } = state.soft;
    if (secret === null) return told(state, unchanged(state, INTERRUPTED, facts));
    return runVerb(state, hostOf(state), { name: 'setPassword', password: secret }, settings);
  },
  verbDone: (state, _power, facts) => told(state, ended(state, state.record.vmState, state.record.powerState, facts)),
  failed(state, fault, facts) {
    // A guest that cannot be told, or that is off, is what it was. Of any other nobody knows which password it has.
    const isClear = fault.code === 'unsupported' || fault.code === 'conflict';
    return told(state, isClear ? unchanged(state, fault, facts) : broken(state, fault, facts));
  },
};

export const CRASH_DUMP: OperationRules = {
  resume: (state, _facts, settings) => runVerb(state, hostOf(state), { name: 'crashDump' }, settings),
  verbDone: (state, _power, facts) => told(state, ended(state, state.record.vmState, state.record.powerState, facts)),
  failed: (state, fault, facts) => told(state, unchanged(state, fault, facts)),
};

/** Who waits hears of the state that the end leaves; the history in it tells how it ended. */
export function answerWaiter({ waiter }: Soft): Effect[] {
  return waiter === null ? [] : [{ do: 'replyStored', to: waiter }];
}

function told(before: Working, { state, effects }: Next<InstanceState>): Next<InstanceState> {
  return next(state, ...effects, ...answerWaiter(before.soft));
}
