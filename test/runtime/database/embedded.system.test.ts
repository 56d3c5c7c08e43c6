import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { seenProcess } from '../../../runtime/base/proc.ts';
import { openEmbeddedPostgres, type EmbeddedOptions, type EmbeddedPostgres } from '../../../runtime/database/embedded.ts';
import { findBinaries } from '../../../runtime/database/embedded/binaries.ts';
import { gone, provenServer, readLockFile, systemIdentifier } from '../../../runtime/database/embedded/postmaster.ts';

const PROGRAM = join(import.meta.dirname, 'embedded-program.ts');
const PORT = 54_329; // names the socket in a folder of the test's own
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let folder: string;
let opened: EmbeddedPostgres[];
let children: ChildProcess[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pg-'));
  opened = [];
  children = [];
});

afterEach(async () => {
  for (const server of opened) await server.close();
  for (const child of children) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  for (const name of ['pg', 'closed/pg']) {
    const left = readLockFile(join(folder, name, 'data'));
    if (left && provenServer(left.pid, join(folder, name, 'data'))) process.kill(left.pid, 'SIGKILL');
  }
  rmSync(folder, { recursive: true, force: true });
});

describe('embedded PostgreSQL', { timeout: 90_000 }, () => {
  it('makes a store once, keeps what was committed, and is gone after close', async () => {
    const first = await open();
    expect(first.how).toBe('made');
    await query(first.url, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)');
    await first.close();
    expect(seenProcess(first.pid)).toBeUndefined();

    const second = await open();
    expect(second.how).toBe('started');
    expect(await query(second.url, 'SELECT n FROM kept')).toEqual([{ n: 1 }]);
  });

  it('keeps full durability, listens on no network, and asks for a password', async () => {
    const server = await open();
    const settings = Object.fromEntries((await query(server.url, 'SELECT name, setting FROM pg_settings')).map((row) => [row['name'], row['setting']]));
    expect(settings).toMatchObject({ fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', listen_addresses: '', jit: 'off', max_connections: '40' });
    const [row] = await query(server.url, 'SHOW server_encoding');
    expect(row).toEqual({ server_encoding: 'UTF8' });
    await expect(query(server.url.replace(/:[^:@]+@/, ':wrong@'), 'SELECT 1')).rejects.toThrow(/password/);
  });

  it('closes its folder to other accounts', async () => {
    await open();
    const mode = (name: string) => statSync(join(folder, 'pg', name)).mode & 0o777;
    expect([mode('.'), mode('data'), mode('run'), mode('password'), mode('server.log')]).toEqual([0o700, 0o700, 0o700, 0o600, 0o600]);
  });

  it('is taken over, not started twice, after its node was killed', async () => {
    const { child, told } = await openInChild();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(seenProcess(told.pid)).toBeDefined();

    const server = await open();
    expect(server).toMatchObject({ how: 'adopted', pid: told.pid, url: told.url });
    await query(server.url, 'SELECT 1');
  });

  it('ends a server left behind that runs with other settings, and starts its own', async () => {
    const { child, told } = await openInChild();
    child.kill('SIGKILL');
    await once(child, 'exit');
    const server = await open({ port: PORT + 1 });
    expect(server.how).toBe('started');
    expect(seenProcess(told.pid)).toBeUndefined();
  });

  it('ends a server left behind that does not answer', async () => {
    const { child, told } = await openInChild();
    child.kill('SIGKILL');
    await once(child, 'exit');
    process.kill(told.pid, 'SIGSTOP');
    const server = await open();
    expect(server.how).toBe('started');
    expect(seenProcess(told.pid)).toBeUndefined();
  });

  it('never signals a process that was given the number of a dead server', async () => {
    const server = await open();
    await query(server.url, 'CREATE TABLE kept (n int)');
    const storePath = join(folder, 'pg', 'data');
    const bystander = spawn('sleep', ['60']);
    children.push(bystander);
    await once(bystander, 'spawn');
    const lockText = readFileSync(join(storePath, 'postmaster.pid'), 'utf8');
    await server.close();
    writeFileSync(join(storePath, 'postmaster.pid'), lockText.replace(/^\d+/, String(bystander.pid)), { mode: 0o600 });

    const again = await open();
    expect(again.how).toBe('started');
    expect(bystander.exitCode).toBeNull();
    expect(seenProcess(bystander.pid ?? 0)).toBeDefined();
  });

  it('is started again under the same URL when it dies while open', async () => {
    const server = await open();
    await query(server.url, 'CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)');
    const died = server.pid;
    process.kill(died, 'SIGKILL');
    expect(await gone(() => server.pid !== died, systemClock, 60_000)).toBe(true);
    expect(await query(server.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }]);
  });

  it('is ended at close even when its folder was removed under it', async () => {
    const server = await open();
    rmSync(join(folder, 'pg'), { recursive: true, force: true });
    await server.close();
    expect(seenProcess(server.pid)).toBeUndefined();
  });

  it('puts its socket in a short folder when its own path is too long for one, and removes it', async () => {
    const server = await open({ dataDir: join(folder, 'x'.repeat(100), 'pg') });
    const socketDir = decodeURIComponent(/@([^:]+):/.exec(server.url)?.[1] ?? '');
    expect(Buffer.byteLength(socketDir)).toBeLessThan(80);
    expect(statSync(socketDir).mode & 0o777).toBe(0o700);
    await query(server.url, 'SELECT 1');
    await server.close();
    expect(existsSync(socketDir)).toBe(false);
  });

  it('works in a folder whose name holds spaces, quotes and percent signs', async () => {
    const server = await open({ dataDir: join(folder, `a b%2F"'`, 'pg') });
    await query(server.url, 'SELECT 1');
  });

  it('listens on loopback only when asked', async () => {
    const port = await freePort();
    const server = await open({ port, listen: '127.0.0.1' });
    const [, password] = /:([^:@]+)@/.exec(server.url) ?? [];
    expect(await query(`postgresql://novact:${password}@127.0.0.1:${port}/novact`, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  it('says so when the store was made by another version, and leaves it alone', async () => {
    await (await open()).close();
    const version = join(folder, 'pg/data/PG_VERSION');
    writeFileSync(version, '12\n');
    await expect(open()).rejects.toMatchObject({
      code: 'unsupported',
      reason: 'store.version',
      message: expect.stringMatching(/made by PostgreSQL 12.*brings 18/),
    });
    expect(readFileSync(version, 'utf8')).toBe('12\n');
  });

  it('says so when the store is damaged, with the end of the server’s own log', async () => {
    await (await open()).close();
    rmSync(join(folder, 'pg/data/global/pg_control'));
    await expect(open()).rejects.toMatchObject({ reason: 'store.damaged', message: expect.stringContaining('global/pg_control is missing') });
    writeFileSync(join(folder, 'pg/data/global/pg_control'), 'nonsense');
    await expect(open()).rejects.toMatchObject({ reason: 'store.start', message: expect.stringMatching(/server\.log:\n.*(FATAL|PANIC)/s) });
  });

  it('says so when the password is lost', async () => {
    await (await open()).close();
    rmSync(join(folder, 'pg/password'));
    await expect(open()).rejects.toMatchObject({ reason: 'store.password', message: expect.stringContaining('password file') });
  });

  it('leaves nothing when it is broken off while the store is made, and can be opened after', async () => {
    const breaking = new AbortController();
    const opening = open({ signal: breaking.signal, progress: () => setImmediate(() => breaking.abort()) });
    await expect(opening).rejects.toThrow();
    expect(existsSync(join(folder, 'pg/data'))).toBe(false);
    expect((await open()).how).toBe('made');
  });

  it('makes the links between its libraries where the package is closed to it', async (ctx) => {
    needs(ctx, isRoot, 'root, to be another account');
    const links = join(folder, 'lib');
    const binaries = findBinaries(links);
    expect(binaries).toMatchObject({ version: '18.4', major: 18, libraryPath: undefined });
    const library = join(binaries.postgres, '../../lib/libicuuc.so.60');
    expect(existsSync(join(library, '..', readlinkSync(library)))).toBe(true);
  });

  it('knows a store by the number in its control file', async () => {
    const server = await open();
    const [row] = await query(server.url, 'SELECT system_identifier::text AS id FROM pg_control_system()');
    expect(systemIdentifier(join(folder, 'pg/data'))).toBe(row?.['id']);
  });

  it('runs for an ordinary account as that account', async (ctx) => {
    needs(ctx, isRoot, 'root, to be another account');
    chmodSync(folder, 0o777);
    const { told } = await openInChild(['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups']);
    expect(told.lines).toContainEqual(expect.objectContaining({ way: 'its own account' }));
    expect(statSync(`/proc/${told.pid}`).uid).toBe(NOBODY);
  });

  it('tells an ordinary account that the folder is another’s', async (ctx) => {
    needs(ctx, isRoot, 'root, to be another account');
    mkdirSync(join(folder, 'pg'), { mode: 0o700 });
    chmodSync(folder, 0o777);
    await expect(openInChild(['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'])).rejects.toThrow(/cannot be used: EACCES.*--data/);
  });

  describe('for root', () => {
    it('runs below a closed folder in a user namespace', async (ctx) => {
      needs(ctx, isRoot, 'root');
      mkdirSync(join(folder, 'closed'), { mode: 0o700 });
      const ways: string[] = [];
      const server = await open({ dataDir: join(folder, 'closed/pg'), log: logWays(ways) });
      needs(ctx, ways[0] === 'user namespace', 'user namespaces');
      await query(server.url, 'SELECT 1');
    });

    it('runs under another account where namespaces are forbidden, opening only its own folder', async (ctx) => {
      needs(ctx, isRoot, 'root');
      chmodSync(folder, 0o755);
      const within = join(folder, 'own');
      mkdirSync(within, { mode: 0o700 });
      const server = await open({ dataDir: join(within, 'pg'), within, ways: ['account'] });
      expect(statSync(`/proc/${server.pid}`).uid).not.toBe(0);
      expect(statSync(within).mode & 0o777).toBe(0o710);
      await query(server.url, 'SELECT 1');
    });

    it('passes closed folders with one capability when nothing else works, and gives the store back to a namespace later', async (ctx) => {
      needs(ctx, isRoot, 'root');
      mkdirSync(join(folder, 'closed'), { mode: 0o700 });
      const ways: string[] = [];
      const dataDir = join(folder, 'closed/pg');
      const first = await open({ dataDir, ways: ['account', 'capability'], log: logWays(ways) });
      expect(ways).toEqual([expect.stringContaining('passing closed folders')]);
      await query(first.url, 'CREATE TABLE kept (n int)');
      await first.close();
      const second = await open({ dataDir });
      expect(await query(second.url, 'SELECT n FROM kept')).toEqual([]);
    });

    it('says for each way why it failed when none works', async (ctx) => {
      needs(ctx, isRoot, 'root');
      mkdirSync(join(folder, 'closed'), { mode: 0o700 });
      await expect(open({ dataDir: join(folder, 'closed/pg'), ways: ['itself', 'account'] })).rejects.toMatchObject({
        code: 'unsupported',
        reason: 'store.account',
        message: expect.stringMatching(/account \w+: .*ordinary user.*database\.url/s),
      });
    });
  });
});

async function open(more: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  const signal = AbortSignal.timeout(60_000);
  const server = await openEmbeddedPostgres({ dataDir: join(folder, 'pg'), port: PORT, log: silentLog, clock: systemClock, signal, ...more });
  opened.push(server);
  return server;
}

type Told = { how: string; pid: number; url: string; lines: unknown[] };

async function openInChild(prefix: string[] = []): Promise<{ child: ChildProcess; told: Told }> {
  const words = [...prefix, process.execPath, PROGRAM, join(folder, 'pg'), String(PORT)];
  const child = spawn(words[0] ?? '', words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  children.push(child);
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaint += text));
  const ended = once(child, 'close').then(() => Promise.reject(new Error(complaint)));
  ended.catch(() => undefined);
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  return { child, told: JSON.parse(String(line)) };
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    const result = await client.query<Record<string, unknown>>(text);
    return Array.isArray(result) ? [] : result.rows;
  } finally {
    await client.end();
  }
}

function logWays(ways: string[]) {
  return { ...silentLog, info: (_: string, fields?: { readonly [key: string]: unknown }) => void (fields?.['way'] && ways.push(String(fields['way']))) };
}

function needs(ctx: TestContext, isThere: boolean, what: string): void {
  if (isThere) return;
  if (process.env['CI']) throw new Error(`needs ${what}`);
  ctx.skip(`needs ${what}`);
}

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return address !== null && typeof address === 'object' ? address.port : 0;
}
