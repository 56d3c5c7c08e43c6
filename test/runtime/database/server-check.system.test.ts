import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { openEmbeddedPostgres, type EmbeddedPostgres } from '../../../runtime/database/embedded.ts';
import { checkDatabaseUrl, placeOf } from '../../../runtime/database/server-check.ts';

let folder: string;
let server: EmbeddedPostgres;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pg-'));
  server = await openEmbeddedPostgres({ dataDir: join(folder, 'pg'), port: 54_329, log: silentLog, clock: systemClock, signal: AbortSignal.timeout(60_000) });
}, 60_000);
afterAll(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const check = (url: string, waitMs?: number) =>
  checkDatabaseUrl({ url, clock: systemClock, signal: AbortSignal.timeout(20_000), ...(waitMs === undefined ? {} : { waitMs }) });
const password = () => /:([^:@]+)@/.exec(server.url)?.[1] ?? '';

describe('a database server that was named', () => {
  it('is taken when it is new enough', async () => {
    expect(await check(server.url)).toEqual({ version: '18.4' });
  });

  it('is refused with a wrong password, which the sentence does not show', async () => {
    const checking = check(server.url.replace(password(), 'wrong-secret'));
    await expect(checking).rejects.toMatchObject({ code: 'unavailable', reason: 'store.login', message: expect.stringContaining('/novact as novact') });
    await expect(checking).rejects.not.toMatchObject({ message: expect.stringContaining('wrong-secret') });
  });

  it('is refused when the database is missing, with what to do', async () => {
    await expect(check(server.url.replace(/novact$/, 'nothing'))).rejects.toMatchObject({
      reason: 'store.missing',
      message: expect.stringContaining('CREATE DATABASE'),
    });
  });

  it.each([
    'postgresql://u:pw@127.0.0.1:1/db',
    'postgresql://u:pw@localhost:1/db',
    'postgresql://u:pw@%2Fno%2Fsuch:5432/db',
    'postgresql://u:pw@no-such-server.invalid/db',
  ])('is refused when it does not answer: %s', async (url) => {
    const checking = check(url);
    await expect(checking).rejects.toMatchObject({ reason: 'store.away', message: expect.stringMatching(/does not answer: .+database\.url right\?/) });
    await expect(checking).rejects.not.toMatchObject({ message: expect.stringContaining('pw') });
  });

  it('is refused when something else answers there', async () => {
    const other = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(check(`postgresql://u:pw@127.0.0.1:${other.port}/db`)).rejects.toMatchObject({ reason: 'store.away' });
    other.server.close();
  });

  it('is waited for while it starts', async () => {
    const { port, server: place } = await listen(() => undefined);
    place.close();
    await once(place, 'close');
    const late = openEmbeddedPostgres({
      dataDir: join(folder, 'late'),
      port,
      listen: '127.0.0.1',
      log: silentLog,
      clock: systemClock,
      signal: AbortSignal.timeout(60_000),
    });
    try {
      // No password is known before the store is made: that it asks for one shows that it was reached.
      await expect(check(`postgresql://novact:x@127.0.0.1:${port}/novact`, 30_000)).rejects.toMatchObject({ reason: 'store.login' });
    } finally {
      await (await late).close();
    }
  }, 60_000);

  it('is named without its password', () => {
    expect(placeOf('postgresql://me:pw@db.example.org/x')).toBe('db.example.org:5432/x as me');
    expect(placeOf('postgresql://me:pw@%2Frun%2Fpg:5433/x')).toBe('/run/pg/x as me');
    expect(placeOf('postgresql://me:pw@h/x?host=/run/pg')).toBe('/run/pg/x as me');
    expect(placeOf('nonsense with pw')).toBe('the server named');
  });
});

async function listen(onSocket: (socket: Socket) => void): Promise<{ server: Server; port: number }> {
  const listener = createServer(onSocket).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  return { server: listener, port: address !== null && typeof address === 'object' ? address.port : 0 };
}
