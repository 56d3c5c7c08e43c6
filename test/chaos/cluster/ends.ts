/**
 * What became of every accepted call, read from the store once everything is at rest: each server that was ordered is
 * there, once; what was deleted is gone; everything else came to an end that was asked for, or tells its fault.
 */
import { query } from '../checkers.ts';
import type { Cluster } from '../cluster.ts';
import type { Ledger, Owned } from './client.ts';

type Row = {
  readonly id: string;
  readonly name: string;
  readonly vm_state: string;
  readonly deleted: boolean;
  readonly fault: unknown;
  readonly actions: readonly Told[];
};
type Told = { readonly requestId: string; readonly action: string; readonly message: string | null; readonly events: readonly TellingEvent[] };
type TellingEvent = { readonly result: string | null; readonly finishedAt: string | null; readonly fault: unknown };

const SHOWN_MAX = 10;

/** A sentence for each accepted call that did not end as it must. `faults` counts servers that ended in error. */
export async function wrongEnds(cluster: Cluster, ledger: Ledger): Promise<{ problems: string[]; faults: number }> {
  const rows = await query<Row>(cluster, `select id::text, name, vm_state, deleted, record->'fault' as fault, record->'actions' as actions from instance`);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const problems = [
    ...ordersWrong(ledger, rows),
    ...[...ledger.owned.values()].flatMap((owned) => endWrong(owned, byId.get(owned.id))),
    ...ledger.accepted.flatMap(({ serverId, requestId, action }) => historyWrong(byId.get(serverId), serverId, requestId, action)),
  ];
  const more = problems.length > SHOWN_MAX ? [`… ${problems.length} in all`] : [];
  return { problems: [...problems.slice(0, SHOWN_MAX), ...more], faults: rows.filter(({ vm_state }) => vm_state === 'error').length };
}

/** All servers of an order, or none of one that nobody accepted; never some, never twice. */
function ordersWrong({ orders }: Ledger, rows: readonly Row[]): string[] {
  const made = new Map<string, number>();
  for (const { name } of rows) {
    const key = /^client-\d+-\d+/.exec(name)?.[0] ?? name;
    made.set(key, (made.get(key) ?? 0) + 1);
  }
  return orders.flatMap(({ key, count, isAccepted }) => {
    const found = made.get(key) ?? 0;
    if (found === count || (found === 0 && !isAccepted)) return [];
    return [`the order ${key} of ${count} was ${isAccepted ? 'accepted' : 'not answered'} and made ${found}`];
  });
}

function endWrong({ id, ends, isDeleted }: Owned, row: Row | undefined): string[] {
  if (row === undefined) return [`the server ${id} was accepted and is nowhere`];
  if (isDeleted) return row.deleted ? [] : [`the delete of ${id} was accepted and it is ${row.vm_state}`];
  if (row.vm_state === 'error') return row.fault === null ? [`the server ${id} ended in error and tells no fault`] : [];
  return ends.has(row.vm_state) ? [] : [`the server ${id} ended as ${row.vm_state}, and was asked for ${[...ends].join(', ')}`];
}

function historyWrong(row: Row | undefined, serverId: string, requestId: string, action: string): string[] {
  if (row === undefined) return [];
  const told = row.actions.filter((each) => each.requestId === requestId);
  const [one] = told;
  if (told.length !== 1 || one === undefined) return [`${action} of ${serverId} was accepted as ${requestId}, and its history has it ${told.length} times`];
  const open = one.events.filter(({ result, finishedAt }) => result === null || finishedAt === null);
  if (open.length > 0 || one.events.length === 0) return [`${action} of ${serverId} (${requestId}) has not ended in its history: ${JSON.stringify(one)}`];
  const silent = one.events.filter(({ result, fault }) => result !== 'Success' && fault === null);
  return silent.length > 0 ? [`${action} of ${serverId} (${requestId}) failed and tells no fault: ${JSON.stringify(one)}`] : [];
}
