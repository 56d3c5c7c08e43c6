/**
 * The folder of an embedded server: `data` (made by initdb, whole or not at all), `run` (its socket), `password`,
 * `server.log`. Everything is closed to other accounts. An existing store is never changed nor removed here.
 */
import { spawn } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Fault } from '../../base/fault.ts';
import type { Random } from '../../base/random.ts';
import { syncFolder, writeWhole } from '../../base/whole-file.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';

export const DATABASE = 'novact';
export const ROLE = 'novact';
/** What a socket's address takes, its end included (`sun_path`, less the closing zero). */
export const SOCKET_PATH_MAX = 107;
const SHORT_PREFIX = 'novact-pg-';
const PASSWORD_BYTES = 32;
const INITDB_MS = 120_000;
const LOG_MAX_BYTES = 10 * 1024 * 1024;

export type StoreFolder = { readonly dir: string; readonly storePath: string; readonly passwordFile: string; readonly logFile: string };

/** Makes the folder. Its path is the true one, links resolved: the server is recognised by it. */
export function openStoreFolder(dataDir: string): StoreFolder {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const dir = realpathSync(dataDir);
    readdirSync(dir);
    return { dir, storePath: join(dir, 'data'), passwordFile: join(dir, 'password'), logFile: join(dir, 'server.log') };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('unavailable', 'store.folder', `The database folder ${dataDir} cannot be used: ${why}. Choose another with --data.`, { cause });
  }
}

export function hasStore({ storePath }: StoreFolder): boolean {
  return existsSync(storePath);
}

/** Fault `unsupported` when the store was made by another major version, `unavailable` when it is no store at all. */
export function checkStore(folder: StoreFolder, binaries: Binaries): void {
  const { storePath } = folder;
  const rest = `Move ${folder.dir} away to start with an empty store, or name a PostgreSQL server in the setting database.url.`;
  for (const part of ['PG_VERSION', 'global/pg_control', 'base', 'pg_wal']) {
    if (existsSync(join(storePath, part))) continue;
    throw new Fault('unavailable', 'store.damaged', `The store in ${storePath} is damaged: ${part} is missing. Restore it from a backup. ${rest}`);
  }
  const made = Number(readFileSync(join(storePath, 'PG_VERSION'), 'utf8').trim());
  if (made !== binaries.major) {
    const message = `The store in ${storePath} was made by PostgreSQL ${made || 'of an unknown version'}; this novact brings ${binaries.version}, which cannot read it. `;
    throw new Fault('unsupported', 'store.version', message + `Use the novact that made it. ${rest}`);
  }
}

export function readPassword({ passwordFile, dir }: StoreFolder): string {
  try {
    return readFileSync(passwordFile, 'utf8').trim();
  } catch (cause) {
    const message = `The store in ${dir} cannot be opened: its password file ${passwordFile} cannot be read. Restore the file, or move ${dir} away to start with an empty store.`;
    throw new Fault('unavailable', 'store.password', message, { cause });
  }
}

/** Makes an empty store under a name of its own and renames it when it is complete: a kill in between leaves none. */
export async function makeStore(
  folder: StoreFolder,
  account: Account,
  binaries: Binaries,
  environment: NodeJS.ProcessEnv,
  random: Random,
  signal: AbortSignal,
): Promise<void> {
  for (const name of readdirSync(folder.dir)) {
    if (name.startsWith('new-')) rmSync(join(folder.dir, name), { recursive: true, force: true });
  }
  writeWhole(folder.passwordFile, `${random.bytes(PASSWORD_BYTES).toString('base64url')}\n`);
  give(folder.passwordFile, account);
  const fresh = join(folder.dir, `new-${random.bytes(6).toString('hex')}`);
  const options = [
    '-D',
    fresh,
    '-U',
    ROLE,
    `--pwfile=${folder.passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-instructions',
  ];
  try {
    await run(account, binaries.initdb, options, environment, signal);
    renameSync(fresh, folder.storePath);
    syncFolder(folder.dir);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw error;
  }
}

/**
 * A folder for the socket whose address is short enough: `run` in the store's folder, else a new one of our own in the
 * machine's folder for such things.
 */
export function openSocketDir(folder: StoreFolder, port: number, account: Account): { socketDir: string; temporary: boolean } {
  const own = join(folder.dir, 'run');
  const fits = (dir: string) => Buffer.byteLength(join(dir, `.s.PGSQL.${port}.lock`)) <= SOCKET_PATH_MAX;
  if (fits(own)) {
    mkdirSync(own, { recursive: true, mode: 0o700 });
    give(own, account);
    return { socketDir: own, temporary: false };
  }
  const base = fits(join(tmpdir(), `${SHORT_PREFIX}xxxxxx`)) ? tmpdir() : '/tmp';
  const socketDir = mkdtempSync(join(realpathSync(base), SHORT_PREFIX));
  give(socketDir, account);
  return { socketDir, temporary: true };
}

/** Removes what a killed server left of its socket: the lock beside it names a process number that may be another's. */
export function dropSocket(socketDir: string, port: number, folder: StoreFolder): void {
  if (socketDir !== join(folder.dir, 'run') && !isTemporary(socketDir)) return;
  for (const suffix of ['', '.lock']) rmSync(join(socketDir, `.s.PGSQL.${port}${suffix}`), { force: true });
}

/** Removes a socket's folder of a former run, if it is one that was made for that run alone. */
export function dropSocketDir(socketDir: string): void {
  if (isTemporary(socketDir)) rmSync(socketDir, { recursive: true, force: true });
}

function isTemporary(socketDir: string): boolean {
  return basename(socketDir).startsWith(SHORT_PREFIX);
}

/** Opened for appending; one that has grown large is set aside, and only one such is kept. */
export function openServerLog({ logFile }: StoreFolder, account: Account): number {
  if (existsSync(logFile) && statSync(logFile).size > LOG_MAX_BYTES) renameSync(logFile, `${logFile}.1`);
  const file = openSync(logFile, 'a', 0o600);
  give(logFile, account);
  return file;
}

/** The end of the server's log from byte `from` on, for a sentence. */
export function logTail({ logFile }: StoreFolder, from: number): string {
  const lines = readFileSync(logFile).subarray(from).toString('utf8').trim().split('\n');
  return lines.slice(-6).join('\n');
}

function give(path: string, account: Account): void {
  if (process.getuid?.() !== 0) return;
  chownSync(path, account.uid, account.gid);
}

async function run(account: Account, program: string, args: string[], environment: NodeJS.ProcessEnv, signal: AbortSignal): Promise<void> {
  const command = account.command(program, args);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const child = spawn(command.program, command.args, {
    cwd: '/',
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
    signal: AbortSignal.any([signal, AbortSignal.timeout(INITDB_MS)]),
    ...(command.uid === undefined ? {} : { uid: command.uid }),
    ...(command.gid === undefined ? {} : { gid: command.gid }),
  });
  let text = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(-4_000)));
  child.on('error', reject);
  child.on('close', (code) => {
    if (code === 0) return resolve();
    reject(new Fault('unavailable', 'store.init', `The store could not be made: ${text.trim() || `initdb ended with ${code}`}`));
  });
  await promise;
}
