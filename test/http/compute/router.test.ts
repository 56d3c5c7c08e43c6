import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '../../../runtime/base/fault.ts';
import { NETWORK_ID, hostView, migrationView, moveOf } from './memory-cloud.ts';
import { IMAGE_ID, openRig, PROJECT } from './rig.ts';
import type { Rig } from './rig.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await openRig();
});
afterAll(() => rig.close());

describe('discovery', () => {
  it('needs no token and names both versions', async () => {
    const root = await rig.ask('GET', '/', { token: null });
    expect([root.status, root.at('versions', 0, 'id'), root.at('versions', 1, 'version')]).toEqual([200, 'v2.0', '2.104']);
    for (const path of ['/v2.1', '/v2.1/']) {
      const one = await rig.ask('GET', path, { token: null });
      expect([one.status, one.at('version', 'min_version'), one.at('version', 'links', 0, 'href')]).toEqual([200, '2.1', `${rig.url}/v2.1/`]);
    }
    expect((await rig.ask('GET', '/v2/', { token: null })).at('version', 'status')).toBe('DEPRECATED');
  });

  it('offers the versions of a path without version', async () => {
    const answer = await rig.ask('GET', '/servers/5', { token: null });
    expect([answer.status, answer.at('choices', 1, 'links', 0, 'href')]).toEqual([300, `${rig.url}/v2.1/servers/5`]);
  });
});

describe('versions', () => {
  it('is named in the answer, also of refusals, and what it depends on is said', async () => {
    for (const path of ['/v2.1/flavors', '/v2.1/no-such']) {
      const { headers } = await rig.ask('GET', path, { version: '2.60' });
      expect(headers).toMatchObject({
        'openstack-api-version': 'compute 2.60',
        'x-openstack-nova-api-version': '2.60',
        vary: expect.stringContaining('OpenStack-API-Version'),
      });
    }
  });

  it('takes latest, the old header, and among several services its own', async () => {
    const used = async (headers: { [name: string]: string }) => (await rig.ask('GET', '/v2.1/flavors', { headers })).headers['x-openstack-nova-api-version'];
    expect(await used({})).toBe('2.1');
    expect(await used({ 'openstack-api-version': 'compute latest' })).toBe('2.104');
    expect(await used({ 'x-openstack-nova-api-version': '2.53' })).toBe('2.53');
    expect(await used({ 'openstack-api-version': 'volume 3.0, compute 2.7' })).toBe('2.7');
    expect(await used({ 'openstack-api-version': 'volume 3.0' })).toBe('2.1');
    expect(await used({ 'openstack-api-version': 'compute 2.8', 'x-openstack-nova-api-version': '2.53' })).toBe('2.8');
  });

  it('says which versions there are when it has not the one that was asked', async () => {
    const answer = await rig.ask('GET', '/v2.1/flavors', { version: '2.105' });
    expect(answer.at('computeFault', 'message')).toBe('Version 2.105 is not supported by the API. Minimum is 2.1 and maximum is 2.104.');
  });
});

describe('the old API', () => {
  it('ignores versions and members it does not know and says nothing of versions', async () => {
    const answer = await rig.ask('POST', `/v2/${PROJECT}/servers`, {
      version: '2.90',
      body: { server: { name: '  old  ', imageRef: IMAGE_ID, flavorRef: 'http://any/flavors/1', unknown: 1, description: 'x', hostname: 'h', host: 'host1' } },
    });
    expect(answer.status, answer.text).toBe(202);
    expect(answer.headers).not.toHaveProperty('openstack-api-version');
    expect(answer.headers).not.toHaveProperty('vary');
    const id = String(answer.at('server', 'id'));
    expect(rig.cloud.servers.get(id)?.record).toMatchObject({ name: 'old', description: null, hostname: 'old', requestedHost: null });
    expect(answer.at('server', 'links', 0, 'href')).toBe(`${rig.url}/v2/${PROJECT}/servers/${id}`);
    expect(answer.at('server', 'links', 1, 'href')).toBe(`${rig.url}/${PROJECT}/servers/${id}`);
  });

  it('still refuses what is wrong', async () => {
    expect((await rig.ask('POST', `/v2/${PROJECT}/servers`, { body: { server: { name: 5 } } })).status).toBe(400);
  });
});

describe('networks for clients without a network service', () => {
  it('have the mask and edges of their range, and more for administrators', async () => {
    const asUser = await rig.ask('GET', `/v2.1/os-networks/${NETWORK_ID}`);
    expect(asUser.at('network')).toMatchObject({ label: 'private', cidr: '10.20.0.0/16', netmask: '255.255.0.0', broadcast: '10.20.255.255', cidr_v6: null });
    expect(asUser.at('network', 'project_id')).toBeUndefined();
    expect((await rig.ask('GET', '/v2.1/os-networks?label=private', { token: 'admin' })).at('networks', 0)).toHaveProperty('project_id', null);
    expect((await rig.ask('GET', '/v2.1/os-networks?label=none')).at('networks')).toEqual([]);
    expect((await rig.ask('GET', '/v2.1/os-networks', { version: '2.36' })).status).toBe(404);
  });
});

describe('answers', () => {
  it('puts the project into links only when it was in the path', async () => {
    expect((await rig.ask('GET', `/v2.1/${PROJECT}/flavors/1`)).at('flavor', 'links', 0, 'href')).toBe(`${rig.url}/v2.1/${PROJECT}/flavors/1`);
    expect((await rig.ask('GET', '/v2.1/flavors/1')).at('flavor', 'links', 1, 'href')).toBe(`${rig.url}/flavors/1`);
  });

  it('takes no host of a client that is none', async () => {
    const answer = await rig.ask('GET', '/v2.1/flavors/1', { headers: { host: 'evil"><script>' } });
    expect(answer.text).not.toContain('script');
  });

  it('lists the methods of a path that lacks the one asked', async () => {
    expect((await rig.ask('PUT', '/v2.1/os-keypairs', { body: {} })).headers.allow).toBe('GET, POST');
  });

  it('asks to come again when something is overloaded, and hides what broke', async () => {
    rig.cloud.down = new Fault('overloaded', 'mailbox', 'Too busy.');
    const busy = await rig.ask('GET', '/v2.1/limits');
    expect([busy.status, busy.headers['retry-after'], busy.at('serviceUnavailable', 'code')]).toEqual([503, '1', 503]);
    rig.cloud.down = Fault.from(new TypeError('reading secret of undefined'));
    const broken = await rig.ask('GET', '/v2.1/limits');
    rig.cloud.down = undefined;
    expect([broken.status, broken.text.includes('secret')]).toEqual([500, false]);
  });

  it('says where tokens come from', async () => {
    expect((await rig.ask('GET', '/v2.1/limits', { token: null })).headers['www-authenticate']).toBe('Keystone uri="http://127.0.0.1:5000/v3"');
  });
});

const NAMED = '33333333-3333-4333-8333-333333333333';

/** Least role per route: reviewed by hand. */
const MATRIX: readonly (readonly [
  method: string,
  path: string,
  least: 'any' | 'reader' | 'member' | 'manager' | 'admin',
  body?: object | undefined,
  version?: string,
])[] = [
  ['GET', '/extensions', 'any'],
  ['GET', '/flavors', 'any'],
  ['GET', '/flavors/detail', 'any'],
  ['GET', '/flavors/1', 'any'],
  ['GET', '/limits', 'any'],
  ['GET', '/os-availability-zone', 'any'],
  ['GET', '/os-keypairs', 'any'],
  ['GET', `/os-quota-sets/${PROJECT}/defaults`, 'any'],
  ['GET', '/images', 'any'],
  ['GET', '/servers', 'reader'],
  ['GET', '/servers/detail', 'reader'],
  ['GET', '/servers/:id', 'reader'],
  ['GET', '/servers/:id/metadata', 'reader'],
  ['GET', '/servers/:id/ips', 'reader'],
  ['GET', '/servers/:id/os-instance-actions', 'reader'],
  ['GET', '/servers/:id/os-security-groups', 'reader'],
  ['GET', '/servers/:id/tags', 'reader', undefined, '2.26'],
  ['GET', '/os-networks', 'reader'],
  ['GET', '/os-server-groups', 'reader'],
  ['GET', '/os-server-groups/:group', 'reader'],
  ['POST', '/os-server-groups', 'member', { server_group: { name: 'g', policies: ['affinity'] } }],
  ['DELETE', '/os-server-groups/:group', 'member'],
  ['GET', '/os-simple-tenant-usage', 'admin'],
  ['GET', `/os-simple-tenant-usage/${PROJECT}`, 'reader'],
  ['GET', '/os-security-groups', 'reader'],
  ['GET', '/os-security-groups/:secured', 'reader'],
  ['POST', '/os-security-groups', 'member', { security_group: { name: 'g', description: 'd' } }],
  ['PUT', '/os-security-groups/:secured', 'member', { security_group: { name: 'g', description: 'd' } }],
  ['POST', '/os-security-group-rules', 'member', { security_group_rule: { parent_group_id: ':secured', ip_protocol: 'tcp', from_port: 1, to_port: 2 } }],
  ['DELETE', '/os-security-group-rules/:rule', 'member'],
  ['DELETE', '/os-security-groups/:secured', 'member'],
  ['POST', '/servers/:id/action', 'member', { addSecurityGroup: { name: 'web' } }],
  ['POST', '/servers/:id/action', 'member', { removeSecurityGroup: { name: 'web' } }],
  ['GET', '/servers/:id/diagnostics', 'admin'],
  ['GET', '/servers/:id/topology', 'reader', undefined, '2.78'],
  ['GET', '/servers/:id/os-server-password', 'reader'],
  ['DELETE', '/servers/:id/os-server-password', 'member'],
  ['GET', '/os-volumes_boot', 'reader'],
  ['GET', '/os-volumes_boot/detail', 'reader'],
  ['GET', '/os-volumes_boot/:id', 'reader'],
  ['POST', '/os-volumes_boot', 'member', { server: { name: 'a', imageRef: IMAGE_ID, flavorRef: '1' } }],
  ['POST', '/os-volumes_boot/:id/action', 'member', { 'os-stop': null }],
  ['DELETE', '/os-volumes_boot/:id', 'member'],
  ['GET', `/os-networks/${NETWORK_ID}`, 'reader'],
  ['GET', '/os-tenant-networks', 'reader'],
  ['GET', `/os-tenant-networks/${NETWORK_ID}`, 'reader'],
  ['GET', '/flavors/1/os-extra_specs', 'reader'],
  ['GET', `/os-quota-sets/${PROJECT}`, 'reader'],
  ['GET', `/os-quota-sets/${PROJECT}/detail`, 'reader'],
  ['PUT', '/servers/:id', 'member', { server: { name: 'a' } }],
  ['POST', '/servers/:id/metadata', 'member', { metadata: {} }],
  ['PUT', '/servers/:id/metadata', 'member', { metadata: {} }],
  ['POST', '/servers/:id/action', 'member', { 'os-stop': null }],
  ['POST', '/servers/:id/action', 'member', { 'os-start': null }],
  ['POST', '/servers/:id/action', 'member', { reboot: { type: 'HARD' } }],
  ['POST', '/servers/:id/action', 'member', { 'os-getConsoleOutput': {} }],
  ['POST', '/servers/:id/action', 'member', { pause: null }],
  ['POST', '/servers/:id/action', 'member', { unpause: null }],
  ['POST', '/servers/:id/action', 'member', { suspend: null }],
  ['POST', '/servers/:id/action', 'member', { resume: null }],
  ['POST', '/servers/:id/action', 'member', { rescue: null }],
  ['POST', '/servers/:id/action', 'member', { unrescue: null }],
  ['POST', '/servers/:id/action', 'member', { lock: null }],
  ['POST', '/servers/:id/action', 'member', { unlock: null }],
  ['POST', '/servers/:id/action', 'member', { restore: null }],
  ['POST', '/servers/:id/action', 'member', { forceDelete: null }],
  ['POST', '/servers/:id/action', 'member', { changePassword: { adminPass: 'new' } }],
  ['POST', '/servers/:id/action', 'member', { trigger_crash_dump: null }, '2.17'],
  ['POST', '/servers/:id/action', 'admin', { 'os-resetState': { state: 'active' } }],
  ['POST', '/servers/:id/action', 'admin', { injectNetworkInfo: null }],
  ['POST', '/servers/:id/action', 'member', { createImage: { name: 'a' } }],
  ['POST', '/servers/:id/action', 'member', { createBackup: { name: 'a', backup_type: 'daily', rotation: 1 } }],
  ['POST', '/servers/:id/action', 'member', { rebuild: { imageRef: IMAGE_ID } }],
  ['POST', '/servers/:id/action', 'member', { shelve: null }],
  ['POST', '/servers/:id/action', 'member', { unshelve: null }],
  ['POST', '/servers/:id/action', 'admin', { unshelve: { host: 'host1' } }, '2.91'],
  ['POST', '/servers/:id/action', 'admin', { shelveOffload: null }],
  ['POST', '/servers/:id/action', 'member', { resize: { flavorRef: '2' } }],
  ['POST', '/servers/:id/action', 'member', { confirmResize: null }],
  ['POST', '/servers/:id/action', 'member', { revertResize: null }],
  ['POST', '/servers/:id/action', 'manager', { migrate: null }],
  ['POST', '/servers/:id/action', 'admin', { migrate: { host: 'host2' } }, '2.56'],
  ['POST', '/servers/:id/action', 'manager', { 'os-migrateLive': { host: null, block_migration: 'auto' } }, '2.34'],
  ['POST', '/servers/:id/action', 'admin', { 'os-migrateLive': { host: 'host2', block_migration: 'auto' } }, '2.34'],
  ['GET', '/os-migrations', 'manager'],
  ['GET', '/servers/:id/migrations', 'manager', undefined, '2.23'],
  ['GET', '/servers/:id/migrations/1', 'admin', undefined, '2.23'],
  ['DELETE', '/servers/:id/migrations/1', 'manager', undefined, '2.24'],
  ['POST', '/servers/:id/migrations/1/action', 'manager', { force_complete: null }, '2.22'],
  ['PUT', '/servers/:id/tags', 'member', { tags: [] }, '2.26'],
  ['DELETE', '/servers/:id/tags', 'member', undefined, '2.26'],
  ['POST', '/servers', 'member', { server: { name: 'a', imageRef: IMAGE_ID, flavorRef: '1' } }],
  ['POST', '/flavors', 'admin', { flavor: { name: 'f', ram: 1, vcpus: 1, disk: 1 } }],
  ['PUT', '/flavors/1', 'admin', { flavor: { description: null } }, '2.55'],
  ['POST', '/flavors/1/os-extra_specs', 'admin', { extra_specs: { a: 'b' } }],
  ['PUT', '/flavors/1/os-extra_specs/a', 'admin', { a: 'c' }],
  ['DELETE', '/flavors/1/os-extra_specs/a', 'admin'],
  ['GET', '/os-hypervisors', 'admin'],
  ['GET', '/os-hypervisors/detail', 'admin'],
  ['GET', '/os-hypervisors/1', 'admin'],
  ['GET', '/os-hypervisors/statistics', 'admin'],
  ['GET', '/os-hypervisors/1/uptime', 'admin'],
  ['GET', '/os-hypervisors/host1/search', 'admin'],
  ['GET', '/os-hypervisors/host1/servers', 'admin'],
  ['GET', '/os-services', 'admin'],
  ['GET', '/os-aggregates', 'admin'],
  ['POST', '/os-aggregates', 'admin', { aggregate: { name: 'a' } }],
  ['GET', '/os-aggregates/1', 'admin'],
  ['PUT', '/os-aggregates/1', 'admin', { aggregate: { name: 'b' } }],
  ['POST', '/os-aggregates/1/action', 'admin', { add_host: { host: 'host1' } }],
  ['POST', '/os-aggregates/1/images', 'admin', { cache: [{ id: IMAGE_ID }] }, '2.81'],
  ['POST', '/os-aggregates/1/action', 'admin', { remove_host: { host: 'host1' } }],
  ['POST', '/os-aggregates/1/action', 'admin', { set_metadata: { metadata: { a: 'b' } } }],
  ['DELETE', '/os-aggregates/1', 'admin'],
  ['GET', '/os-hosts', 'admin'],
  ['GET', '/os-hosts/host1', 'admin'],
  ['PUT', '/os-hosts/host1', 'admin', { status: 'enable' }],
  ['GET', '/os-instance_usage_audit_log', 'admin'],
  ['GET', '/os-instance_usage_audit_log/2026-01-01%2000:00:00', 'admin'],
  ['GET', '/os-floating-ips', 'reader'],
  ['GET', '/os-floating-ip-pools', 'any'],
  ['PUT', '/os-services/enable', 'admin', { host: 'host1', binary: 'nova-compute' }],
  ['GET', '/os-availability-zone/detail', 'admin'],
  ['GET', '/os-quota-class-sets/default', 'admin'],
  ['PUT', '/os-quota-class-sets/default', 'admin', { quota_class_set: {} }],
  ['PUT', `/os-quota-sets/${PROJECT}`, 'admin', { quota_set: {} }],
  ['DELETE', `/os-quota-sets/${PROJECT}`, 'admin'],
];

function resizedAt(id: string): void {
  const { record } = rig.cloud.servers.get(id) ?? {};
  if (record) rig.cloud.change(id, { vmState: 'resized', move: moveOf(record, 'resize') });
}

function migratingAt(id: string): void {
  rig.cloud.change(id, { taskState: 'migrating' });
  rig.cloud.migrations = [migrationView(id, { type: 'live-migration', status: 'running' })];
}

/** The state that a server must be in for an action, when it is not active. */
const NEEDED = {
  'os-start': 'stopped',
  unpause: 'paused',
  resume: 'suspended',
  unrescue: 'rescued',
  restore: 'soft-delete',
  shelveOffload: 'shelved',
  unshelve: 'shelved_offloaded',
} as const;

describe('who may', () => {
  const roles = ['none', 'reader', 'member', 'manager', 'admin'] as const;
  const level = { any: 0, reader: 1, member: 2, manager: 3, admin: 4 } as const;
  for (const [method, path, least, body, version] of MATRIX) {
    it(`${method} ${path} ${body === undefined ? '' : JSON.stringify(body).slice(0, 40)}: ${least} and above`, async () => {
      rig.tokens.add('none', { roles: ['some-other-role'] });
      rig.tokens.add('manager', { roles: ['manager', 'member', 'reader'] });
      rig.cloud.hosts = [hostView('host1', 1), hostView('host2', 2)];
      const allowed: string[] = [];
      for (const role of roles) {
        const id = path.includes(':id') ? await rig.server() : '';
        if (body !== undefined && ('confirmResize' in body || 'revertResize' in body)) resizedAt(id);
        if (path.includes('/migrations')) migratingAt(id);
        const needed = Object.entries(NEEDED).find(([action]) => body !== undefined && action in body)?.[1];
        if (needed !== undefined) rig.cloud.change(id, { vmState: needed });
        if (body !== undefined && 'removeSecurityGroup' in body) rig.cloud.change(id, { securityGroups: ['web'] });
        rig.cloud.serverGroups.set(NAMED, { id: NAMED, projectId: PROJECT, userId: 'u', name: 'g', policy: 'affinity', perHost: null });
        rig.cloud.securityGroups.set(NAMED, { id: NAMED, projectId: PROJECT, name: 'web', description: 'd' });
        const rule = { protocol: 'tcp', fromPort: 22, toPort: 22, cidr: '0.0.0.0/0', group: null };
        rig.cloud.securityRules.set(NAMED, { id: NAMED, parentGroupId: NAMED, ...rule });
        const named = (text: string): string => text.replace(/:(group|secured|rule)/, NAMED);
        const answer = await rig.ask(method, `/v2.1${named(path.replace(':id', id))}`, {
          token: role,
          ...(body === undefined ? {} : { body: JSON.parse(named(JSON.stringify(body))) }),
          ...(version === undefined ? {} : { version }),
        });
        if (answer.status === 403)
          expect(answer.at('forbidden', 'message')).toMatch(/^Policy doesn't allow (os_compute_api|compute):[\w:-]+ to be performed\.$/);
        else allowed.push(role);
        if (answer.status !== 403) expect(answer.status, answer.text).toBeLessThan(300);
        rig.cloud.servers.clear();
      }
      expect(allowed).toEqual(roles.slice(level[least]));
    });
  }
});
