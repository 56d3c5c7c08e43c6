/** Who may see and do what, on a whole cloud: projects apart, roles, and tokens that are none (any more). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { query, settled } from '../chaos/checkers.ts';
import { tinyImage } from '../chaos/operations.ts';
import { startCloud, type Answer, type Cloud } from '../doubles/cloud.ts';

const END_MS = 20_000;
/** How long a service may believe what it has asked before. */
const BELIEVED_MS = 10_000;
const ABSENT = '5e7f1b1c-2d43-4b9f-8a57-0c7f6f7d9a11';

type Named = { id: string; name: string };
type Servers = { servers: Named[] };
type Person = { readonly id: string; readonly token: string };

describe('isolation', () => {
  let cloud: Cloud;
  let image: string;
  let serverId: string;
  const projects: { [name: string]: string } = {};
  const people: { [name: string]: Person } = {};

  beforeAll(async () => {
    cloud = await startCloud();
    image = await tinyImage(cloud);
    for (const name of ['red', 'blue']) projects[name] = (await identity<{ project: Named }>('POST', '/projects', { project: { name } })).body.project.id;
    for (const [name, project, role] of [
      ['rita', 'red', 'member'],
      ['bert', 'blue', 'member'],
      ['ruth', 'red', 'reader'],
    ] as const)
      await person(name, project, role);
    const made = await as<{ server: Named }>('rita', 'POST', '/servers', server('mine'));
    expect(made.status).toBe(202);
    serverId = made.body.server.id;
    expect(await settled(cloud, END_MS)).toEqual([]);
  });
  afterAll(async () => await cloud?.close());

  function identity<Body>(method: string, path: string, body?: unknown): Promise<Answer<Body>> {
    return cloud.api<Body>(method, `${cloud.urls.identity}${path}`, body);
  }
  function as<Body>(name: string, method: string, path: string, body?: unknown, microversion = '2.90'): Promise<Answer<Body>> {
    return cloud.api<Body>(method, path, body, { token: people[name]?.token ?? null, microversion });
  }
  const server = (name: string): object => ({ server: { name, flavorRef: '42', imageRef: image, networks: 'auto' } });

  async function person(name: string, project: string, role: string): Promise<void> {
    const { body } = await identity<{ user: Named }>('POST', '/users', {
      user: { name, password: `secret of ${name}`, default_project_id: projects[project] },
    });
    const roles = (await identity<{ roles: Named[] }>('GET', `/roles?name=${role}`)).body.roles;
    expect((await identity('PUT', `/projects/${projects[project]}/users/${body.user.id}/roles/${roles[0]?.id}`)).status).toBe(204);
    people[name] = { id: body.user.id, token: await cloud.login({ user: name, password: `secret of ${name}`, project }) };
  }

  /** Everything that names a server, with a body that would be right. */
  const DOORS: readonly [method: string, path: string, body?: unknown][] = [
    ['GET', ''],
    ['PUT', '', { server: { name: 'stolen' } }],
    ['DELETE', ''],
    ['GET', '/metadata'],
    ['POST', '/metadata', { metadata: { a: 'b' } }],
    ['PUT', '/metadata', { metadata: { a: 'b' } }],
    ['PUT', '/metadata/a', { meta: { a: 'b' } }],
    ['GET', '/metadata/a'],
    ['DELETE', '/metadata/a'],
    ['GET', '/tags'],
    ['PUT', '/tags', { tags: ['a'] }],
    ['PUT', '/tags/a'],
    ['DELETE', '/tags/a'],
    ['DELETE', '/tags'],
    ['GET', '/ips'],
    ['GET', '/ips/private'],
    ['GET', '/os-instance-actions'],
    ['POST', '/action', { 'os-start': null }],
    ['POST', '/action', { 'os-stop': null }],
    ['POST', '/action', { reboot: { type: 'HARD' } }],
    ['POST', '/action', { 'os-getConsoleOutput': {} }],
  ];

  it.each(DOORS)('hides another project’s server from %s %s %j, exactly as one that does not exist', async (method, path, body) => {
    const foreign = await as('bert', method, `/servers/${serverId}${path}`, body);
    const absent = await as('bert', method, `/servers/${ABSENT}${path}`, body);
    expect(foreign.status).toBe(404);
    expect(JSON.stringify(foreign.body).replaceAll(serverId, 'ID')).toBe(JSON.stringify(absent.body).replaceAll(ABSENT, 'ID'));
  });

  it('left the server as it was', async () => {
    const { body } = await as<{ server: { name: string; status: string; metadata: object; tags: string[] } }>('rita', 'GET', `/servers/${serverId}`);
    expect(body.server).toMatchObject({ name: 'mine', status: 'ACTIVE', metadata: {}, tags: [] });
  });

  it('lists only what is the project’s own, whatever is asked for', async () => {
    const names = async (who: string, search: string): Promise<string[]> =>
      (await as<Servers>(who, 'GET', `/servers/detail${search}`)).body.servers.map(({ name }) => name);
    expect(await names('rita', '')).toEqual(['mine']);
    for (const search of [
      '',
      '?name=mine',
      `?uuid=${serverId}`,
      `?project_id=${projects['red']}`,
      `?tenant_id=${projects['red']}`,
      `?user_id=${people['rita']?.id}`,
      '?limit=1000&sort_key=uuid',
    ]) {
      expect([search, await names('bert', search)]).toEqual([search, []]);
    }
    expect((await as('bert', 'GET', '/servers/detail?all_tenants=1')).status).toBe(403);
    expect((await as('bert', 'GET', `/servers?marker=${serverId}`)).status).toBe(400);
    expect((await cloud.api<Servers>('GET', '/servers?all_tenants=1')).body.servers.map(({ name }) => name)).toEqual(['mine']);
  });

  it('takes no project of the URL for the token’s', async () => {
    expect((await as('bert', 'GET', `/${projects['red']}/servers`)).status).toBe(400);
    expect((await as('bert', 'GET', `/${projects['blue']}/servers`)).status).toBe(200);
  });

  it('keeps images, key pairs and quota apart', async () => {
    const made = await cloud.api<Named>(
      'POST',
      `${cloud.urls.image}/v2/images`,
      { name: 'private', disk_format: 'raw', container_format: 'bare', visibility: 'private' },
      { token: people['rita']?.token ?? null },
    );
    expect(made.status).toBe(201);
    for (const method of ['GET', 'DELETE']) {
      expect((await cloud.api(method, `${cloud.urls.image}/v2/images/${made.body.id}`, undefined, { token: people['bert']?.token ?? null })).status).toBe(404);
    }
    expect((await as('bert', 'POST', '/servers', { server: { name: 'x', flavorRef: '42', imageRef: made.body.id, networks: 'auto' } })).status).toBe(400);
    expect((await as('rita', 'POST', '/os-keypairs', { keypair: { name: 'hers', type: 'ssh', public_key: PUBLIC_KEY } })).status).toBe(201);
    expect((await as('bert', 'GET', '/os-keypairs/hers')).status).toBe(404);
    expect((await as('bert', 'DELETE', '/os-keypairs/hers')).status).toBe(404);
    expect((await as('bert', 'POST', '/servers', { server: { name: 'x', flavorRef: '42', imageRef: image, networks: 'auto', key_name: 'hers' } })).status).toBe(
      400,
    );
    expect([403, 404]).toContain((await as('bert', 'GET', `/os-quota-sets/${projects['red']}`)).status);
    expect((await as('bert', 'PUT', `/os-quota-sets/${projects['blue']}`, { quota_set: { instances: 1_000 } })).status).toBe(403);
  });

  it('lets a reader read and change nothing', async () => {
    for (const path of [`/servers/${serverId}`, '/servers/detail', '/flavors', `/servers/${serverId}/metadata`])
      expect([path, (await as('ruth', 'GET', path)).status]).toEqual([path, 200]);
    expect((await as('ruth', 'POST', '/servers', server('readers'))).status).toBe(403);
    for (const [method, path, body] of DOORS.filter(([method]) => method !== 'GET')) {
      expect([method, path, (await as('ruth', method, `/servers/${serverId}${path}`, body)).status]).toEqual([method, path, 403]);
    }
    expect((await as<Servers>('rita', 'GET', '/servers')).body.servers.map(({ name }) => name)).toEqual(['mine']);
  });

  it.each(['/os-hypervisors', '/os-services', '/servers/detail?all_tenants=1', '/os-quota-class-sets/default'])('keeps %s to administrators', async (path) => {
    expect((await as('rita', 'GET', path)).status).toBe(403);
    expect((await cloud.api('GET', path)).status).toBe(200);
  });

  it('refuses what is no token, in all services', async () => {
    const token = people['rita']?.token ?? '';
    const forged = [
      null,
      'x',
      token.slice(0, -1),
      `${token}x`,
      token.toUpperCase(),
      'A'.repeat(token.length),
      'A'.repeat(8_000),
      '../../etc/passwd',
      "' or 1=1 --",
    ];
    for (const wrong of forged) {
      for (const url of ['/servers', `${cloud.urls.image}/v2/images`, `${cloud.urls.identity}/auth/tokens`]) {
        const { status } = await cloud.api('GET', url, undefined, {
          token: wrong,
          headers: { 'x-user-id': people['rita']?.id ?? '', 'x-roles': 'admin', 'x-project-id': projects['red'] ?? '' },
        });
        expect([String(wrong).slice(0, 50), url, status]).toEqual([String(wrong).slice(0, 50), url, 401]);
      }
    }
  });

  it('refuses a token that has expired', async () => {
    const token = await cloud.login({ user: 'rita', password: 'secret of rita', project: 'red' });
    await query(cloud, `update identity_token set expires_at = now() - interval '1 second' where expires_at = (select max(expires_at) from identity_token)`);
    await cloud.restart(); // who has issued a token need not ask for its end
    expect((await cloud.api('GET', '/servers', undefined, { token })).status).toBe(401);
  });

  it('knows a token without a project, and gives it no servers', async () => {
    const token = await cloud.login({ user: 'bert', password: 'secret of bert', project: 'blue' });
    const auth = { identity: { methods: ['token'], token: { id: token } }, scope: 'unscoped' };
    const { headers, status } = await cloud.api('POST', `${cloud.urls.identity}/auth/tokens`, { auth }, { token: null });
    expect(status).toBe(201);
    const unscoped = String(headers['x-subject-token']);
    expect([401, 403]).toContain((await cloud.api('GET', '/servers', undefined, { token: unscoped })).status);
    expect([401, 403]).toContain((await cloud.api('POST', '/servers', server('nobodys'), { token: unscoped })).status);
  });

  it.each([
    [
      'revoked',
      async (token: string) => await cloud.api('DELETE', `${cloud.urls.identity}/auth/tokens`, undefined, { token, headers: { 'x-subject-token': token } }),
    ],
    ['of a user who is disabled', async () => await identity('PATCH', `/users/${people['bert']?.id}`, { user: { enabled: false } })],
  ] as const)('ends a token soon that is %s', async (_, end) => {
    const token = await cloud.login({ user: 'bert', password: 'secret of bert', project: 'blue' });
    expect((await cloud.api('GET', '/servers', undefined, { token })).status).toBe(200);
    expect([200, 204]).toContain((await end(token)).status);
    const endMs = systemClock.monotonicMs() + BELIEVED_MS;
    let status = 200;
    while (status !== 401 && systemClock.monotonicMs() < endMs) {
      status = (await cloud.api('GET', '/servers', undefined, { token })).status;
      await systemClock.sleep(100);
    }
    expect(status).toBe(401);
  });
});

const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5IAVMF3mIVoACVJmJRL3dNoSDHSWKuvyNZDDFL7fMC rita';
