/**
 * What becomes of a resized server, which holds two claims: it stays (confirm) or goes back (revert).
 *
 *   confirm  destroy  the source destroys what it kept; one commit drops its claim, or dooms it when the host is away
 *   revert   check    the source says that it has what it kept: else nothing was done, and the server waits as before
 *            clear    the destination destroys; one commit makes the source's claim the active one (with proof, when
 *                     the destination does not answer: without it the server is in error, and keeps both claims)
 *            back     the source wakes it
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import type { FaultRecord } from '../../../runtime/base/fault.ts';
import { migrationOf } from '../migrations.ts';
import { actionEnded, atStep, change, next, NO_SOFT, type InstanceState, type Working } from '../state.ts';
import { lookAt } from './create.ts';
import { runVerbAt, type OperationRules } from './rules.ts';
import { finishedMove, moving, standbyOf, type Moving } from './move-ends.ts';
import { cleared, takeBack, TRANSFER } from './transfer.ts';

export const CONFIRM: OperationRules = {
  resume: (state, _facts, settings) => runVerbAt(state, standbyOf(state), { name: 'destroy' }, settings),
  verbDone: (state, _power, facts) => confirmed(moving(state), 'drop', facts),
  failed: (state, _fault, facts) => confirmed(moving(state), 'doom', facts),
};

const DOWN = ['shutdown', 'crashed'];

function confirmed(state: Moving, op: 'drop' | 'doom', facts: Facts): Next<InstanceState> {
  const { record } = state;
  const left = standbyOf(state);
  const vmState = DOWN.includes(record.powerState) || record.move.was === 'stopped' ? 'stopped' : 'active';
  const done = finishedMove(state, { vmState, fault: null }, [{ op, generation: left.generation }], 'confirmed', null, facts);
  return next({ ...done, soft: NO_SOFT }, ...(op === 'doom' ? [lookAt(left.host)] : []));
}

export const REVERT: OperationRules = {
  resume(state, _facts, settings) {
    if (state.record.operation.step !== 'check') return takeBack(moving(state), settings);
    // A live migration holds what it left: that host answers, or it does not.
    const isHeld = moving(state).record.move.kind === 'live-migration';
    return runVerbAt(state, standbyOf(state), isHeld ? { name: 'offer' } : { name: 'park', graceMs: 0 }, settings);
  },

  verbDone(state, power, facts, settings, answer) {
    switch (state.record.operation.step) {
      case 'check': {
        const clearing = change(state, atStep(state.record, 'clear', settings.destroyLimitMs, facts), facts) as Working;
        return takeBack(moving({ ...clearing, soft: { ...NO_SOFT, round: state.soft.round } } as Working), settings);
      }
      case 'back': {
        const { was } = moving(state).record.move;
        return next({ ...finishedMove(state, { vmState: was, powerState: power ?? 'running', fault: null }, [], 'reverted', null, facts), soft: NO_SOFT });
      }
      default:
        return TRANSFER.verbDone(state, power, facts, settings, answer);
    }
  },

  failed(state, fault, facts, settings) {
    switch (state.record.operation.step) {
      case 'check':
        return unchanged(moving(state), fault, facts);
      case 'clear':
        return cleared(moving(state), 'evacuate', facts, settings);
      default:
        return TRANSFER.failed(state, fault, facts, settings);
    }
  },
};

/** The source does not answer: nothing was done. */
function unchanged(state: Moving, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const actions = actionEnded(record, facts, { fault, host: record.host });
  const migration = migrationOf(record.move, record.vmState === 'resized' ? 'finished' : 'error', facts);
  return next({ ...change(state, { taskState: null, operation: null, actions }, facts, { migration }), soft: NO_SOFT });
}
