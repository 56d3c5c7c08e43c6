/**
 * Events after a revision, and the partitions that they stand in.
 *
 * A reader gets whole revisions only, oldest first, and with them how far it has read: between two answers no event is
 * missing or doubled (P5). What was dropped is answered with `stream.gone`, never with a hole.
 *
 * Partitions are made ahead and dropped whole, without locking out readers or writers: a partition is attached and
 * detached under locks that both may hold beside it. Which events are still there is read from the catalogue, so that
 * there is nothing beside it to disagree with.
 */
import type pg from 'pg';
import { Fault } from '../base/fault.ts';
import { must } from '../base/check.ts';
import { EVENT_PARTITION } from './tables.ts';

/** Events per answer; a revision is never cut, so an answer may hold one batch more. */
const HISTORY_MAX = 1_000;
/** A subscriber may be away for so long and miss nothing. */
const KEEP_MS = 3_600_000;
/** And so many events are kept in any case, however old they are. */
const KEEP_EVENTS = 1_000_000;
/** Partitions made or dropped at once, so that one call has an end. */
const STEPS_MAX = 16;
/** One node at a time changes partitions; an arbitrary number that nothing else in a database uses. */
const LOCK_KEY = 7_236_118_403;

export type HistoryRow = { readonly revision: number; readonly id: string; readonly projectId: string; readonly body: unknown };
/** All events of revisions in (after, upTo] are in `rows`. */
export type HistoryPage = { readonly rows: readonly HistoryRow[]; readonly upTo: number };

type EventRead = { cell: string; revision: string | null; id: string; projectId: string; body: unknown };
type Partition = { readonly name: string; readonly from: number; readonly to: number; readonly pending: boolean };

const COLUMNS = 'revision, ord, id, project_id, body';
const PAGE = `select c.revision as cell, e.revision, e.id, e.project_id as "projectId", e.body
  from cell c left join lateral (select ${COLUMNS} from event where revision > $1 order by revision, ord limit $2) e on true
  where c.one order by e.revision, e.ord`;
const REVISION = `select revision as cell, revision, id, project_id as "projectId", body from event where revision = $1 order by ord`;
const PARTITIONS = `select c.relname as name, i.inhdetachpending as pending, pg_get_expr(c.relpartbound, c.oid) as bound
  from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'event'::regclass`;
const ORPHANS = `select c.relname as name from pg_class c join pg_class e on e.oid = 'event'::regclass
  where c.relnamespace = e.relnamespace and c.relkind = 'r' and not c.relispartition and c.relname ~ '^event_[0-9]+$'`;

/** Fault `notFound` (reason `stream.gone`, detail {oldest}) when events after `after` were dropped. */
export async function readHistory(pool: pg.Pool, options: { after: number; limit: number }): Promise<HistoryPage> {
  const limit = Math.max(1, Math.min(options.limit, HISTORY_MAX));
  const { rows } = await pool.query<EventRead>({ name: 'history', text: PAGE, values: [options.after, limit + 1] });
  const page = rows.length > limit ? await wholeRevisions(pool, rows) : { rows: eventsOf(rows), upTo: Number(rows[0]?.cell ?? 0) };
  // Asked after the events were read: what was dropped before that is seen as dropped.
  const oldest = await oldestRevision(pool);
  if (options.after + 1 < oldest) {
    throw new Fault('notFound', 'stream.gone', 'The events after this revision are no longer kept.', { detail: { oldest } });
  }
  return page;
}

/** The lowest revision whose events are kept; 1 when none was ever dropped. */
export async function oldestRevision(pool: pg.Pool): Promise<number> {
  const partitions = (await readPartitions(pool)).filter((partition) => !partition.pending).reverse();
  let oldest = partitions[0]?.to ?? 1;
  for (const { from, to } of partitions) {
    if (to !== oldest) break; // below a gap nothing can be trusted to be whole
    oldest = from;
  }
  return Math.max(1, oldest);
}

export type KeepOptions = { readonly partition?: number; readonly keepMs?: number; readonly keepEvents?: number };

/**
 * Makes the partitions that the next revisions will need (one whole partition ahead of the current one) and drops old
 * ones. To be called when a control node starts and every minute: a revision without a partition cannot be stored.
 * Does nothing while another node is at it.
 */
export async function keepPartitions(pool: pg.Pool, options: KeepOptions = {}): Promise<{ made: string[]; dropped: string[] }> {
  const client = await pool.connect();
  try {
    const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_lock($1) as taken', [LOCK_KEY]);
    if (rows[0]?.taken !== true) return { made: [], dropped: [] };
    try {
      const revision = await currentRevision(client);
      const made = await makeAhead(client, revision, options.partition ?? EVENT_PARTITION);
      const dropped = await dropOld(client, revision, options);
      return { made, dropped };
    } finally {
      await client.query('select pg_advisory_unlock($1)', [LOCK_KEY]);
    }
  } finally {
    client.release();
  }
}

/** Cuts a full page at its last whole revision; a revision that alone is larger than a page is read whole. */
async function wholeRevisions(pool: pg.Pool, rows: readonly EventRead[]): Promise<HistoryPage> {
  const events = eventsOf(rows);
  const cut = must(events.at(-1), 'a full page has a last event').revision;
  const whole = events.filter((event) => event.revision < cut);
  if (whole.length > 0) return { rows: whole, upTo: cut - 1 };
  const { rows: all } = await pool.query<EventRead>({ name: 'history-revision', text: REVISION, values: [cut] });
  return { rows: eventsOf(all), upTo: cut };
}

function eventsOf(rows: readonly EventRead[]): HistoryRow[] {
  const events: HistoryRow[] = [];
  for (const { revision, id, projectId, body } of rows) {
    if (revision !== null) events.push({ revision: Number(revision), id, projectId, body });
  }
  return events;
}

async function makeAhead(client: pg.PoolClient, revision: number, size: number): Promise<string[]> {
  const made: string[] = [];
  let top = (await readPartitions(client)).at(-1)?.to ?? 0;
  while (top <= revision + size && made.length < STEPS_MAX) {
    const name = `event_${top}`;
    // Attaching an empty table lets everyone read and write meanwhile; `create table … partition of` would not.
    await client.query(`create table ${name} (like event including all);
      alter table event attach partition ${name} for values from (${top}) to (${top + size})`);
    made.push(name);
    top += size;
  }
  return made;
}

async function dropOld(client: pg.PoolClient, revision: number, options: KeepOptions): Promise<string[]> {
  const dropped = await dropLeftovers(client);
  for (const partition of await readPartitions(client)) {
    if (dropped.length >= STEPS_MAX || partition.to > revision) break;
    if (!(await isOld(client, partition, options))) break;
    await client.query(`alter table event detach partition ${partition.name} concurrently`);
    await client.query(`drop table ${partition.name}`);
    dropped.push(partition.name);
  }
  return dropped;
}

/** What a call left behind that was ended between detaching and dropping. */
async function dropLeftovers(client: pg.PoolClient): Promise<string[]> {
  for (const { name, pending } of await readPartitions(client)) {
    if (pending) await client.query(`alter table event detach partition ${name} finalize`);
  }
  const { rows } = await client.query<{ name: string }>(ORPHANS);
  for (const { name } of rows) await client.query(`drop table ${name}`);
  return rows.map((row) => row.name);
}

async function isOld(client: pg.PoolClient, partition: Partition, options: KeepOptions): Promise<boolean> {
  const keepEvents = options.keepEvents ?? KEEP_EVENTS;
  const { rows } = await client.query<{ past: boolean; enough: boolean }>(
    `select coalesce((select (body->>'at')::timestamptz < clock_timestamp() - $1 * interval '1 millisecond'
        from ${partition.name} order by revision desc, ord desc limit 1), true) as past,
      (select count(*) from (select from event where revision >= $2 limit $3) newer) >= $3 as enough`,
    [options.keepMs ?? KEEP_MS, partition.to, keepEvents],
  );
  return rows[0]?.past === true && rows[0].enough;
}

/** In the order of revisions. */
async function readPartitions(client: pg.Pool | pg.PoolClient): Promise<Partition[]> {
  const { rows } = await client.query<{ name: string; pending: boolean; bound: string }>(PARTITIONS);
  const partitions = rows.map(({ name, pending, bound }) => {
    const [from, to] = [...bound.matchAll(/\d+/g)].map((match) => Number(match[0]));
    return { name, pending, from: must(from, 'a partition has a lower bound'), to: must(to, 'a partition has an upper bound') };
  });
  return partitions.sort((a, b) => a.from - b.from);
}

async function currentRevision(client: pg.PoolClient): Promise<number> {
  const { rows } = await client.query<{ revision: string }>('select revision from cell');
  return Number(rows[0]?.revision ?? 0);
}
