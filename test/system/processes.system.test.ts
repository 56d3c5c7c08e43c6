/**
 * One machine, several processes: they answer on the same ports, one that is killed comes back while the others go on,
 * and none outlives the first, whether that is stopped or killed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seenProcess } from '../../runtime/base/proc.ts';
import { startCloud, type Answer, type Cloud } from '../doubles/cloud.ts';

const PROCESSES = 3;
const SERVERS = 6;
const ASKED_AT_ONCE = 48;
const WAIT_MS = 60_000;
/** Of the further processes, without offset: see ports.processes. */
const FURTHER_HEALTH = [7801, 7803];

type About = { readonly name: string; readonly pid: number; readonly state: string };

let cloud: Cloud;
let token: string;

beforeAll(async () => {
  cloud = await startCloud({ args: ['--name', 'box', '--processes', String(PROCESSES)] });
  token = await cloud.adminToken();
});

afterAll(() => cloud?.close());

describe('several processes of one machine', () => {
  it('are told in the summary', () => {
    expect(cloud.output()).toMatch(/ {2}Processes +3: box, box-2, box-3\n/);
  });

  it('share the shards and the port, and run servers', async () => {
    await until('all shards are shared', async () => (await Promise.all(healths().map(owned))).every((count) => count > 300));
    const { body } = await again<{ images: { id: string }[] }>('GET', `${cloud.urls.image}/v2/images`);
    const order = { server: { name: 'many', flavorRef: '42', imageRef: body.images[0]?.id, min_count: SERVERS, max_count: SERVERS } };
    expect((await cloud.api('POST', '/servers', order, { token })).status).toBe(202);
    await until('all are active', async () => {
      const servers = await list();
      return servers.length === SERVERS && servers.every(({ status }) => status === 'ACTIVE');
    });
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, list));
    const answered = await Promise.all(healths().map(requests));
    expect(answered.every((count) => count > 0)).toBe(true);
    expect(answered.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(ASKED_AT_ONCE);
  });

  it('hide what they need to know of one another from the command line', () => {
    for (const pid of further().map((one) => one.pid)) expect(seenProcess(pid)?.command.join(' ')).not.toMatch(/postgres|NOVACT/);
  });

  it('go on when one is killed, which comes back', async () => {
    const [victim] = further();
    process.kill(victim?.pid ?? 0, 'SIGKILL');
    expect(await Promise.all(Array.from({ length: ASKED_AT_ONCE }, list))).toHaveLength(ASKED_AT_ONCE);
    for (const { id } of await list()) expect((await again('POST', `/servers/${id}/action`, { 'os-stop': null })).status).toBe(202);
    await until('all are stopped', async () => (await list()).every(({ status }) => status === 'SHUTOFF'));
    await until('it is back', async () => further().some((one) => one.name === victim?.name && one.pid !== victim.pid && one.state === 'running'));
    const { body } = await cloud.api<{ parts: { processes: object } }>('GET', cloud.urls.health, undefined, { token: null });
    expect(body.parts.processes).toEqual({ well: true, wanted: PROCESSES - 1, running: PROCESSES - 1, restarts: 1 });
  });

  it('end when the first is killed, and it can be started again at once', async () => {
    const before = further();
    await cloud.kill9();
    await cloud.restart();
    expect(before.filter((one) => isAlive(one.pid))).toEqual([]);
    expect(await list()).toHaveLength(SERVERS);
  });

  it('end by themselves within seconds when the first is killed', async () => {
    const before = further();
    await cloud.kill9();
    await until('nothing is left', async () => before.every((one) => !isAlive(one.pid)));
    await cloud.restart();
  });

  it('end in order with the first', async () => {
    const before = further();
    expect(await cloud.stop('SIGINT')).toEqual({ code: 0, signal: null });
    expect(before.filter((one) => isAlive(one.pid))).toEqual([]);
    expect(cloud.output()).toMatch(/ processes +down/);
    expect(readFileSync(join(cloud.dataDir, 'novact.log'), 'utf8')).not.toContain('a further process did not stop in time');
  });
});

/** What the further processes wrote about themselves. */
function further(): About[] {
  return [2, 3].map((number) => JSON.parse(readFileSync(join(cloud.dataDir, 'processes', String(number), 'node.json'), 'utf8')) as About);
}

function isAlive(pid: number): boolean {
  return seenProcess(pid) !== undefined;
}

function healths(): string[] {
  return [cloud.urls.health, ...FURTHER_HEALTH.map((port) => `http://127.0.0.1:${port + cloud.portOffset}/health`)];
}

async function owned(health: string): Promise<number> {
  const { body } = await cloud.api<{ parts: { shards: { owned: number } } }>('GET', health, undefined, { token: null });
  return body.parts.shards.owned;
}

/** Answered by the process with this health. */
async function requests(health: string): Promise<number> {
  const { body } = await cloud.api<string>('GET', health.replace(/health$/, 'metrics'), undefined, { token: null });
  return [...body.matchAll(/^novact_http_requests_total\{.*\} (\d+)$/gm)].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function list(): Promise<readonly { id: string; status: string }[]> {
  const { status, body } = await again<{ servers: { id: string; status: string }[] }>('GET', '/servers/detail');
  expect(status).toBe(200);
  return body.servers;
}

/** As clients do: a connection that broke is made anew once, which may be to another process. */
async function again<Body>(method: string, path: string, body?: unknown): Promise<Answer<Body>> {
  return cloud.api<Body>(method, path, body, { token }).catch(() => cloud.api<Body>(method, path, body, { token }));
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!(await isSo().catch(() => false))) {
    if (Date.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}\n${cloud.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
