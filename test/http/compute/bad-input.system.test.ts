/** Every refusal of the table again, over HTTP at a whole node: its own store, identity, images and hosts. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../actors/settings.ts';
import { startNode } from '../../../index.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { Lifecycle } from '../../../runtime/node/lifecycle.ts';
import { passwordsOf } from '../../doubles/cloud.ts';
import { attemptsIn } from './bad-input.ts';
import type { World } from './bad-input.ts';
import { memberOf } from './rig.ts';

const ACTIVE_WITHIN_MS = 20_000;
const TRIES = 8;
const ID = (n: number): string => `10000000-0000-4000-8000-00000000000${n}`;
/** Stands for what is known only when the node runs. */
const PLACEHOLDERS: World = {
  base: '/v2.1',
  imageId: ID(1),
  flavorId: '42',
  disabledFlavorId: null,
  queuedImageId: ID(2),
  foreignImageId: ID(3),
  largeImageId: ID(4),
  ownServerId: ID(5),
  foreignServerId: ID(6),
  tokens: { member: 'TOKEN-member', admin: 'TOKEN-admin', expired: 'TOKEN-expired', unscoped: 'TOKEN-unscoped' },
};

const directory = mkdtempSync(join(tmpdir(), 'compute-'));
const lifecycle = new Lifecycle({ clock: systemClock, log: silentLog });
const urls = new Map<string, string>();
const real = new Map<string, string>();

type Asked = {
  readonly token?: string | null;
  readonly headers?: { [name: string]: string };
  readonly raw?: string | Buffer;
  readonly body?: unknown;
  readonly version?: string;
};

async function ask(method: string, url: string, { token, headers = {}, raw, body, version }: Asked = {}) {
  const all: { [name: string]: string } = { ...(raw === undefined && body === undefined ? {} : { 'content-type': 'application/json' }), ...headers };
  if (typeof token === 'string') all['x-auth-token'] = token;
  if (version !== undefined) all['openstack-api-version'] = `compute ${version}`;
  const answer = await request(url, { method: method as 'GET', headers: all, body: raw ?? (body === undefined ? null : JSON.stringify(body)) });
  const text = await answer.body.text();
  const parsed: unknown = text === '' ? undefined : JSON.parse(text);
  return { status: answer.statusCode, headers: answer.headers, text, at: (...path: string[]): unknown => path.reduce(memberOf, parsed) };
}

async function login(name: string, password: string, project: string | null): Promise<string> {
  const identity = { methods: ['password'], password: { user: { name, domain: { name: 'Default' }, password } } };
  const scope = project === null ? { scope: 'unscoped' } : { scope: { project: { name: project, domain: { name: 'Default' } } } };
  const { headers, status, text } = await ask('POST', `${urls.get('Identity')}/auth/tokens`, { body: { auth: { identity, ...scope } } });
  if (status !== 201) throw new Error(`login of ${name}: ${status} ${text}`);
  return String(headers['x-subject-token']);
}

async function makeImage(token: string, some: object, bytes?: string): Promise<string> {
  const image = await ask('POST', `${urls.get('Image')}/v2/images`, { token, body: { name: 'test', disk_format: 'raw', container_format: 'bare', ...some } });
  if (bytes !== undefined) {
    await ask('PUT', `${urls.get('Image')}/v2/images/${String(image.at('id'))}/file`, {
      token,
      raw: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    });
  }
  return String(image.at('id'));
}

async function makeServer(token: string): Promise<string> {
  const compute = String(urls.get('Compute'));
  const made = await ask('POST', `${compute}/servers`, { token, body: { server: { name: 'test', imageRef: real.get(ID(1)), flavorRef: '42' } } });
  if (made.status !== 202) throw new Error(`create: ${made.status} ${made.text}`);
  const id = String(made.at('server', 'id'));
  const untilMs = systemClock.monotonicMs() + ACTIVE_WITHIN_MS;
  for (;;) {
    const now = await ask('GET', `${compute}/servers/${id}`, { token });
    if (now.at('server', 'status') === 'ACTIVE') return id;
    if (now.at('server', 'status') === 'ERROR' || systemClock.monotonicMs() > untilMs) throw new Error(`not active: ${now.text}`);
    await systemClock.sleep(50);
  }
}

/** Some offset whose ports are all free. */
async function openNode(): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const offset = 200 + Math.floor(systemRandom.next() * 90) * 100;
    try {
      const config = await loadConfig({ flags: { data: join(directory, 'data'), portOffset: String(offset), hosts: '2' }, env: {}, cwd: directory });
      const view = await startNode(config, { clock: systemClock, random: systemRandom, log: silentLog, lifecycle });
      for (const { name, url } of view.services) urls.set(name, url);
      return;
    } catch (error) {
      if (attempt === TRIES || !/port/i.test(String(error))) throw error;
    }
  }
}

beforeAll(async () => {
  await openNode();
  const secrets = passwordsOf(join(directory, 'data'));
  const [member, admin, unscoped, ended] = await Promise.all([
    login('demo', secrets.demo, 'demo'),
    login('admin', secrets.admin, 'admin'),
    login('demo', secrets.demo, null),
    login('demo', secrets.demo, 'demo'),
  ]);
  await ask('DELETE', `${urls.get('Identity')}/auth/tokens`, { token: ended, headers: { 'x-subject-token': ended } });
  for (const [name, token] of Object.entries({ member, admin, unscoped, expired: ended })) real.set(`TOKEN-${name}`, token);
  real.set(ID(1), await makeImage(admin, { visibility: 'public' }, 'x'.repeat(1_024)));
  real.set(ID(2), await makeImage(member, {}));
  real.set(ID(3), await makeImage(admin, { visibility: 'private' }, 'x'));
  real.set(ID(4), await makeImage(member, { min_disk: 500 }, 'x'));
  real.set(ID(5), await makeServer(member));
  real.set(ID(6), await makeServer(admin));
});

afterAll(async () => {
  await lifecycle.stop();
  rmSync(directory, { recursive: true, force: true });
});

function filled(text: string): string {
  let out = text;
  for (const [placeholder, value] of real) out = out.replaceAll(placeholder, value);
  return out;
}

function filledOptions(options: Asked): Asked {
  const { raw, ...rest } = options;
  const out: Asked = JSON.parse(filled(JSON.stringify(rest)));
  return raw === undefined ? out : { ...out, raw: typeof raw === 'string' ? filled(raw) : raw };
}

describe('a whole node refuses', () => {
  for (const row of attemptsIn(PLACEHOLDERS)) {
    it(row.name, async () => {
      const compute = String(urls.get('Compute')).replace(/\/v2\.1$/, '');
      const answer = await ask(row.method, `${compute}${filled(row.path)}`, filledOptions(row.options));
      expect(answer.status, answer.text.slice(0, 300)).toBe(row.status);
      expect(answer.at(row.member, 'code')).toBe(row.status);
      if (row.says) expect(answer.at(row.member, 'message')).toMatch(new RegExp(filled(row.says.source)));
    });
  }

  it('more servers than the quota of the project allows, by name', async () => {
    const compute = String(urls.get('Compute'));
    const token = String(real.get('TOKEN-member'));
    const project = String((await ask('GET', `${compute}/servers/${real.get(ID(5))}`, { token })).at('server', 'tenant_id'));
    const admin = String(real.get('TOKEN-admin'));
    await ask('PUT', `${compute}/os-quota-sets/${project}`, { token: admin, body: { quota_set: { instances: 0, force: true } } });
    const answer = await ask('POST', `${compute}/servers`, { token, body: { server: { name: 'n', imageRef: real.get(ID(1)), flavorRef: '42' } } });
    expect([answer.status, answer.at('forbidden', 'message')]).toEqual([403, expect.stringContaining('instances')]);
    await ask('DELETE', `${compute}/os-quota-sets/${project}`, { token: admin });
  });
});
