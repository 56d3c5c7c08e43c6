/** What people meet first: the start, its refusals, its end, and a start after a crash. */
import { execFile } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { allPids, seenProcess } from '../../runtime/base/proc.ts';
import { settled } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { CHECKOUT, endProcess, lacks, LAUNCHER, startCloud, type Cloud } from '../doubles/cloud.ts';

const run = promisify(execFile);
const NOBODY = 65_534;
const END_MS = 20_000;

type Ended = { readonly code: number | string | null; readonly out: string; readonly err: string };
type ServerBody = { server: { id: string; status: string } };

function novact(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [LAUNCHER, ...args], { cwd: tmpdir(), env: { PATH: process.env['PATH'] } }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

/** Everything that still works in a folder or was started on it. */
function processesOn(folder: string): string[] {
  return allPids().flatMap((pid) => {
    const seen = seenProcess(pid);
    const names = seen?.cwd?.startsWith(folder) === true || seen?.command.some((word) => word.includes(folder)) === true;
    return names && pid !== process.pid ? [`${pid} ${seen?.command.join(' ')}`] : [];
  });
}

async function boot(cloud: Cloud, name: string): Promise<string> {
  const server = { name, flavorRef: '42', imageRef: await tinyImage(cloud), networks: 'auto' };
  const { status, body } = await cloud.api<ServerBody>('POST', '/servers', { server }, { microversion: '2.37' });
  expect(status).toBe(202);
  expect(await settled(cloud, END_MS)).toEqual([]);
  return body.server.id;
}

/** All that nodes of the cloud share; where they lie, and nowhere else. */
async function secretsOf({ databaseUrl }: Cloud): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ value: string }>('select value from cell_secret');
    expect(rows).toHaveLength(4);
    return rows.map(({ value }) => value);
  } finally {
    await client.end();
  }
}

async function statusOf(cloud: Cloud, id: string): Promise<string> {
  return (await cloud.api<ServerBody>('GET', `/servers/${id}`)).body.server.status;
}

describe('a running cloud', () => {
  let cloud: Cloud;
  beforeAll(async () => void (cloud = await startCloud()));
  afterAll(async () => await cloud?.close());

  it('says what listens where, what it drives, where things are kept, and what to type next', () => {
    const text = cloud.output();
    expect(text).toMatch(/^novact \d+\.\d+\.\d+ starts; its data is in /);
    expect(text).toMatch(/novact \S+ is up: node \S+, in [\d.]+ s\.\n/);
    for (const [name, url] of [
      ['Identity', cloud.urls.identity],
      ['Image', cloud.urls.image],
      ['Compute', cloud.urls.compute],
      ['Health', cloud.urls.health],
    ]) {
      expect(text).toMatch(new RegExp(`^ +${name} +${url}$`, 'm'));
    }
    expect(text).toMatch(/^ +Hosts +2 simulated$/m);
    expect(text).toMatch(/^ +Database +embedded PostgreSQL \d+\.\d+$/m);
    expect(text).toContain(cloud.dataDir);
    expect(text).toContain(`export OS_CLIENT_CONFIG_FILE=${join(cloud.dataDir, 'clouds.yaml')} OS_CLOUD=novact`);
    expect(text).toMatch(/^ +openstack server create --flavor m1\.tiny --image tiny .*first$/m);
    expect(text).toContain('Stop with Ctrl-C.');
  });

  it('keeps what it stores to its own account, and shows no secret', async () => {
    for (const name of ['clouds.yaml', 'openrc', 'mesh-key.json', 'novact.log', 'postgres/password']) {
      expect([name, statSync(join(cloud.dataDir, name)).mode & 0o077]).toEqual([name, 0]);
    }
    const { stdout: log } = await run('cat', [join(cloud.dataDir, 'novact.log')]);
    expect(existsSync(join(cloud.dataDir, 'secrets.json'))).toBe(false);
    for (const secret of await secretsOf(cloud)) expect(cloud.output() + log).not.toContain(secret);
  });

  it('is told by `novact status`, and well', async () => {
    const { code, out } = await novact(['status', '--data', cloud.dataDir]);
    expect([code, out]).toEqual([0, expect.stringMatching(new RegExp(`process ${cloud.pid()}[^]*health +well`))]);
  });

  it('refuses a second start on its data, saying who has it and what to do', async () => {
    const { code, err } = await novact(['start', '--data', cloud.dataDir, '--port-offset', '9000']);
    expect(code).toBe(1);
    expect(err).toMatch(
      new RegExp(
        `^The data folder ${cloud.dataDir} is in use by novact process ${cloud.pid()}, since \\S+\\. Stop it first, or start this one with another folder and other ports: `,
      ),
    );
  });

  it('says by whom each port is taken, and which are free', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'novact-ports-'));
    try {
      const { code, err } = await novact(['start', '--data', folder, '--port-offset', String(cloud.portOffset), '--set', 'ports.database=3009']);
      expect(code).toBe(1);
      expect(err).toContain('Some ports cannot be used:');
      for (const name of ['identity', 'image', 'compute', 'health', 'mesh']) {
        expect(err).toMatch(new RegExp(`port \\d+ on 127\\.0\\.0\\.1 \\(${name}\\) is taken by process ${cloud.pid()} \\(`));
      }
      expect(err).toMatch(/--port-offset/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('an end and a new start', () => {
  let cloud: Cloud;
  beforeAll(async () => void (cloud = await startCloud({ prefix: ['setsid'] })));
  afterAll(async () => await cloud?.close());

  it('ends with 0 on Ctrl-C, which reaches its whole process group, and leaves no process', async () => {
    process.kill(-cloud.pid(), 'SIGINT');
    expect(await cloud.exited()).toEqual({ code: 0, signal: null });
    expect(cloud.output()).toContain('Stopping (SIGINT); once more ends at once.');
    expect(processesOn(cloud.dataDir).filter((words) => !words.includes('keeper'))).toEqual([]);
    expect(existsSync(join(cloud.dataDir, 'node.json'))).toBe(false);
    await cloud.restart();
  });

  it('keeps servers, images and tokens over a restart', async () => {
    const id = await boot(cloud, 'kept');
    const image = await tinyImage(cloud);
    const token = await cloud.demoToken();
    expect(await cloud.stop()).toEqual({ code: 0, signal: null });
    await cloud.restart();
    expect(await statusOf(cloud, id)).toBe('ACTIVE');
    expect(await tinyImage(cloud)).toBe(image);
    expect((await cloud.api('GET', '/servers', undefined, { token })).status).toBe(200);
    expect(await settled(cloud, END_MS)).toEqual([]);
  });

  it('takes over the database that a killed process left', async () => {
    const id = await boot(cloud, 'survivor');
    const database = cloud.databasePid();
    await cloud.kill9();
    await cloud.restart();
    expect(cloud.databasePid()).toBe(database);
    expect(cloud.output()).toContain('taken over from a former process');
    expect(await statusOf(cloud, id)).toBe('ACTIVE');
  });

  it('starts a new database when both were killed', async () => {
    const id = await boot(cloud, 'twice');
    await cloud.kill9();
    await endProcess(cloud.databasePid() ?? 0);
    await cloud.restart();
    expect(await statusOf(cloud, id)).toBe('ACTIVE');
    expect(await settled(cloud, END_MS)).toEqual([]);
  });

  it('goes on when its database is killed: what was there is there, and new servers are made', async () => {
    const server = { name: 'after', flavorRef: '42', imageRef: await tinyImage(cloud), networks: 'auto' };
    await endProcess(cloud.databasePid() ?? 0);
    const endMs = systemClock.monotonicMs() + END_MS;
    let status = 0;
    while (status !== 202 && systemClock.monotonicMs() < endMs) {
      status = (await cloud.api('POST', '/servers', { server }, { microversion: '2.37', headers: { 'idempotency-key': 'after' } })).status;
      expect([202, 503]).toContain(status);
    }
    expect(status).toBe(202);
    expect(await settled(cloud, END_MS)).toEqual([]);
  });
});

describe('a start', () => {
  it('works for an ordinary account', async (ctx) => {
    if (process.getuid?.() !== 0) return ctx.skip('needs root: this account is an ordinary one already');
    const prefix = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];
    const mayRead = await run(prefix[0] ?? '', [...prefix.slice(1), process.execPath, LAUNCHER, '--version'], { cwd: '/' }).then(
      () => true,
      () => false,
    );
    if (!mayRead) return ctx.skip(`needs a checkout that other accounts may read: ${CHECKOUT}`);
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-nobody-')));
    chownSync(folder, NOBODY, NOBODY);
    try {
      const cloud = await startCloud({ prefix, dataDir: join(folder, 'data'), env: { HOME: folder } });
      try {
        expect(statSync(join(cloud.dataDir, 'postgres/data')).uid).toBe(NOBODY);
        expect(await statusOf(cloud, await boot(cloud, 'first'))).toBe('ACTIVE');
        expect(await cloud.stop('SIGINT')).toEqual({ code: 0, signal: null });
      } finally {
        await cloud.close();
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('needs no network but loopback', async (ctx) => {
    const apart = process.getuid?.() === 0 ? ['unshare', '--net'] : ['unshare', '--user', '--map-root-user', '--net'];
    const prefix = [...apart, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
    const can = await run(prefix[0] ?? '', [...prefix.slice(1), 'true']).then(
      () => true,
      () => false,
    );
    if (!can) return lacks(ctx.skip, 'a network namespace of its own');
    const cloud = await startCloud({ prefix });
    try {
      const inside = ['-t', String(cloud.pid()), ...(apart.length > 2 ? ['-U', '--preserve-credentials'] : []), '-n', '--'];
      const { stdout } = await run('nsenter', [...inside, process.execPath, LAUNCHER, 'status', '--data', cloud.dataDir]);
      expect(stdout).toMatch(/health +well/);
      expect(await cloud.stop()).toEqual({ code: 0, signal: null });
    } finally {
      await cloud.close();
    }
  });

  it('takes back what it began when it is stopped in the middle', async () => {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-early-')));
    try {
      const cloud = await startCloud({ dataDir: folder });
      await cloud.close();
      for (const moment of ['database', 'identity', 'shards']) {
        const { code, left } = await stopAt(folder, cloud.portOffset, moment);
        expect([moment, code, left]).toEqual([moment, 0, []]);
      }
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

/** Starts, asks for the stop when that stage is told to be up, and tells how it ended. */
async function stopAt(dataDir: string, offset: number, stage: string): Promise<{ code: number | string | null; left: string[] }> {
  const { promise, resolve } = Promise.withResolvers<number | string | null>();
  const args = [LAUNCHER, 'start', '--data', dataDir, '--port-offset', String(offset), '--set', 'ports.database=3009', '--hosts', '2'];
  const child = execFile(process.execPath, args, { cwd: tmpdir(), env: { PATH: process.env['PATH'] } }, (error) => resolve(error?.code ?? error?.signal ?? 0));
  try {
    child.stdout?.on('data', (chunk: string) => {
      if (chunk.includes(`  ${stage} `)) child.kill('SIGTERM');
    });
    return { code: await promise, left: processesOn(dataDir) };
  } finally {
    child.kill('SIGKILL');
  }
}
