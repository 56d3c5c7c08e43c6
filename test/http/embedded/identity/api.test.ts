import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { authenticate, openCloud } from '../cloud.ts';
import type { Cloud } from '../cloud.ts';
import type { Answer } from '../rig.ts';
import { call } from '../rig.ts';

type Body = { [key: string]: Body & string & Body[] };
const bodyOf = (answer: Answer): Body => answer.body as unknown as Body;

describe('embedded identity', () => {
  let cloud: Cloud;
  let url: string;
  let admin: string;
  beforeAll(async () => {
    cloud = await openCloud();
    url = cloud.identityUrl;
    admin = await cloud.login('admin', 'admin');
  }, 60_000);
  afterAll(async () => {
    await cloud?.close();
  });

  const project = (name: string): object => ({ project: { name, domain: { id: 'default' } } });
  const validate = (token: string, by = token): Promise<Answer> => call('GET', `${url}/v3/auth/tokens`, { token: by, headers: { 'x-subject-token': token } });
  let count = 0;
  async function newUser(roles: readonly string[] = ['member']): Promise<{ id: string; name: string; password: string; project: string; projectId: string }> {
    const n = ++count;
    const made = bodyOf(await call('POST', `${url}/v3/projects`, { token: admin, body: { project: { name: `p${n}` } } }));
    const user = bodyOf(await call('POST', `${url}/v3/users`, { token: admin, body: { user: { name: `u${n}`, password: `pw${n}` } } }));
    const known = bodyOf(await call('GET', `${url}/v3/roles`, { token: admin }));
    for (const name of roles) {
      const role = known['roles']?.find((each) => each['name'] === name);
      const granted = await call('PUT', `${url}/v3/projects/${made['project']?.['id']}/users/${user['user']?.['id']}/roles/${role?.['id']}`, { token: admin });
      expect(granted.status).toBe(204);
    }
    return { id: String(user['user']?.['id']), name: `u${n}`, password: `pw${n}`, project: `p${n}`, projectId: String(made['project']?.['id']) };
  }
  async function loginOf(user: { name: string; password: string; project: string }): Promise<string> {
    const answer = await authenticate(url, { ...user, scope: project(user.project) });
    expect(answer.status).toBe(201);
    return answer.headers.get('x-subject-token') ?? '';
  }

  it('is discovered: 300 with its versions at the root, 200 at /v3, links as the client wrote the host', async () => {
    const root = await call('GET', `${url}/`);
    expect(root.status).toBe(300);
    expect(JSON.stringify(root.body)).toContain(`${url}/v3/`);
    expect((await call('GET', `${url}/v3`)).status).toBe(200);
    expect((await call('GET', `${url}/v3/`)).status).toBe(200);
    expect((await call('GET', `${url}/v3/nothing`)).status).toBe(404);
    expect((await call('PUT', `${url}/v3/users`)).status).toBe(405);
  });

  it('issues a project token with user, implied roles and a catalog that names the project', async () => {
    const answer = await authenticate(url, { name: 'demo', password: 'secret demo', scope: project('demo') });
    expect(answer.status).toBe(201);
    const token = bodyOf(answer)['token'];
    expect(token).toMatchObject({
      methods: ['password'],
      is_domain: false,
      project: { name: 'demo', domain: { id: 'default', name: 'Default' } },
      user: { name: 'demo', password_expires_at: null },
    });
    expect(token?.['roles']?.map((role) => role['name'])).toEqual(['member', 'reader']);
    expect(token?.['expires_at']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    expect(token?.['audit_ids']).toHaveLength(1);
    expect(JSON.stringify(token?.['catalog'])).toContain(`/v2/${cloud.seeded.demoProjectId}"`);
    const bare = await call('GET', `${url}/v3/auth/tokens?nocatalog`, { token: admin, headers: { 'x-subject-token': admin } });
    expect(bodyOf(bare)['token']).not.toHaveProperty('catalog');
  });

  it('gives administrators manager, member and reader too', async () => {
    const token = bodyOf(await validate(admin))['token'];
    expect(token?.['roles']?.map((role) => role['name'])).toEqual(['admin', 'manager', 'member', 'reader']);
  });

  it('scopes by id, by domain, to the system for administrators, and to nothing', async () => {
    const asked = async (scope: object | string): Promise<Body> =>
      bodyOf(await authenticate(url, { name: 'admin', password: 'secret admin', scope }))['token'] ?? {};
    expect(await asked({ project: { id: cloud.seeded.demoProjectId } })).toHaveProperty('project.name', 'demo');
    expect(await asked({ domain: { name: 'Default' } })).toHaveProperty('domain.id', 'default');
    expect(await asked({ system: { all: true } })).toHaveProperty('system.all', true);
    for (const scope of ['unscoped', { unscoped: {} }]) {
      const token = await asked(scope);
      expect(token).not.toHaveProperty('project');
      expect(token).not.toHaveProperty('catalog');
      expect(token).not.toHaveProperty('roles');
    }
    expect((await authenticate(url, { name: 'demo', password: 'secret demo', scope: { system: { all: true } } })).status).toBe(401);
    expect((await authenticate(url, { name: 'demo', password: 'secret demo', scope: project('admin') })).status).toBe(401);
  });

  it('takes the default project when no scope is asked for', async () => {
    expect(bodyOf(await authenticate(url, { name: 'demo', password: 'secret demo' }))['token']).toHaveProperty('project.name', 'demo');
  });

  it('answers every failed login with the same 401', async () => {
    const answers = [
      await authenticate(url, { name: 'demo', password: 'wrong', scope: project('demo') }),
      await authenticate(url, { name: 'nobody', password: 'wrong', scope: project('demo') }),
      await authenticate(url, { name: 'demo', password: 'secret demo', scope: project('nothing') }),
    ];
    expect(answers.map((answer) => answer.status)).toEqual([401, 401, 401]);
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1);
    expect(bodyOf(answers[0] as Answer)).toEqual({
      error: { code: 401, message: 'The request you have made requires authentication.', title: 'Unauthorized' },
    });
    expect(answers[0]?.headers.get('www-authenticate')).toBe(`Keystone uri="${url}/v3"`);
  });

  it('refuses application credentials with a clear 401', async () => {
    const answer = await call('POST', `${url}/v3/auth/tokens`, {
      body: { auth: { identity: { methods: ['application_credential'], application_credential: { id: 'x', secret: 'y' } } } },
    });
    expect([answer.status, bodyOf(answer)['error']?.['message']]).toEqual([401, 'Attempted to authenticate with an unsupported method.']);
  });

  it('rescopes by token, keeping the end and the chain of audit ids', async () => {
    const unscoped = await authenticate(url, { name: 'admin', password: 'secret admin', scope: 'unscoped' });
    const parent = unscoped.headers.get('x-subject-token') ?? '';
    const answer = await call('POST', `${url}/v3/auth/tokens`, {
      body: { auth: { identity: { methods: ['token'], token: { id: parent } }, scope: project('demo') } },
    });
    expect(answer.status).toBe(201);
    const [before, after] = [bodyOf(unscoped)['token'], bodyOf(answer)['token']];
    expect(after?.['expires_at']).toBe(before?.['expires_at']);
    expect(after?.['methods']).toEqual(['token', 'password']);
    expect(after?.['audit_ids']?.[1]).toBe(before?.['audit_ids']?.[0]);
  });

  it('stores only a hash of a token and of a password', async () => {
    const token = await cloud.login('demo', 'demo');
    for (const table of ['identity_token', 'identity_user']) {
      const rows: unknown = await cloud.rig.orm.em.fork().execute(`select * from ${table}`);
      expect(JSON.stringify(rows)).not.toContain(token);
      expect(JSON.stringify(rows)).not.toContain('secret demo');
    }
  });

  it('lets a token validate itself, and services all, but no user another one', async () => {
    const demo = await cloud.login('demo', 'demo');
    const nova = await cloud.login('nova', 'service');
    const other = await loginOf(await newUser());
    expect((await validate(demo)).status).toBe(200);
    expect((await call('HEAD', `${url}/v3/auth/tokens`, { token: demo, headers: { 'x-subject-token': demo } })).status).toBe(200);
    expect((await validate(demo, nova)).status).toBe(200);
    expect((await validate(demo, other)).status).toBe(403);
    expect((await validate('no such token', nova)).status).toBe(404);
    expect((await validate(demo, 'no such token')).status).toBe(401);
    expect((await validate(demo, '')).status).toBe(401);
  });

  it('revokes at once, also what was validated before', async () => {
    const demo = await cloud.login('demo', 'demo');
    expect((await validate(demo)).status).toBe(200);
    expect((await call('DELETE', `${url}/v3/auth/tokens`, { token: demo, headers: { 'x-subject-token': demo } })).status).toBe(204);
    expect((await validate(demo)).status).toBe(401);
    expect((await validate(demo, admin)).status).toBe(404);
  });

  it('validates again without asking the store', async () => {
    const demo = await cloud.login('demo', 'demo');
    await validate(demo);
    const before = cloud.rig.asked.length;
    for (let i = 0; i < 50; i++) expect((await validate(demo)).status).toBe(200);
    // The revision is looked at about once a second, nothing else.
    expect(cloud.rig.asked.slice(before).every((type) => type === 'identityRevision')).toBe(true);
  });

  it('ends tokens when the password changes, also by a look of the user itself', async () => {
    const user = await newUser();
    const token = await loginOf(user);
    const wrong = await call('POST', `${url}/v3/users/${user.id}/password`, { body: { user: { password: 'new', original_password: 'not it' } } });
    expect(wrong.status).toBe(401);
    const right = await call('POST', `${url}/v3/users/${user.id}/password`, { body: { user: { password: 'new', original_password: user.password } } });
    expect(right.status).toBe(204);
    expect((await validate(token)).status).toBe(401);
    expect((await authenticate(url, { ...user, scope: project(user.project) })).status).toBe(401);
    const again = await loginOf({ ...user, password: 'new' });
    expect((await call('PATCH', `${url}/v3/users/${user.id}`, { token: admin, body: { user: { password: 'newer' } } })).status).toBe(200);
    expect((await validate(again)).status).toBe(401);
  });

  it.each(['user', 'project'] as const)('ends tokens for good when their %s is disabled', async (what) => {
    const user = await newUser();
    const token = await loginOf(user);
    const target = `${url}/v3/${what}s/${what === 'user' ? user.id : user.projectId}`;
    expect((await call('PATCH', target, { token: admin, body: { [what]: { enabled: false } } })).status).toBe(200);
    expect((await validate(token, admin)).status).toBe(404);
    expect((await authenticate(url, { ...user, scope: project(user.project) })).status).toBe(401);
    await call('PATCH', target, { token: admin, body: { [what]: { enabled: true } } });
    expect((await validate(token, admin)).status).toBe(404);
    await loginOf(user);
  });

  it('ends a token with the last role of its user on the project', async () => {
    const user = await newUser();
    const token = await loginOf(user);
    const grants = bodyOf(await call('GET', `${url}/v3/role_assignments?user.id=${user.id}`, { token: admin }))['role_assignments'];
    const path = `${url}/v3/projects/${user.projectId}/users/${user.id}/roles/${grants?.[0]?.['role']?.['id']}`;
    expect((await call('HEAD', path, { token: admin })).status).toBe(204);
    expect((await call('DELETE', path, { token: admin })).status).toBe(204);
    expect((await call('HEAD', path, { token: admin })).status).toBe(404);
    expect((await validate(token)).status).toBe(401);
  });

  it('removes what hangs on a user or project with it', async () => {
    const user = await newUser();
    const token = await loginOf(user);
    expect((await call('DELETE', `${url}/v3/users/${user.id}`, { token: admin })).status).toBe(204);
    expect((await call('GET', `${url}/v3/users/${user.id}`, { token: admin })).status).toBe(404);
    expect((await call('DELETE', `${url}/v3/users/${user.id}`, { token: admin })).status).toBe(404);
    expect((await validate(token, admin)).status).toBe(404);
    expect((await call('DELETE', `${url}/v3/projects/${user.projectId}`, { token: admin })).status).toBe(204);
  });

  it('lets users read themselves and their projects, and change nothing', async () => {
    const user = await newUser();
    const token = await loginOf(user);
    const get = async (path: string): Promise<number> => (await call('GET', `${url}/v3${path}`, { token })).status;
    expect(await get(`/users/${user.id}`)).toBe(200);
    expect(await get(`/projects/${user.projectId}`)).toBe(200);
    expect(await get(`/users/${user.id}/projects`)).toBe(200);
    expect(await get('/auth/projects')).toBe(200);
    expect(await get('/auth/catalog')).toBe(200);
    expect(await get('/auth/system')).toBe(200);
    expect(await get('/auth/domains')).toBe(200);
    expect(await get(`/users/${cloud.seeded.adminUserId}`)).toBe(403);
    expect(await get(`/projects/${cloud.seeded.adminProjectId}`)).toBe(403);
    for (const list of ['users', 'projects', 'roles', 'services', 'endpoints', 'role_assignments']) expect(await get(`/${list}`)).toBe(403);
    const change = async (method: string, path: string, body?: object): Promise<number> =>
      (await call(method, `${url}/v3${path}`, { token, ...(body ? { body } : {}) })).status;
    expect(await change('PATCH', `/users/${user.id}`, { user: { name: 'root' } })).toBe(403);
    expect(await change('POST', '/users', { user: { name: 'mine' } })).toBe(403);
    expect(await change('DELETE', `/projects/${user.projectId}`)).toBe(403);
    expect(await change('PUT', `/projects/${user.projectId}/users/${user.id}/roles/x`)).toBe(403);
  });

  it('believes no identity header of a client', async () => {
    const headers = { 'x-user-id': cloud.seeded.adminUserId, 'x-roles': 'admin', 'x-identity-status': 'Confirmed', 'x-is-admin-project': 'True' };
    expect((await call('GET', `${url}/v3/users`, { headers })).status).toBe(401);
    expect((await call('GET', `${url}/v3/users`, { headers, token: await cloud.login('demo', 'demo') })).status).toBe(403);
  });

  it('filters by name and domain, exactly', async () => {
    const named = bodyOf(await call('GET', `${url}/v3/users?name=demo&domain_id=default`, { token: admin }))['users'];
    expect(named?.map((user) => user['name'])).toEqual(['demo']);
    expect(bodyOf(await call('GET', `${url}/v3/users?name=dem`, { token: admin }))['users']).toEqual([]);
    expect(bodyOf(await call('GET', `${url}/v3/projects?name=demo&domain_id=other`, { token: admin }))['projects']).toEqual([]);
    expect(bodyOf(await call('GET', `${url}/v3/projects?is_domain=true`, { token: admin }))['projects']).toEqual([]);
    expect(bodyOf(await call('GET', `${url}/v3/users?name=' or 1=1 --`, { token: admin }))['users']).toEqual([]);
  });

  it('answers a used name with 409 and a missing part of a grant with 404', async () => {
    expect((await call('POST', `${url}/v3/users`, { token: admin, body: { user: { name: 'demo' } } })).status).toBe(409);
    expect((await call('POST', `${url}/v3/projects`, { token: admin, body: { project: { name: 'demo' } } })).status).toBe(409);
    expect((await call('PUT', `${url}/v3/projects/none/users/${cloud.seeded.demoUserId}/roles/none`, { token: admin })).status).toBe(404);
  });

  it('makes one of many equal creates at once', async () => {
    const body = { project: { name: 'racing' } };
    const answers = await Promise.all(Array.from({ length: 12 }, () => call('POST', `${url}/v3/projects`, { token: admin, body })));
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1);
    expect(answers.filter((answer) => answer.status === 409)).toHaveLength(11);
  });

  it.each([
    ['no JSON', '{"auth":', 400],
    ['a list', '[]', 400],
    ['a wrong type', '{"auth":{"identity":{"methods":"password"}}}', 400],
    ['no methods', '{"auth":{"identity":{"methods":[]}}}', 400],
    ['a scope of no kind', '{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}},"scope":{"moon":{}}}}', 400],
    ['a method without its part', '{"auth":{"identity":{"methods":["password"]}}}', 400],
    ['a null character', '{"auth":{"identity":{"methods":["token"],"token":{"id":"a\\u0000b"}}}}', 400],
    ['a prototype', '{"auth":{"__proto__":{"identity":{}}}}', 400],
    ['too deep', `{"auth":${'['.repeat(200)}${']'.repeat(200)}}`, 400],
    ['too long a body', JSON.stringify({ auth: 'x'.repeat(114_688) }), 413],
  ])('refuses %s', async (_, body, status) => {
    const answer = await call('POST', `${url}/v3/auth/tokens`, { body });
    expect(answer.status).toBe(status);
    expect(bodyOf(answer)['error']?.['code']).toBe(status);
  });

  it.each([
    ['a user name of 256', 'users', { user: { name: 'x'.repeat(256) } }],
    ['a project name of 65', 'projects', { project: { name: 'x'.repeat(65) } }],
    ['an empty name', 'projects', { project: { name: ' ' } }],
    ['enabled as text', 'projects', { project: { name: 'fine', enabled: 'yes' } }],
    ['a number for a name', 'users', { user: { name: 7 } }],
    ['no member of that name', 'users', { person: {} }],
    ['an unknown domain', 'users', { user: { name: 'stray', domain_id: 'none' } }],
  ])('refuses %s with 400', async (_, collection, body) => {
    expect((await call('POST', `${url}/v3/${collection}`, { token: admin, body })).status).toBe(400);
  });

  it('keeps signing keys to their user', async () => {
    const demo = await cloud.login('demo', 'demo');
    const path = `${url}/v3/users/${cloud.seeded.demoUserId}/credentials/OS-EC2`;
    const made = await call('POST', path, { token: demo, body: { tenant_id: cloud.seeded.demoProjectId } });
    expect(made.status).toBe(201);
    const access = bodyOf(made)['credential']?.['access'];
    expect(bodyOf(await call('GET', `${path}/${access}`, { token: demo }))['credential']).toHaveProperty('secret');
    const other = await loginOf(await newUser());
    expect((await call('GET', `${path}/${access}`, { token: other })).status).toBe(403);
    expect((await call('POST', path, { token: demo, body: { tenant_id: cloud.seeded.adminProjectId } })).status).toBe(403);
    expect((await call('DELETE', `${path}/${access}`, { token: demo })).status).toBe(204);
    expect((await call('GET', `${path}/${access}`, { token: demo })).status).toBe(404);
  });

  it('slows guessing after ten wrong passwords, with the same answer', async () => {
    const user = await newUser();
    for (let i = 0; i < 10; i++) await authenticate(url, { ...user, password: `guess ${i}` });
    // Even the right one is not looked at now: who guesses learns nothing in the pause.
    expect((await authenticate(url, { ...user, scope: project(user.project) })).status).toBe(401);
  });

  it('changes the catalog, the token shows it', async () => {
    const made = bodyOf(await call('POST', `${url}/v3/services`, { token: admin, body: { service: { type: 'metric', name: 'gauge' } } }))['service'];
    const endpoint = { service_id: made?.['id'], interface: 'public', region_id: 'RegionOne', url: 'http://127.0.0.1:1/$(tenant_id)s' };
    expect((await call('POST', `${url}/v3/endpoints`, { token: admin, body: { endpoint } })).status).toBe(201);
    expect((await validate(admin)).text).toContain(`http://127.0.0.1:1/${cloud.seeded.adminProjectId}`);
    expect((await call('DELETE', `${url}/v3/services/${made?.['id']}`, { token: admin })).status).toBe(204);
    expect((await validate(admin)).text).not.toContain('metric');
  });

  it('never complained about a bug', () => {
    expect(cloud.complaints).toEqual([]);
  });
});
