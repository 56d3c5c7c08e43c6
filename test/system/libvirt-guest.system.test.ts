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

type Server = { id: string; status: string; fault?: { message: string; code: number } };

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
  async function upload(at: LibvirtCloud, name: string, format: string, file: string, ...more: string[]): Promise<string> {
    const container = format.startsWith('a') ? format : 'bare';
    return value(at.openstack('image', 'create', '--disk-format', format, '--container-format', container, '--file', file, '-f', 'value', '-c', 'id', ...more, name));
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
    await at.openstackAdmin('flavor', 'create', ...FLAVOR, 'small');
    const [kernel, ramdisk] = await Promise.all([upload(at, 'kernel', 'aki', at.guest.kernel), upload(at, 'ramdisk', 'ari', at.guest.initramfs)]);
    await upload(at, 'direct', 'ami', blank, '--property', `kernel_id=${kernel}`, '--property', `ramdisk_id=${ramdisk}`, '--property', `os_command_line=${COMMAND_LINE}`);
    expect(await at.openstack('keypair', 'create', 'mine')).toContain('PRIVATE KEY');

    const made = await json(at.openstack('server', 'create', '--flavor', 'small', '--image', 'direct', '--key-name', 'mine', '--wait', '-f', 'json', 'first'));
    const id = String(made['id']);
    expect(made).toMatchObject({ status: 'ACTIVE', name: 'first', key_name: 'mine', 'OS-EXT-STS:power_state': 1 });
    expect(await json(at.openstack('server', 'show', '-f', 'json', 'first'))).toMatchObject({ id, status: 'ACTIVE', addresses: { private: [expect.stringMatching(/^10\.20\./)] } });
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
    expect(JSON.parse(await at.openstackAdmin('hypervisor', 'list', '--long', '-f', 'json'))).toEqual([expect.objectContaining({ 'Hypervisor Type': 'QEMU', State: 'up', 'vCPUs Used': 1, 'Memory MB Used': 96 })]);
    await at.openstack('server', 'delete', '--wait', 'first');
    expect(await at.domains()).toEqual(new Map());
    expect(at.folders()).toEqual([]);
    expect(await at.problems()).toEqual([]);
    expect(JSON.parse(await at.openstackAdmin('hypervisor', 'list', '--long', '-f', 'json'))).toEqual([expect.objectContaining({ 'vCPUs Used': 0, 'Memory MB Used': 0 })]);
  });

  it('boots a disk by its own loader, and tells by itself that a guest was killed from outside', async (ctx) => {
    const at = await ready(ctx);
    await upload(at, 'bootable', 'qcow2', at.disk);
    const id = await value(at.openstack('server', 'create', '--flavor', 'small', '--image', 'bootable', '--wait', '-f', 'value', '-c', 'id', 'second'));
    await expect.poll(() => console_(at, id), WAIT).toContain('GUEST READY');
    await at.daemon.killGuest(id);
    // Nobody asks the host: a list reads rows, so the news were brought there.
    const listed = async (): Promise<string[]> => {
      const { body } = await at.cloud.api<{ servers: Server[] }>('GET', '/servers/detail?all_tenants=1');
      return body.servers.map(({ status }) => status);
    };
    await expect.poll(listed, SOON).toEqual(['SHUTOFF']);
    const { body } = await at.cloud.api<{ server: object }>('GET', `/servers/${id}`);
    expect(body.server).toMatchObject({ 'OS-EXT-STS:power_state': 6, 'OS-EXT-STS:vm_state': 'stopped' });
    await at.openstack('server', 'start', 'second');
    await expect.poll(listed, WAIT).toEqual(['ACTIVE']);
    expect(await at.domains()).toEqual(new Map([[id, 'running']]));
    await at.openstack('server', 'delete', '--wait', 'second');
    expect(await at.problems()).toEqual([]);
  });

  it('refuses images that are not what they say, with a fault that tells why, and leaves nothing of them', async (ctx) => {
    const at = await ready(ctx);
    const [backed, large] = [join(at.folder, 'backed'), join(at.folder, 'large')];
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', '/etc/passwd', backed, '1M']);
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', large, '2G']);
    await Promise.all([upload(at, 'liar', 'raw', at.disk), upload(at, 'backed', 'qcow2', backed), upload(at, 'large', 'qcow2', large)]);
    for (const [image, why] of [
      ['liar', /not of the disk format that it is declared to be/],
      ['backed', /not acceptable: it has a backing file/],
      ['large', /larger than the root disk of the flavor/],
    ] as const) {
      // The client tells it by words only; its exit code is 0.
      expect(await at.openstack('server', 'create', '--flavor', 'small', '--image', image, '--wait', image)).toContain('Error creating server');
      const id = await value(at.openstack('server', 'show', '-f', 'value', '-c', 'id', image));
      const { status, fault } = await server(at, id);
      expect([image, status]).toEqual([image, 'ERROR']);
      expect(fault?.message).toMatch(why);
      expect(fault?.message).not.toMatch(/\/|No valid host/);
    }
    expect(await at.domains()).toEqual(new Map());
    expect(at.folders()).toEqual([]);
    await at.openstack('server', 'delete', '--wait', 'liar', 'backed', 'large');
    expect(await at.problems()).toEqual([]);
  });
});
