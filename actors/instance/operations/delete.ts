/**
 * Delete wins at any moment: it replaces the operation that runs. The guest is destroyed first; then one commit ends
 * the instance and gives quota, claim and addresses back. When the host doesn't answer in time, the server is gone for
 * the user all the same, and its claim stays doomed until the host confirms that nothing is left (P3, P4).
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { quotaNeed } from '../../model/quota.ts';
import type { ClaimChange } from '../../model/commit.ts';
import { actionEnded, change, next, NO_SOFT, type InstanceState, type Living, type Working } from '../state.ts';
import { freeAddresses, lookAt, releaseAt } from './create.ts';
import { runVerb, type OperationRules } from './rules.ts';

export const DELETE: OperationRules = {
  resume(state, facts, settings) {
    const { host } = state.record;
    return host === null ? gone(state, 'drop', facts) : runVerb(state, host, { name: 'destroy' }, settings);
  },
  verbDone: (state, _power, facts) => gone(state, 'drop', facts),
  failed: (state, _fault, facts) => gone(state, 'doom', facts),
};

/** The end of an instance: nothing is left, or what is left is recorded as doomed. */
export function gone(state: Working | Living, op: 'drop' | 'doom', facts: Facts): Next<InstanceState> {
  const { record } = state;
  const need = quotaNeed(1, record.flavor);
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
      actions: record.operation ? actionEnded(record, facts, { fault: null, host: record.host }) : record.actions,
    },
    facts,
    {
      claims,
      dropAddresses: record.nics.length > 0,
      quota: { projectId: record.projectId, userId: record.userId, instances: -need.instances, cores: -need.cores, ram: -need.ram },
    },
  );
  // Hints: the host and the networks forget its share at once, and not only at their next look at the store.
  const released = record.host === null ? [] : [op === 'drop' ? releaseAt(record.host, record.id, record.generation) : lookAt(record.host)];
  return next({ ...ended, soft: NO_SOFT }, ...released, ...freeAddresses(record.id, record.nics.length > 0 ? record.nics : state.soft.nics));
}
