import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ticketUpload, type Upload } from '../../../drivers/services/ticket-upload.ts';
import { Fault } from '../../../runtime/base/fault.ts';

const NEVER = new AbortController().signal;
const GONE = 'http://127.0.0.1:1/file';
const IMAGE = { imageId: 'i', instanceId: 's' };

let status: (request: IncomingMessage) => number | undefined;
let taken: string[] = [];
const server = createServer((request, response) => void serve(request, response));
let url = '';

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const code = status(request);
  if (code === undefined) return;
  const body = await text(request);
  if (code === 204) taken.push(`${request.method} ${request.url} ${request.headers['content-length']} ${body}`);
  response.writeHead(code).end();
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  taken = [];
  status = (request) => (request.headers['x-auth-token'] === 'good' ? 204 : 401);
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const open = async () => ({ body: Readable.from([Buffer.from('bytes')]), sizeBytes: 5 });
const to = (...urls: string[]): Upload => ({ is: 'open', urls, token: 'good' });

describe('bytes by ticket', () => {
  it('go to the first address that takes them, whole', async () => {
    let opened = 0;
    await ticketUpload(async () => to(GONE, `${url}/a`, `${url}/b`)).store(IMAGE, () => (opened++, open()), NEVER);
    expect(taken).toEqual(['PUT /a 5 bytes']);
    expect(opened).toBe(2); // anew for each address
  });

  it('go nowhere when the image has them already', async () => {
    await ticketUpload(async () => ({ is: 'done' })).store(IMAGE, () => expect.fail('it was opened'), NEVER);
    expect(taken).toEqual([]);
  });

  it('go by another ticket once when the first was refused', async () => {
    const asked: boolean[] = [];
    const sink = ticketUpload(async (_, again) => {
      asked.push(again);
      return { is: 'open', urls: [url], token: again ? 'good' : 'ended' };
    });
    await sink.store(IMAGE, open, NEVER);
    expect([asked, taken.length]).toEqual([[false, true], 1]);
    const never = ticketUpload(async () => ({ is: 'open', urls: [url], token: 'bad' }));
    await expect(never.store(IMAGE, open, NEVER)).rejects.toMatchObject({ code: 'unavailable', reason: 'image.refused' });
  });

  it.each([
    [404, 'notFound'],
    [403, 'forbidden'],
    [413, 'tooLarge'],
    [400, 'invalid'],
    [409, 'unavailable'],
    [500, 'unavailable'],
  ])('that are answered %i are a fault of code %s', async (code, fault) => {
    status = () => code;
    await expect(ticketUpload(async () => to(url)).store(IMAGE, open, NEVER)).rejects.toMatchObject({ code: fault });
  });

  it('that cannot be opened are that fault', async () => {
    const lost = async (): Promise<never> => {
      throw new Fault('notFound', 'snapshot.gone', 'lost');
    };
    await expect(ticketUpload(async () => to(url)).store(IMAGE, lost, NEVER)).rejects.toMatchObject({ reason: 'snapshot.gone' });
  });

  it('are cancelled when nobody wants them any more', async () => {
    const reached = Promise.withResolvers<void>();
    status = () => {
      reached.resolve();
      return undefined;
    };
    const stop = new AbortController();
    const storing = ticketUpload(async () => to(url)).store(IMAGE, open, stop.signal);
    await reached.promise;
    stop.abort();
    await expect(storing).rejects.toMatchObject({ code: 'cancelled' });
  });
});
