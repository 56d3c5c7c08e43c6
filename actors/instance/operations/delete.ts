/**
 * Delete wins at any moment: it replaces the operation that runs. The guest is destroyed first; then one commit ends
 * the instance and gives quota, claim and addresses back. When the host doesn't answer in time, the server is gone for
 * the user all the same, and its claim stays doomed until the host confirms that nothing is left (P3, P4).
 */
import type { Outcome } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { CONDUCTOR } from '../../conductor/messages.ts';
import type { RecoveryDoorProtocol } from '../../conductor/messages/recovery.ts';
import type { ClaimChange } from '../../model/commit.ts';
import { quotaBack } from '../quota-change.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, change, next, NO_SOFT, tagOf, type InstanceState, type Living, type Working } from '../state.ts';
import { freeAddresses, lookAt, releaseAt } from './create.ts';
import { runVerb, type OperationRules } from './rules.ts';
import { imageLeft } from './snapshot.ts';

type Standing = RecoveryDoorProtocol['hostStanding']['reply'];

export const DELETE: OperationRules = {
  resume(state, facts, settings) {
    const { host } = state.record;
    return host === null ? gone(state, 'drop', facts) : watched(runVerb(state, host, { name: 'destroy' }, settings));
  },
  verbDone: (state, _power, facts) => gone(state, 'drop', facts),
  failed: (state, _fault, facts) => gone(state, 'doom', facts),
};

/** Who waits for a host that is slow asks how it stands: nobody waits for one that is away. */
const CHECK_AFTER_MS = 1_000;
const CHECK_MS = 5_000;

function watched({ state, effects }: Next<InstanceState>): Next<InstanceState> {
  const message = { type: 'checkHost', tag: tagOf(state as Working) } as { type: string };
  return next(state, ...effects, { do: 'wake', inMs: CHECK_AFTER_MS, message, tag: 'checkHost' });
}

export function checkHost(state: Working): Next<InstanceState> {
  const { host, operation } = state.record;
  if (host === null || operation.name !== 'delete') return next(state);
  const message = { type: 'hostStanding', host } as { type: string };
  return next(state, { do: 'ask', to: CONDUCTOR, message, as: 'hostStood', tag: tagOf(state), timeoutMs: CHECK_MS });
}

/** Silence is enough here: nothing of a deleted server is ever begun elsewhere, and its claim stays until the host confirms. */
export function hostStood(state: Working, outcome: Outcome<Standing>, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!outcome.ok || state.record.operation.name !== 'delete') return next(state);
  const standing = outcome.value;
  const isAway = standing === null || standing.forcedDown || standing.proof !== null || standing.silentMs > settings.hostSilentMs;
  return isAway ? gone(state, 'doom', facts) : next(state);
}

/** The end of an instance: nothing is left, or what is left is recorded as doomed. */
export function gone(state: Working | Living, op: 'drop' | 'doom', facts: Facts): Next<InstanceState> {
  const { record } = state;
  const claims: ClaimChange[] = record.host === null ? [] : [{ op, generation: record.generation }];
  const ended = change(
    state,
    {
      vmState: 'deleted',
      taskState: null,
      powerState: 'pending',
      deleted: true,
      terminatedAt: toIso(facts.nowMs),
      host: null,
      nics: [],
      operation: null,
      reclaimAtMs: null,
      actions: record.operation ? actionEnded(record, facts, { fault: null, host: record.host }) : record.actions,
    },
    facts,
    {
      claims,
      dropAddresses: record.nics.length > 0,
      quota: quotaBack(record),
    },
  );
  // Hints: the host and the networks forget its share at once, and not only at their next look at the store.
  const released = record.host === null ? [] : [op === 'drop' ? releaseAt(record.host, record.id, record.generation) : lookAt(record.host)];
  return next(
    { ...ended, soft: NO_SOFT },
    ...released,
    ...imageLeft(record),
    ...freeAddresses(record.id, record.nics.length > 0 ? record.nics : state.soft.nics),
  );
}
