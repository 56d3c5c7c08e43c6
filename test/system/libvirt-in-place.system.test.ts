/**
 * What is done to a real guest where it is, by the client that people use: its memory outlives a pause and a suspension,
 * a rescue boots another disk and leaves the own one alone, and a lock stands before all of it.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { need, obstacle, openLibvirtCloud, type LibvirtCloud } from './libvirt-cloud.ts';

/** Until a change is seen that needs a guest's help; generous, since two cores may be busy. */
const WAIT = { timeout: 60_000, interval: 250 };
const CASE_MS = 240_000;
const COMMAND_LINE = 'console=ttyS0 panic=1';
const FLAVOR = { name: 'small', id: 'small', ram: 96, disk: 1, vcpus: 1 };

type Server = { id: string; status: string; locked?: boolean; 'OS-EXT-STS:task_state': string | null; 'OS-EXT-STS:power_state': number };

describe('a guest on libvirt', { timeout: CASE_MS }, () => {
  let rig: LibvirtCloud | undefined;
  beforeAll(async () => {
    if ((await obstacle()) === undefined) rig = await openLibvirtCloud(['--set', 'operations.reclaimAfterMs=3600000']);
  }, CASE_MS);
  afterAll(() => rig?.close(), CASE_MS);

  async function show(at: LibvirtCloud, id: string): Promise<Server> {
    return (await at.cloud.api<{ server: Server }>('GET', `/servers/${id}`)).body.server;
  }
  async function rest(at: LibvirtCloud, id: string): Promise<string | undefined> {
    const { status, 'OS-EXT-STS:task_state': task } = await show(at, id);
    return task === null ? status : undefined;
  }
  async function act(at: LibvirtCloud, id: string, body: object): Promise<number> {
    return (await at.cloud.api('POST', `/servers/${id}/action`, body)).status;
  }
  async function written(at: LibvirtCloud, id: string): Promise<string> {
    return (await at.cloud.api<{ output: string }>('POST', `/servers/${id}/action`, { 'os-getConsoleOutput': {} })).body.output;
  }

  async function create(at: LibvirtCloud): Promise<string> {
    const blank = join(at.folder, 'blank');
    writeFileSync(blank, '');
    truncateSync(blank, 1 << 20);
    const [kernel, ramdisk, image] = [
      await at.upload('kernel', 'aki', at.guest.kernel),
      await at.upload('ramdisk', 'ari', at.guest.initramfs),
      await at.upload('direct', 'raw', blank),
    ];
    await at.openstackAdmin('flavor', 'create', '--ram', '96', '--disk', '1', '--vcpus', '1', '--id', FLAVOR.id, FLAVOR.name);
    const properties = [`kernel_id=${kernel}`, `ramdisk_id=${ramdisk}`, `os_command_line=${COMMAND_LINE}`].flatMap((one) => ['--property', one]);
    await at.openstackAdmin('image', 'set', ...properties, image);
    const { body } = await at.cloud.api<{ server: Server }>('POST', '/servers', { server: { name: 'held', flavorRef: FLAVOR.id, imageRef: image } });
    await expect.poll(() => rest(at, body.server.id), WAIT).toBe('ACTIVE');
    await expect.poll(() => written(at, body.server.id), WAIT).toContain('GUEST READY');
    return body.server.id;
  }

  it('is paused, suspended, rescued, locked, deleted and restored', async (ctx) => {
    const at = await need(ctx, rig);
    const id = await create(at);

    await at.openstackAdmin('server', 'pause', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('PAUSED');
    expect([await at.domains(), (await show(at, id))['OS-EXT-STS:power_state']]).toEqual([new Map([[id, 'paused']]), 3]);
    await at.openstackAdmin('server', 'unpause', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');

    await at.openstackAdmin('server', 'suspend', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('SUSPENDED');
    expect([await at.domains(), (await show(at, id))['OS-EXT-STS:power_state']]).toEqual([new Map([[id, 'shut off']]), 7]);
    await at.openstackAdmin('server', 'resume', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');
    expect(await at.domains()).toEqual(new Map([[id, 'running']]));

    expect(await at.openstackAdmin('server', 'rescue', '--password', 'MySecret', 'held')).toBeDefined();
    await expect.poll(() => rest(at, id), WAIT).toBe('RESCUE');
    await expect.poll(() => written(at, id), WAIT).toContain('GUEST BOOT 1'); // a disk that never booted
    await at.openstackAdmin('server', 'unrescue', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');
    // Its own disk, which a rescue left alone, and from which nothing booted when its memory came back.
    await expect.poll(() => written(at, id), WAIT).toContain('GUEST BOOT 2');

    // Somebody holds it behind our back: that is noted, and nothing is done about it.
    await at.daemon.virsh('suspend', id);
    await expect.poll(async () => (await show(at, id))['OS-EXT-STS:power_state'], WAIT).toBe(3);
    expect(await rest(at, id)).toBe('ACTIVE');
    await at.daemon.virsh('resume', id);
    await expect.poll(async () => (await show(at, id))['OS-EXT-STS:power_state'], WAIT).toBe(1);

    await at.openstackAdmin('server', 'lock', 'held');
    expect(await show(at, id)).toMatchObject({ status: 'ACTIVE' });
    await at.openstackAdmin('server', 'unlock', 'held');
    expect(await act(at, id, { changePassword: { adminPass: 'new' } })).toBe(409); // the image has no agent inside
    expect(await rest(at, id)).toBe('ACTIVE');

    await at.openstackAdmin('server', 'delete', 'held');
    await expect.poll(() => rest(at, id), WAIT).toBe('SOFT_DELETED');
    expect(await at.domains()).toEqual(new Map([[id, 'shut off']]));
    await at.openstackAdmin('server', 'restore', id);
    await expect.poll(() => rest(at, id), WAIT).toBe('ACTIVE');
    await expect.poll(() => written(at, id), WAIT).toContain('GUEST BOOT 3');
    expect(await at.problems()).toEqual([]);

    const events = JSON.parse(await at.openstackAdmin('server', 'event', 'list', '-f', 'json', id)) as { Action: string }[];
    expect(events.map(({ Action }) => Action).toReversed()).toEqual([
      'create',
      'pause',
      'unpause',
      'suspend',
      'resume',
      'rescue',
      'unrescue',
      'lock',
      'unlock',
      'changePassword',
      'delete',
      'restore',
    ]);
    expect(await act(at, id, { forceDelete: null })).toBe(202);
    await expect.poll(async () => (await at.cloud.api('GET', `/servers/${id}`)).status, WAIT).toBe(404);
    expect([await at.domains(), at.folders(), await at.problems()]).toEqual([new Map(), [], []]);
  });
});
