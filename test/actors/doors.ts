/** What the Compute API really says to instances, hosts and conductors: requests over HTTP, in front of a cloud in memory. */
import type { HostStanding } from '../../actors/model/host-standing.ts';
import type { VmState } from '../../actors/model/server-state.ts';
import { HOST_ID, hostView, NETWORK_ID } from '../http/compute/memory-cloud.ts';
import { IMAGE_ID, openRig, PROJECT, type AskOptions } from '../http/compute/rig.ts';
import type { Sent } from './crossing.ts';

/** `vmState`: what the server is before, when that is not what the request before has left. */
type Request = readonly [method: string, path: string, options?: AskOptions, vmState?: VmState];

const ADMIN = { token: 'admin' };
const GROUP_ID = '66666666-6666-4666-8666-666666666666';
const KEY = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)} me`;
const SERVER = { name: 'web', imageRef: IMAGE_ID, flavorRef: '1' };
const RICH_SERVER = {
  server: {
    ...SERVER,
    name: '🖥'.repeat(255),
    networks: [{ uuid: NETWORK_ID, fixed_ip: '10.20.7.7' }],
    metadata: { a: 'b', 'c:d': 'é'.repeat(255) },
    tags: ['x', 'y'],
    description: 'd',
    key_name: 'one',
    hostname: 'box.example.org',
    accessIPv4: '1.2.3.4',
    accessIPv6: '::1',
    user_data: 'QUJD',
    config_drive: 'true',
    availability_zone: 'nova',
  },
  'os:scheduler_hints': { different_host: [IMAGE_ID], query: { and: [[[1]], 'x'] }, rack: 'r1' },
};

const RICH_REBUILD = {
  imageRef: IMAGE_ID,
  name: 'new',
  metadata: { k: 'v' },
  preserve_ephemeral: true,
  'OS-DCF:diskConfig': 'MANUAL',
  accessIPv4: '1.2.3.4',
  accessIPv6: '::1',
  description: null,
  key_name: 'one',
  user_data: 'QUJD',
  hostname: 'box.example.org',
};

function requestsOf(id: string): Request[] {
  const server = `/v2.1/servers/${id}`;
  const action = (body: object): Request => ['POST', `${server}/action`, { body }];
  const ofImages = (vmState: VmState, body: object, options: AskOptions = {}): Request => ['POST', `${server}/action`, { ...options, body }, vmState];
  return [
    ['POST', '/v2.1/servers', { version: '2.96', body: RICH_SERVER, headers: { 'idempotency-key': 'once' } }],
    ['POST', '/v2.1/servers', { body: { server: { ...SERVER, min_count: 2, max_count: 5, return_reservation_id: true } } }],
    [
      'POST',
      '/v2.1/servers',
      { ...ADMIN, version: '2.1', body: { server: { ...SERVER, availability_zone: 'nova:host1', personality: [{ path: '/a', contents: 'QUJD' }] } } },
    ],
    ['POST', '/v2.1/servers', { body: { server: SERVER, 'os:scheduler_hints': { group: GROUP_ID } } }],
    ['GET', server],
    ['GET', `/v2.1/servers/detail?limit=2&marker=${id}&sort_key=created_at&name=^t&changes-since=2026-01-01T00:00:00Z&status=ACTIVE`, { version: '2.73' }],
    ['GET', `/v2.1/servers?all_tenants=1&ip=10.&host=host1&deleted=true&uuid=${id}`, ADMIN],
    [
      'PUT',
      server,
      {
        version: '2.90',
        body: { server: { name: 'new', description: null, hostname: 'new', 'OS-DCF:diskConfig': 'AUTO', accessIPv4: '1.2.3.4', accessIPv6: '::1' } },
      },
    ],
    ['POST', `${server}/metadata`, { body: { metadata: { k: 'v' } } }],
    ['PUT', `${server}/metadata`, { body: { metadata: { k: 'v', l: 'w' } } }],
    ['DELETE', `${server}/metadata/k`],
    ['PUT', `${server}/tags`, { version: '2.26', body: { tags: ['x', 'y'] } }],
    ['PUT', `${server}/tags/z`, { version: '2.26' }],
    ['DELETE', `${server}/tags/z`, { version: '2.26' }],
    ['DELETE', `${server}/tags`, { version: '2.26' }],
    action({ 'os-getConsoleOutput': { length: 2 } }),
    action({ 'os-stop': null }),
    action({ 'os-start': null }),
    action({ reboot: { type: 'SOFT' } }),
    action({ reboot: { type: 'HARD' } }),
    ['POST', `${server}/action`, { ...ADMIN, version: '2.14', body: { evacuate: { host: 'host2' } } }],
    ofImages('active', { createImage: { name: 'copy', metadata: { a: 'b' } } }),
    ofImages('active', { createBackup: { name: 'copy', backup_type: 'daily', rotation: '2' } }, { version: '2.45' }),
    ofImages('active', { rebuild: { imageRef: IMAGE_ID } }),
    ofImages('stopped', { rebuild: RICH_REBUILD }, { version: '2.94' }),
    ofImages('active', { shelve: null }),
    ofImages('shelved', { shelveOffload: null }, ADMIN),
    ofImages('shelved', { unshelve: null }),
    ofImages('shelved_offloaded', { unshelve: { availability_zone: 'nova', host: 'host1' } }, { ...ADMIN, version: '2.91' }),
    ofImages('shelved_offloaded', { unshelve: { availability_zone: null } }, { version: '2.91' }),
    ['GET', '/v2.1/flavors?minRam=1&minDisk=1&sort_key=name&marker=1&limit=1'],
    ['GET', '/v2.1/flavors/2'],
    [
      'POST',
      '/v2.1/flavors',
      {
        ...ADMIN,
        version: '2.55',
        body: { flavor: { name: 'f', id: '9', ram: 1, vcpus: 1, disk: 0, rxtx_factor: 1.5, description: 'd', 'os-flavor-access:is_public': false } },
      },
    ],
    ['PUT', '/v2.1/flavors/9', { ...ADMIN, version: '2.55', body: { flavor: { description: null } } }],
    ['POST', '/v2.1/flavors/9/os-extra_specs', { ...ADMIN, body: { extra_specs: { 'hw:numa_nodes': '1', b: 'c' } } }],
    ['DELETE', '/v2.1/flavors/9/os-extra_specs/b', ADMIN],
    ['POST', '/v2.1/flavors/9/action', { ...ADMIN, body: { addTenantAccess: { tenant: PROJECT } } }],
    ['GET', '/v2.1/flavors/9/os-flavor-access', ADMIN],
    ['POST', '/v2.1/flavors/9/action', { ...ADMIN, body: { removeTenantAccess: { tenant: PROJECT } } }],
    ['DELETE', '/v2.1/flavors/9', ADMIN],
    ['GET', '/v2.1/os-keypairs?limit=1&marker=one', { version: '2.35' }],
    ['GET', '/v2.1/os-keypairs'],
    ['GET', '/v2.1/os-keypairs/one'],
    ['DELETE', '/v2.1/os-keypairs/one'],
    ['GET', '/v2.1/limits'],
    ['GET', `/v2.1/os-quota-sets/${PROJECT}?user_id=u`, ADMIN],
    ['GET', `/v2.1/os-quota-sets/${PROJECT}/defaults`],
    ['PUT', `/v2.1/os-quota-sets/${PROJECT}?user_id=u`, { ...ADMIN, body: { quota_set: { cores: -1, instances: 7, force: true } } }],
    ['DELETE', `/v2.1/os-quota-sets/${PROJECT}`, ADMIN],
    ['PUT', '/v2.1/os-quota-class-sets/default', { ...ADMIN, body: { quota_class_set: { ram: 1_024 } } }],
    ['GET', '/v2.1/os-services', ADMIN],
    ['GET', '/v2.1/os-hypervisors/detail?with_servers=true', { ...ADMIN, version: '2.53' }],
    ['GET', '/v2.1/os-availability-zone'],
    ['PUT', `/v2.1/os-services/${HOST_ID}`, { ...ADMIN, version: '2.53', body: { status: 'disabled', disabled_reason: 'maintenance', forced_down: true } }],
    ['PUT', '/v2.1/os-services/enable', { ...ADMIN, body: { host: 'host1', binary: 'nova-compute' } }],
    ['POST', '/v2.1/os-aggregates', { ...ADMIN, body: { aggregate: { name: 'a', availability_zone: 'east' } } }],
    ['POST', '/v2.1/os-aggregates', { ...ADMIN, body: { aggregate: { name: 'b' } } }],
    ['GET', '/v2.1/os-aggregates', ADMIN],
    ['PUT', '/v2.1/os-aggregates/1', { ...ADMIN, body: { aggregate: { name: 'c', availability_zone: null } } }],
    ['PUT', '/v2.1/os-aggregates/1', { ...ADMIN, body: { aggregate: { name: 'd' } } }],
    ['POST', '/v2.1/os-aggregates/1/action', { ...ADMIN, body: { add_host: { host: 'host1' } } }],
    ['POST', '/v2.1/os-aggregates/1/action', { ...ADMIN, body: { set_metadata: { metadata: { ssd: 'true', gone: null } } } }],
    ['POST', '/v2.1/os-aggregates/1/images', { ...ADMIN, version: '2.81', body: { cache: [{ id: IMAGE_ID }] } }],
    ['POST', '/v2.1/os-aggregates/1/action', { ...ADMIN, body: { remove_host: { host: 'host1' } } }],
    ['DELETE', '/v2.1/os-aggregates/1', ADMIN],
    ['GET', '/v2.1/os-hosts/host1', ADMIN],
    ['GET', '/v2.1/os-instance_usage_audit_log', ADMIN],
    ['GET', '/v2.1/os-hypervisors/1/uptime', ADMIN],
    ['POST', '/v2.1/os-server-external-events', { ...ADMIN, version: '2.76', body: { events: [{ name: 'power-update', server_uuid: id, tag: 'POWER_ON' }] } }],
    ['GET', '/v2.1/os-networks', ADMIN],
    ['GET', `${server}/diagnostics`, ADMIN],
    ['GET', '/v2.1/os-server-groups?limit=1&offset=1&all_projects=1', ADMIN],
    ['GET', `/v2.1/os-server-groups/${GROUP_ID}`],
    ['POST', '/v2.1/os-server-groups', { version: '2.64', body: { server_group: { name: 'g', policy: 'anti-affinity', rules: { max_server_per_host: 2 } } } }],
    ['DELETE', `/v2.1/os-server-groups/${GROUP_ID}`],
    ['GET', `/v2.1/os-simple-tenant-usage/${PROJECT}?start=2026-01-01T00:00:00&limit=1&marker=${id}`, { ...ADMIN, version: '2.40' }],
    ['GET', '/v2.1/os-security-groups'],
    ['POST', '/v2.1/os-security-groups', { body: { security_group: { name: 'db', description: 'd' } } }],
    ['PUT', `/v2.1/os-security-groups/${GROUP_ID}`, { body: { security_group: { name: 'web', description: 'new' } } }],
    action({ addSecurityGroup: { name: 'web' } }),
    action({ removeSecurityGroup: { name: 'web' } }),
    ['POST', '/v2.1/os-security-group-rules', { body: { security_group_rule: { parent_group_id: GROUP_ID, ip_protocol: 'tcp', from_port: 1, to_port: 2 } } }],
    ['POST', '/v2.1/os-security-group-rules', { body: { security_group_rule: { parent_group_id: GROUP_ID, group_id: GROUP_ID } } }],
    ['DELETE', `/v2.1/os-security-group-rules/${GROUP_ID}`],
    ['DELETE', `/v2.1/os-security-groups/${GROUP_ID}`],
    ['DELETE', `${server}/os-server-password`],
    ['DELETE', server],
  ];
}

/** Each of a server of its own in the state that it is for. */
const IN_PLACE: readonly (readonly [body: object, vmState: VmState, more?: AskOptions])[] = [
  [{ pause: null }, 'active'],
  [{ unpause: null }, 'paused'],
  [{ suspend: null }, 'active'],
  [{ resume: null }, 'suspended'],
  [{ rescue: null }, 'active'],
  [{ rescue: { rescue_image_ref: IMAGE_ID } }, 'stopped'],
  [{ unrescue: null }, 'rescued'],
  [{ restore: null }, 'soft-delete'],
  [{ changePassword: { adminPass: 'new' } }, 'active'],
  [{ trigger_crash_dump: null }, 'active', { version: '2.17' }],
  [{ lock: { locked_reason: 'busy' } }, 'active', { version: '2.73' }],
  [{ unlock: null }, 'active'],
  [{ 'os-resetState': { state: 'error' } }, 'active', ADMIN],
  [{ forceDelete: null }, 'active'],
];

export function standingOf(host: string, more: Partial<HostStanding & { silentMs: number }> = {}): HostStanding & { silentMs: number } {
  return { host, node: 'n1', epoch: 1, mark: '1', forcedDown: false, selfFenceMs: null, proof: null, claims: 1, silentMs: 0, ...more };
}

export async function saidByDoors(): Promise<Sent[]> {
  const rig = await openRig();
  const sent: Sent[] = [];
  const { cloud } = rig;
  const ask = cloud.ask.bind(cloud);
  const tell = cloud.tell.bind(cloud);
  cloud.ask = (to, message) => (sent.push({ to, message }), ask(to, message));
  cloud.tell = (to, message) => (sent.push({ to, message }), tell(to, message));
  try {
    cloud.limits.set(`${PROJECT}/`, { instances: -1, cores: -1, ram: -1 });
    cloud.hosts = [{ ...hostView('host1', 1), uuid: HOST_ID }];
    await rig.ask('POST', '/v2.1/os-keypairs', { body: { keypair: { name: 'one', public_key: KEY } } });
    const id = await rig.server();
    cloud.change(id, { guestPassword: 'c2VjcmV0' });
    cloud.serverGroups.set(GROUP_ID, { id: GROUP_ID, projectId: PROJECT, userId: 'u', name: 'g', policy: 'affinity', perHost: null });
    cloud.securityGroups.set(GROUP_ID, { id: GROUP_ID, projectId: PROJECT, name: 'web', description: 'd' });
    const rule = { protocol: 'tcp', fromPort: 22, toPort: 22, cidr: '0.0.0.0/0', group: null };
    cloud.securityRules.set(GROUP_ID, { id: GROUP_ID, parentGroupId: GROUP_ID, ...rule });
    for (const host of ['host1', 'host2']) cloud.standings.set(host, standingOf(host, { proof: 'fence' }));
    for (const [method, path, options, vmState] of requestsOf(id)) {
      if (vmState !== undefined) cloud.change(id, { vmState, taskState: null });
      const { status, text } = await rig.ask(method, path, options);
      if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text}`);
    }
    cloud.limits.set(`${PROJECT}/`, { instances: -1, cores: -1, ram: -1 });
    cloud.classLimits.clear();
    for (const [body, vmState, more] of IN_PLACE) {
      const own = await rig.server();
      cloud.change(own, { vmState });
      const { status, text } = await rig.ask('POST', `/v2.1/servers/${own}/action`, { body, ...more });
      if (status >= 300) throw new Error(`${JSON.stringify(body)}: ${status} ${text}`);
    }
  } finally {
    await rig.close();
  }
  return sent;
}
