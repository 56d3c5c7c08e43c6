/**
 * A whole cloud as people start it: a real process in a folder of its own, on ports that nobody else has.
 *
 *   const cloud = await startCloud();                        // beforeAll; 1 to 4 s
 *   const { status, body } = await cloud.api('GET', '/servers');
 *   await cloud.kill9(); await cloud.restart();              // same data, same ports
 *   await cloud.close();                                     // afterAll; ends the database too, removes the folder
 *
 * A small shell (the keeper) reads process numbers from a pipe that only the test process holds. When that process
 * ends, however it ends, the pipe closes and the keeper ends the cloud and its database by their numbers, each only
 * after its words in /proc have named this very folder. Nothing stays behind a test that fails or is killed.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Agent, request } from 'undici';
import { parse as parseYaml } from 'yaml';
import { systemClock } from '../../runtime/base/clock.ts';
import { seenProcess } from '../../runtime/base/proc.ts';
import { gone, provenServer, readLockFile } from '../../runtime/database/embedded/postmaster.ts';

export type CloudOptions = {
  /** Further words for `novact start`; `--driver` and `--hosts` here win over `simulated` and 2. */
  readonly args?: readonly string[];
  /** Variables for the process, besides PATH, HOME and TMPDIR. */
  readonly env?: NodeJS.ProcessEnv;
  /** A folder of the caller's, which is kept at the end. */
  readonly dataDir?: string;
  /** Words before the program: `setpriv`, `setsid`, `unshare` and the like. They must become it, not stay beside it. */
  readonly prefix?: readonly string[];
};

export type Answer<Body> = { readonly status: number; readonly headers: { readonly [name: string]: string | string[] | undefined }; readonly body: Body };
export type CallOptions = {
  /** Instead of the administrator's; null for none. */
  readonly token?: string | null;
  readonly microversion?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly signal?: AbortSignal;
};
export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type Login = { readonly user: string; readonly password: string; readonly project?: string };

export type Cloud = {
  readonly dataDir: string;
  /** The `--port-offset` it runs with. */
  readonly portOffset: number;
  /** `compute` ends with `/v2.1`, `identity` with `/v3`. */
  readonly urls: { readonly identity: string; readonly image: string; readonly compute: string; readonly health: string };
  /** Of the store, for a look at its rows. The same over a restart. */
  readonly databaseUrl: string;
  /** Of the user `admin` on the project `admin`, kept over restarts, as clients do. */
  adminToken(): Promise<string>;
  /** Of the user `demo` on the project `demo`. */
  demoToken(): Promise<string>;
  /** Fails with the answer's text when the login is refused. */
  login(login: Login): Promise<string>;
  /** Calls Compute, or what a whole address names. JSON is parsed; what is no JSON comes as text. Rejects only when there is no answer. */
  api<Body = unknown>(method: string, path: string, body?: unknown, options?: CallOptions): Promise<Answer<Body>>;
  pid(): number;
  /** All that the present process wrote to its terminal. */
  output(): string;
  /** Resolves when the present process has ended. */
  exited(): Promise<Exit>;
  /** Ends the process as a crash would. Its database lives on, as it does after a crash. */
  kill9(): Promise<void>;
  /** Asks for an orderly stop and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
  /** Starts again on the same data and ports; kills what still runs. `env` is added for this start alone. */
  restart(env?: NodeJS.ProcessEnv): Promise<void>;
  /** The database server's process, or undefined when none is proven to live. */
  databasePid(): number | undefined;
  /** Ends everything. Harmless twice. */
  close(): Promise<void>;
};

export const CHECKOUT = dirname(dirname(import.meta.dirname));
export const LAUNCHER = join(CHECKOUT, 'novact.js');
const HOST = '127.0.0.1';
const START_LIMIT_MS = 90_000; // two cores may be busy with other tests
const STOP_LIMIT_MS = 20_000;
const KILL_LIMIT_MS = 5_000;
const ANSWER_LIMIT_MS = 30_000;
const TRIES = 5;

/** Below the range from which the kernel gives ports to clients: nobody takes one while the cloud is down. */
const OFFSETS = { from: 10_000, to: 22_000, step: 20 };
/** Held by the test as long as it has the offset. */
const GUARD_PORT = 3_010;
/** It only names a socket file; the usual one would leave the range. */
const DATABASE_PORT = 3_009;
const PORTS = { identity: 5000, image: 9292, compute: 8774, health: 8779 };

/** $1 the data folder, $2 what to remove at the end (may be empty). Reads numbers of processes until its pipe closes. */
const KEEPER = `
dir=$1; remove=$2; pids=
trap '' INT TERM HUP
while read -r pid; do pids="$pids $pid"; done
proven() { tr '\\0' '\\n' < /proc/$1/cmdline 2>/dev/null | grep -qF -- "$dir"; }
for pid in $pids; do proven $pid && kill -KILL $pid 2>/dev/null; done
postmaster=$(head -n 1 "$dir/postgres/data/postmaster.pid" 2>/dev/null)
if [ -n "$postmaster" ] && proven $postmaster; then
  kill -QUIT $postmaster 2>/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do proven $postmaster || break; sleep 0.2; done
  proven $postmaster && kill -KILL $postmaster 2>/dev/null
fi
[ -n "$remove" ] && rm -rf "$remove"
exit 0
`;

/** Resolves when the cloud takes orders. Fails with all that the process said when it does not come up. */
export async function startCloud(options: CloudOptions = {}): Promise<Cloud> {
  for (let tries = 1; ; tries++) {
    const place = await takePlace(options.dataDir);
    try {
      const cloud = new RunningCloud(place, options);
      await cloud.restart();
      return cloud;
    } catch (error) {
      await place.leave();
      if (tries >= TRIES || !(error instanceof Error) || !error.message.includes('cannot be used:')) throw error; // a port
    }
  }
}

/** Ends a test that needs a program which is absent: by name here, as a failure where it was promised. */
export function lacks(skip: (why: string) => void, what: string): void {
  if (process.env['CI'] !== undefined) throw new Error(`${what} is not installed`);
  skip(`needs ${what}`);
}

type Place = { readonly dataDir: string; readonly offset: number; readonly keep: (pid: number) => void; readonly leave: () => Promise<void> };

async function takePlace(given: string | undefined): Promise<Place> {
  const { offset, guard } = await takeOffset();
  const folder = given === undefined ? realpathSync(mkdtempSync(join(tmpdir(), 'novact-cloud-'))) : undefined;
  const dataDir = given ?? join(folder ?? '', 'data');
  const keeper = spawn('sh', ['-c', KEEPER, 'keeper', dataDir, folder ?? ''], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  keeper.stdin.on('error', () => undefined);
  keeper.unref();
  return {
    dataDir,
    offset,
    keep: (pid) => void keeper.stdin.write(`${pid}\n`),
    leave: async () => {
      guard.close();
      if (keeper.exitCode !== null || keeper.signalCode !== null) return;
      const end = once(keeper, 'exit');
      keeper.ref();
      keeper.stdin.end();
      await end;
      if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function takeOffset(): Promise<{ offset: number; guard: Server }> {
  for (;;) {
    const offset = OFFSETS.from + OFFSETS.step * randomInt((OFFSETS.to - OFFSETS.from) / OFFSETS.step);
    const guard = await new Promise<Server | undefined>((resolve) => {
      const server = createServer((socket) => socket.destroy());
      server.once('error', () => resolve(undefined));
      server.listen({ port: GUARD_PORT + offset, host: HOST, exclusive: true }, () => resolve(server.unref()));
    });
    if (guard !== undefined) return { offset, guard };
  }
}

class RunningCloud implements Cloud {
  readonly dataDir: string;
  readonly portOffset: number;
  readonly urls: Cloud['urls'];
  readonly #place: Place;
  readonly #options: CloudOptions;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  #said = '';
  #agent = new Agent();
  readonly #tokens = new Map<string, Promise<string>>();

  constructor(place: Place, options: CloudOptions) {
    this.dataDir = place.dataDir;
    this.portOffset = place.offset;
    this.#place = place;
    this.#options = options;
    const at = (port: number): string => `http://${HOST}:${port + place.offset}`;
    this.urls = { identity: `${at(PORTS.identity)}/v3`, image: at(PORTS.image), compute: `${at(PORTS.compute)}/v2.1`, health: `${at(PORTS.health)}/health` };
  }

  get databaseUrl(): string {
    const password = readFileSync(join(this.dataDir, 'postgres/password'), 'utf8').trim();
    const { socketDir, port } = readLockFile(this.#storePath()) ?? { socketDir: join(this.dataDir, 'postgres/run'), port: DATABASE_PORT + this.#place.offset };
    return `postgresql://novact:${password}@${encodeURIComponent(socketDir)}:${port}/novact`;
  }

  pid(): number {
    return this.#child?.pid ?? 0;
  }

  output(): string {
    return this.#said;
  }

  exited(): Promise<Exit> {
    return this.#exit;
  }

  async restart(env: NodeJS.ProcessEnv = {}): Promise<void> {
    await this.kill9();
    await this.#agent.destroy();
    this.#agent = new Agent({ connections: 64, connect: { timeout: 5_000 } });
    this.#spawn(env);
    await this.#up();
  }

  async kill9(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exit;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    this.#child?.kill('SIGCONT');
    this.#child?.kill(signal);
    const late = new AbortController();
    const limit = systemClock.sleep(STOP_LIMIT_MS, late.signal).then(
      () => undefined,
      () => undefined,
    );
    const exit = await Promise.race([this.#exit, limit]);
    late.abort();
    if (exit !== undefined) return exit;
    await this.kill9();
    throw new Error(`the cloud did not stop in ${STOP_LIMIT_MS} ms:\n${this.#said}`);
  }

  databasePid(): number | undefined {
    const pid = readLockFile(this.#storePath())?.pid;
    return pid !== undefined && provenServer(pid, this.#storePath()) !== undefined ? pid : undefined;
  }

  async close(): Promise<void> {
    try {
      await this.kill9();
      await this.#agent.destroy();
    } finally {
      await this.#place.leave();
    }
  }

  adminToken(): Promise<string> {
    return this.#token('admin', 'admin');
  }

  demoToken(): Promise<string> {
    return this.#token('demo', 'demo');
  }

  async login({ user, password, project }: Login): Promise<string> {
    const scope = project === undefined ? {} : { scope: { project: { name: project, domain: { id: 'default' } } } };
    const auth = { identity: { methods: ['password'], password: { user: { name: user, password, domain: { id: 'default' } } } }, ...scope };
    const { status, headers, body } = await this.api('POST', `${this.urls.identity}/auth/tokens`, { auth }, { token: null });
    const token = headers['x-subject-token'];
    if (status !== 201 || typeof token !== 'string') throw new Error(`${user} cannot log in: ${status} ${JSON.stringify(body)}`);
    return token;
  }

  async api<Body>(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer<Body>> {
    const token = options.token === undefined ? await this.adminToken() : options.token;
    const url = path.startsWith('http') ? path : `${this.urls.compute}${path}`;
    const answer = await request(url, {
      method: method as 'GET',
      dispatcher: this.#agent,
      signal: options.signal ?? AbortSignal.timeout(ANSWER_LIMIT_MS),
      headers: {
        accept: 'application/json',
        ...(token === null ? {} : { 'x-auth-token': token }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(options.microversion === undefined ? {} : { 'openstack-api-version': `compute ${options.microversion}` }),
        ...options.headers,
      },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: answer.statusCode, headers: answer.headers, body: parse(await answer.body.text()) as Body };
  }

  #spawn(env: NodeJS.ProcessEnv): void {
    const { args = [], env: given = {}, prefix = [] } = this.#options;
    const has = (flag: string): boolean => args.some((word) => word === flag || word.startsWith(`${flag}=`));
    const words = [
      ...prefix,
      process.execPath,
      LAUNCHER,
      'start',
      '--data',
      this.dataDir,
      '--port-offset',
      String(this.#place.offset),
      '--set',
      `ports.database=${DATABASE_PORT}`,
      ...(has('--driver') ? [] : ['--driver', 'simulated']),
      ...(has('--hosts') || has('--driver') ? [] : ['--hosts', '2']),
      ...args,
    ];
    const { PATH, HOME, TMPDIR } = process.env;
    // Away from any cluster.config.ts, and from what else the tester has set.
    const [program = '', ...rest] = words;
    const child = spawn(program, rest, { cwd: tmpdir(), env: { PATH, HOME, TMPDIR, ...given, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#said = '';
    const hear = (chunk: Buffer): void => void (this.#said += chunk.toString('utf8'));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => ((this.#said += `${error.message}\n`), resolve({ code: null, signal: null })));
      child.once('close', (code, signal) => resolve({ code, signal }));
    });
    if (child.pid !== undefined) this.#place.keep(child.pid);
  }

  async #up(): Promise<void> {
    let ended: Exit | undefined;
    void this.#exit.then((exit) => (ended = exit));
    const isSettled = (): boolean => ended !== undefined || this.#said.includes(' is up: node ');
    const inTime = await gone(isSettled, systemClock, START_LIMIT_MS);
    if (inTime && ended === undefined) return;
    await this.kill9();
    const how = ended === undefined ? `took longer than ${START_LIMIT_MS} ms` : `ended with ${ended.code ?? ended.signal}`;
    throw new Error(`the cloud did not start (it ${how}):\n${this.#said}\n${tail(join(this.dataDir, 'novact.log'))}`);
  }

  #token(user: 'admin' | 'demo', project: string): Promise<string> {
    let token = this.#tokens.get(user);
    if (token === undefined) {
      token = this.login({ user, password: passwordsOf(this.dataDir)[user], project });
      this.#tokens.set(user, token);
      token.catch(() => this.#tokens.delete(user));
    }
    return token;
  }

  #storePath(): string {
    return join(realOr(this.dataDir), 'postgres/data');
  }
}

/** Of the first accounts, as the files for clients say them. */
export function passwordsOf(dataDir: string): { readonly admin: string; readonly demo: string } {
  const file = parseYaml(readFileSync(join(dataDir, 'clouds.yaml'), 'utf8')) as { clouds: { [cloud: string]: { auth: { password: string } } } };
  return { admin: file.clouds['novact-admin']?.auth.password ?? '', demo: file.clouds['novact']?.auth.password ?? '' };
}

/** Ends a process of this test by its number and waits for its end. */
export async function endProcess(pid: number, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  try {
    process.kill(pid, signal);
  } catch {
    return; // gone
  }
  await gone(() => seenProcess(pid) === undefined, systemClock, KILL_LIMIT_MS);
}

function realOr(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-15).join('\n');
  } catch {
    return '';
  }
}
