import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { periodBefore } from '../../../http/compute/hosts/audit.ts';
import { uptimeLine } from '../../../http/compute/hosts/uptime.ts';
import { hostView, NETWORK_ID } from './memory-cloud.ts';
import { IMAGE_ID, openRig } from './rig.ts';
import type { Answer, Rig } from './rig.ts';

let rig: Rig;
beforeEach(async () => void (rig = await openRig()));
afterEach(() => rig.close());

const admin = (method: string, path: string, body?: object, version = '2.1'): Promise<Answer> =>
  rig.ask(method, `/v2.1${path}`, { token: 'admin', version, ...(body === undefined ? {} : { body }) });
const made = (name = 'ssd', zone?: string) =>
  admin('POST', '/os-aggregates', { aggregate: { name, ...(zone === undefined ? {} : { availability_zone: zone }) } });
const act = (action: string, argument: object, id = 1) => admin('POST', `/os-aggregates/${id}/action`, { [action]: argument });

describe('aggregates', () => {
  it('answer a create without hosts and metadata, and everything after that with them', async () => {
    const create = await made('ssd', 'east');
    expect([create.status, create.body]).toEqual([
      200,
      {
        aggregate: {
          id: 1,
          name: 'ssd',
          availability_zone: 'east',
          created_at: '2026-11-22T10:00:00.000000',
          updated_at: null,
          deleted: false,
          deleted_at: null,
        },
      },
    ]);
    expect((await admin('GET', '/os-aggregates/1', undefined, '2.41')).at('aggregate')).toMatchObject({
      uuid: '33333333-3333-4333-8333-333333333333',
      hosts: [],
      metadata: { availability_zone: 'east' },
    });
    expect((await admin('GET', '/os-aggregates', undefined, '2.40')).at('aggregates', 0, 'uuid')).toBeUndefined();
  });

  it('tell the hosts of each change, and of one that leaves', async () => {
    await made();
    const told = () => rig.cloud.told.splice(0).filter(({ type }) => type === 'rowChanged');
    expect((await act('add_host', { host: 'host1' })).at('aggregate', 'hosts')).toEqual(['host1']);
    expect(told()).toEqual([{ to: 'host/host1', type: 'rowChanged' }]);
    expect((await act('set_metadata', { metadata: { ssd: 'true', gone: null } })).at('aggregate', 'metadata')).toEqual({ ssd: 'true' });
    expect(told()).toHaveLength(1);
    expect((await admin('PUT', '/os-aggregates/1', { aggregate: { name: ' fast ', availability_zone: 'west' } })).at('aggregate')).toMatchObject({
      name: 'fast',
      availability_zone: 'west',
    });
    expect((await act('set_metadata', { metadata: { availability_zone: null } })).at('aggregate', 'availability_zone')).toBeNull();
    told();
    expect((await admin('DELETE', '/os-aggregates/1')).status).toBe(400);
    expect((await act('remove_host', { host: 'host1' })).at('aggregate', 'hosts')).toEqual([]);
    expect(told()).toHaveLength(1);
    const end = await admin('DELETE', '/os-aggregates/1');
    expect([end.status, end.text, (await admin('GET', '/os-aggregates/1')).status]).toEqual([200, '', 404]);
  });

  it.each([
    ['a name that is taken', 409, () => made('ssd')],
    ['a name with outer blanks', 400, () => made(' a ')],
    ['a zone with a colon', 400, () => made('a', 'east:host1')],
    ['an empty zone', 400, () => made('a', '')],
    ['an empty zone among the metadata', 400, () => act('set_metadata', { metadata: { availability_zone: '' } })],
    ['no name', 400, () => admin('POST', '/os-aggregates', { aggregate: {} })],
    ['an update of nothing', 400, () => admin('PUT', '/os-aggregates/1', { aggregate: {} })],
    ['an unknown host', 404, () => act('add_host', { host: 'nobody' })],
    ['a host that is not in it', 404, () => act('remove_host', { host: 'host1' })],
    ['a host name that is none', 400, () => act('add_host', { host: 'a b' })],
    ['an unknown action', 400, () => act('explode', {})],
    ['an id that is none', 400, () => admin('GET', '/os-aggregates/one')],
    ['an id below all', 404, () => admin('DELETE', '/os-aggregates/-1')],
    ['an id beyond all', 404, () => admin('GET', '/os-aggregates/99999999999999999')],
    ['an unknown id', 404, () => act('add_host', { host: 'host1' }, 9)],
    ['a metadata value that is no text', 400, () => act('set_metadata', { metadata: { a: 1 } })],
    ['images before their version', 404, () => admin('POST', '/os-aggregates/1/images', { cache: [{ id: IMAGE_ID }] }, '2.80')],
    ['no images', 400, () => admin('POST', '/os-aggregates/1/images', { cache: [] }, '2.81')],
    ['an image twice', 400, () => admin('POST', '/os-aggregates/1/images', { cache: [{ id: IMAGE_ID }, { id: IMAGE_ID }] }, '2.81')],
    ['an image id that is none', 400, () => admin('POST', '/os-aggregates/1/images', { cache: [{ id: 'x' }] }, '2.81')],
  ])('refuse %s with %i', async (_what, status, attempt) => {
    await made('ssd');
    expect((await attempt()).status).toBe(status);
  });

  it('let hosts fetch the images that there are, and take word of one that is not', async () => {
    await made();
    await act('add_host', { host: 'host1' });
    rig.cloud.told.length = 0;
    const unknown = '00000000-0000-4000-8000-000000000000';
    const answer = await admin('POST', '/os-aggregates/1/images', { cache: [{ id: IMAGE_ID }, { id: unknown }] }, '2.81');
    expect([answer.status, answer.text]).toEqual([202, '']);
    expect(rig.cloud.aggregates.wanted).toMatchObject([{ id: 1, images: [{ id: IMAGE_ID, diskFormat: 'qcow2', sizeBytes: 1_000_000 }] }]);
    expect(rig.cloud.told).toEqual([{ to: 'host/host1', type: 'rowChanged' }]);
  });
});

describe('the uptime of a hypervisor', () => {
  it('is one line, of its own route up to 2.87 and a member after', async () => {
    const line = / up 1 day, {2}2:03, {2}0 users, {2}load average: 0\.20, 0\.12, 0\.14$/;
    expect((await admin('GET', '/os-hypervisors/1/uptime')).at('hypervisor', 'uptime')).toMatch(line);
    for (const path of ['/os-hypervisors/detail', `/os-hypervisors/${rig.cloud.hosts[0]?.hypervisorUuid}`]) {
      const answer = await admin('GET', path, undefined, '2.88');
      expect(answer.at('hypervisors', 0, 'uptime') ?? answer.at('hypervisor', 'uptime')).toMatch(line);
    }
    expect((await admin('GET', `/os-hypervisors/${rig.cloud.hosts[0]?.hypervisorUuid}/uptime`, undefined, '2.88')).status).toBe(404);
  });

  it('is missing where nobody tells it: 501 of its own route, 400 of a host that is down, null as a member', async () => {
    rig.cloud.uptime = null;
    expect((await admin('GET', '/os-hypervisors/1/uptime')).status).toBe(501);
    expect((await admin('GET', '/os-hypervisors/detail', undefined, '2.88')).at('hypervisors', 0, 'uptime')).toBeNull();
    rig.cloud.hosts = [{ ...hostView('host2', 2), up: false }];
    await admin('PUT', '/os-services/enable', { host: 'host2', binary: 'nova-compute' });
    expect((await admin('GET', '/os-hypervisors/2/uptime')).status).toBe(400);
  });

  it('is said as clients take it apart', () => {
    const at = (upMs: number) => uptimeLine(Date.UTC(2026, 0, 1, 8, 5, 9), { upMs, load: [1, 0, 0] });
    expect(at(0)).toBe(' 08:05:09 up 0 min,  0 users,  load average: 1.00, 0.00, 0.00');
    expect(at(2 * 3_600_000)).toContain(' up  2:00,  0 users');
    expect(at(93 * 86_400_000 + 18 * 3_600_000 + 25 * 60_000)).toContain(' up 93 days, 18:25,  0 users');
  });
});

describe('a user without the role', () => {
  it('is told so, and not whether there is what was named', async () => {
    for (const path of ['/os-hosts/nobody', '/os-aggregates/9', '/os-hypervisors/99', '/flavors/none/os-flavor-access'])
      expect((await rig.ask('GET', `/v2.1${path}`)).status).toBe(403);
  });
});

describe('hosts as they were before 2.43', () => {
  it('list every service by host, by zone too', async () => {
    const all = (await admin('GET', '/os-hosts')).at('hosts');
    expect(all).toEqual([
      { host_name: 'node1', service: 'conductor', zone: 'internal' },
      { host_name: 'host1', service: 'compute', zone: 'nova' },
    ]);
    expect((await admin('GET', '/os-hosts?zone=nova')).at('hosts')).toHaveLength(1);
    expect((await admin('GET', '/os-hosts?zone=')).at('hosts')).toEqual(all);
    expect((await admin('GET', '/os-hosts', undefined, '2.43')).status).toBe(404);
  });

  it('show what there is, what is used, and by whom', async () => {
    const rows = (await admin('GET', '/os-hosts/host1')).at('host') as { resource: { project: string; cpu: number } }[];
    expect(rows.map(({ resource }) => [resource.project, resource.cpu])).toEqual([
      ['(total)', 64],
      ['(used_now)', 1],
      ['(used_max)', 1],
      ['blue', 1],
    ]);
    expect((await admin('GET', '/os-hosts/node1')).status).toBe(404);
  });

  it('are taken out of use and back; power and maintenance are nobody’s here', async () => {
    const off = await admin('PUT', '/os-hosts/host1', { status: 'Disable' });
    expect([off.status, off.body]).toEqual([200, { host: 'host1', status: 'disabled' }]);
    expect(rig.cloud.hosts[0]?.enabled).toBe(false);
    expect((await admin('PUT', '/os-hosts/host1', { status: 'enable' })).at('status')).toBe('enabled');
    for (const body of [{}, { status: 'off' }, { other: 'enable' }]) expect((await admin('PUT', '/os-hosts/host1', body)).status).toBe(400);
    expect((await admin('PUT', '/os-hosts/host1', { maintenance_mode: 'enable' })).status).toBe(501);
    for (const action of ['startup', 'shutdown', 'reboot']) expect((await admin('GET', `/os-hosts/host1/${action}`)).status).toBe(501);
    expect((await admin('GET', '/os-hosts/nobody/reboot')).status).toBe(404);
  });
});

describe('the usage audit', () => {
  it('is of the last whole month before now, or before the time that is named', async () => {
    rig.cloud.hosts = [hostView('host1', 1), hostView('host2', 2)];
    const named = await admin('GET', '/os-instance_usage_audit_log/2012-07-05%2010:00:00');
    expect(named.at('instance_usage_audit_log')).toEqual({
      period_beginning: '2012-06-01 00:00:00',
      period_ending: '2012-07-01 00:00:00',
      num_hosts: 2,
      num_hosts_done: 1,
      num_hosts_running: 0,
      num_hosts_not_run: 1,
      hosts_not_run: ['host2'],
      total_instances: 3,
      total_errors: 0,
      overall_status: '1 of 2 hosts done. 0 errors.',
      log: { host1: { state: 'DONE', instances: 3, errors: 0, message: 'Instance usage audit of host host1: 3 instances.' } },
    });
    expect(rig.cloud.period).toMatchObject({ beginMs: Date.UTC(2012, 5, 1), endMs: Date.UTC(2012, 6, 1) });
    expect((await admin('GET', '/os-instance_usage_audit_log')).at('instance_usage_audit_logs', 'total_instances')).toBe(3);
    expect((await admin('GET', '/os-instance_usage_audit_log/2012-07-05%2010:00:00.123456')).status).toBe(200);
    for (const wrong of ['yesterday', '2012-13-01%2000:00:00', '2012-02-31%2000:00:00', '2012-07-05T10:00:00'])
      expect((await admin('GET', `/os-instance_usage_audit_log/${wrong}`)).status).toBe(400);
  });

  it('knows hours, days, months and years', () => {
    const at = Date.UTC(2026, 0, 1, 0, 30);
    const begins = (['hour', 'day', 'month', 'year'] as const).map((period) => new Date(periodBefore(at, period).beginMs).toISOString().slice(0, 13));
    expect(begins).toEqual(['2025-12-31T23', '2025-12-31T00', '2025-12-01T00', '2025-01-01T00']);
    expect(periodBefore(Date.UTC(2026, 2, 1), 'month').endMs).toBe(Date.UTC(2026, 2, 1));
  });
});

describe('events of other services', () => {
  const say = (events: object[], version = '2.82', token = 'service') =>
    rig.ask('POST', '/v2.1/os-server-external-events', { token, version, body: { events } });
  beforeEach(() => void rig.tokens.add('service', { roles: ['service'] }));

  it('are taken one by one: 200 when all were, 207 otherwise', async () => {
    const [id, building] = [await rig.server(), await rig.server({}, { building: true })];
    const plugged = { name: 'network-vif-plugged', server_uuid: id };
    const whole = await say([plugged]);
    expect([whole.status, whole.body]).toEqual([200, { events: [{ ...plugged, status: 'completed', code: 200 }] }]);
    const unknown = '00000000-0000-4000-8000-000000000000';
    const mixed = await say([
      { ...plugged, tag: 'port', status: 'failed' },
      { name: 'network-changed', server_uuid: unknown },
      { name: 'network-changed', server_uuid: building },
      { name: 'volume-extended', server_uuid: id },
    ]);
    expect([mixed.status, mixed.body]).toEqual([
      207,
      {
        events: [
          { ...plugged, tag: 'port', status: 'failed', code: 200 },
          { name: 'network-changed', server_uuid: unknown, status: 'failed', code: 404 },
          { name: 'network-changed', server_uuid: building, status: 'failed', code: 422 },
          { name: 'volume-extended', server_uuid: id, status: 'failed', code: 400 },
        ],
      },
    ]);
    expect((await say([{ name: 'network-changed', server_uuid: unknown }])).status).toBe(207);
  });

  it('of power make the host look', async () => {
    const id = await rig.server();
    await say([{ name: 'power-update', server_uuid: id, tag: 'POWER_OFF' }]);
    expect(rig.cloud.told).toContainEqual({ to: 'host/host1', type: 'guestChanged' });
  });

  it('have names by version, and are for services', async () => {
    const server_uuid = await rig.server();
    const since = { 'network-changed': 1, 'volume-extended': 51, 'power-update': 76, 'accelerator-request-bound': 82, 'volume-reimaged': 93 };
    for (const [name, minor] of Object.entries(since)) {
      expect((await say([{ name, server_uuid, tag: 't' }], `2.${minor}`)).status).toBe(200);
      if (minor > 1) expect((await say([{ name, server_uuid, tag: 't' }], `2.${minor - 1}`)).status).toBe(400);
    }
    expect((await say([{ name: 'network-changed', server_uuid }], '2.1', 'member')).status).toBe(403);
    expect((await say([], '2.1')).status).toBe(400);
    expect((await say([{ name: 'network-changed', server_uuid: 'x' }], '2.1')).status).toBe(400);
  });
});

describe('what the API has no more', () => {
  it('is 410 while it was there, 404 after, whoever asks', async () => {
    for (const token of ['reader', 'admin']) {
      const gone = await rig.ask('GET', '/v2.1/os-cells', { token });
      expect([gone.status, gone.at('computeFault', 'code')]).toEqual([410, 410]);
    }
    expect((await admin('GET', '/os-fping', undefined, '2.35')).status).toBe(410);
    expect((await admin('GET', '/os-fping', undefined, '2.36')).status).toBe(404);
    expect((await admin('POST', '/os-networks', { network: {} })).status).toBe(410);
    expect((await admin('POST', '/os-certificates')).status).toBe(410);
  });

  it('and what it never had here is said as such', async () => {
    expect((await rig.ask('GET', '/v2.1/os-floating-ips')).body).toEqual({ floating_ips: [] });
    expect((await rig.ask('GET', '/v2.1/os-floating-ip-pools')).body).toEqual({ floating_ip_pools: [] });
    expect((await rig.ask('POST', '/v2.1/os-floating-ips', { body: {} })).status).toBe(404);
    expect((await rig.ask('POST', '/v2.1/os-floating-ips', { body: { pool: 5 } })).status).toBe(400);
    const [bare, wired] = [await rig.server(), await rig.server({ networks: [{ uuid: NETWORK_ID }] })];
    rig.cloud.change(bare, { nics: [] });
    const float = (id: string, name: string, address: string, version = '2.43') =>
      rig.ask('POST', `/v2.1/servers/${id}/action`, { version, body: { [name]: { address } } });
    expect((await float(bare, 'addFloatingIp', '10.0.0.1')).status).toBe(400);
    for (const name of ['addFloatingIp', 'removeFloatingIp']) {
      expect((await float(wired, name, '10.0.0.1')).at('itemNotFound', 'message')).toBe('floating IP not found');
      expect((await float(wired, name, 'none')).status).toBe(400);
      expect((await float(wired, name, '10.0.0.1', '2.44')).at('itemNotFound', 'message')).toBe('The resource could not be found.');
    }
    expect((await admin('GET', '/os-baremetal-nodes')).status).toBe(501);
    expect((await rig.ask('POST', '/v2.1/os-baremetal-nodes', { body: {} })).status).toBe(400);
    expect((await admin('GET', '/os-floating-ips/1', undefined, '2.36')).status).toBe(404);
  });
});
