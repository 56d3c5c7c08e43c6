/**
 * Where the primary is, when the URL names several servers with commas (`postgresql://u:p@a:5432,b:5432/cell`): one of
 * them takes writes, the others follow it, and which one that is changes. The driver knows one server per connection,
 * so a connection asks here first where to go and, once there, whether that server takes writes.
 *
 * What one connection of the process learned serves all. When the primary has moved, connections to where it was are
 * ended: a former primary that nobody could tell of its end may go on answering reads from the past. Of two that take
 * writes the one on the newer timeline is right. With one server in the URL nothing of this is done.
 */
import { callbackify } from 'node:util';
import pg from 'pg';
import { must } from '../base/check.ts';
import { Fault } from '../base/fault.ts';

/** A server that is cut off answers nothing at all; shorter than a connection may take. */
const PROBE_MS = 1_000;
const SERVERS_MAX = 16;

export type Server = { readonly host: string; readonly port: number };
type Config = pg.ClientConfig & { readonly connectionString: string };

/** What a pool or a single connection to this URL is made with. */
export function reach(url: string): { readonly connectionString: string; readonly Client: typeof pg.Client } {
  const urls = serverUrls(url);
  const [first] = urls;
  if (first === undefined || urls.length === 1) return { connectionString: url, Client: pg.Client };
  let primary = known.get(url);
  if (!primary) known.set(url, (primary = new Primary(urls)));
  return { connectionString: first, Client: primary.clientClass() };
}

/** Something is wrong with where this URL leads that shows in no connection's end: no answer, no writes. */
export function doubtPrimary(url: string): void {
  known.get(url)?.doubt();
}

/** One URL per server that the URL names, in its order. Fault `invalid` for too many. */
export function serverUrls(url: string): string[] {
  const [, head = '', authority = '', tail = ''] = /^([a-z]+:\/\/)([^/?#]*)(.*)$/s.exec(url) ?? [];
  const at = authority.lastIndexOf('@') + 1;
  const servers = authority.slice(at).split(',');
  if (servers.length === 1) return [url];
  if (servers.length > SERVERS_MAX)
    throw new Fault('invalid', 'store.url', `database.url names ${servers.length} servers; at most ${SERVERS_MAX} may be named.`);
  // What other clients of such URLs need to be told; here it is always so.
  const rest = tail.replace(/([?&])target_session_attrs=[^&]*&?/, '$1').replace(/[?&]$/, '');
  return servers.map((server) => `${head}${authority.slice(0, at)}${server}${rest}`);
}

const known = new Map<string, Primary>();

class Primary {
  readonly #urls: readonly string[];
  readonly #open = new Set<{ readonly client: pg.Client; readonly server: Server }>();
  #server: Server | undefined;
  #finding: Promise<Server> | undefined;
  #class: typeof pg.Client | undefined;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  /** The driver and its pool ask for a class. */
  clientClass(): typeof pg.Client {
    if (this.#class) return this.#class;
    const [first = ''] = this.#urls;
    const reach = (client: pg.Client, connect: () => Promise<unknown>): Promise<void> => this.#reach(client, connect);
    this.#class = class PrimaryClient extends pg.Client {
      constructor(config?: string | pg.ClientConfig) {
        super({ ...(typeof config === 'string' ? {} : config), connectionString: first });
      }
      override connect(): Promise<this>;
      override connect(callback: (error: Error) => void): void;
      override connect(callback?: (error: Error) => void): Promise<this> | void {
        const reached = reach(this, () => super.connect()).then(() => this);
        if (callback === undefined) return reached;
        // The pool asks by a callback, which gets no error when there is none.
        callbackify(() => reached)(callback as (error: Error | null) => void);
      }
    };
    return this.#class;
  }

  async #reach(client: pg.Client, connect: () => Promise<unknown>): Promise<void> {
    const server = await this.#find();
    Object.assign(client, server);
    const entry = { client, server };
    client.once('error', () => this.#doubt(server));
    client.once('end', () => this.#open.delete(entry));
    try {
      await connect();
      if ((await stateOf(client)) === undefined) throw standby(server);
      this.#open.add(entry);
    } catch (error) {
      this.#doubt(server);
      client.end().catch(() => undefined);
      throw error;
    }
  }

  /** Where it is has to be looked up again. */
  doubt(): void {
    this.#server = undefined;
  }

  /** A connection was lost or refused: the next one looks anew. */
  #doubt(server: Server): void {
    if (this.#server === server) this.#server = undefined;
  }

  #find(): Promise<Server> {
    if (this.#server) return Promise.resolve(this.#server);
    this.#finding ??= this.#probeAll().finally(() => (this.#finding = undefined));
    return this.#finding;
  }

  async #probeAll(): Promise<Server> {
    const found = await Promise.all(this.#urls.map((url) => probe(url)));
    const primaries = found.flatMap((state) => (state.timeline === undefined ? [] : [{ server: state.server, timeline: state.timeline }]));
    const [best] = primaries.sort((a, b) => b.timeline - a.timeline);
    if (best === undefined) {
      const answered = found.filter((state) => state.error === undefined).length;
      const error = found.find((state) => state.error !== undefined)?.error;
      const message = `None of ${found.length} database servers takes writes; ${answered} of them are standbys.`;
      throw answered === 0 && error !== undefined ? error : new Fault('unavailable', 'store.away', message);
    }
    this.#server = best.server;
    for (const { client, server } of this.#open) {
      if (!isSame(server, best.server)) leave(client);
    }
    return best.server;
  }
}

/** Idle in a pool it is thrown away by this error; a query that runs fails when the connection ends. */
function leave(client: pg.Client): void {
  if (client.listenerCount('error') > 0) client.emit('error', new Error('the primary has moved'));
  client.end().catch(() => undefined);
}

async function probe(url: string): Promise<{ readonly server: Server; readonly timeline?: number; readonly error?: Error }> {
  const config: Config = { connectionString: url, connectionTimeoutMillis: PROBE_MS, query_timeout: PROBE_MS, application_name: 'novact-probe' };
  const client = new pg.Client(config);
  client.on('error', () => undefined); // a lost connection fails the query that runs
  const server = { host: client.host, port: client.port };
  try {
    await client.connect();
    const timeline = await stateOf(client);
    return timeline === undefined ? { server } : { server, timeline };
  } catch (error) {
    return { server, error: error instanceof Error ? error : new Error(String(error)) };
  } finally {
    client.end().catch(() => undefined);
  }
}

/** The timeline that a primary writes; undefined for a standby. */
async function stateOf(client: pg.Client): Promise<number | undefined> {
  const { rows } = await client.query<{
    timeline: string | null;
  }>(`select case when pg_is_in_recovery() or current_setting('transaction_read_only') = 'on' then null
    else substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) end as timeline`);
  const { timeline } = must(rows[0], 'a question has one answer');
  return timeline === null ? undefined : Number.parseInt(timeline, 16);
}

function standby({ host, port }: Server): Fault {
  return new Fault('unavailable', 'store.standby', `The database server ${host}:${port} takes no writes any more.`);
}

function isSame(a: Server, b: Server): boolean {
  return a.host === b.host && a.port === b.port;
}
