/**
 * The embedded PostgreSQL: a whole server with full durability (fsync on) that a newcomer need not know of. It is
 * reached by a socket in its own folder, with a password that only this account can read.
 *
 * It outlives a node that is killed; the next start on the same folder takes it over when it answers and is the right
 * one, and ends it otherwise. While open, a server that dies is started again under the same URL. The caller holds the
 * lock of the data folder: two nodes on one store are not thought of here.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { systemRandom, type Random } from '../base/random.ts';
import { chooseAccount, type Account, type Way } from './embedded/account.ts';
import { findBinaries, type Binaries } from './embedded/binaries.ts';
import { launchServer, QUICK_END } from './embedded/launch.ts';
import { endServer, gone, processesIn, provenServer, readLockFile, systemIdentifier } from './embedded/postmaster.ts';
import { serverArguments, type ServerPlace } from './embedded/settings.ts';
import {
  checkStore,
  DATABASE,
  dropSocket,
  dropSocketDir,
  hasStore,
  makeStore,
  openSocketDir,
  openStoreFolder,
  readPassword,
  ROLE,
  type StoreFolder,
} from './embedded/store-folder.ts';

export type EmbeddedOptions = {
  /** The server's own folder, made when missing. */
  readonly dataDir: string;
  /** Our folder around it; may be opened (search only) to the account that runs the server for root. */
  readonly within?: string;
  /** Names the socket; a TCP port only with `listen`. */
  readonly port: number;
  /** That share it; one by default. */
  readonly nodes?: number;
  /** Loopback address to listen on as well, for tools. None by default. */
  readonly listen?: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly random?: Random;
  /** Ends the opening, not the server. */
  readonly signal: AbortSignal;
  /** One sentence for people whenever something takes long. */
  readonly progress?: (line: string) => void;
  /** For tests: the ways to find an account, in order. */
  readonly ways?: readonly Way[];
};

export type EmbeddedPostgres = {
  /** Holds the password: never for a log. Stays the same while open. */
  readonly url: string;
  readonly version: string;
  readonly pid: number;
  readonly how: 'made' | 'started' | 'adopted';
  /** Ends sessions, writes a checkpoint, stops the server. Resolves when it is gone. */
  close(): Promise<void>;
};

const CONNECT_MS = 5_000;
/** Children of a killed server end by themselves within moments. */
const LEFTOVER_MS = 15_000;
const ORDERLY_END = [
  ['SIGINT', 30_000],
  ['SIGQUIT', 10_000],
  ['SIGKILL', 5_000],
] as const;
const WATCH_MS = 200;
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 5_000;

/** Fault `unsupported` (no binaries, other version, no account) or `unavailable`, with a sentence that says what to do. */
export async function openEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const folder = openStoreFolder(options.dataDir);
  const binaries = findBinaries(join(folder.dir, 'lib'));
  const server = new Server(options, folder, binaries);
  await server.open();
  return server;
}

/** The URL of a server that runs on this folder, for tools beside its node. Fault `unavailable` when none does. */
export function embeddedUrl(dataDir: string): string {
  const folder = openStoreFolder(dataDir);
  const running = readLockFile(folder.storePath);
  if (!running?.ready)
    throw new Fault('unavailable', 'store.stopped', `No database runs in ${dataDir}: start its node first, or name the database of the cluster.`);
  return urlOf(folder, running, DATABASE);
}

function urlOf(folder: StoreFolder, { socketDir, port }: { socketDir: string; port: number }, database: string): string {
  return `postgresql://${ROLE}:${readPassword(folder)}@${encodeURIComponent(socketDir)}:${port}/${database}`;
}

class Server implements EmbeddedPostgres {
  readonly version: string;
  url = '';
  pid = 0;
  how: EmbeddedPostgres['how'] = 'started';
  readonly #options: EmbeddedOptions;
  readonly #folder: StoreFolder;
  readonly #binaries: Binaries;
  readonly #environment: { readonly [name: string]: string };
  #account: Account | undefined;
  #place: ServerPlace | undefined;
  #temporary = false;
  readonly #closing = new AbortController();
  #watch: Promise<void> = Promise.resolve();

  constructor(options: EmbeddedOptions, folder: StoreFolder, binaries: Binaries) {
    this.#options = options;
    this.#folder = folder;
    this.#binaries = binaries;
    this.version = binaries.version;
    // Not ours: PGPORT, PGOPTIONS and the like in the user's environment are about other servers.
    this.#environment = {
      PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
      LC_ALL: 'C',
      ...(binaries.libraryPath === undefined ? {} : { LD_LIBRARY_PATH: binaries.libraryPath }),
    };
  }

  async open(): Promise<void> {
    const { signal } = this.#options;
    if (hasStore(this.#folder)) {
      checkStore(this.#folder, this.#binaries);
      if (!(await this.#adopt())) await this.#start(signal);
    } else {
      this.#options.progress?.('Making an empty database (first start)');
      await makeStore(this.#folder, this.#ownAccount(), this.#binaries, this.#environment, this.#options.random ?? systemRandom, signal);
      this.how = 'made';
      await this.#start(signal);
    }
    try {
      await this.#ensureDatabase();
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#options.log.info('embedded database open', { how: this.how, pid: this.pid, version: this.version, folder: this.#folder.dir });
    this.#watch = this.#keepAlive(this.#closing.signal);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#watch;
    const ended = await endServer(this.pid, this.#folder.storePath, this.#options.clock, ORDERLY_END);
    if (!ended) throw new Fault('timeout', 'store.close', `The embedded database (process ${this.pid}) does not end.`);
    if (this.#temporary && this.#place) rmSync(this.#place.socketDir, { recursive: true, force: true });
  }

  /** Takes over a living server of this store when it is as we would start it; ends it otherwise. True when taken. */
  async #adopt(): Promise<boolean> {
    const { clock, log, port, listen, nodes = 1 } = this.#options;
    const { storePath } = this.#folder;
    const found = readLockFile(storePath);
    if (found === undefined) return false;
    const words = provenServer(found.pid, storePath);
    if (words === undefined) {
      await this.#clearAfter(found);
      dropSocketDir(found.socketDir);
      return false;
    }

    const place = { storePath, socketDir: found.socketDir, port: found.port, listen, nodes };
    const asWished = found.port === port && words.slice(1).join('\0') === serverArguments(place).join('\0');
    if (asWished && (await gone(() => readLockFile(storePath)?.ready === true, clock, CONNECT_MS, this.#options.signal)) && (await this.#serves(place))) {
      this.#settle(found.pid, place, !place.socketDir.startsWith(this.#folder.dir));
      this.how = 'adopted';
      return true;
    }
    this.#options.progress?.('Ending a database server left by an earlier run');
    log.warn('ending a left database server', { pid: found.pid, reason: asWished ? 'it does not answer' : 'it runs with other settings' });
    if (!(await endServer(found.pid, storePath, clock, asWished ? QUICK_END : ORDERLY_END))) {
      throw new Fault('unavailable', 'store.left', `A database server of an earlier run (process ${found.pid}) does not end. End it, then start again.`);
    }
    await this.#clearAfter(found);
    dropSocketDir(found.socketDir);
    return false;
  }

  /** After a server that is gone: waits for its children, then removes its lock files, which may name somebody else by now. */
  async #clearAfter({ pid, socketDir, port }: { pid: number; socketDir: string; port: number }): Promise<void> {
    const { storePath } = this.#folder;
    if (!(await gone(() => processesIn(storePath).length === 0, this.#options.clock, LEFTOVER_MS))) {
      const left = processesIn(storePath).join(', ');
      throw new Fault('unavailable', 'store.left', `Processes of an earlier database server still use ${storePath}: ${left}. End them, then start again.`);
    }
    if (readLockFile(storePath)?.pid === pid) rmSync(join(storePath, 'postmaster.pid'), { force: true });
    dropSocket(socketDir, port, this.#folder);
  }

  async #serves(place: ServerPlace): Promise<boolean> {
    try {
      return await withClient(this.#urlOf(place, 'postgres'), async (client) => {
        const { rows } = await client.query<{ id: string; folder: string; version: string }>(
          `SELECT system_identifier::text AS id, current_setting('data_directory') AS folder, current_setting('server_version') AS version FROM pg_control_system()`,
        );
        const [row] = rows;
        return row?.id === systemIdentifier(place.storePath) && row?.folder === place.storePath && row.version === this.version;
      });
    } catch {
      return false;
    }
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { clock, port, listen, nodes = 1, progress } = this.#options;
    const account = this.#ownAccount();
    if (this.#place === undefined) {
      const { socketDir, temporary } = openSocketDir(this.#folder, port, account);
      this.#place = { storePath: this.#folder.storePath, socketDir, port, listen, nodes };
      this.#temporary = temporary;
    }
    const { postgres } = this.#binaries;
    const pid = await launchServer({ account, postgres, environment: this.#environment, folder: this.#folder, place: this.#place, clock, signal, progress });
    this.#settle(pid, this.#place, this.#temporary);
  }

  /** Starts the server again whenever it dies, with growing pauses, until `signal`. Never throws. */
  async #keepAlive(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let pauseMs = RESTART_MIN_MS;
    while (!signal.aborted) {
      try {
        await clock.sleep(WATCH_MS, signal);
        if (provenServer(this.pid, this.#folder.storePath) !== undefined) {
          pauseMs = RESTART_MIN_MS;
          continue;
        }
        log.error('embedded database died, starting it again', { pid: this.pid });
        await this.#clearAfter({ pid: this.pid, socketDir: this.#place?.socketDir ?? '', port: this.#options.port });
        await this.#start(signal);
        log.info('embedded database is back', { pid: this.pid });
      } catch (error) {
        if (signal.aborted) return;
        log.error('embedded database cannot be started', { error: Fault.from(error).toRecord() });
        await clock.sleep(pauseMs, signal).catch(() => undefined);
        pauseMs = Math.min(RESTART_MAX_MS, pauseMs * 2);
      }
    }
  }

  async #ensureDatabase(): Promise<void> {
    await withClient(this.#urlOf(this.#place, 'postgres'), async (client) => {
      const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    });
  }

  #ownAccount(): Account {
    if (this.#account === undefined) {
      const { within, ways, log } = this.#options;
      this.#account = chooseAccount({ storeDir: this.#folder.dir, within, postgres: this.#binaries.postgres, environment: this.#environment }, ways);
      log.info('embedded database account', { way: this.#account.way });
    }
    return this.#account;
  }

  #settle(pid: number, place: ServerPlace, temporary: boolean): void {
    this.pid = pid;
    this.#place = place;
    this.#temporary = temporary;
    this.url = this.#urlOf(place, DATABASE);
  }

  #urlOf(place: ServerPlace | undefined, database: string): string {
    return urlOf(this.#folder, { socketDir: place?.socketDir ?? '', port: place?.port ?? 0 }, database);
  }
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_MS, query_timeout: CONNECT_MS * 4, application_name: 'novact-open' });
  client.on('error', () => undefined); // a lost connection fails the query that runs
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
