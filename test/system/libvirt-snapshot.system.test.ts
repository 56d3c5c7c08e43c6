/**
 * Disks of real guests through the image service and back: the tiny guest counts its boots on its disk, so that each copy
 * of the disk tells where it comes from.
 */
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { need, obstacle, openLibvirtCloud, type LibvirtCloud } from './libvirt-cloud.ts';

const FLAVOR = ['--ram', '96', '--disk', '1', '--vcpus', '1', '--id', 'small', 'small'];
const COMMAND_LINE = 'console=ttyS0 panic=1';
const WAIT = { timeout: 90_000, interval: 250 };
const CASE_MS = 240_000;

type Server = { id: string; status: string; 'OS-EXT-STS:task_state': string | null; 'OS-EXT-SRV-ATTR:host': string | null };
type Image = { id: string; status: string; disk_format: string; size: number };

describe('disks of guests on libvirt', { timeout: CASE_MS }, () => {
  let rig: LibvirtCloud | undefined;
  let imageId = '';
  beforeAll(async () => {
    if ((await obstacle()) !== undefined) return;
    rig = await openLibvirtCloud();
    const blank = join(rig.folder, 'blank');
    writeFileSync(blank, '');
    truncateSync(blank, 1 << 20);
    const [kernel, ramdisk] = await Promise.all([rig.upload('kernel', 'aki', rig.guest.kernel), rig.upload('ramdisk', 'ari', rig.guest.initramfs)]);
    imageId = await rig.upload('direct', 'raw', blank);
    const properties = { kernel_id: kernel, ramdisk_id: ramdisk, os_command_line: COMMAND_LINE };
    const named = Object.entries(properties).flatMap(([name, value]) => ['--property', `${name}=${value}`]);
    await rig.openstackAdmin('image', 'set', ...named, imageId);
    await rig.openstackAdmin('flavor', 'create', ...FLAVOR);
  }, CASE_MS);
  afterAll(() => rig?.close(), CASE_MS);

  async function show({ cloud }: LibvirtCloud, id: string): Promise<Server> {
    return (await cloud.api<{ server: Server }>('GET', `/servers/${id}`)).body.server;
  }
  async function become(at: LibvirtCloud, id: string, status: string): Promise<void> {
    await expect
      .poll(async () => {
        const seen = await show(at, id);
        return seen['OS-EXT-STS:task_state'] === null ? seen.status : undefined;
      }, WAIT)
      .toBe(status);
  }
  async function create(at: LibvirtCloud, imageRef: string): Promise<string> {
    const { body } = await at.cloud.api<{ server: Server }>('POST', '/servers', { server: { name: 'test', flavorRef: 'small', imageRef } });
    await become(at, body.server.id, 'ACTIVE');
    return body.server.id;
  }
  async function act<Body>(at: LibvirtCloud, id: string, body: object): Promise<Body> {
    const answer = await at.cloud.api<Body>('POST', `/servers/${id}/action`, body, { microversion: '2.45' });
    expect([answer.status, body]).toEqual([202, body]);
    return answer.body;
  }
  async function console_(at: LibvirtCloud, id: string): Promise<string> {
    return (await at.cloud.api<{ output: string }>('POST', `/servers/${id}/action`, { 'os-getConsoleOutput': {} })).body.output;
  }
  const boots = (at: LibvirtCloud, id: string, count: number): Promise<void> => expect.poll(() => console_(at, id), WAIT).toContain(`GUEST BOOT ${count}`);
  const ready = (at: LibvirtCloud, id: string): Promise<void> => expect.poll(() => console_(at, id), WAIT).toContain('GUEST READY');
  async function remove(at: LibvirtCloud, ...ids: string[]): Promise<void> {
    for (const id of ids) {
      expect((await at.cloud.api('DELETE', `/servers/${id}`)).status).toBe(204);
      await expect.poll(async () => (await at.cloud.api('GET', `/servers/${id}`)).status, WAIT).toBe(404);
    }
  }

  it('are copied while the guest runs, and another server goes on from there', async (ctx) => {
    const at = await need(ctx, rig);
    const id = await create(at, imageId);
    await boots(at, id, 1);
    await ready(at, id);
    const { image_id: copy } = await act<{ image_id: string }>(at, id, { createImage: { name: 'copy' } });
    await become(at, id, 'ACTIVE');
    const image = (await at.cloud.api<Image>('GET', `${at.cloud.urls.image}/v2/images/${copy}`)).body;
    expect(image).toMatchObject({ status: 'active', disk_format: 'qcow2' });
    expect(await at.domains()).toEqual(new Map([[id, 'running']]));
    const other = await create(at, copy);
    await boots(at, other, 2);
    await act(at, id, { rebuild: { imageRef: copy } });
    await become(at, id, 'ACTIVE');
    await boots(at, id, 2);
    await remove(at, id, other);
    expect(await at.problems()).toEqual([]);
  });

  it('outlive their host while the server is shelved', async (ctx) => {
    const at = await need(ctx, rig);
    const id = await create(at, imageId);
    await boots(at, id, 1);
    await ready(at, id);
    await act(at, id, { shelve: null });
    await become(at, id, 'SHELVED_OFFLOADED');
    expect([await at.domains(), at.folders()]).toEqual([new Map(), []]);
    await act(at, id, { unshelve: null });
    await become(at, id, 'ACTIVE');
    await boots(at, id, 2);
    await remove(at, id);
    expect(await at.problems()).toEqual([]);
    const left = (await at.cloud.api<{ images: Image[] }>('GET', `${at.cloud.urls.image}/v2/images?instance_uuid=${id}`)).body.images;
    expect(left).toEqual([]);
  });
});
