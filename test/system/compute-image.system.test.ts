/**
 * A node that only drives hosts and has no account anywhere boots a real guest: the bytes of its image come over HTTP,
 * by a ticket that a control node gives for what the host's servers are made from. An image of the guest goes the other
 * way, by a ticket for that one image.
 */
import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { tinyImage } from '../chaos/operations.ts';
import { LAUNCHER, lacks, startCloud, type Cloud } from '../doubles/cloud.ts';
import { startLibvirtd, type PrivateLibvirtd } from '../guest/libvirtd.ts';
import { obstacle } from './libvirt-cloud.ts';

type Body = { readonly server: { readonly id: string; readonly status: string }; readonly output: string; readonly hypervisors: readonly { state: string }[] };

const WAIT_MS = 120_000;
const run = promisify(execFile);

let why: string | undefined;
let folder: string;
let daemon: PrivateLibvirtd;
let control: Cloud;
let compute: Cloud;

beforeAll(async () => {
  why = await obstacle();
  if (why !== undefined) return;
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'novact-far-')));
  chmodSync(folder, 0o711);
  daemon = await startLibvirtd();
  control = await startCloud({ args: ['--set', 'name=n1', '--roles', 'control,api'] });
  const keyFile = join(folder, 'c1.key');
  const { stdout } = await run(process.execPath, [LAUNCHER, 'node', 'add', 'c1', '--roles', 'compute', '--data', control.dataDir]);
  writeFileSync(keyFile, stdout, { mode: 0o600 });
  const args = ['--key-file', keyFile, '--driver', 'libvirt', '--set', `hosts.0.driver.socketPath=${daemon.socketPath}`];
  compute = await startCloud({ args, dataDir: join(folder, 'data') });
});

afterAll(async () => {
  await compute?.close();
  await control?.close();
  await daemon?.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

it('a host without credentials boots a guest from an image that lies at a control node, and brings an image of it there', async (ctx) => {
  if (why !== undefined) lacks((reason) => ctx.skip(reason), why.replace(/^needs /, ''));
  const get = async (path: string): Promise<Body> => (await control.api<Body>('GET', path)).body;
  await until('the host is up', async () => (await get('/os-hypervisors')).hypervisors.some(({ state }) => state === 'up'));
  const order = { server: { name: 'far', flavorRef: '42', imageRef: await tinyImage(control) } };
  const { body } = await control.api<Body>('POST', '/servers', order);
  await until('it is active', async () => (await get(`/servers/${body.server.id}`)).server.status === 'ACTIVE');
  await until('it has booted', async () =>
    (await control.api<Body>('POST', `/servers/${body.server.id}/action`, { 'os-getConsoleOutput': {} })).body.output.includes('it boots'),
  );
  for (const name of ['clouds.yaml', 'openrc', 'secrets.json']) expect(readdirSync(compute.dataDir)).not.toContain(name);
  const copied = await control.api<{ image_id: string }>(
    'POST',
    `/servers/${body.server.id}/action`,
    { createImage: { name: 'copy' } },
    { microversion: '2.45' },
  );
  expect(copied.status).toBe(202);
  const copy = `${control.urls.image}/v2/images/${copied.body.image_id}`;
  await until('its copy is whole', async () => (await control.api<{ status: string }>('GET', copy)).body.status === 'active');
  expect((await control.api('GET', copy)).body).toMatchObject({ disk_format: 'qcow2', instance_uuid: body.server.id });
  expect((await control.api('DELETE', `/servers/${body.server.id}`)).status).toBe(204);
  await until('its guest is gone', async () => (await daemon.virsh('list', '--all', '--uuid')).trim() === '');
});

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  while (!(await isTrue().catch(() => false))) {
    if (Date.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}
