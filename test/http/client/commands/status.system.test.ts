import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { askHealth, renderStatus } from '../../../../http/client/commands/status.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

const NODE = { name: 'n1', pid: 7, startedAt: '2026-01-01T00:00:00.000Z', version: '0.1.0', state: 'running', healthUrl: 'http://x/health' };

async function serve(code: number, body: string): Promise<string> {
  server = createServer((_, response) => response.writeHead(code).end(body)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}/health`;
}

describe('the status of a node', () => {
  it('shows what health says, member by member', async () => {
    const health = await askHealth(await serve(200, JSON.stringify({ store: { state: 'well', lagMs: 3 }, hosts: ['a', 'b'] })));
    expect(renderStatus(NODE, health)).toMatch(
      /^novact 0\.1\.0 runs: node n1, process 7, since 2026-01-01T00:00:00\.000Z, running\.\n\n {2}health +well\n[^]* {2}store\.state +well\n {2}store\.lagMs +3\n {2}hosts\.0 +a\n {2}hosts\.1 +b\n$/,
    );
  });

  it('says that a node is not well, with its reasons', async () => {
    const health = await askHealth(await serve(503, '{"store":"away"}'));
    expect(health.isWell).toBe(false);
    expect(renderStatus(NODE, health)).toMatch(/health +NOT WELL[^]*store +away/);
  });

  it('says that nothing answers', async () => {
    expect(await askHealth('http://127.0.0.1:1/health')).toEqual({ isWell: false, answer: expect.stringMatching(/^no answer: .*ECONNREFUSED/) });
  });

  it('cuts long lists and takes answers that are no JSON', async () => {
    const long = await askHealth(await serve(200, JSON.stringify({ shards: Array.from({ length: 50 }, (_, n) => n) })));
    expect(renderStatus(NODE, long)).toContain('… and 30 more');
    server?.close();
    expect(renderStatus(NODE, await askHealth(await serve(200, 'fine')))).toMatch(/answer +fine/);
  });
});
