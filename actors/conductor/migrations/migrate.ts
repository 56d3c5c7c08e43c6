/**
 * Brings a cell's schema to what this program wants, at every start of a control node. One node at a time (an advisory
 * lock), the rest wait. A cell that is up to date costs one connection and one statement; the mapper's migrator is
 * loaded only for one that is behind.
 *
 * `schema_state` remembers the steps that were applied the hash of what can be applied again (functions, and
 * `if not exists` statements for tables and indexes) and whether the first records were made (records/seed.ts). A cell that knows steps of a newer program is left as it is, so
 * that the former release goes on running while a cluster is upgraded node by node.
 *
 * The runtime's own tables are made by the first step only: made again they would bring back the first partition of
 * events after it was dropped, and a cursor from before would find a gap that nobody tells it about.
 */
import { createHash } from 'node:crypto';
import pg from 'pg';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog, type Log } from '../../../runtime/base/log.ts';
import { reach } from '../../../runtime/database/primary.ts';
import { AGGREGATE_SCHEMA } from '../tables/aggregates.ts';
import { COMPUTE_SCHEMA } from '../tables/compute.ts';
import { LIMIT_FUNCTIONS, WRITE_FUNCTION } from '../write/function.ts';
import { EMBEDDED_SCHEMA } from './embedded.ts';
import { isStepName, STEP_NAMES } from './step-names.ts';

/** An arbitrary number that nothing else in a database uses. */
const LOCK_KEY = 7_236_118_402;
/** A step may take its time on a large cell; another node waits this long for it, then its start fails. */
const LOCK_WAIT_MS = 120_000;
const CONNECT_MS = 5_000;

const REPEATABLE = [COMPUTE_SCHEMA, AGGREGATE_SCHEMA, EMBEDDED_SCHEMA, LIMIT_FUNCTIONS, WRITE_FUNCTION].join('\n');
const REPEATABLE_HASH = createHash('sha256').update(REPEATABLE).digest('hex');

const STATE_TABLE = `create table if not exists schema_state (
  one boolean primary key default true check (one),
  steps text[] not null,
  hash text not null,
  seeded boolean not null default false,
  changed_at timestamptz not null default clock_timestamp()
)`;
const WRITE_STATE = `insert into schema_state (steps, hash) values ($1, $2)
  on conflict (one) do update set steps = excluded.steps, hash = excluded.hash, changed_at = clock_timestamp()`;

type State = { readonly steps: readonly string[]; readonly hash: string };

/**
 * Answers with the names of the steps that were applied now. Safe to repeat and to run from several nodes at once.
 * Faults: `unavailable` (`store.away`, `store.migrating` when another node's step takes longer than two minutes).
 */
export async function migrate({ url, log = silentLog }: { url: string; log?: Log }): Promise<{ applied: string[] }> {
  const client = await connected(url);
  try {
    if (isCurrent(await readState(client))) return { applied: [] };
    return { applied: await bringUp(client, url, log) };
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function bringUp(client: pg.Client, url: string, log: Log): Promise<string[]> {
  await takeLock(client);
  const state = await readState(client); // another node may have done it while we waited
  if (isCurrent(state)) return [];
  const missing = STEP_NAMES.filter((name) => !state?.steps.includes(name));
  if (missing.length > 0) {
    const { applySteps } = await import('./steps.ts');
    await applySteps(url);
  }
  await client.query('begin');
  await client.query(REPEATABLE);
  await client.query(STATE_TABLE);
  await client.query(WRITE_STATE, [STEP_NAMES, REPEATABLE_HASH]);
  await client.query('commit');
  log.info('schema changed', { steps: missing });
  return missing;
}

async function takeLock(client: pg.Client): Promise<void> {
  try {
    await client.query(`set lock_timeout = ${LOCK_WAIT_MS}`);
    await client.query('select pg_advisory_lock($1)', [LOCK_KEY]);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '55P03') throw error;
    throw new Fault('unavailable', 'store.migrating', 'Another node is changing the schema.', { cause: error });
  }
}

/** undefined in a database that never was a cell. */
async function readState(client: pg.Client): Promise<State | undefined> {
  try {
    const { rows } = await client.query<State>('select steps, hash from schema_state');
    return rows[0];
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '42P01') return undefined;
    throw error;
  }
}

function isCurrent(state: State | undefined): boolean {
  if (!state) return false;
  const isNewer = state.steps.some((name) => !isStepName(name));
  return isNewer || (state.hash === REPEATABLE_HASH && STEP_NAMES.every((name) => state.steps.includes(name)));
}

async function connected(url: string): Promise<pg.Client> {
  const { Client, connectionString } = reach(url);
  const client = new Client({ connectionString, application_name: 'novact-schema', connectionTimeoutMillis: CONNECT_MS });
  client.on('error', () => undefined); // the statement that waits for it fails, that is enough
  try {
    await client.connect();
  } catch (error) {
    throw new Fault('unavailable', 'store.away', 'The database does not answer.', { cause: error, detail: String(error) });
  }
  return client;
}
