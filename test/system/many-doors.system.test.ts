/**
 * One cloud of two nodes, started alike on one database: each answers Identity, Image and Compute, and a client may
 * take either. What is uploaded at one is served by the other, and survives the one that took it.
 */
import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { lacks, startCloud, type Cloud } from '../doubles/cloud.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../doubles/postgres.ts';

type Server = { readonly id: string; readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string; readonly fault?: { readonly message: string } };
type Image = { readonly id: string; readonly status: string; readonly name: string; readonly os_hash_value: string };
type Catalog = { readonly token: { readonly catalog: readonly { readonly endpoints: readonly { readonly id: string; readonly url: string }[] }[] } };

const run = promisify(execFile);
const CLIENT = '/usr/bin/openstack';
const WAIT_MS = 60_000;
const BYTES = randomBytes(5 * 2 ** 20 + 3);

let postgres: TestPostgres;
let folder: string;
let clouds: { readonly first: Cloud; readonly second: Cloud };

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  folder = mkdtempSync(join(tmpdir(), 'novact-doors-'));
  const start = (name: string): Promise<Cloud> =>
    startCloud({ args: ['--set', `name=${name}`, '--set', `database.url=${postgres.url}`, '--set', `hosts.0.name=${name}-{n}`, '--hosts', '2'] });
  const [first, second] = await Promise.all([start('first'), start('second')]);
  clouds = { first, second };
});
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(async () => {
  await clouds?.second.close();
  await clouds?.first.close();
  await postgres?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

describe('two nodes with the embedded services', () => {
  let token: string;
  let mine: string;

  it('started at the same moment make one cloud: one image, one of each account and service', async () => {
    const { first, second } = clouds;
    token = await first.adminToken();
    for (const cloud of [first, second]) {
      const { body: images } = await cloud.api<{ images: Image[] }>('GET', `${cloud.urls.image}/v2/images`, undefined, { token });
      expect(images.images.map(({ name, status }) => [name, status])).toEqual([['tiny', 'active']]);
    }
    const names = async (what: string): Promise<string[]> => {
      const { body } = await second.api<{ [what: string]: { name?: string; url?: string }[] }>('GET', `${second.urls.identity}/${what}`, undefined, { token });
      return (body[what] ?? []).map(({ name, url }) => name ?? url ?? '').sort();
    };
    expect([await names('users'), await names('services')]).toEqual([
      ['admin', 'demo', 'nova'],
      ['glance', 'keystone', 'nova'],
    ]);
    expect(await names('endpoints')).toHaveLength(9);
  });

  it('each tell their own address, whichever node gave the token', async () => {
    for (const cloud of [clouds.first, clouds.second]) {
      const { identity, image, compute } = cloud.urls;
      const { body } = await cloud.api<Catalog>('GET', `${identity}/auth/tokens`, undefined, { token, headers: { 'x-subject-token': token } });
      expect(new Set(body.token.catalog.flatMap(({ endpoints }) => endpoints.map(({ url }) => url)))).toEqual(new Set([identity, image, compute]));
    }
  });

  it('serve the same image, uploaded at one of them', async () => {
    const { first, second } = clouds;
    const meta = { name: 'mine', disk_format: 'raw', container_format: 'bare', visibility: 'public' };
    const made = await first.api<Image>('POST', `${first.urls.image}/v2/images`, meta, { token });
    mine = made.body.id;
    const upload = await fetch(`${first.urls.image}/v2/images/${mine}/file`, {
      method: 'PUT',
      headers: { 'x-auth-token': token, 'content-type': 'application/octet-stream' },
      body: new Uint8Array(BYTES),
    });
    expect(upload.status).toBe(204);
    expect((await download(second)).equals(BYTES)).toBe(true);
    const part = await fetch(`${second.urls.image}/v2/images/${mine}/file`, { headers: { 'x-auth-token': token, range: 'bytes=1000-1099' } });
    expect([part.status, Buffer.from(await part.arrayBuffer()).equals(BYTES.subarray(1_000, 1_100))]).toEqual([206, true]);
  });

  it('boot it on the hosts of both', async () => {
    const { second } = clouds;
    await until('hosts of both are up', async () => {
      const { body } = await second.api<{ hypervisors: { state: string }[] }>('GET', '/os-hypervisors', undefined, { token });
      return body.hypervisors.filter((host) => host.state === 'up').length === 4;
    });
    for (const host of ['first-1', 'second-2']) {
      const order = { server: { name: `on-${host}`, flavorRef: '42', imageRef: mine, availability_zone: `nova:${host}` } };
      expect((await second.api('POST', '/servers', order, { token })).status).toBe(202);
    }
    const list = async (): Promise<Server[]> => (await clouds.first.api<{ servers: Server[] }>('GET', '/servers/detail', undefined, { token })).body.servers;
    await until('all are made', async () => {
      const servers = await list();
      return servers.length === 2 && servers.every(({ status }) => status === 'ACTIVE' || status === 'ERROR');
    });
    expect((await list()).map(({ status, fault }) => [status, fault?.message])).toEqual(Array(2).fill(['ACTIVE', undefined]));
    expect((await list()).map((server) => server['OS-EXT-SRV-ATTR:host']).sort()).toEqual(['first-1', 'second-2']);
  });

  it('are each a whole cloud to the openstack client', async (ctx) => {
    if (!existsSync(CLIENT)) lacks(ctx.skip, 'the openstack client');
    for (const [name, cloud] of Object.entries(clouds)) {
      const yaml = { PATH: '/usr/bin:/bin', HOME: folder, OS_CLIENT_CONFIG_FILE: join(cloud.dataDir, 'clouds.yaml'), OS_CLOUD: 'novact' };
      const openstack = async (...words: string[]): Promise<string> => (await run(CLIENT, words, { env: yaml, cwd: folder })).stdout.trim();
      const disk = join(folder, `${name}.raw`);
      writeFileSync(disk, randomBytes(65_536));
      await openstack('image', 'create', '--file', disk, '--disk-format', 'raw', '--container-format', 'bare', `of-${name}`);
      await openstack('server', 'create', '--flavor', 'm1.nano', '--image', 'mine', '--wait', `by-${name}`);
      const script = `. ${join(cloud.dataDir, 'openrc')} && ${CLIENT} catalog list -f json && ${CLIENT} image list -f value -c Name`;
      const { stdout } = await run('sh', ['-e', '-c', script], { env: { PATH: '/usr/bin:/bin', HOME: folder } });
      for (const expected of ['mine', 'tiny', `of-${name}`, cloud.urls.compute]) expect(stdout).toContain(expected);
    }
  });

  it('keep an endpoint that an administrator has changed, also over a start', async () => {
    const { first, second } = clouds;
    const elsewhere = 'https://compute.example.org/v2.1';
    const { body } = await first.api<{ endpoints: { id: string; url: string; interface: string }[] }>('GET', `${first.urls.identity}/endpoints`, undefined, {
      token,
    });
    const changed = body.endpoints.find(({ url, interface: face }) => url === first.urls.compute && face === 'admin');
    const path = `${first.urls.identity}/endpoints/${changed?.id}`;
    expect((await first.api('PATCH', path, { endpoint: { url: elsewhere } }, { token })).status).toBe(200);
    await second.stop();
    await second.restart();
    const shown = await second.api<{ endpoint: { url: string } }>('GET', `${second.urls.identity}/endpoints/${changed?.id}`, undefined, { token });
    expect(shown.body.endpoint.url).toBe(elsewhere);
  });

  it('keep serving it when the one that took it is gone, since the other has a copy', async () => {
    const { first, second } = clouds;
    await until('the second holds a copy', async () => existsSync(join(second.dataDir, 'images', createHash('sha512').update(BYTES).digest('hex'))));
    await first.kill9();
    expect((await download(second)).equals(BYTES)).toBe(true);
    expect(await second.login({ user: 'demo', password: 'wrong', project: 'demo' }).catch(() => 'refused')).toBe('refused');
    expect(await second.demoToken()).toMatch(/^\S{43}$/);
  });

  it('remove it everywhere when it is deleted', async () => {
    const { first, second } = clouds;
    expect((await second.api('DELETE', `${second.urls.image}/v2/images/${mine}`, undefined, { token })).status).toBe(204);
    await first.restart();
    const hash = createHash('sha512').update(BYTES).digest('hex');
    for (const cloud of [first, second]) expect([cloud.dataDir, existsSync(join(cloud.dataDir, 'images', hash))]).toEqual([cloud.dataDir, false]);
  });

  async function download(cloud: Cloud): Promise<Buffer> {
    const answer = await fetch(`${cloud.urls.image}/v2/images/${mine}/file`, { headers: { 'x-auth-token': token } });
    expect(answer.status).toBe(200);
    return Buffer.from(await answer.arrayBuffer());
  }
});

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!(await isTrue().catch(() => false))) {
    if (Date.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
