import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { glanceWay } from '../../../drivers/services/glance.ts';
import { ServiceSession } from '../../../drivers/services/keystone.ts';
import { ticketImages } from '../../../drivers/services/ticket-images.ts';
import { systemClock, toIso } from '../../../runtime/base/clock.ts';

const NEVER = new AbortController().signal;
const GONE = 'http://127.0.0.1:1/file';

let answer: (request: IncomingMessage, response: ServerResponse) => void;
const server = createServer((request, response) => answer(request, response));
let url = '';

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  answer = (request, response) => response.writeHead(request.headers['x-auth-token'] === 'good' ? 200 : 401).end('bytes');
});
afterAll(() => server.close());

describe('images by ticket', () => {
  it('come from the first address that answers', async () => {
    const images = ticketImages(async () => ({ urls: [GONE, `${url}/a`, `${url}/b`], token: 'good' }));
    expect(await text(await images.open('i', NEVER))).toBe('bytes');
  });

  it('are asked for again once when the ticket was refused', async () => {
    const asked: boolean[] = [];
    const images = ticketImages(async (_, again) => {
      asked.push(again);
      return { urls: [url], token: again ? 'good' : 'ended' };
    });
    expect(await text(await images.open('i', NEVER))).toBe('bytes');
    expect(asked).toEqual([false, true]);
    const never = ticketImages(async () => ({ urls: [url], token: 'bad' }));
    await expect(never.open('i', NEVER)).rejects.toMatchObject({ code: 'unavailable', reason: 'image.refused' });
  });

  it.each([
    [404, 'notFound'],
    [403, 'forbidden'],
    [204, 'invalid'],
    [500, 'unavailable'],
  ])('that are answered %i are a fault of code %s', async (status, code) => {
    answer = (_, response) => response.writeHead(status).end();
    await expect(ticketImages(async () => ({ urls: [url], token: 'good' })).open('i', NEVER)).rejects.toMatchObject({ code });
  });

  it('are unavailable without an address, and cancelled when nobody wants them any more', async () => {
    await expect(ticketImages(async () => ({ urls: [], token: 'good' })).open('i', NEVER)).rejects.toMatchObject({ code: 'unavailable' });
    answer = () => undefined;
    const stop = new AbortController();
    const opening = ticketImages(async () => ({ urls: [url, url], token: 'good' })).open('i', stop.signal);
    stop.abort();
    await expect(opening).rejects.toMatchObject({ code: 'cancelled' });
  });
});

describe('the way to a real Image service', () => {
  const account = { username: 'nova', password: 'secret', project: 'service', userDomain: 'Default', projectDomain: 'Default' };
  let logins = 0;
  beforeEach(() => {
    logins = 0;
    answer = (_, response) => {
      const endpoints = [{ interface: 'public', url: `${url}/v2/` }];
      const token = { expires_at: toIso(systemClock.wallMs() + 3_600_000), catalog: [{ type: 'image', endpoints }] };
      response.writeHead(201, { 'x-subject-token': `token-${++logins}` }).end(JSON.stringify({ token }));
    };
  });

  it('is the address of the catalog and the token of our account, a new one when that was refused', async () => {
    const session = new ServiceSession({ url, ...account }, systemClock);
    const way = (again: boolean, configured?: string) => glanceWay(session, 'an/id', { url: configured, again });
    expect(await way(false)).toMatchObject({ urls: [`${url}/v2/images/an%2Fid/file`], token: 'token-1' });
    expect(await way(false, 'http://images/')).toMatchObject({ urls: ['http://images/v2/images/an%2Fid/file'], token: 'token-1' });
    expect(await way(true)).toMatchObject({ token: 'token-2' });
  });

  it('is unavailable, and says no password, when identity answers nonsense', async () => {
    answer = (_, response) => response.writeHead(201, { 'x-subject-token': 't' }).end('<html>');
    const failed = glanceWay(new ServiceSession({ url, ...account }, systemClock), 'i', { url: undefined, again: false });
    await expect(failed).rejects.toMatchObject({ code: 'unavailable' });
    await failed.catch((error: Error) => expect(JSON.stringify(error) + error.message).not.toContain('secret'));
  });
});
