import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimPorts, holderOf, portTaken } from '../../../runtime/node/ports.ts';

let servers: Server[];
let children: ChildProcess[];
beforeEach(() => {
  servers = [];
  children = [];
});
afterEach(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  for (const child of children) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

const host = '127.0.0.1';

describe('ports', () => {
  it('that are free are let go again', async () => {
    const port = await listen();
    await closeAll();
    await claimPorts([{ name: 'compute', port, host }]);
    await claimPorts([{ name: 'compute', port, host }]);
  });

  it('that are taken are told all at once, with process, command and a way out', async () => {
    const mine = await listen();
    const theirs = await listenInChild(host);
    const pid = children[0]?.pid;
    const claim = claimPorts(
      [
        { name: 'compute', port: mine, host },
        { name: 'image', port: theirs, host },
      ],
      100,
    );
    await expect(claim).rejects.toMatchObject({ code: 'conflict', reason: 'ports' });
    const text = await claim.then(
      () => '',
      (error: Error) => error.message,
    );
    expect(text).toContain(`port ${mine} on 127.0.0.1 (compute) is taken by process ${process.pid} (`);
    expect(text).toMatch(new RegExp(`port ${theirs} on 127.0.0.1 \\(image\\) is taken by process ${pid} \\(.*node.* -e `));
    const [, offset] = /--port-offset (\d+)/.exec(text) ?? [];
    await claimPorts([
      { name: 'compute', port: mine + Number(offset) - 100, host },
      { name: 'image', port: theirs + Number(offset) - 100, host },
    ]);
  });

  it.each(['0.0.0.0', '::'])('taken on every address (%s) are taken on loopback too', async (everywhere) => {
    const port = await listenInChild(everywhere);
    await expect(claimPorts([{ name: 'compute', port, host }])).rejects.toThrow(`taken by process ${children[0]?.pid}`);
  });

  it('on an address that this machine lacks are told as such', async () => {
    await expect(claimPorts([{ name: 'compute', port: 40_000, host: '192.0.2.1' }])).rejects.toThrow('this machine has no address 192.0.2.1');
  });

  it('found taken after the check are explained the same way', async () => {
    const port = await listen();
    const late = createServer();
    late.listen(port, host);
    const [error] = await once(late, 'error');
    expect(portTaken({ name: 'compute', port, host }, error).message).toContain(`(compute) is taken by process ${process.pid}`);
  });

  it('nobody listens on have no holder', async () => {
    const port = await listen();
    expect(holderOf(port)?.pid).toBe(process.pid);
    await closeAll();
    expect(holderOf(port)).toBeUndefined();
  });
});

async function listen(): Promise<number> {
  const server = createServer().listen(0, host);
  servers.push(server);
  await once(server, 'listening');
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

async function closeAll(): Promise<void> {
  for (const server of servers.splice(0)) await new Promise((resolve) => server.close(resolve));
}

async function listenInChild(address: string): Promise<number> {
  const script = `const s = require('net').createServer().listen(0, '${address}', () => console.log(s.address().port))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  const [text] = await once(child.stdout, 'data');
  return Number(String(text).trim());
}
