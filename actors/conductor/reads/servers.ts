/**
 * Lists and lookups of servers from their rows; no actor is woken.
 *
 * A list reads ids and revisions first, in one statement with the cell's revision, so that a subscriber who starts
 * from the answer's revision misses nothing; then only the records that are not in memory in that revision.
 */
import { Fault } from '../../../runtime/base/fault.ts';
import type { InstanceRecord, Stored } from '../../model/instance.ts';
import type { ReadProtocol, ServerFilter } from '../messages/read.ts';
import { behind, orderOf, placeColumns, type OrderKey } from './keyset.ts';
import { isUuid, openValues, type Query, type Statement } from './query.ts';
import { RecordCache, type RecordRead } from './record-cache.ts';
import { serverConditions, wantsDeleted } from './server-filter.ts';
import { serverOrder } from './server-sort.ts';

/** One more than the largest page of the API, which lets a door ask whether there is a next page. */
const PAGE_MAX = 1_001;
/** Servers named for a set of hosts. */
const NAMED_MAX = 20_000;

type ListRow = { cell: string; id: string | null; revision: string };
type List = ReadProtocol['listServers'];

const RECORD = 'id, number, version, revision, record::text as record';

export type ServerReads = {
  readonly list: (order: List['body']) => Promise<List['reply']>;
  readonly show: (id: string) => Promise<Stored<InstanceRecord> | null>;
  readonly ofHosts: (hosts: readonly string[]) => Promise<{ host: string; id: string; name: string }[]>;
};

export function openServerReads(query: Query, cache: RecordCache = new RecordCache()): ServerReads {
  return {
    list: (order) => listServers(query, cache, order),
    show: (id) => showServer(query, cache, id),
    ofHosts: (hosts) =>
      query({
        text: `select host, id, name from instance where host = any($1::text[]) and not deleted order by host, created_at, id limit ${NAMED_MAX}`,
        values: [hosts],
      }),
  };
}

/** The statement of a page's ids and revisions; exported for the test that asks how it is served. */
export function listStatement(filter: ServerFilter, keys: readonly OrderKey[], place: readonly string[] | null, limit: number): Statement {
  const { values, put } = openValues();
  const conditions = serverConditions(filter, put);
  if (place !== null) conditions.push(behind(keys, place, put));
  const order = orderOf(keys);
  const where = conditions.length > 0 ? `where ${conditions.join(' and ')}` : '';
  const text = `select c.revision as cell, p.id, p.revision from cell c
    left join lateral (select i.id, i.revision, row_number() over (order by ${order}) as place from instance i
      ${where} order by ${order} limit ${put(Math.max(0, Math.min(limit, PAGE_MAX)))}) p on true
    where c.one order by p.place`;
  return { text, values };
}

async function listServers(query: Query, cache: RecordCache, { filter, sort, marker, limit }: List['body']): Promise<List['reply']> {
  const keys = serverOrder(sort);
  const place = marker === null ? null : await placeOf(query, keys, marker, filter.projectId);
  const rows = await query<ListRow>(listStatement(filter, keys, place, limit));
  const revision = Number(rows[0]?.cell ?? 0);
  const records = await recordsOf(query, cache, rows);
  const servers: Stored<InstanceRecord>[] = [];
  for (const { id } of rows) {
    const stored = id === null ? undefined : records.get(id);
    // Its row may have been read a moment later than its id: then it may be deleted by now, or purged.
    if (stored && (wantsDeleted(filter) || !stored.record.deleted)) servers.push(stored);
  }
  return { servers, revision };
}

async function recordsOf(query: Query, cache: RecordCache, rows: readonly ListRow[]): Promise<Map<string, Stored<InstanceRecord>>> {
  const records = new Map<string, Stored<InstanceRecord>>();
  const missing: string[] = [];
  for (const { id, revision } of rows) {
    if (id === null) continue;
    const stored = cache.get(id, Number(revision));
    if (stored) records.set(id, stored);
    else missing.push(id);
  }
  if (missing.length === 0) return records;
  const text = `select ${RECORD} from instance where id = any($1::uuid[])`;
  for (const row of await query<RecordRead>({ text, values: [missing] })) records.set(row.id, cache.add(row));
  return records;
}

/** Where a marker stands in the order. A deleted one still does, so that a page can be turned after a deletion. */
async function placeOf(query: Query, keys: readonly OrderKey[], marker: string, projectId: string | null): Promise<string[]> {
  const text = `select ${placeColumns(keys)} from instance i where i.id = $1 and ($2::text is null or i.project_id = $2)`;
  const [row] = isUuid(marker) ? await query<Record<string, string>>({ text, values: [marker, projectId] }) : [];
  if (!row) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
  return keys.map((_, i) => row[`k${i}`] ?? '');
}

/** The record travels only when the cache lacks it in this revision. */
async function showServer(query: Query, cache: RecordCache, id: string): Promise<Stored<InstanceRecord> | null> {
  if (!isUuid(id)) return null;
  const known = cache.revisionOf(id) ?? -1;
  const text = `select id, number, version, revision, case when revision <> $2::bigint then record::text end as record from instance where id = $1`;
  const [row] = await query<Omit<RecordRead, 'record'> & { record: string | null }>({ text, values: [id, known] });
  if (!row) return null;
  if (row.record !== null) return cache.add({ ...row, record: row.record });
  // It can have left the cache while we asked.
  return cache.get(row.id, known) ?? showServer(query, cache, id);
}
