/**
 * Shelve: off → an image of the disk (snapshot.ts) → shelved, and from its host at once or later. ShelveOffload: from its
 * host. The server keeps its addresses and its quota, and has no claim any more.
 *
 *   offload  the guest goes. A host that does not answer keeps it, unless something proves the host dead (P3)
 *
 * What fails before the image is whole leaves the server as it was, running when it ran.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import type { Operation } from '../../model/operation.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionBegun, actionEnded, atStep, change, next, NO_SOFT, type InstanceState, type Living, type Parts, type Working } from '../state.ts';
import { lookAt, releaseAt } from './create.ts';
import { runVerb, type OperationRules } from './rules.ts';
import { afterAsk, copyAgain, faultOf, goTo, imageLeft, isLost, noCopy, resumeSnapshot, toImageRef } from './snapshot.ts';

/** A host that failed to let a server go is not asked by the clock again before. */
const AGAIN_MS = 60_000;

export const SHELVE: OperationRules = {
  resume: (state, facts, settings) => (state.record.operation.step === 'offload' ? offload(state, settings) : resumeSnapshot(state, facts, settings)),

  verbDone(state, power, facts, settings, answer) {
    switch (state.record.operation.step) {
      case 'quiet':
        return goTo(change(state, { powerState: power ?? 'shutdown' }, facts) as Working, 'snapshot', facts, settings);
      case 'snapshot':
        return answer?.disk ? goTo(state, 'describe', facts, settings, { disk: answer.disk }) : noCopy(state, facts, settings);
      case 'upload':
        return goTo(state, 'settle', facts, settings);
      case 'discard':
        return state.record.vmState === 'active' ? goTo(state, 'restart', facts, settings) : undone(state, {}, facts);
      case 'restart':
        return undone(state, { powerState: power ?? 'running' }, facts);
      default:
        return offloaded(state, 'drop', facts);
    }
  },

  imaged(state, value, facts, settings) {
    const onward = afterAsk(state, 'quiet', facts, settings);
    if (onward) return onward;
    const { shelvedOffloadMs } = settings;
    const shelved = { image: toImageRef(value), offloadDueMs: shelvedOffloadMs > 0 ? facts.nowMs + shelvedOffloadMs : null };
    if (shelvedOffloadMs === 0) {
      const leaving = { ...atStep(state.record, 'offload', settings.destroyLimitMs, facts), taskState: 'shelving_offloading' } as const;
      return offload(change(state, { ...leaving, vmState: 'shelved', powerState: 'shutdown', shelved }, facts) as Working, settings);
    }
    const actions = actionEnded(state.record, facts, { fault: null, host: state.record.host });
    const rest = { vmState: 'shelved', powerState: 'shutdown', taskState: null, operation: null, shelved, actions } as const;
    return next({ ...change(state, rest, facts), soft: NO_SOFT });
  },

  failed(state, fault, facts, settings) {
    switch (state.record.operation.step) {
      case 'offload':
        return offloaded(state, 'evacuate', facts);
      case 'image':
        return undone(withFault(state, fault), {}, facts);
      case 'restart':
        // Nobody knows: the next look at its host tells.
        return undone(state, { vmState: 'stopped', powerState: 'shutdown' }, facts);
      case 'discard':
        return state.record.vmState === 'active' ? goTo(state, 'restart', facts, settings) : undone(state, {}, facts);
      default:
        return isLost(state, fault, settings) ? copyAgain(state, facts, settings) : goTo(state, 'discard', facts, settings, { fault });
    }
  },

  notProved: stays,
};

export const SHELVE_OFFLOAD: OperationRules = {
  resume: (state, _facts, settings) => offload(state, settings),
  verbDone: (state, _power, facts) => offloaded(state, 'drop', facts),
  failed: (state, _fault, facts) => offloaded(state, 'evacuate', facts),
  notProved: stays,
};

/** When a shelved server leaves its host by itself; null: not by itself. */
export function offloadDueMs({ vmState, operation, shelved }: InstanceRecord): number | null {
  return vmState === 'shelved' && operation === null ? (shelved?.offloadDueMs ?? null) : null;
}

/** A time that lies further away than it was set is that of a clock that ran ahead: it is noted anew. */
export function offloadInTime(state: Living, facts: Facts, { shelvedOffloadMs }: InstanceSettings): Living {
  const latestMs = facts.nowMs + Math.max(shelvedOffloadMs, AGAIN_MS);
  const { shelved } = state.record;
  if (!shelved || (offloadDueMs(state.record) ?? 0) <= latestMs) return state;
  return change(state, { shelved: { ...shelved, offloadDueMs: latestMs } }, facts);
}

/** Its time on the host is over. */
export function offloadByClock(state: Living, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const operation: Operation = {
    name: 'shelveOffload',
    id: facts.newId(),
    step: 'offload',
    args: {},
    requestId: `req-${facts.newId()}`,
    startedAt: toIso(facts.nowMs),
    stepDueMs: facts.nowMs + settings.destroyLimitMs,
    attempt: 0,
    excludedHosts: [],
  };
  const actions = actionBegun(record, operation, { userId: record.userId, projectId: record.projectId });
  return offload(change(state, { operation, taskState: 'shelving_offloading', actions }, facts) as Working, settings);
}

function offload(state: Working, settings: InstanceSettings): Next<InstanceState> {
  const { host } = state.record;
  if (host === null) throw new Error('a shelved server that is on no host cannot leave it');
  return runVerb(state, host, { name: 'destroy' }, settings);
}

function offloaded(state: Working, op: 'drop' | 'evacuate', facts: Facts): Next<InstanceState> {
  const { record } = state;
  const { host, generation, shelved } = record;
  const parts: Partial<Parts> = { claims: [op === 'drop' ? { op, generation } : { op, generation, host: host ?? '' }] };
  const actions = actionEnded(record, facts, { fault: null, host });
  const off = { vmState: 'shelved_offloaded', taskState: null, powerState: 'pending', host: null, operation: null, actions } as const;
  const ended = change(state, { ...off, ...(shelved && { shelved: { ...shelved, offloadDueMs: null } }) }, facts, parts);
  const released = host === null ? [] : [op === 'drop' ? releaseAt(host, record.id, generation) : lookAt(host)];
  return next({ ...ended, soft: NO_SOFT }, ...released);
}

/** The host does not let it go and may live: it stays shelved there, and is tried again later when the clock does it. */
function stays(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const fault = new Fault('unavailable', 'host.silent', 'The host of the server did not let it go.').toRecord();
  const actions = actionEnded(record, facts, { fault, host: record.host });
  const againMs = settings.shelvedOffloadMs < 0 ? null : facts.nowMs + Math.max(settings.shelvedOffloadMs, AGAIN_MS);
  const shelved = record.shelved && { shelved: { ...record.shelved, offloadDueMs: againMs } };
  return next({ ...change(state, { taskState: null, operation: null, actions, ...shelved }, facts), soft: NO_SOFT });
}

function withFault(state: Working, fault: FaultRecord): Working {
  const { operation } = state.record;
  return { ...state, record: { ...state.record, operation: { ...operation, args: { ...operation.args, fault } } } };
}

/** As it was, but for what is said. A guest that was off all the time, or paused, and is off now is a stopped one. */
function undone(state: Working, more: Partial<InstanceRecord>, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const isOff = record.powerState === 'shutdown' && (record.vmState === 'paused' || record.vmState === 'suspended');
  const actions = actionEnded(record, facts, { fault: faultOf(state), host: record.host });
  const ended = change(state, { taskState: null, operation: null, actions, ...(isOff && { vmState: 'stopped' as const }), ...more }, facts);
  return next({ ...ended, soft: NO_SOFT }, ...imageLeft(record));
}
