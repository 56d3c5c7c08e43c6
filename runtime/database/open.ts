/**
 * Connections to PostgreSQL: a pool for reads, and lasting single connections for the write batch and for beats, each
 * with short session timeouts so that a paused or cut-off node cannot hold the cell's row.
 *
 * A statement that the server answered with an error has done nothing. One that lost its connection has an unknown
 * outcome (OutcomeUnknown), and so has one that was committed without the standby that it waited for. While no connection can be had, statements fail with Fault `unavailable`.
 */
import pg from 'pg';
import { OutcomeUnknown } from './batch.ts';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { doubtPrimary, reach } from './primary.ts';

export type SessionTimeouts = { readonly statementMs: number; readonly idleInTransactionMs: number; readonly connectMs: number };
/** Must be shorter than the control lease. */
export const SESSION_TIMEOUTS: SessionTimeouts = { statementMs: 2_000, idleInTransactionMs: 2_000, connectMs: 2_000 };

const RECONNECT_MIN_MS = 20;
const RECONNECT_MAX_MS = 500;
/** The server's routine that waits for its standby after a commit, as its notices name it. */
const SYNC_WAIT = 'SyncRepWaitForLSN';
const READ_ONLY = '25006';

export function openPool(options: { url: string; max: number; log: Log; timeouts?: SessionTimeouts }): pg.Pool {
  const { statementMs, idleInTransactionMs, connectMs } = options.timeouts ?? SESSION_TIMEOUTS;
  const pool = new pg.Pool({
    ...reach(options.url),
    max: options.max,
    connectionTimeoutMillis: connectMs,
    statement_timeout: statementMs * 5, // reads may take longer; they hold no row
    query_timeout: statementMs * 5 + 1_000, // a server that is cut off answers nothing at all
    idle_in_transaction_session_timeout: idleInTransactionMs,
    keepAlive: true,
    application_name: 'novact-read',
  });
  pool.on('error', (error) => options.log.warn('database connection lost', { error: error.message }));
  // One that is lost while it is lent, between two statements, tells only itself: unheard, it would end the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

/** One lasting connection with prepared statements, one query at a time, made anew when it breaks. */
export class Session {
  readonly #options: { url: string; name: string; clock: Clock; log: Log; timeouts?: SessionTimeouts };
  #client: pg.Client | undefined;
  #opening: Promise<pg.Client> | undefined;
  /** Of the statement that came last: the next one waits for its end. */
  #last: Promise<void> = Promise.resolve();
  #closed = false;
  #backoffMs = RECONNECT_MIN_MS;

  constructor(options: { url: string; name: string; clock: Clock; log: Log; timeouts?: SessionTimeouts }) {
    this.#options = options;
  }

  /** Runs a named (prepared) statement. Throws pg.DatabaseError (nothing happened), OutcomeUnknown, Fault `unavailable`. */
  async run<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    const before = this.#last;
    const { promise: last, resolve: ended } = Promise.withResolvers<void>();
    this.#last = last;
    await before;
    try {
      return await this.#runNow<Row>(name, text, values);
    } finally {
      ended();
    }
  }

  async #runNow<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    const client = await this.#connected();
    const waited = { inVain: false };
    const hear = (notice: pg.DatabaseError | { routine?: string | undefined }): void => {
      // In every language of the server's: committed there, and maybe on no standby.
      if (notice.routine === SYNC_WAIT) waited.inVain = true;
    };
    client.on('notice', hear);
    try {
      const result = await client.query<Row>({ name, text, values });
      if (!waited.inVain) return result;
      this.#drop(client);
      throw new OutcomeUnknown(new Error('the wait for the standby was cancelled: the commit may be lost with this server'));
    } catch (error) {
      if (error instanceof OutcomeUnknown) throw error;
      if (error instanceof pg.DatabaseError && error.code === READ_ONLY) this.#drop(client); // a primary no more: the next one is looked for
      if (error instanceof pg.DatabaseError && isPassing(error)) {
        throw new Fault('unavailable', 'store.busy', 'The database is busy.', { cause: error, detail: error.code ?? null });
      }
      if (error instanceof pg.DatabaseError && !isConnectionEnd(error)) throw error;
      this.#drop(client);
      throw new OutcomeUnknown(error);
    } finally {
      client.off('notice', hear);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    await client?.end().catch(() => undefined);
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client;
    if (this.#closed) throw new Fault('unavailable', 'store.closed', 'The store is closing.');
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #open(): Promise<pg.Client> {
    const { url, name, log } = this.#options;
    const { statementMs, idleInTransactionMs, connectMs } = this.#options.timeouts ?? SESSION_TIMEOUTS;
    const { Client, connectionString } = reach(url);
    const client = new Client({
      connectionString,
      application_name: `novact-${name}`,
      connectionTimeoutMillis: connectMs,
      statement_timeout: statementMs,
      idle_in_transaction_session_timeout: idleInTransactionMs,
      query_timeout: statementMs + 1_000, // a server that is cut off answers nothing at all
      keepAlive: true,
    });
    client.on('error', (error) => {
      log.warn('database connection lost', { session: name, error: error.message });
      this.#drop(client);
    });
    client.on('end', () => this.#drop(client));
    try {
      await client.connect();
    } catch (error) {
      await client.end().catch(() => undefined);
      await this.#options.clock.sleep(this.#backoffMs);
      this.#backoffMs = Math.min(RECONNECT_MAX_MS, this.#backoffMs * 2);
      throw new Fault('unavailable', 'store.away', 'The database does not answer.', { cause: error });
    }
    this.#backoffMs = RECONNECT_MIN_MS;
    if (!this.#closed) this.#client = client;
    return client;
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) {
      this.#client = undefined;
      if (!this.#closed) doubtPrimary(this.#options.url);
    }
    client.end().catch(() => undefined);
  }
}

/** Nothing was done, and trying again may do better: a timeout behind a held row, a deadlock, no room, a standby. */
function isPassing(error: pg.DatabaseError): boolean {
  const code = error.code ?? '';
  return ['57014', '55P03', '40001', '40P01', READ_ONLY].includes(code) || code.startsWith('53');
}

/** The server ended the session (shutdown, crash of another backend): what it did last is not known from this. */
function isConnectionEnd(error: pg.DatabaseError): boolean {
  const code = error.code ?? '';
  return code.startsWith('57P') || code.startsWith('08');
}
