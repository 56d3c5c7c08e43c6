import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock, toIso } from '../../../runtime/base/clock.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { openGlanceImages } from '../../../http/kit/glance-images.ts';
import { openKeystoneProjects } from '../../../http/kit/keystone-projects.ts';
import { openKeystoneTokens } from '../../../http/kit/keystone-tokens.ts';
import { ServiceSession } from '../../../drivers/services/keystone.ts';

const NEVER = new AbortController().signal;

type Reply = { status: number; body?: object; headers?: { [name: string]: string } };

let answer: (request: IncomingMessage, body: string) => Reply;
let asked: string[] = [];
let nowMs = 0;
const clock: Clock = { ...systemClock, monotonicMs: () => nowMs, wallMs: () => Date.UTC(2026, 10, 22) + nowMs };
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => (body += String(chunk)));
  request.on('end', () => {
    asked.push(`${request.method} ${request.url} ${String(request.headers['x-auth-token'])}`);
    const reply = answer(request, body);
    response.writeHead(reply.status, { 'content-type': 'application/json', ...reply.headers }).end(reply.body === undefined ? '' : JSON.stringify(reply.body));
  });
});
let url = '';

beforeEach(async () => {
  asked = [];
  nowMs = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(
  () =>
    new Promise<void>((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
);

function tokenBody(some: object = {}): object {
  return {
    token: {
      expires_at: toIso(clock.wallMs() + 3_600_000),
      user: { id: 'u', name: 'user', domain: { id: 'default', name: 'Default' } },
      project: { id: 'p', name: 'project', domain: { id: 'default', name: 'Default' } },
      roles: [{ id: 'r', name: 'Member' }],
      ...some,
    },
  };
}

describe('tokens of an Identity service', () => {
  it('become callers, asked once for many and again when the answer is old', async () => {
    answer = () => ({ status: 200, body: tokenBody() });
    const tokens = openKeystoneTokens({ url: `${url}/v3`, clock, log: silentLog });
    const callers = await Promise.all(Array.from({ length: 20 }, () => tokens.check('t1', NEVER)));
    expect(asked).toEqual(['GET /v3/auth/tokens?nocatalog t1']);
    expect(callers[7]).toMatchObject({ userId: 'u', projectId: 'p', roles: ['member'], isAdmin: false, projectDomainId: 'default' });
    expect(JSON.stringify(callers[0])).not.toContain('t1"');
    nowMs = 4_999;
    await tokens.check('t1', NEVER);
    expect(asked).toHaveLength(1);
    nowMs = 5_001;
    await tokens.check('t1', NEVER);
    expect(asked).toHaveLength(2);
  });

  it('are not believed past their end', async () => {
    answer = () => ({ status: 200, body: tokenBody({ expires_at: toIso(clock.wallMs() + 1_000) }) });
    const tokens = openKeystoneTokens({ url, clock, log: silentLog });
    await tokens.check('short', NEVER);
    nowMs = 1_001;
    answer = () => ({ status: 404 });
    expect(await tokens.check('short', NEVER)).toBeNull();
  });

  it('that are unknown stay so for a second, without asking again', async () => {
    answer = () => ({ status: 401 });
    const tokens = openKeystoneTokens({ url, clock, log: silentLog });
    expect([await tokens.check('dead', NEVER), await tokens.check('dead', NEVER), asked.length]).toEqual([null, null, 1]);
    nowMs = 1_001;
    await tokens.check('dead', NEVER);
    expect(asked).toHaveLength(2);
  });

  it('cannot be checked while the service fails, and failures are not remembered', async () => {
    const tokens = openKeystoneTokens({ url, clock, log: silentLog });
    for (const reply of [{ status: 500 }, { status: 200, body: { nonsense: 1 } }, { status: 302 }]) {
      answer = () => reply;
      await expect(tokens.check('t', NEVER)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('identity') });
    }
    answer = () => ({ status: 200, body: tokenBody({ project: undefined, roles: [{ name: 'admin' }] }) });
    expect(await tokens.check('t', NEVER)).toMatchObject({ projectId: null, isAdmin: true });
    await expect(openKeystoneTokens({ url: 'http://127.0.0.1:1', clock, log: silentLog }).check('t', NEVER)).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('are asked about with our own account, which logs in again when its token was ended', async () => {
    const ended = new Set<string>();
    let logins = 0;
    answer = (request) => {
      if (request.method === 'POST') return { status: 201, body: tokenBody(), headers: { 'x-subject-token': `service-${++logins}` } };
      return ended.has(String(request.headers['x-auth-token'])) ? { status: 401 } : { status: 200, body: tokenBody() };
    };
    const account = { url, username: 'nova', password: 'secret', userDomain: 'Default', project: 'service', projectDomain: 'Default' };
    const session = new ServiceSession(account, clock);
    const serviceToken = { get: async () => (await session.token()).token, forget: () => session.forget() };
    const tokens = openKeystoneTokens({ url: `${url}/v3`, clock, log: silentLog, serviceToken });
    await tokens.check('a', NEVER);
    ended.add('service-1');
    expect(await tokens.check('b', NEVER)).toMatchObject({ userId: 'u' });
    expect([logins, asked.at(-1)]).toEqual([2, 'GET /v3/auth/tokens?nocatalog service-2']);
  });
});

describe('images of an Image service', () => {
  const image = {
    id: 'i',
    name: null,
    status: 'active',
    visibility: 'shared',
    owner: 'p',
    protected: true,
    disk_format: 'qcow2',
    container_format: 'bare',
    size: 5,
    min_disk: 1,
    min_ram: 2,
    os_hash_algo: 'sha512',
    os_hash_value: 'ab',
    checksum: 'cd',
    created_at: '2026-11-01T00:00:00Z',
    updated_at: '2026-11-01T00:00:00Z',
    tags: [],
    os_hidden: false,
    virtual_size: null,
    file: '/v2/images/i/file',
    self: '/v2/images/i',
    schema: '/v2/schemas/image',
    kernel_id: 'k',
    hw_disk_bus: 'virtio',
  };

  it('are read with the caller’s token, properties apart from the service’s own members', async () => {
    answer = () => ({ status: 200, body: image });
    expect(await openGlanceImages({ url }).show('i', 'mine', NEVER)).toEqual({
      id: 'i',
      name: '',
      status: 'active',
      visibility: 'shared',
      owner: 'p',
      isProtected: true,
      diskFormat: 'qcow2',
      containerFormat: 'bare',
      sizeBytes: 5,
      minDiskGiB: 1,
      minMemoryMiB: 2,
      hash: { algorithm: 'sha512', hex: 'ab' },
      createdAt: '2026-11-01T00:00:00Z',
      updatedAt: '2026-11-01T00:00:00Z',
      properties: { kernel_id: 'k', hw_disk_bus: 'virtio' },
    });
    expect(asked).toEqual(['GET /v2/images/i mine']);
  });

  it('that are hidden are none, and a broken service is named', async () => {
    const images = openGlanceImages({ url });
    answer = () => ({ status: 404 });
    expect(await images.show('../../etc', 't', NEVER)).toBeNull();
    expect(asked).toEqual(['GET /v2/images/..%2F..%2Fetc t']);
    answer = () => ({ status: 200, body: { ...image, status: 'new-kind' } });
    await expect(images.show('i', 't', NEVER)).rejects.toMatchObject({ code: 'unavailable', message: expect.stringContaining('image') });
  });

  it('are listed, changed and removed in the service’s words', async () => {
    const images = openGlanceImages({ url });
    answer = (request) => (request.method === 'GET' ? { status: 200, body: { images: [image] } } : { status: 200, body: image });
    expect(await images.list({ limit: 2, marker: 'm', name: 'a b', status: null }, 't', NEVER)).toHaveLength(1);
    let patch = '';
    answer = (request, body) => {
      patch = `${String(request.headers['content-type'])} ${body}`;
      return { status: 200, body: image };
    };
    await images.change('i', { set: { 'a/b': 'c' }, drop: ['d~e'] }, 't', NEVER);
    expect(patch).toBe('application/openstack-images-v2.1-json-patch [{"op":"add","path":"/a~1b","value":"c"},{"op":"remove","path":"/d~0e"}]');
    answer = () => ({ status: 403 });
    await expect(images.remove('i', 't', NEVER)).rejects.toMatchObject({ code: 'forbidden' });
    expect(asked[0]).toBe('GET /v2/images?limit=2&marker=m&name=a+b t');
  });
});

describe('whether a project exists', () => {
  it('is what Identity says to the caller; who may not ask, or gets no answer, does not know', async () => {
    const projects = openKeystoneProjects(`${url}/v3`);
    const said = async (status: number): Promise<boolean | null> => {
      answer = () => ({ status });
      return projects.exists('a/b', 'mine', NEVER);
    };
    expect([await said(200), await said(404), await said(403), await said(500)]).toEqual([true, false, null, null]);
    expect(asked[0]).toBe('GET /v3/projects/a%2Fb mine');
    expect(await openKeystoneProjects('http://127.0.0.1:1/v3').exists('p', 't', NEVER)).toBeNull();
  });
});
