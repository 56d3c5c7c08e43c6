/**
 * Whether the PostgreSQL server that was named can be used, asked once before anything is built on it. Its complaints
 * name server, database and account, never the password.
 */
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { reach, serverUrls } from './primary.ts';

/** Older ones lack what the statements use. */
export const POSTGRES_MIN = 15;

const CONNECT_MS = 5_000;
const RETRY_MS = 500;
/** The server is on its way up, or behind something that is. */
const MAY_COME = new Set(['ECONNREFUSED', 'ENOENT', 'EAI_AGAIN', '57P03']);

/**
 * Waits at most `waitMs` for a server that is still starting. Faults: `unavailable` (reason `store.away`, `store.login`,
 * `store.missing`), `unsupported` (reason `store.version`, or `store.recovery` for a replica).
 */
export async function checkDatabaseUrl(options: { url: string; clock: Clock; signal: AbortSignal; waitMs?: number }): Promise<{ version: string }> {
  const { url, clock, signal, waitMs = 0 } = options;
  const begun = clock.monotonicMs();
  for (;;) {
    signal.throwIfAborted();
    try {
      return await ask(url);
    } catch (error) {
      const isElecting = Fault.is(error, 'unavailable'); // servers that answer, and none of them is the primary yet
      if (error instanceof Fault && !(isElecting && clock.monotonicMs() - begun < waitMs)) throw error;
      if ((!isElecting && !MAY_COME.has(codeOf(error))) || clock.monotonicMs() - begun >= waitMs) throw explain(url, error);
      await clock.sleep(RETRY_MS, signal);
    }
  }
}

/** `server:port/database as account`, fit for people. */
export function placeOf(url: string): string {
  const urls = serverUrls(url);
  if (urls.length > 1) return urls.map((one, i) => (i < urls.length - 1 ? placeOf(one).replace(/\/[^/]* as .*$/, '') : placeOf(one))).join(', ');
  try {
    const { hostname, port, pathname, username, searchParams } = new URL(url);
    const host = searchParams.get('host') ?? decodeURIComponent(hostname);
    return `${host || 'localhost'}${host.startsWith('/') ? '' : `:${port || 5432}`}${pathname} as ${decodeURIComponent(username) || 'nobody named'}`;
  } catch {
    return 'the server named';
  }
}

async function ask(url: string): Promise<{ version: string }> {
  const { Client, connectionString } = reach(url);
  const client = new Client({ connectionString, connectionTimeoutMillis: CONNECT_MS, query_timeout: CONNECT_MS, application_name: 'novact-check' });
  client.on('error', () => undefined); // a lost connection fails the query that runs
  try {
    await client.connect();
    const { rows } = await client.query<{ number: number; version: string; replica: boolean }>(
      `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version, pg_is_in_recovery() AS replica`,
    );
    const [row] = rows;
    if (row === undefined || row.number < POSTGRES_MIN * 10_000) {
      const message = `The database server ${placeOf(url)} is PostgreSQL ${row?.version ?? 'of an unknown version'}; novact needs ${POSTGRES_MIN} or newer.`;
      throw new Fault('unsupported', 'store.version', message);
    }
    if (row.replica) {
      throw new Fault(
        'unsupported',
        'store.recovery',
        `The database server ${placeOf(url)} is a replica, which takes no writes. Name the primary in database.url.`,
      );
    }
    return { version: row.version };
  } finally {
    await client.end().catch(() => undefined);
  }
}

function explain(url: string, cause: unknown): Fault {
  const place = placeOf(url);
  const code = codeOf(cause);
  const text = textOf(cause);
  if (code === '28P01' || code === '28000')
    return new Fault('unavailable', 'store.login', `The database server ${place}: ${text}. Check account and password in database.url.`, { cause });
  if (code === '3D000')
    return new Fault('unavailable', 'store.missing', `The database server ${place}: ${text}. Make it first: CREATE DATABASE … OWNER …`, { cause });
  return new Fault('unavailable', 'store.away', `The database server ${place} does not answer: ${text}. Is it running, and is database.url right?`, { cause });
}

function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return textOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

/** Of an error that gathers several attempts, the first one's. */
function codeOf(error: unknown): string {
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
