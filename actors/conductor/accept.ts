/** The one transaction that accepts create orders: what the store answered, as the reply or the Fault of the door. */
import { Fault, type Json } from '../../runtime/base/fault.ts';
import { OutcomeUnknown } from '../../runtime/database/batch.ts';
import { unreachable } from '../../runtime/base/check.ts';
import type { InstanceRecord, Stored } from '../model/instance.ts';
import { COUNTED, type OverQuota, type QuotaNeed } from '../model/quota.ts';
import type { CreateOrder } from './messages/write.ts';
import type { CellStore } from './store.ts';
import type { QuotaState } from './write/item.ts';

/** Nobody knows whether the order was stored; with an idempotency key, asking again is safe. */
/** An order is known by the ids of its instances: it may be asked again when nobody knows whether it was stored. */
const TRIES = 3;
const UNKNOWN = new Fault('unavailable', 'store.unknown', 'The request may or may not have been stored. Repeat it with the same Idempotency-Key.');

export async function accept(store: CellStore, order: CreateOrder): Promise<{ instances: Stored<InstanceRecord>[]; replayed: boolean }> {
  const answer = await acceptOnce(store, order);
  switch (answer.is) {
    case 'accepted':
      return { instances: [...answer.instances], replayed: false };
    case 'seen':
      return { instances: await replayed(store, answer.ids), replayed: true };
    case 'keyReused':
      throw new Fault('unprocessable', 'idempotency.reused', 'This Idempotency-Key was used before with another request body.');
    case 'groupGone':
      throw new Fault('invalid', 'group.gone', `Instance group ${order.instances[0]?.group?.id ?? ''} could not be found.`);
    case 'securityGroupGone':
      throw new Fault('invalid', 'securityGroup.gone', `A security group of the server was not found for project ${order.projectId}.`);
    case 'groupFull':
      throw new Fault('overQuota', 'quota.server_group_members', 'Quota exceeded, too many servers in group');
    case 'overQuota':
      throw overQuota(answer.over, order.needEach, order.minCount);
    default:
      return unreachable(answer);
  }
}

async function acceptOnce(store: CellStore, order: CreateOrder): ReturnType<CellStore['accept']> {
  let unknown = false;
  for (let left = TRIES; left > 0; left--) {
    try {
      return await store.accept(order);
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw unknown ? UNKNOWN : error;
      unknown = true;
    }
  }
  throw UNKNOWN;
}

async function replayed(store: CellStore, ids: readonly string[]): Promise<Stored<InstanceRecord>[]> {
  const rows = await Promise.all(ids.map((id) => store.load(`instance/${id}`)));
  // Rows that were purged since then are answered as what they are: gone.
  return rows.flatMap((row) => (row ? [row as Stored<InstanceRecord>] : []));
}

/** Names what was exceeded: asked for, used, allowed; the user's own limit where that is the tighter one. */
function overQuota(state: QuotaState, each: QuotaNeed, count: number): Fault {
  const over: OverQuota[] = [];
  COUNTED.forEach((name, i) => {
    const requested = each[name] * count;
    for (const who of ['user', 'project'] as const) {
      const limit = state[who].limit[i] ?? -1;
      const used = state[who].used[i] ?? 0;
      const isOver = limit >= 0 && used + requested > limit;
      if (isOver && !over.some((found) => found.name === name)) over.push({ name, requested, used, limit });
    }
  });
  const names = over.map((found) => found.name).join(', ');
  const figures = (pick: (found: OverQuota) => number): string => over.map(pick).join(', ');
  const message =
    `Quota exceeded for ${names}: Requested ${figures((found) => found.requested)}, ` +
    `but already used ${figures((found) => found.used)} of ${figures((found) => found.limit)} ${names}`;
  return new Fault('overQuota', `quota.${over[0]?.name ?? 'instances'}`, message, { detail: over as unknown as Json });
}
