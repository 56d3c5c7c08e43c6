/**
 * A node that only drives hosts: it comes in with a key file, holds no credentials of the database, and reaches nothing
 * but the mesh. Servers run there; when it is killed they go on, and it finds them again; when its key is taken back
 * it is turned away.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAUNCHER, startCloud, type Cloud } from '../doubles/cloud.ts';

type Server = { readonly id: string; readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string };

const WAIT_MS = 60_000;
const run = promisify(execFile);

let folder: string;
let control: Cloud;
let compute: Cloud;
let token: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'novact-key-'));
  control = await startCloud({ args: ['--name', 'n1', '--roles', 'control,api'] });
  const keyFile = join(folder, 'c1.key');
  writeFileSync(keyFile, await node('add', 'c1', '--roles', 'compute'), { mode: 0o600 });
  compute = await startCloud({ args: ['--key-file', keyFile, '--set', 'hosts.0.name=c1-{n}', '--hosts', '2'] });
  token = await control.adminToken();
});

afterAll(async () => {
  await compute?.close();
  await control?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a node that only drives hosts', () => {
  it('holds no way into the database', () => {
    const kept = [...texts(compute.dataDir), readFileSync(join(folder, 'c1.key'), 'utf8'), compute.output()].join('\n');
    expect(kept).not.toMatch(/postgres(ql)?:\/\//);
    expect(kept).not.toContain(readFileSync(join(control.dataDir, 'postgres/password'), 'utf8').trim());
    expect(kept).not.toContain('clouds.yaml');
  });

  it('runs servers', async () => {
    const image = await imageId();
    await until('its hosts are up', async () => (await hypervisors()).filter((host) => host.state === 'up').length === 2);
    const order = { server: { name: 'far', flavorRef: '42', imageRef: image, min_count: 4, max_count: 4 } };
    expect((await control.api('POST', '/servers', order, { token })).status).toBe(202);
    await until('all are active', async () => {
      const servers = await list();
      return servers.length === 4 && servers.every((server) => server.status === 'ACTIVE');
    });
    expect(new Set((await list()).map((server) => server['OS-EXT-SRV-ATTR:host'].split('-')[0]))).toEqual(new Set(['c1']));
  });

  it('tells at once when a server stops by itself, and does what is asked', async () => {
    const [server] = await list();
    await act(server?.id ?? '', 'os-stop', 'SHUTOFF');
    await act(server?.id ?? '', 'os-start', 'ACTIVE');
  });

  it('has a fellow with doors for users, which has no database either', async () => {
    const keyFile = join(folder, 'a1.key');
    writeFileSync(keyFile, await node('add', 'a1', '--roles', 'api'), { mode: 0o600 });
    const doors = await startCloud({ args: ['--key-file', keyFile] });
    try {
      const [, other] = await list();
      const id = other?.id ?? '';
      const own = await doors.adminToken();
      const { body } = await doors.api<{ revision: number }>('GET', '/stream?wait=0&after=0', undefined, { token: own });
      expect((await doors.api('POST', `/servers/${id}/action`, { 'os-stop': null }, { token: own })).status).toBe(202);
      await until('its stream tells what the control node commits', async () => {
        const told = await doors.api<{ events: { id: string; status: string }[] }>('GET', `/stream?wait=5&after=${body.revision}`, undefined, { token: own });
        return told.body.events.some((event) => event.id === id && event.status === 'SHUTOFF');
      });
      const shown = await doors.api<{ server: Server }>('GET', `/servers/${id}`, undefined, { token: own });
      expect(shown.body.server.status).toBe('SHUTOFF');
    } finally {
      await doors.close();
      await node('remove', 'a1');
    }
  });

  it('finds its servers again after it was killed', async () => {
    await compute.kill9();
    await compute.restart();
    const [server] = await list();
    await act(server?.id ?? '', 'os-stop', 'SHUTOFF');
    await act(server?.id ?? '', 'os-start', 'ACTIVE');
  });

  it('goes on when the control node was away', async () => {
    await control.kill9();
    await control.restart();
    token = await control.adminToken();
    const [server] = await list();
    await act(server?.id ?? '', 'os-stop', 'SHUTOFF');
  });

  it('gives back everything', async () => {
    for (const server of await list()) expect((await control.api('DELETE', `/servers/${server.id}`, undefined, { token })).status).toBe(204);
    await until('all are gone', async () => (await list()).length === 0);
  });

  it('is turned away once its key is taken back', async () => {
    expect(await node('list')).toMatch(/c1\s+compute\s+tcp:.*\s+key\n/);
    await node('remove', 'c1');
    await until('it is not there any more', async () => !(await node('list')).includes('c1'));
    await until('its hosts are down, since nobody hears them', async () =>
      readFileSync(join(control.dataDir, 'novact.log'), 'utf8').includes('mesh.turnedAway'),
    );
  });
});

/** Runs `novact node …` where the database is reached. */
async function node(...words: string[]): Promise<string> {
  const { PATH, HOME, TMPDIR } = process.env;
  const options = { cwd: tmpdir(), env: { PATH, HOME, TMPDIR } };
  const { stdout } = await run(process.execPath, [LAUNCHER, 'node', ...words, '--data', control.dataDir], options);
  return stdout;
}

/** What lies in a folder as text, small files only. */
function texts(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .map((name) => join(dir, name))
    .filter((path) => statSync(path).isFile() && statSync(path).size < 1_000_000)
    .map((path) => readFileSync(path, 'latin1'));
}

async function list(): Promise<readonly Server[]> {
  const { body } = await control.api<{ servers: Server[] }>('GET', '/servers/detail', undefined, { token });
  return body.servers;
}

async function hypervisors(): Promise<readonly { readonly state: string }[]> {
  return (await control.api<{ hypervisors: { state: string }[] }>('GET', '/os-hypervisors', undefined, { token })).body.hypervisors;
}

async function act(id: string, action: string, status: string): Promise<void> {
  await until(`${action} is accepted`, async () => (await control.api('POST', `/servers/${id}/action`, { [action]: null }, { token })).status === 202);
  await until(`${action} is done`, async () => (await list()).find((server) => server.id === id)?.status === status);
}

async function imageId(): Promise<string> {
  const { body } = await control.api<{ images: { id: string }[] }>('GET', `${control.urls.image}/v2/images`, undefined, { token });
  return body.images[0]?.id ?? '';
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!(await isSo())) {
    if (Date.now() > endMs) throw new Error(`not in time: ${what}\n${compute.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
