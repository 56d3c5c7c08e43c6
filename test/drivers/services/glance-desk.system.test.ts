import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { glanceDesk } from '../../../drivers/services/glance-desk.ts';
import { ServiceSession } from '../../../drivers/services/keystone.ts';
import { systemClock, toIso } from '../../../runtime/base/clock.ts';

type Reply = { readonly status: number; readonly body?: object };
let answer: (request: IncomingMessage, body: string) => Reply;
let asked: { readonly what: string; readonly body: string }[] = [];
let logins = 0;
let url = '';

const server = createServer((request, response) => {
  void text(request).then((body) => {
    if (request.url === '/v3/auth/tokens') {
      const token = { expires_at: toIso(systemClock.wallMs() + 3_600_000), catalog: [] };
      return response.writeHead(201, { 'x-subject-token': `token-${++logins}` }).end(JSON.stringify({ token }));
    }
    asked.push({ what: `${request.method} ${request.url} ${String(request.headers['x-auth-token'])}`, body });
    const reply = answer(request, body);
    return response.writeHead(reply.status).end(reply.body === undefined ? '' : JSON.stringify(reply.body));
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  asked = [];
  logins = 0;
  answer = () => ({ status: 200 });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

function desk() {
  const account = { url, username: 'nova', password: 'secret', project: 'service', userDomain: 'Default', projectDomain: 'Default' };
  const session = new ServiceSession(account, systemClock);
  return glanceDesk(() => session, url);
}
const DRAFT = { id: 'i', name: 'copy', owner: 'blue', minDiskGiB: 1, minMemoryMiB: 2, properties: { instance_uuid: 's' } };

describe('images of servers at a real Image service', () => {
  it('are made for their project by the cloud’s own account, and once', async () => {
    answer = () => ({ status: asked.length === 1 ? 201 : 409 });
    await desk().make(DRAFT);
    await desk().make(DRAFT);
    expect(asked.map(({ what }) => what.split(' ').slice(0, 2).join(' '))).toEqual(['POST /v2/images', 'POST /v2/images']);
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual({
      id: 'i',
      name: 'copy',
      owner: 'blue',
      visibility: 'private',
      min_disk: 1,
      min_ram: 2,
      instance_uuid: 's',
    });
  });

  it('get the format of the copy', async () => {
    await desk().describe('i', { diskFormat: 'qcow2', sizeBytes: 1, virtualBytes: 2 });
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual([
      { op: 'replace', path: '/disk_format', value: 'qcow2' },
      { op: 'replace', path: '/container_format', value: 'bare' },
    ]);
  });

  it('are shown as they are, and not at all when they are deleted', async () => {
    const body = {
      id: 'i',
      status: 'active',
      disk_format: 'qcow2',
      container_format: 'bare',
      size: 7,
      os_hash_algo: 'sha512',
      os_hash_value: 'ab',
      owner: 'blue',
      mine: 'yes',
    };
    answer = () => ({ status: 200, body });
    expect(await desk().show('i')).toMatchObject({
      hasBytes: true,
      image: { id: 'i', sizeBytes: 7, hash: { algorithm: 'sha512', hex: 'ab' }, properties: { mine: 'yes' } },
    });
    answer = () => ({ status: 200, body: { ...body, status: 'queued' } });
    expect(await desk().show('i')).toMatchObject({ hasBytes: false });
    answer = () => ({ status: 404 });
    expect(await desk().show('i')).toBeNull();
    answer = () => ({ status: 200, body: { what: 'else' } });
    await expect(desk().show('i')).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('are listed by server and type, the newest first', async () => {
    answer = () => ({ status: 200, body: { images: [{ id: 'b' }, { id: 'a' }] } });
    expect(await desk().backups('s', 'daily')).toEqual(['b', 'a']);
    expect(asked[0]?.what).toContain('instance_uuid=s&image_type=backup&backup_type=daily&status=active&sort=created_at%3Adesc');
  });

  it('are no error when they are gone, and one when they are protected', async () => {
    answer = () => ({ status: 404 });
    await desk().drop('i');
    answer = () => ({ status: 403 });
    await expect(desk().drop('i')).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('are asked about with a new token when the old one is refused', async () => {
    answer = (request) => ({ status: request.headers['x-auth-token'] === 'token-2' ? 204 : 401 });
    await desk().drop('i');
    expect(logins).toBe(2);
  });

  it('are unavailable while the service fails', async () => {
    answer = () => ({ status: 503 });
    await expect(desk().make(DRAFT)).rejects.toMatchObject({ code: 'unavailable' });
  });
});
