import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isUuid } from '../../../runtime/base/ids.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { IMAGE_ID, OTHER_PROJECT, openRig, PROJECT, type AskOptions, type Rig } from './rig.ts';

let rig: Rig;
let id: string;

beforeEach(async () => {
  rig = await openRig();
  rig.images.add({ id: IMAGE_ID, minDiskGiB: 0, properties: { hw_disk_bus: 'virtio', img_signature: 'x', os_glance_stage: 'y' } });
  id = await rig.server();
});
afterEach(() => rig.close());

function act(version: string, body: object, options: AskOptions = {}) {
  return rig.ask('POST', `/v2.1/servers/${id}/action`, { version, body, ...options });
}
const last = () => rig.cloud.verbs.at(-1)?.verb as { name: string; image: { id: string; name: string; owner: string; minDiskGiB: number; properties: object } };
const rest = (): void => void rig.cloud.change(id, { taskState: null });

describe('createImage', () => {
  it('names the image in a header up to 2.44 and in the body from 2.45 on, and it exists by then', async () => {
    const old = await act('2.44', { createImage: { name: 'copy' } });
    expect([old.status, old.text]).toEqual([202, '']);
    expect(old.headers['location']).toBe(`http://127.0.0.1:9292/images/${last().image.id}`);
    rest();
    const { status, body, headers } = await act('2.45', { createImage: { name: 'copy' } });
    expect([status, body, headers['location']]).toEqual([202, { image_id: last().image.id }, undefined]);
    expect(rig.cloud.madeImages).toContain(last().image.id);
    expect(isUuid(last().image.id)).toBe(true);
  });

  it('makes an image that says whose it is, of which server and image, and what the user says of it', async () => {
    await act('2.1', { createImage: { name: 'copy', metadata: { mine: 'yes', image_type: 'of mine' } } });
    expect(last()).toMatchObject({ name: 'createImage', image: { name: 'copy', owner: PROJECT, minDiskGiB: 1 } });
    expect(last().image.properties).toEqual({
      hw_disk_bus: 'virtio',
      mine: 'yes',
      instance_uuid: id,
      user_id: 'user-member',
      owner_id: PROJECT,
      image_type: 'of mine',
      image_location: 'snapshot',
      image_state: 'available',
      base_image_ref: IMAGE_ID,
    });
  });

  it('is accepted although no image service answers for the moment: the operation goes on', async () => {
    const ask = rig.cloud.ask.bind(rig.cloud);
    rig.cloud.ask = async (to, message) => {
      if (message.type === 'snapshotImage') throw new Fault('unavailable', 'image.away', 'away');
      return ask(to, message);
    };
    expect((await act('2.45', { createImage: { name: 'copy' } })).status).toBe(202);
  });

  it('does not mind a lock, and is refused while the server does another thing or cannot be copied', async () => {
    rig.cloud.change(id, { locked: true });
    const body = { createImage: { name: 'copy' } };
    // The double's own lock is stricter than the actor's.
    expect((await act('2.1', body, { token: 'admin' })).status).toBe(202);
    rig.cloud.change(id, { locked: false, taskState: 'rebooting' });
    expect((await act('2.1', body)).at('conflictingRequest', 'message')).toBe(`Cannot 'createImage' instance ${id} while it is in task_state rebooting`);
    rig.cloud.change(id, { vmState: 'error', taskState: null });
    expect((await act('2.1', body)).at('conflictingRequest', 'message')).toBe(`Cannot 'createImage' instance ${id} while it is in vm_state error`);
  });

  it('counts metadata while there was a proxy for it, and not from 2.39 on', async () => {
    rig.cloud.limits.set(`${PROJECT}/`, { metadata_items: 1 });
    const body = { createImage: { name: 'copy', metadata: { a: 'b', c: 'd' } } };
    expect((await act('2.38', body)).status).toBe(403);
    expect((await act('2.39', body)).status).toBe(202);
  });
});

describe('createBackup', () => {
  it('makes a backup of its type that rotates the others, and names none when none is kept', async () => {
    const kept = await act('2.45', { createBackup: { name: 'b', backup_type: 'daily', rotation: '2', metadata: { a: 'b', image_type: 'of mine' } } });
    expect([kept.status, kept.body]).toEqual([202, { image_id: last().image.id }]);
    expect(last()).toMatchObject({
      name: 'createBackup',
      backupType: 'daily',
      rotation: 2,
      image: { properties: { image_type: 'backup', backup_type: 'daily', a: 'b' } },
    });
    rest();
    const none = await act('2.45', { createBackup: { name: 'b', backup_type: 'daily', rotation: 0 } });
    expect([none.status, none.text]).toEqual([202, '']);
    rest();
    const old = await act('2.1', { createBackup: { name: 'b', backup_type: 'weekly', rotation: 1 } });
    expect(old.headers['location']).toContain(last().image.id);
  });
});

describe('rebuild', () => {
  const rebuild = (version: string, more: object = {}, options: AskOptions = {}) => act(version, { rebuild: { imageRef: IMAGE_ID, ...more } }, options);

  it('answers with the server as it will be, where it is found, and the password', async () => {
    const answer = await rebuild('2.1', { name: 'new', adminPass: 'MySecretPass', accessIPv4: '1.2.3.4', metadata: { k: 'v' }, 'OS-DCF:diskConfig': 'AUTO' });
    expect([answer.status, answer.headers['location']]).toEqual([202, `${rig.url}/v2.1/servers/${id}`]);
    expect(answer.at('server')).toMatchObject({
      id,
      name: 'new',
      status: 'REBUILD',
      adminPass: 'MySecretPass',
      accessIPv4: '1.2.3.4',
      metadata: { k: 'v' },
      'OS-DCF:diskConfig': 'AUTO',
    });
    expect(answer.at('server')).not.toHaveProperty('key_name');
    rest();
    expect((await rebuild('2.1')).at('server', 'adminPass')).toMatch(/^.{12,}$/);
  });

  it('takes and shows by version what the reference does', async () => {
    const key = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)} me`;
    await rig.ask('POST', '/v2.1/os-keypairs', { body: { keypair: { name: 'one', public_key: key } } });
    for (const [version, more, status] of [
      ['2.18', { description: 'd' }, 400],
      ['2.19', { description: null }, 202],
      ['2.53', { key_name: 'one' }, 400],
      ['2.54', { key_name: 'one' }, 202],
      ['2.54', { key_name: null }, 202],
      ['2.56', { personality: [{ path: '/a', contents: 'QUJD' }] }, 202],
      ['2.56', { user_data: 'QUJD' }, 400],
      ['2.57', { user_data: 'QUJD' }, 202],
      ['2.57', { personality: [] }, 400],
      ['2.62', { trusted_image_certificates: null }, 400],
      ['2.63', { trusted_image_certificates: null }, 202],
      ['2.63', { trusted_image_certificates: ['c'] }, 400],
      ['2.89', { hostname: 'box' }, 400],
      ['2.90', { hostname: 'box' }, 202],
      ['2.93', { hostname: 'box.example.org' }, 400],
      ['2.94', { hostname: 'box.example.org' }, 202],
      ['2.1', { preserve_ephemeral: 'True' }, 202],
    ] as const) {
      expect((await rebuild(version, more)).status, `${version} ${JSON.stringify(more)}`).toBe(status);
      rest();
    }
    const shown = await rebuild('2.57', { key_name: 'one', user_data: 'QUJD' });
    expect(shown.at('server')).toMatchObject({ key_name: 'one', user_data: 'QUJD' });
    expect(rig.cloud.servers.get(id)?.record).toMatchObject({ keyName: 'one', publicKey: key, userData: 'QUJD' });
    rest();
    const full = (await rebuild('2.75', {}, { token: 'admin' })).at('server');
    expect(full).toHaveProperty('OS-EXT-SRV-ATTR:host');
    expect(full).not.toHaveProperty('OS-EXT-SRV-ATTR:user_data');
    rest();
    expect((await rebuild('2.75')).at('server')).toMatchObject({ 'OS-EXT-STS:task_state': 'rebuilding', key_name: 'one' });
  });

  it('looks at the state before it looks at the image', async () => {
    rig.cloud.change(id, { vmState: 'paused' });
    expect((await rebuild('2.1', { imageRef: '00000000-0000-4000-8000-000000000001' })).status).toBe(409);
  });

  it('wants an image that is there, active, the caller’s to see, and fits the flavor', async () => {
    const at = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;
    rig.images.add({ id: at(1), status: 'queued' });
    rig.images.add({ id: at(2), visibility: 'private', owner: OTHER_PROJECT });
    rig.images.add({ id: at(3), minMemoryMiB: 4_096 });
    rig.images.add({ id: at(4), minDiskGiB: 20 });
    for (const n of [1, 2, 3, 4, 5]) expect((await rebuild('2.1', { imageRef: at(n) })).status, String(n)).toBe(400);
    expect(rig.cloud.verbs).toEqual([]);
  });
});

describe('shelve, shelveOffload and unshelve', () => {
  it('makes an image that is named after the server', async () => {
    expect((await act('2.1', { shelve: null })).status).toBe(202);
    expect(last()).toMatchObject({ name: 'shelve', image: { name: 'test-shelved', properties: { image_type: 'snapshot', instance_uuid: id } } });
  });

  it('are refused in other states and while locked', async () => {
    expect((await act('2.1', { unshelve: null })).status).toBe(409);
    expect((await act('2.1', { shelveOffload: null }, { token: 'admin' })).status).toBe(409);
    rig.cloud.change(id, { locked: true });
    expect((await act('2.1', { shelve: null })).at('conflictingRequest', 'message')).toBe(`Instance ${id} is locked`);
  });

  it('unshelve takes a zone from 2.77 on, a host and none from 2.91 on, and only for a server that left its host', async () => {
    const admin = { token: 'admin' };
    const off = (): void => void rig.cloud.change(id, { vmState: 'shelved_offloaded', taskState: null, host: null });
    for (const [version, unshelve, status, verb] of [
      ['2.76', { anything: 1 }, 202, { name: 'unshelve', host: null }],
      ['2.77', null, 202, { name: 'unshelve', host: null }],
      ['2.77', { availability_zone: 'nova' }, 202, { name: 'unshelve', host: null, zone: 'nova' }],
      ['2.77', { availability_zone: null }, 400, undefined],
      ['2.77', { availability_zone: 'nowhere' }, 400, undefined],
      ['2.90', { host: 'host1' }, 400, undefined],
      ['2.91', { host: 'host1' }, 202, { name: 'unshelve', host: 'host1' }],
      ['2.91', { host: 'host1', availability_zone: 'nova' }, 202, { name: 'unshelve', host: 'host1', zone: 'nova' }],
      ['2.91', { availability_zone: null }, 202, { name: 'unshelve', host: null, zone: null }],
      ['2.91', { host: 'nobody' }, 400, undefined],
      ['2.91', { other: 1 }, 400, undefined],
    ] as const) {
      off();
      const { status: got, text } = await act(version, { unshelve }, admin);
      expect(got, `${version} ${JSON.stringify(unshelve)} ${text}`).toBe(status);
      if (verb !== undefined) expect(rig.cloud.verbs.at(-1)?.verb).toEqual(verb);
    }
    rig.cloud.change(id, { vmState: 'shelved', taskState: null });
    expect((await act('2.77', { unshelve: { availability_zone: 'nova' } })).status).toBe(409);
    expect((await act('2.77', { unshelve: null })).status).toBe(202);
  });

  it('unshelve to a host outside of the zone that the server is pinned to is a conflict', async () => {
    rig.cloud.change(id, { vmState: 'shelved_offloaded', requestedZone: 'west' });
    expect((await act('2.91', { unshelve: { host: 'host1' } }, { token: 'admin' })).status).toBe(409);
    expect((await act('2.91', { unshelve: { host: 'host1', availability_zone: null } }, { token: 'admin' })).status).toBe(202);
  });
});

describe('an image without an id', () => {
  it('is none, and no method that is refused', async () => {
    expect((await rig.ask('DELETE', '/v2.1/images/')).status).toBe(404);
    expect((await rig.ask('DELETE', '/v2.1/images')).status).toBe(405);
  });
});
