/**
 * Rows of the security table at this door, by their number: what was done elsewhere and must not work here, each beside
 * the harmless neighbour that must. Rows about images are in test/drivers/image.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openGlanceImages } from '../../../http/kit/glance-images.ts';
import { DEPTH_MAX, MEMBERS_MAX } from '../../../http/kit/json.ts';
import { ROUTES } from '../../../http/compute/routes.ts';
import { Fault, FAULTS } from '../../../runtime/base/fault.ts';
import type { FaultCode } from '../../../runtime/base/fault.ts';
import { IMAGE_ID, openRig, OTHER_PROJECT, PROJECT } from './rig.ts';
import type { AskOptions, Rig } from './rig.ts';

const ROOT = join(import.meta.dirname, '../../..');

let rig: Rig;
let own: string;
let foreign: string;
beforeAll(async () => {
  rig = await openRig();
  own = await rig.server();
  foreign = await rig.server({ metadata: { secret: 'canary' } }, { token: 'other' });
});
afterAll(() => rig.close());

const create = (some: object, options: AskOptions = {}) =>
  rig.ask('POST', '/v2.1/servers', { ...options, body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1', ...some } } });

describe('S22: secrets compared in a time that tells how much of them is right', () => {
  it('are compared by nothing but the constant-time comparison', () => {
    const sources = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], { cwd: ROOT, encoding: 'utf8' })
      .split('\n')
      .filter((path) => path !== '' && !path.startsWith('test/'));
    const makers = sources.filter((path) => /\b(createHmac|scrypt|pbkdf2)\(/.test(readFileSync(join(ROOT, path), 'utf8')));
    expect(makers.length).toBeGreaterThan(1);
    expect(makers.filter((path) => !readFileSync(join(ROOT, path), 'utf8').includes('timingSafeEqual('))).toEqual([]);
  });

  it('and tokens are looked up by their hash, never compared', () => {
    expect(rig.tokens.callers.get('member')?.tokenHash).not.toContain('member');
  });
});

describe('S24: addresses of the user, fetched by the server', () => {
  let service: Server;
  let seen: IncomingMessage[];
  let folder: string;
  let dispatcher: Agent;

  beforeAll(async () => {
    seen = [];
    folder = mkdtempSync(join(tmpdir(), 'glance-'));
    service = createServer((request, response) => {
      seen.push(request);
      response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }).end();
    });
    const socketPath = join(folder, 'socket');
    await new Promise<void>((resolve) => service.listen(socketPath, resolve));
    dispatcher = new Agent({ connect: { socketPath } });
  });
  afterAll(async () => {
    await dispatcher.close();
    await new Promise<void>((resolve) => service.close(() => resolve()));
    rmSync(folder, { recursive: true });
  });

  const images = () => openGlanceImages({ url: 'http://image.test', dispatcher });
  const signal = AbortSignal.timeout(10_000);

  it.each(['.', '..', '../../v1/secrets', '%2e%2e', 'a/../../b', 'http://169.254.169.254/', 'x?admin=1', 'x#y', 'x\r\nX-Roles: admin', ''])(
    'an image id never leaves its place in the path: %j',
    async (id) => {
      seen.length = 0;
      expect(await images().show(id, 'token', signal)).toBeNull();
      await expect(images().remove(id, 'token', signal)).rejects.toThrow('Image not found.');
      await expect(images().change(id, { set: {}, drop: [] }, 'token', signal)).rejects.toThrow('Image not found.');
      expect(seen).toEqual([]);
    },
  );

  it('a plain id is asked for where images are, and where the answer points to is not', async () => {
    seen.length = 0;
    await expect(images().show(IMAGE_ID, 'token', signal)).rejects.toThrow('The image service is unavailable');
    expect(seen.map(({ url, headers }) => [url, headers.host])).toEqual([[`/v2/images/${IMAGE_ID}`, 'image.test']]);
  });

  it('a reference that is an address is an id, nothing that is asked', async () => {
    expect((await create({ imageRef: `http://169.254.169.254/images/${IMAGE_ID}` })).status).toBe(400);
    expect((await create({ flavorRef: 'http://169.254.169.254/flavors/1' })).status).toBe(202);
  });
});

describe('S25: the things of another project', () => {
  it('are not in any list, however it is asked for', async () => {
    const queries = [
      '',
      '?all_tenants=0',
      `?project_id=${OTHER_PROJECT}`,
      `?tenant_id=${OTHER_PROJECT}`,
      `?uuid=${foreign}`,
      '?deleted=true',
      '?name=.*',
      `?user_id=user-other`,
    ];
    for (const kind of ['', '/detail']) {
      for (const query of queries) {
        const answer = await rig.ask('GET', `/v2.1/servers${kind}${query}`);
        expect([answer.status, answer.text.includes(foreign), answer.text.includes('canary')], query).toEqual([200, false, false]);
      }
      expect((await rig.ask('GET', `/v2.1/servers${kind}?all_tenants=1`)).status).toBe(403);
    }
  });

  it('are in the lists of their owner, and of an administrator who asks', async () => {
    expect((await rig.ask('GET', '/v2.1/servers', { token: 'other' })).text).toContain(foreign);
    expect((await rig.ask('GET', `/v2.1/servers?all_tenants=1&project_id=${OTHER_PROJECT}`, { token: 'admin' })).text).toContain(foreign);
  });

  it('say nothing of themselves: unknown and hidden are told with the same words', async () => {
    const unknown = '99999999-9999-4999-8999-999999999999';
    for (const { method, path, action } of ROUTES.filter(({ path }) => path.startsWith('/servers/:id') && path.indexOf(':', 10) < 0)) {
      const ask = (id: string) =>
        rig.ask(method, `/v2.1${path.replace(':id', id)}`, {
          version: '2.60',
          ...(method === 'GET' || method === 'DELETE' ? {} : { body: { [action ?? 'x']: null } }),
        });
      const [hidden, none] = [await ask(foreign), await ask(unknown)];
      expect([hidden.status, hidden.text.replaceAll(foreign, 'ID')], `${method} ${path} ${action ?? ''}`).toEqual([
        none.status,
        none.text.replaceAll(unknown, 'ID'),
      ]);
    }
  });

  it('are not reached by a marker, a reference or an idempotency key', async () => {
    const marked = await rig.ask('GET', `/v2.1/servers?marker=${foreign}`);
    expect([marked.status, marked.at('badRequest', 'message')]).toEqual([400, `marker [${foreign}] not found`]);
    expect((await rig.ask('GET', `/v2.1/servers?marker=${own}`)).status).toBe(200);
    rig.cloud.addFlavor({ flavorId: 'private', isPublic: false });
    expect([(await create({ flavorRef: 'private' })).status, (await rig.ask('GET', '/v2.1/flavors/private')).status]).toEqual([400, 404]);
  });
});

describe('S26: who somebody says that he is', () => {
  const CLAIMS = {
    'x-user-id': 'root',
    'x-roles': 'admin',
    'x-role': 'admin',
    'x-project-id': OTHER_PROJECT,
    'x-tenant-id': OTHER_PROJECT,
    'x-is-admin-project': 'True',
    'x-identity-status': 'Confirmed',
    'x-service-roles': 'service',
    'x-auth-user': 'admin',
  };

  it('counts for nothing, with a token and without', async () => {
    expect((await rig.ask('GET', '/v2.1/servers?all_tenants=1', { headers: CLAIMS })).status).toBe(403);
    expect((await rig.ask('GET', `/v2.1/servers/${foreign}`, { headers: CLAIMS })).status).toBe(404);
    expect((await rig.ask('GET', '/v2.1/servers', { token: null, headers: CLAIMS })).status).toBe(401);
    expect((await rig.ask('GET', '/v2.1/servers', { token: 'expired', headers: CLAIMS })).status).toBe(401);
  });

  it('and does no harm to who he is', async () => {
    expect((await rig.ask('GET', `/v2.1/servers/${own}`, { headers: CLAIMS })).status).toBe(200);
  });

  it('the token of a service beside it must be one, and gives no rights', async () => {
    rig.tokens.add('service', { roles: ['service'] });
    const ask = (serviceToken: string) => rig.ask('GET', '/v2.1/os-services', { headers: { 'x-service-token': serviceToken } });
    expect([(await ask('nonsense')).status, (await ask('expired')).status, (await ask('admin')).status]).toEqual([401, 401, 403]);
    expect((await rig.ask('GET', '/v2.1/servers', { headers: { 'x-service-token': 'service' } })).status).toBe(200);
    expect((await rig.ask('GET', '/v2.1/servers', { token: null, headers: { 'x-service-token': 'service' } })).status).toBe(401);
  });
});

describe('S28: what broke inside', () => {
  it.each(Object.keys(FAULTS) as FaultCode[])('is not told: %s', async (code) => {
    rig.cloud.down = new Fault(code, 'some.reason', 'A sentence for users.', {
      detail: { path: '/var/lib/secret', sql: 'select canary' },
      cause: new Error('canary cause'),
    });
    try {
      for (const token of ['member', 'admin']) {
        const answer = await rig.ask('GET', '/v2.1/flavors', { token });
        expect(answer.status).toBeGreaterThanOrEqual(400);
        expect(answer.text).not.toMatch(/secret|canary|some\.reason/);
        expect(answer.text).toContain('A sentence for users.');
        expect(answer.headers['x-openstack-request-id']).toMatch(/^req-/);
      }
    } finally {
      rig.cloud.down = undefined;
    }
  });

  it('is not told when it is a bug, of which users hear that it is one', async () => {
    rig.cloud.down = Fault.from(new TypeError('canary: cannot read property of undefined'));
    const answer = await rig.ask('GET', '/v2.1/flavors');
    rig.cloud.down = undefined;
    expect([answer.status, answer.at('computeFault', 'message')]).toEqual([500, 'An unexpected error has occurred.']);
  });
});

describe('S30: one request that costs as many', () => {
  it('asks the store as often for two hundred servers as for one', async () => {
    const asksOf = async (path: string): Promise<number> => {
      await rig.ask('GET', path); // what is kept for a moment is there from now on
      rig.cloud.asked.length = 0;
      expect((await rig.ask('GET', path)).status).toBe(200);
      return rig.cloud.asked.length;
    };
    const few = [await asksOf('/v2.1/servers/detail'), await asksOf('/v2.1/servers')];
    const template = rig.cloud.servers.get(own);
    if (template === undefined) throw new Error('no server');
    const ids = Array.from({ length: 200 }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`);
    for (const id of ids) rig.cloud.servers.set(id, { ...template, record: { ...template.record, id } });
    const many = [await asksOf('/v2.1/servers/detail'), await asksOf('/v2.1/servers')];
    for (const id of ids) rig.cloud.servers.delete(id);
    expect(many).toEqual(few);
    expect(Math.max(...many)).toBeLessThanOrEqual(5);
  });

  it('has no field without an end: names, hints, lists, parameters', async () => {
    const long = 'x'.repeat(256);
    const hints = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`h${i}`, 'x']));
    for (const some of [
      { name: long },
      { availability_zone: long },
      { key_name: long },
      { metadata: { [long]: '' } },
      { security_groups: Array.from({ length: 65 }, () => ({ name: 'default' })) },
    ]) {
      expect((await create(some)).status, Object.keys(some)[0]).toBe(400);
    }
    const hinted = await rig.ask('POST', '/v2.1/servers', { body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1' }, 'os:scheduler_hints': hints } });
    expect(hinted.status).toBe(400);
    expect((await rig.ask('GET', `/v2.1/servers?${'name=a&'.repeat(201)}`)).status).toBe(400);
    expect((await rig.ask('GET', `/v2.1/servers?${'sort_key=uuid&'.repeat(11)}`)).status).toBe(400);
  });

  it('and takes what is as long as it may be', async () => {
    const body = { server: { name: 'x'.repeat(255), imageRef: IMAGE_ID, flavorRef: '1', metadata: { ['k'.repeat(255)]: 'v'.repeat(255) } } };
    expect((await rig.ask('POST', '/v2.1/servers', { body: { ...body, 'os:scheduler_hints': { a: 'b' } } })).status).toBe(202);
    expect((await rig.ask('GET', `/v2.1/servers?${'sort_key=uuid&'.repeat(10)}`)).status).toBe(200);
  });
});

describe('S32: a document that is a weapon', () => {
  const post = (raw: string | Buffer, type = 'application/json') => rig.ask('POST', '/v2.1/servers', { raw, headers: { 'content-type': type } });
  const sound = `"name":"n","imageRef":"${IMAGE_ID}","flavorRef":"1"`;
  const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;

  it.each([
    'application/xml',
    'text/xml',
    'application/vnd.openstack.compute+xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
  ])('is no document here: %s', async (type) => {
    const answer = await post('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><server name="&b;"/>', type);
    expect([answer.status, answer.at('badMediaType', 'code'), answer.text.includes('root:')]).toEqual([415, 415, false]);
  });

  it.each([
    ['names that stand twice', `{"server":{${sound},"name":"m"}}`],
    ['__proto__', `{"server":{${sound},"__proto__":{"isAdmin":true}}}`],
    ['__proto__ in disguise', `{"server":{${sound},"\\u005f\\u005fproto__":{"isAdmin":true}}}`],
    ['constructor where it is unknown', `{"server":{${sound},"constructor":{"prototype":{"isAdmin":true}}}}`],
    ['depth', `{"server":{${sound}},"os:scheduler_hints":${nested(DEPTH_MAX)}}`],
    ['more members than anybody needs', `{"server":{${sound}},"os:scheduler_hints":{${Array.from({ length: MEMBERS_MAX }, (_, i) => `"${i}":0`).join(',')}}}`],
    ['numbers that are none any more', `{"server":{${sound},"max_count":1e400}}`],
    ['numbers larger than exact', `{"server":{${sound},"max_count":9007199254740993}}`],
    ['entities', `{"server":{${sound},"name":"&lt;\u0000"}}`],
  ])('is refused: %s', async (_what, raw) => {
    const answer = await post(raw);
    expect([answer.status, answer.at('badRequest', 'code')]).toEqual([400, 400]);
    expect(Reflect.get({}, 'isAdmin')).toBeUndefined();
  });

  it('and its peaceful neighbours are taken', async () => {
    const bodies = [
      `{"server":{${sound},"metadata":{"constructor":"a","prototype":"b","toString":"c"}}}`,
      `{"server":{${sound}},"os:scheduler_hints":{"query":${nested(DEPTH_MAX - 3)}}}`,
      `{"server":{${sound},"max_count":1}}`,
    ];
    for (const raw of bodies) expect((await post(raw)).status, raw).toBe(202);
    expect((await post(`{"server":{${sound}}}`, 'application/json; charset=utf-8')).status).toBe(202);
  });
});

describe('S33: a client that means ill to the line', () => {
  /** Bytes as they are, over the socket of the rig; what comes back until the line ends or a second answer is complete. */
  const raw = (bytes: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const line = connect(rig.socketPath);
      let text = '';
      line.setEncoding('latin1');
      line.on('data', (chunk) => (text += String(chunk)));
      line.once('close', () => resolve(text));
      line.once('error', reject);
      line.end(bytes, 'latin1');
    });
  const head = (first: string, more: readonly string[] = []): string => [first, 'Host: x', 'X-Auth-Token: member', ...more, '', ''].join('\r\n');

  it.each([
    ['two lengths', head('POST /v2.1/servers HTTP/1.1', ['Content-Length: 2', 'Content-Length: 40'])],
    [
      'a length and chunks',
      `${head('POST /v2.1/servers HTTP/1.1', ['Content-Length: 4', 'Transfer-Encoding: chunked'])}0\r\n\r\nGET /v2.1/flavors HTTP/1.1\r\n\r\n`,
    ],
    ['a header of forty kilobytes', head('GET /v2.1/servers HTTP/1.1', [`X-Long: ${'a'.repeat(40_000)}`])],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n'],
    ['a folded header', head('GET /v2.1/servers HTTP/1.1', ['X-A: b', ' X-Auth-Token: admin'])],
  ])('is let go with a refusal: %s', async (_what, bytes) => {
    expect(await raw(bytes)).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(rig.cloud.servers.has(own)).toBe(true);
  });

  it.each([
    '//evil.test/v2.1/servers',
    '/\\evil.test',
    '/v2.1//evil.test/%2f..',
    '/v2.1/%2e%2e/%2e%2e/etc/passwd',
    '///evil.test/%2f%2e%2e',
    'http://evil.test/v2.1/flavors',
  ])('is sent to no other place by a path: %s', async (path) => {
    const answer = await raw(head(`GET ${path} HTTP/1.1`, ['Connection: close']));
    expect(answer).toMatch(/^HTTP\/1\.1 (200|300|4\d\d) /);
    expect(answer.toLowerCase()).not.toContain('\r\nlocation:');
    expect(answer).not.toContain('root:');
  });

  it('and one that means well is served on the same line', async () => {
    const answer = await raw(`${head('GET /v2.1/flavors HTTP/1.1')}${head('GET /v2.1/limits HTTP/1.1', ['Connection: close'])}`);
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
  });
});

describe('S34: a pattern that never ends', () => {
  const HOSTILE = ['(a+)+$', '(a|aa)+$', '(.*a){25}', '^(([a-z])+.)+[A-Z]([a-z])+$', '(?=(a+))a*b\\1', `${'(a?'.repeat(25)}${')'.repeat(25)}a{25}`];

  it('is matched as text, whatever it says', async () => {
    rig.cloud.change(own, { name: `${'a'.repeat(50)}!` });
    for (const pattern of HOSTILE) {
      for (const name of ['name', 'ip', 'reservation_id', 'key_name']) {
        const answer = await rig.ask('GET', `/v2.1/servers?${name}=${encodeURIComponent(pattern)}`, { version: '2.90' });
        expect([answer.status, answer.text.includes(own)], `${name}=${pattern}`).toEqual([200, name !== 'name']); // the double searches names alone
      }
    }
  });

  it('and a name is found by its text', async () => {
    rig.cloud.change(own, { name: 'web-1' });
    for (const pattern of ['web-1', '^web', 'eb-1$', '.*web.*'])
      expect((await rig.ask('GET', `/v2.1/servers?name=${encodeURIComponent(pattern)}`)).text, pattern).toContain(own);
    expect((await rig.ask('GET', '/v2.1/servers?name=db')).text).not.toContain(own);
    expect((await rig.ask('GET', `/v2.1/${PROJECT}/servers?name=web`)).text).toContain(own);
  });
});
