import { connect } from 'node:net';
import Koa from 'koa';
import { Client, request } from 'undici';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/base/clock.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { healthDoor, openMetrics } from '../../http/health.ts';
import type { HealthCheck } from '../../http/health.ts';
import { openListener } from '../../http/server.ts';
import type { Door, Listener } from '../../http/server.ts';

async function withListener(app: Koa | Door, use: (url: string, listener: Listener) => Promise<void>, limits = {}): Promise<void> {
  const listener = await openListener({ name: 'test', host: '127.0.0.1', port: 0, app, clock: systemClock, log: silentLog, limits });
  try {
    await use(`http://127.0.0.1:${listener.port}`, listener);
  } finally {
    await listener.close();
  }
}

describe('a listener', () => {
  it('serves doors and applications alike', async () => {
    await withListener(
      async (_request, response) => void response.end('door'),
      async (url) => expect(await (await request(url)).body.text()).toBe('door'),
    );
    const app = new Koa().use((context) => void (context.body = 'app'));
    await withListener(app, async (url) => expect(await (await request(url)).body.text()).toBe('app'));
  });

  it('lets running requests finish and takes no more when it closes', async () => {
    const arrived = Promise.withResolvers<() => void>();
    await withListener(
      async (_request, response) => arrived.resolve(() => response.end('late')),
      async (url, listener) => {
        const running = request(url);
        const finish = await arrived.promise;
        const closed = listener.close();
        await expect(request(url)).rejects.toThrow();
        finish();
        expect(await (await running).body.text()).toBe('late');
        await closed;
      },
    );
  });

  it('lets nobody who goes on asking on an open connection hold up its end', async () => {
    let served = 0;
    const door: Door = async (_request, response) => {
      served++;
      if (served % 2 === 0) response.write('begun '); // its head is out before the end is asked for
      await new Promise((resolve) => setTimeout(resolve, 5));
      response.end('done');
    };
    let isOver = false;
    await withListener(
      door,
      async (url, listener) => {
        const clients = Array.from({ length: 8 }, async () => {
          const client = new Client(url);
          while (!isOver) {
            const answer = await client.request({ path: '/', method: 'GET' }).catch(() => undefined);
            if (answer === undefined) break;
            expect(await answer.body.text()).toMatch(/done$/);
          }
          await client.destroy();
        });
        while (served < 40) await new Promise((resolve) => setTimeout(resolve, 1));
        await listener.close();
        isOver = true;
        await Promise.all(clients);
      },
      { drainMs: 3_600_000 },
    );
  });

  it('cuts what does not end in its time', async () => {
    const arrived = Promise.withResolvers<void>();
    await withListener(
      async () => arrived.resolve(),
      async (url, listener) => {
        const hanging = request(url).then(
          () => 'answered',
          () => 'cut',
        );
        await arrived.promise;
        await listener.close();
        expect(await hanging).toBe('cut');
      },
      { drainMs: 20 },
    );
  });

  it('says which port it cannot have', async () => {
    await withListener(
      async () => {},
      async (_url, { port }) => {
        await expect(openListener({ name: 'second', host: '127.0.0.1', port, app: async () => {}, clock: systemClock, log: silentLog })).rejects.toMatchObject({
          code: 'unavailable',
          message: `The second service cannot listen on 127.0.0.1:${port}.`,
        });
      },
    );
  });

  it('answers garbage with 400 and refuses upgrades that nobody takes', async () => {
    await withListener(
      async (_request, response) => void response.end(),
      async (_url, { port }) => {
        expect(await say(port, 'NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
        expect(await say(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')).toMatch(/^HTTP\/1\.1 400/);
      },
    );
  });

  it('tells who asked to close the connection that it closes, so that nobody goes on asking there', async () => {
    await withListener(
      async (_request, response) => void response.end('yes'),
      async (_url, { port }) => {
        const heard = await say(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        expect(heard.toLowerCase()).toContain('\r\nconnection: close\r\n');
      },
    );
  });
});

/** Sends the text as it is; answers with all that came until the connection was closed. */
function say(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (chunk) => (heard += String(chunk)));
    socket.on('close', () => resolve(heard));
  });
}

describe('listeners of several processes', () => {
  it('share a port where both say so', async () => {
    const open = (port: number, sharePort: boolean): Promise<Listener> =>
      openListener({
        name: 'test',
        host: '127.0.0.1',
        port,
        sharePort,
        app: async (_request, response) => void response.end('here'),
        clock: systemClock,
        log: silentLog,
      });
    const first = await open(0, true);
    try {
      const second = await open(first.port, true);
      await first.close();
      expect(await (await request(`http://127.0.0.1:${first.port}`)).body.text()).toBe('here');
      await expect(open(first.port, false)).rejects.toMatchObject({ reason: 'http.listen' });
      await second.close();
    } finally {
      await first.close();
    }
  });
});

describe('health', () => {
  const checks = (some: { [part: string]: HealthCheck }) =>
    healthDoor({ checks: some, registry: openMetrics({ processMetrics: false }).registry, clock: systemClock });

  it('is 200 when all parts are well, 503 naming those that are not', async () => {
    await withListener(checks({ store: () => ({ well: true, pool: 3 }) }), async (url) => {
      const answer = await request(`${url}/health`);
      expect([answer.statusCode, await answer.body.json()]).toEqual([200, { status: 'ok', parts: { store: { well: true, pool: 3 } } }]);
    });
    const broken: HealthCheck = async () => Promise.reject(new Error('secret path'));
    await withListener(checks({ store: () => ({ well: true }), mesh: broken }), async (url) => {
      const answer = await request(`${url}/health`);
      expect([answer.statusCode, await answer.body.json()]).toEqual([
        503,
        { status: 'unwell', parts: { store: { well: true }, mesh: { well: false, why: 'internal' } } },
      ]);
    });
  });

  it('counts requests by route, never by what clients invent', async () => {
    const metrics = openMetrics({ processMetrics: false });
    metrics.served('/servers/:id', 'GET', 200, 0.001);
    metrics.served('discovery', 'INVENTED', 405, 0.001);
    await withListener(healthDoor({ checks: {}, registry: metrics.registry, clock: systemClock }), async (url) => {
      const text = await (await request(`${url}/metrics`)).body.text();
      expect(text).toContain('novact_http_requests_total{route="/servers/:id",method="GET",status="200"} 1');
      expect(text).not.toContain('INVENTED');
    });
  });
});
