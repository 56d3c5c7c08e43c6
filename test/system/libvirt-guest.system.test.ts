/**
 * The whole path with real guests: the client that people use, a cloud as a process, a private libvirtd, a kernel that
 * boots. What each part promises by itself is tested beside it; here it is that they keep it together.
 */
import { execFile } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { need, obstacle, openLibvirtCloud, type LibvirtCloud } from './libvirt-cloud.ts';

const run = promisify(execFile);
const FLAVOR = ['--ram', '96', '--disk', '1', '--vcpus', '1'];
const COMMAND_LINE = 'console=ttyS0 panic=1';
/** Until a change is seen that needs a guest's help; generous, since two cores may be busy. */
const WAIT = { timeout: 60_000, interval: 250 };
/** Until a change is seen that needs nobody's help. */
const SOON = { timeout: 10_000, interval: 100 };
const CASE_MS = 180_000;

type Server = { id: string; status: string; 'OS-EXT-STS:task_state': string | null; fault?: { message: string; code: number } };

describe('a cloud on libvirt', { timeout: CASE_MS }, () => {
  let rig: LibvirtCloud | undefined;
  beforeAll(async () => {
    if ((await obstacle()) === undefined) rig = await openLibvirtCloud();
  }, CASE_MS);
  afterAll(() => rig?.close(), CASE_MS);

  const json = async (output: Promise<string>): Promise<Record<string, unknown>> => JSON.parse(await output) as Record<string, unknown>;
  const value = async (output: Promise<string>): Promise<string> => (await output).trim();
  async function server(at: LibvirtCloud, id: string): Promise<Server> {
    const { body } = await at.cloud.api<{ server: Server }>('GET', `/servers/${id}`);
    return body.server;
  }
  function create(at: LibvirtCloud, imageRef: string): Promise<string> {
    return at.cloud.api<{ server: Server }>('POST', '/servers', { server: { name: 'test', flavorRef: 'small', imageRef } }).then(({ body }) => body.server.id);
  }
  async function remove(at: LibvirtCloud, id: string): Promise<void> {
    expect((await at.cloud.api('DELETE', `/servers/${id}`)).status).toBe(204);
    await expect.poll(async () => (await at.cloud.api('GET', `/servers/${id}`)).status, WAIT).toBe(404);
  }
  /** Its status when nothing runs on it any more. */
  async function rest(at: LibvirtCloud, id: string): Promise<string | undefined> {
    const found = await server(at, id);
    return found['OS-EXT-STS:task_state'] === null ? found.status : undefined;
  }
  async function console_(at: LibvirtCloud, id: string): Promise<string> {
    const { body } = await at.cloud.api<{ output: string }>('POST', `/servers/${id}/action`, { 'os-getConsoleOutput': {} });
    return body.output;
  }
  async function ready(ctx: TestContext): Promise<LibvirtCloud & { disk: string }> {
    const at = await need(ctx, rig);
    const { disk } = at.guest;
    if (disk === undefined && process.env['CI'] === undefined) ctx.skip('needs mtools, dosfstools and syslinux');
    if (disk === undefined) expect.fail('needs mtools, dosfstools and syslinux');
    return { ...at, disk };
  }

  it('boots a guest from kernel and ramdisk, and a client takes it through its life', async (ctx) => {
    const at = await need(ctx, rig);
    const blank = join(at.folder, 'blank');
    writeFileSync(blank, '');
    truncateSync(blank, 1 << 20);
    const upload = (name: string, format: string, file: string, ...more: string[]): Promise<string> =>
      value(at.openstack('image', 'create', '--disk-format', format, '--container-format', format, '--file', file, '-f', 'value', '-c', 'id', ...more, name));
    const [kernel, ramdisk] = await Promise.all([
      upload('kernel', 'aki', at.guest.kernel),
      upload('ramdisk', 'ari', at.guest.initramfs),
      at.openstackAdmin('flavor', 'create', ...FLAVOR, '--id', 'small', 'small'),
    ]);
    await upload(
      'direct',
      'ami',
      blank,
      '--property',
      `kernel_id=${kernel}`,
      '--property',
      `ramdisk_id=${ramdisk}`,
      '--property',
      `os_command_line=${COMMAND_LINE}`,
    );
    expect(await at.openstack('keypair', 'create', 'mine')).toContain('PRIVATE KEY');

    const made = await json(at.openstack('server', 'create', '--flavor', 'small', '--image', 'direct', '--key-name', 'mine', '--wait', '-f', 'json', 'first'));
    const id = String(made['id']);
    expect(made).toMatchObject({ status: 'ACTIVE', name: 'first', key_name: 'mine', 'OS-EXT-STS:power_state': 1 });
    expect(await json(at.openstack('server', 'show', '-f', 'json', 'first'))).toMatchObject({
      id,
      status: 'ACTIVE',
      addresses: { private: [expect.stringMatching(/^10\.20\./)] },
    });
    expect(await value(at.openstack('server', 'list', '-f', 'value', '-c', 'Name', '-c', 'Status'))).toBe('first ACTIVE');
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST READY');
    const log = await at.openstack('console', 'log', 'show', 'first');
    expect(log).toContain('Linux version');
    expect(log).toContain('GUEST BOOT 1');
    expect(log).toContain('GUEST CPUS 1');
    expect(log).toContain(`GUEST DISK ${(1 << 30) / 512}`); // the flavor's, not the image's
    expect(await at.problems()).toEqual([]);

    await at.openstack('server', 'stop', 'first');
    await expect.poll(async () => (await server(at, id)).status, WAIT).toBe('SHUTOFF');
    expect(await console_(at, id)).toContain('GUEST POWEROFF'); // it was asked, and went by itself
    expect(await at.domains()).toEqual(new Map([[id, 'shut off']]));
    await at.openstack('server', 'start', 'first');
    await expect.poll(async () => (await server(at, id)).status, WAIT).toBe('ACTIVE');
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST READY');
    expect(await console_(at, id)).toContain('GUEST BOOT 2'); // on the disk that it had

    await at.openstack('server', 'reboot', '--soft', '--wait', 'first');
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST BOOT 3');
    await at.openstack('server', 'reboot', '--hard', '--wait', 'first');
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST BOOT 4');
    await expect.poll(async () => (await server(at, id)).status, WAIT).toBe('ACTIVE');

    const events = JSON.parse(await at.openstack('server', 'event', 'list', '-f', 'json', 'first')) as { Action: string }[];
    expect(events.map(({ Action }) => Action)).toEqual(['reboot', 'reboot', 'start', 'stop', 'create']);
    expect(JSON.parse(await at.openstackAdmin('hypervisor', 'list', '--long', '-f', 'json'))).toEqual([
      expect.objectContaining({ 'Hypervisor Type': 'QEMU', State: 'up', 'vCPUs Used': 1, 'Memory MB Used': 96 }),
    ]);
    await at.openstack('server', 'delete', '--wait', 'first');
    expect(await at.domains()).toEqual(new Map());
    expect(at.folders()).toEqual([]);
    expect(await at.problems()).toEqual([]);
    expect(JSON.parse(await at.openstackAdmin('hypervisor', 'list', '--long', '-f', 'json'))).toEqual([
      expect.objectContaining({ 'vCPUs Used': 0, 'Memory MB Used': 0 }),
    ]);
  });

  it('boots a disk by its own loader, and tells by itself that a guest was killed from outside', async (ctx) => {
    const at = await ready(ctx);
    const id = await create(at, await at.upload('bootable', 'qcow2', at.disk));
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST READY');
    await at.daemon.killGuest(id);
    // A list reads rows and asks no host: the news were brought there.
    await expect
      .poll(async () => (await at.cloud.api<{ servers: Server[] }>('GET', '/servers/detail')).body.servers.map(({ status }) => status), SOON)
      .toEqual(['SHUTOFF']);
    expect(await server(at, id)).toMatchObject({ 'OS-EXT-STS:power_state': 6, 'OS-EXT-STS:vm_state': 'stopped' });
    expect((await at.cloud.api('POST', `/servers/${id}/action`, { 'os-start': null })).status).toBe(202);
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');
    expect(await at.domains()).toEqual(new Map([[id, 'running']]));
    await remove(at, id);
    expect(await at.problems()).toEqual([]);
  });

  it('refuses images that are not what they say, with a fault that tells why, and leaves nothing of them', async (ctx) => {
    const at = await ready(ctx);
    const [backed, large] = [join(at.folder, 'backed'), join(at.folder, 'large')];
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', backed, '1M']);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', large, '2G']);
    for (const [name, format, file, why] of [
      ['liar', 'raw', at.disk, 'The image is not of the disk format that it is declared to be.'],
      ['backed', 'qcow2', backed, 'The image is not acceptable: it has a backing file.'],
      ['large', 'qcow2', large, 'The disk of the image is larger than the root disk of the flavor.'],
    ] as const) {
      const id = await create(at, await at.upload(name, format, file));
      await expect.poll(() => rest(at, id), WAIT).toBe('ERROR');
      expect([name, (await server(at, id)).fault?.message]).toEqual([name, why]);
      expect([name, await at.domains(), at.folders()]).toEqual([name, new Map(), []]);
      await remove(at, id);
    }
    expect(await at.problems()).toEqual([]);
  });
});
