import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NETWORK_ID } from './memory-cloud.ts';
import { IMAGE_ID, openRig, PROJECT } from './rig.ts';
import type { Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
  rig.cloud.limits.set(`${PROJECT}/`, { instances: -1, cores: -1, ram: -1 });
});
afterAll(() => rig.close());

const sound = { name: 'web', imageRef: IMAGE_ID, flavorRef: '1' };

function recordOf(id: unknown) {
  const stored = rig.cloud.servers.get(String(id));
  if (stored === undefined) throw new Error(`no server ${String(id)}`);
  return stored.record;
}

describe('creating servers', () => {
  it('writes one order with everything a server needs, wakes it, and answers 202 with its place', async () => {
    const answer = await rig.ask('POST', '/v2.1/servers', {
      version: '2.96',
      body: {
        server: {
          ...sound,
          networks: [{ uuid: NETWORK_ID, fixed_ip: '10.20.7.7' }],
          metadata: { a: 'b' },
          tags: ['x', 'x', 'y'],
          description: 'd',
          hostname: 'box.example.org',
          accessIPv4: '1.2.3.4',
          user_data: 'QUJD',
          config_drive: 'true',
          availability_zone: 'nova',
          adminPass: 'my-own',
        },
        'os:scheduler_hints': { different_host: [IMAGE_ID], rack: 'r1' },
      },
    });
    expect(answer.status, answer.text).toBe(202);
    const id = answer.at('server', 'id');
    expect(answer.headers.location).toBe(`${rig.url}/v2.1/servers/${String(id)}`);
    expect(answer.at('server', 'adminPass')).toBe('my-own');
    expect(rig.cloud.told).toContainEqual({ to: `instance/${String(id)}`, type: 'wake' });
    expect(recordOf(id)).toMatchObject({
      name: 'web',
      projectId: PROJECT,
      userId: 'user-member',
      vmState: 'building',
      taskState: 'scheduling',
      generation: 0,
      host: null,
      requestedZone: 'nova',
      requestedHost: null,
      wantedNetworks: [{ networkId: NETWORK_ID, address: '10.20.7.7' }],
      metadata: { a: 'b' },
      tags: ['x', 'y'],
      description: 'd',
      hostname: 'box.example.org',
      configDrive: true,
      userData: 'QUJD',
      accessIpV4: '1.2.3.4',
      schedulerHints: { different_host: [IMAGE_ID], rack: 'r1' },
      securityGroups: ['default'],
      operation: { name: 'create', step: 'place', attempt: 0, requestId: answer.headers['x-compute-request-id'] },
      actions: [{ action: 'create', requestId: answer.headers['x-compute-request-id'] }],
    });
    expect(JSON.stringify(recordOf(id))).not.toContain('my-own');
  });

  it('draws a password of twelve signs without look-alikes', async () => {
    const answer = await rig.ask('POST', '/v2.1/servers', { body: { server: sound } });
    expect(answer.at('server', 'adminPass')).toMatch(/^(?=.*\d)(?=.*[A-Z])(?=.*[a-z])[2-9A-HJ-NP-Za-km-z]{12}$/);
  });

  it('numbers the names and host names of several and answers with their reservation', async () => {
    const before = new Set(rig.cloud.servers.keys());
    const answer = await rig.ask('POST', '/v2.1/servers', {
      body: { server: { ...sound, name: 'My Web_1', min_count: 2, max_count: '3', return_reservation_id: true } },
    });
    expect(answer.at('reservation_id')).toMatch(/^r-[0-9a-z]{8}$/);
    const made = [...rig.cloud.servers.values()].filter(({ record }) => !before.has(record.id)).map(({ record }) => record);
    expect(made.map(({ name, hostname, launchIndex, reservationId }) => [name, hostname, launchIndex, reservationId])).toEqual(
      [1, 2, 3].map((n) => [`My Web_1-${n}`, `my-web-1-${n}`, n - 1, answer.at('reservation_id')]),
    );
  });

  it('gives a host name to what has no letter in its name', async () => {
    const answer = await rig.ask('POST', '/v2.1/servers', { body: { server: { ...sound, name: '日本' } } });
    expect(recordOf(answer.at('server', 'id')).hostname).toBe(`Server-${String(answer.at('server', 'id'))}`);
  });

  it('answers a repeated Idempotency-Key with the same server and another body under it with 422', async () => {
    const headers = { 'idempotency-key': 'key-1' };
    const first = await rig.ask('POST', '/v2.1/servers', { headers, body: { server: sound } });
    const count = rig.cloud.servers.size;
    const again = await rig.ask('POST', '/v2.1/servers', { headers, body: { server: { flavorRef: '1', imageRef: IMAGE_ID, name: 'web' } } });
    expect([again.status, again.at('server', 'id'), rig.cloud.servers.size]).toEqual([202, first.at('server', 'id'), count]);
    const other = await rig.ask('POST', '/v2.1/servers', { headers, body: { server: { ...sound, name: 'other' } } });
    expect([other.status, other.at('computeFault', 'code')]).toEqual([422, 422]);
  });

  it('takes the device that says what imageRef says, and the image from it when imageRef is absent', async () => {
    const device = { source_type: 'image', destination_type: 'local', uuid: IMAGE_ID, boot_index: '0', delete_on_termination: true };
    const { imageRef: _, ...without } = sound;
    for (const server of [
      { ...sound, block_device_mapping_v2: [device] },
      { ...without, block_device_mapping_v2: [device] },
    ]) {
      const answer = await rig.ask('POST', '/v2.1/servers', { body: { server } });
      expect(answer.status, answer.text).toBe(202);
      expect(recordOf(answer.at('server', 'id')).image.id).toBe(IMAGE_ID);
    }
  });

  it('lets administrators name a host, past the filters or through them', async () => {
    const forced = await rig.ask('POST', '/v2.1/servers', { token: 'admin', body: { server: { ...sound, availability_zone: 'nova:host1' } } });
    expect(recordOf(forced.at('server', 'id'))).toMatchObject({ requestedZone: 'nova', requestedHost: 'host1', operation: { args: { forcedHost: true } } });
    const wished = await rig.ask('POST', '/v2.1/servers', { token: 'admin', version: '2.74', body: { server: { ...sound, networks: 'none', host: 'host1' } } });
    expect(recordOf(wished.at('server', 'id'))).toMatchObject({ requestedHost: 'host1', wantedNetworks: [], operation: { args: {} } });
  });

  it('takes kernel and ramdisk from the image’s properties', async () => {
    const kernel = '40000000-0000-4000-8000-000000000001';
    const image = '40000000-0000-4000-8000-000000000002';
    rig.images.add({ id: kernel, name: 'kernel', diskFormat: 'aki' }).add({ id: image, properties: { kernel_id: kernel, ramdisk_id: kernel } });
    const answer = await rig.ask('POST', '/v2.1/servers', { body: { server: { ...sound, imageRef: image } } });
    expect(recordOf(answer.at('server', 'id'))).toMatchObject({ kernel: { id: kernel }, ramdisk: { id: kernel } });
  });
});

describe('servers through their life', () => {
  it('stops, starts, reboots and deletes with the codes of the API', async () => {
    const id = await rig.server();
    const act = (body: object) => rig.ask('POST', `/v2.1/servers/${id}/action`, { body });
    expect((await act({ 'os-stop': null })).status).toBe(202);
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).at('server', 'status')).toBe('SHUTOFF');
    expect((await act({ 'os-stop': null })).status).toBe(409);
    expect((await act({ 'os-start': null })).status).toBe(202);
    expect((await act({ reboot: { type: 'Soft' } })).status).toBe(202);
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).at('server', 'status')).toBe('REBOOT');
    const ended = await rig.ask('DELETE', `/v2.1/servers/${id}`);
    expect([ended.status, ended.text]).toEqual([204, '']);
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).status).toBe(404);
    expect((await rig.ask('GET', `/v2.1/servers/${id}/os-instance-actions`, { version: '2.20' })).status).toBe(404);
    expect((await rig.ask('GET', `/v2.1/servers/${id}/os-instance-actions`, { version: '2.21' })).status).toBe(200);
  });

  it('shows a change at once although views are kept', async () => {
    const id = await rig.server();
    expect((await rig.ask('GET', `/v2.1/servers/${id}`)).at('server', 'name')).toBe('test');
    await rig.ask('PUT', `/v2.1/servers/${id}`, { body: { server: { name: 'new', accessIPv6: '80fe::' } } });
    const answer = await rig.ask('GET', `/v2.1/servers/${id}`);
    expect([answer.at('server', 'name'), answer.at('server', 'accessIPv6')]).toEqual(['new', '80fe::']);
  });

  it('refuses a locked server to users and not to administrators', async () => {
    const id = await rig.server();
    rig.cloud.change(id, { locked: true });
    const refused = await rig.ask('DELETE', `/v2.1/servers/${id}`);
    expect([refused.status, refused.at('conflictingRequest', 'message')]).toEqual([409, `Instance ${id} is locked`]);
    expect((await rig.ask('DELETE', `/v2.1/servers/${id}`, { token: 'admin' })).status).toBe(204);
  });

  it('answers from the row when the actor is silent', async () => {
    const id = await rig.server();
    const original = rig.cloud.ask.bind(rig.cloud);
    const { Fault } = await import('../../../runtime/base/fault.ts');
    rig.cloud.ask = (to, message) => (to.startsWith('instance/') ? Promise.reject(new Fault('timeout', 'ask', 'no answer')) : original(to, message));
    try {
      expect((await rig.ask('GET', `/v2.1/servers/${id}`)).status).toBe(200);
    } finally {
      rig.cloud.ask = original;
    }
  });

  it('tails the console by lines', async () => {
    const id = await rig.server();
    const tail = async (argument: object) => (await rig.ask('POST', `/v2.1/servers/${id}/action`, { body: { 'os-getConsoleOutput': argument } })).at('output');
    expect(await tail({ length: 1 })).toBe('three\n');
    expect(await tail({ length: '2' })).toBe('two\nthree\n');
    expect(await tail({ length: -1 })).toBe('one\ntwo\nthree\n');
    expect(await tail({})).toBe('one\ntwo\nthree\n');
    const building = await rig.server({}, { building: true });
    expect((await rig.ask('POST', `/v2.1/servers/${building}/action`, { body: { 'os-getConsoleOutput': {} } })).status).toBe(409);
  });

  it('keeps metadata and tags as sets of their own', async () => {
    const id = await rig.server({ metadata: { a: '1', b: '2' } });
    const path = `/v2.1/servers/${id}`;
    expect((await rig.ask('POST', `${path}/metadata`, { body: { metadata: { b: '3', c: '4' } } })).at('metadata')).toEqual({ a: '1', b: '3', c: '4' });
    expect((await rig.ask('PUT', `${path}/metadata/a`, { body: { meta: { a: '9' } } })).at('meta')).toEqual({ a: '9' });
    expect((await rig.ask('DELETE', `${path}/metadata/b`)).status).toBe(204);
    expect((await rig.ask('GET', `${path}/metadata/b`)).status).toBe(404);
    expect((await rig.ask('PUT', `${path}/metadata`, { body: { metadata: { z: '0' } } })).at('metadata')).toEqual({ z: '0' });
    const version = '2.26';
    expect((await rig.ask('PUT', `${path}/tags`, { version, body: { tags: ['a', 'b'] } })).at('tags')).toEqual(['a', 'b']);
    expect((await rig.ask('PUT', `${path}/tags/c`, { version })).status).toBe(201);
    expect((await rig.ask('PUT', `${path}/tags/c`, { version })).status).toBe(204);
    expect((await rig.ask('DELETE', `${path}/tags/a`, { version })).status).toBe(204);
    expect((await rig.ask('GET', `${path}/tags/a`, { version })).status).toBe(404);
    expect((await rig.ask('GET', `${path}/tags`, { version })).at('tags')).toEqual(['b', 'c']);
    expect((await rig.ask('PUT', `${path}/tags/${'x'.repeat(61)}`, { version })).status).toBe(400);
  });

  it('tells users of a failure what it means and administrators what it was', async () => {
    const id = await rig.server();
    rig.cloud.change(id, {
      vmState: 'error',
      fault: { code: 'unavailable', reason: 'r', message: 'No valid host was found.', detail: { socket: '/run/secret' }, at: '2026-11-22T10:00:00.000Z' },
    });
    const asUser = await rig.ask('GET', `/v2.1/servers/${id}`);
    expect(asUser.at('server', 'fault')).toEqual({ code: 500, created: '2026-11-22T10:00:00Z', message: 'No valid host was found.' });
    expect((await rig.ask('GET', `/v2.1/servers/${id}`, { token: 'admin' })).at('server', 'fault', 'details')).toContain('/run/secret');
  });
});

describe('lists of servers', () => {
  it('pages with links that lead through all of them once', async () => {
    const own = await openRig();
    try {
      const made = [];
      for (let i = 0; i < 5; i++) made.push(await own.server({ name: `s${i}` }));
      const seen: unknown[] = [];
      let path: string | undefined = '/v2.1/servers?limit=2&name=s';
      while (path !== undefined) {
        const page = await own.ask('GET', path);
        for (let i = 0; page.at('servers', i) !== undefined; i++) seen.push(page.at('servers', i, 'id'));
        const next = page.at('servers_links', 0, 'href');
        path = typeof next === 'string' ? next.slice(own.url.length) : undefined;
      }
      expect(seen).toEqual(made.toReversed());
      expect((await own.ask('GET', '/v2.1/servers?limit=0')).body).toEqual({ servers: [] });
    } finally {
      await own.close();
    }
  });

  it('drops filters that are for administrators without a word', async () => {
    await rig.server();
    const asUser = await rig.ask('GET', '/v2.1/servers?host=no-such');
    expect(asUser.at('servers', 0)).toBeDefined();
    expect((await rig.ask('GET', '/v2.1/servers?host=no-such', { token: 'admin' })).at('servers')).toEqual([]);
  });

  it('filters by status, by an unknown one to nothing', async () => {
    const id = await rig.server({ name: 'halted' });
    rig.cloud.change(id, { vmState: 'stopped' });
    expect((await rig.ask('GET', '/v2.1/servers?status=shutoff&name=halted')).at('servers', 0, 'id')).toBe(id);
    expect((await rig.ask('GET', '/v2.1/servers?status=nonsense')).at('servers')).toEqual([]);
  });

  it('shows all projects to administrators who ask', async () => {
    const id = await rig.server({ name: 'foreign' }, { token: 'other' });
    expect((await rig.ask('GET', '/v2.1/servers?name=foreign', { token: 'admin' })).at('servers')).toEqual([]);
    expect((await rig.ask('GET', '/v2.1/servers?all_tenants&name=foreign', { token: 'admin' })).at('servers', 0, 'id')).toBe(id);
  });

  it('shows the host’s state to administrators, and its change at once', async () => {
    const id = await rig.server({ name: 'hosted' });
    const status = async () => (await rig.ask('GET', `/v2.1/servers/${id}`, { token: 'admin', version: '2.16' })).at('server', 'host_status');
    expect(await status()).toBe('UP');
    const uuid = rig.cloud.hosts[0]?.uuid ?? '';
    await rig.ask('PUT', `/v2.1/os-services/${uuid}`, { token: 'admin', version: '2.53', body: { status: 'disabled' } });
    expect(await status()).toBe('MAINTENANCE');
    await rig.ask('PUT', `/v2.1/os-services/${uuid}`, { token: 'admin', version: '2.53', body: { status: 'enabled' } });
  });
});
