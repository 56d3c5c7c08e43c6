/**
 * Requests that must be refused, and how: one table for the door in front of a cloud in memory and for a real node.
 * Each row is an attempt; `twin` is the harmless request next to it that must pass.
 */
import type { AskOptions } from './rig.ts';

export type World = {
  /** Base path with version. */
  readonly base: string;
  readonly imageId: string;
  readonly flavorId: string;
  readonly disabledFlavorId: string | null;
  readonly queuedImageId: string;
  readonly foreignImageId: string;
  readonly largeImageId: string;
  /** Of the member's project, and of another one. */
  readonly ownServerId: string;
  readonly foreignServerId: string;
  readonly tokens: { readonly member: string; readonly admin: string; readonly expired: string | null; readonly unscoped: string };
};

export type Attempt = {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly options: AskOptions;
  readonly status: number;
  /** Member of the error body. */
  readonly member: string;
  readonly says?: RegExp;
};

export function attemptsIn(world: World): Attempt[] {
  const { base, tokens } = world;
  const sound = { name: 'sound', imageRef: world.imageId, flavorRef: world.flavorId };
  const create = (name: string, some: object, says?: RegExp, more: Partial<Attempt> = {}): Attempt => ({
    name,
    method: 'POST',
    path: `${base}/servers`,
    options: { token: tokens.member, body: { server: { ...sound, ...some } } },
    status: 400,
    member: 'badRequest',
    ...(says === undefined ? {} : { says }),
    ...more,
  });
  const raw = (name: string, text: string | Buffer, more: Partial<Attempt> = {}): Attempt => ({
    name,
    method: 'POST',
    path: `${base}/servers`,
    options: { token: tokens.member, raw: text },
    status: 400,
    member: 'badRequest',
    ...more,
  });
  const own = `${base}/servers/${world.ownServerId}`;
  const foreign = `${base}/servers/${world.foreignServerId}`;
  const ofAction = (name: string, body: object, says?: RegExp, version = '2.1'): Attempt[] => [
    {
      name,
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, version, body },
      status: 400,
      member: 'badRequest',
      ...(says === undefined ? {} : { says }),
    },
  ];
  const hidden = (name: string, method: string, path: string, body?: object): Attempt => ({
    name,
    method,
    path,
    options: { token: tokens.member, version: '2.26', ...(body === undefined ? {} : { body }) },
    status: 404,
    member: 'itemNotFound',
    says: new RegExp(`^Instance ${world.foreignServerId} could not be found\\.$`),
  });
  const get = (name: string, path: string, options: AskOptions, status: number, member: string): Attempt => ({
    name,
    method: 'GET',
    path,
    options,
    status,
    member,
  });
  return [
    raw('malformed JSON', '{"server": {'),
    raw('a body that is no object', '[]'),
    raw('an empty body', ''),
    raw('a body that is not UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])),
    raw('a body of a million brackets', '['.repeat(50_000)),
    raw('a member that occurs twice', `{"server": {"name": "a", "name": "b", "imageRef": "${world.imageId}", "flavorRef": "1"}}`, { says: /twice/ }),
    raw('a member named __proto__', `{"server": {"__proto__": {"admin": true}, "name": "a", "flavorRef": "1"}}`, { says: /__proto__/ }),
    raw('a member named __proto__ in disguise', `{"server": {"\\u005f_proto__": {"admin": true}, "name": "a", "flavorRef": "1"}}`, { says: /__proto__/ }),
    raw('a character that cannot be stored', `{"server": {"name": "a", "imageRef": "${world.imageId}", "flavorRef": "1", "metadata": {"a": "b\\u0000"}}}`, {
      says: /cannot be stored/,
    }),
    raw('an oversize body', `{"server": {"name": "${'x'.repeat(120_000)}"}}`, { status: 413, member: 'overLimit' }),
    {
      ...raw('XML', '<server/>'),
      options: { token: tokens.member, raw: '<server/>', headers: { 'content-type': 'application/xml' } },
      status: 415,
      member: 'badMediaType',
    },

    create('a name of 10,000 characters', { name: 'n'.repeat(10_000) }, /attribute name\. .*too long/),
    create('a name of the wrong type', { name: 5 }, /attribute name\. Value: 5\. 5 is not of type 'string'/),
    create('an empty name', { name: '' }),
    create('a name with outer blanks', { name: ' n ' }),
    create('a name with a control character', { name: 'a\u0007' }),
    create('no name', { name: undefined }, /'name' is a required property/),
    create('an unknown member', { nmae: 'x' }, /Additional properties are not allowed \('nmae' was unexpected\)/),
    create('a member of a later version', { description: 'x' }, /'description' was unexpected/),
    create('a flavor of the wrong type', { flavorRef: { id: 1 } }),
    create('a negative count', { min_count: -1 }),
    create('a count of zero', { max_count: 0 }),
    create('a count that is no number', { min_count: 'many' }),
    create('a count beyond the integers', { max_count: 1e300 }),
    create('more at least than at most', { min_count: 3, max_count: 2 }, /min_count must be <= max_count/),
    create('metadata of the wrong type', { metadata: 'x' }),
    create('a metadata value of the wrong type', { metadata: { a: 1 } }),
    create('a metadata key that is too long', { metadata: { ['k'.repeat(256)]: 'v' } }),
    create('a metadata value that is too long', { metadata: { a: 'v'.repeat(256) } }),
    create('user data that is no base64', { user_data: 'not base64!' }),
    create('an address that is none', { accessIPv4: '1.2.3.400' }),
    create('an image id that is none', { imageRef: 'nonsense' }),
    create('an unknown image', { imageRef: '00000000-0000-4000-8000-000000000000' }, /image/),
    create('no image at all', { imageRef: '' }),
    create('an unknown flavor', { flavorRef: 'no-such' }, /Flavor no-such could not be found/),
    create('an image that is not active', { imageRef: world.queuedImageId }),
    create('an image of another project', { imageRef: world.foreignImageId }, /Can not find requested image/),
    create('an image larger than the disk', { imageRef: world.largeImageId }, /disk is (too small|smaller)/),
    ...(world.disabledFlavorId === null ? [] : [create('a disabled flavor', { flavorRef: world.disabledFlavorId })]),
    create('an unknown key', { key_name: 'no-such' }, /Invalid key_name/),
    create('an unknown zone', { availability_zone: 'no-such' }, /zone/),
    create('a host named by a user', { availability_zone: 'nova:host1' }, /servers:create:forced_host/, { status: 403, member: 'forbidden' }),
    create('an unknown network', { networks: [{ uuid: '00000000-0000-4000-8000-000000000000' }] }, /Network/),
    create('a port', { networks: [{ port: '00000000-0000-4000-8000-000000000000' }] }, /Ports/),
    create('an unknown security group', { security_groups: [{ name: 'no-such' }] }, /Security group/),
    create(
      'a volume to boot from',
      { block_device_mapping_v2: [{ source_type: 'volume', destination_type: 'volume', uuid: world.imageId, boot_index: 0 }] },
      /volume/,
    ),
    create('too many tags', { tags: Array.from({ length: 51 }, (_, i) => `t${i}`), networks: 'auto' }, undefined, {
      options: { token: tokens.member, version: '2.52', body: { server: { ...sound, networks: 'auto', tags: Array.from({ length: 51 }, (_, i) => `t${i}`) } } },
    }),
    create('no networks where they are required', {}, /'networks' is a required property/, {
      options: { token: tokens.member, version: '2.37', body: { server: sound } },
    }),

    get('no token', `${base}/servers`, { token: null }, 401, 'unauthorized'),
    get('a forged token', `${base}/servers`, { token: 'gAAAAABforged-token' }, 401, 'unauthorized'),
    get('a token of 10,000 characters', `${base}/servers`, { token: 't'.repeat(10_000) }, 401, 'unauthorized'),
    ...(tokens.expired === null ? [] : [get('an expired token', `${base}/servers`, { token: tokens.expired }, 401, 'unauthorized')]),
    get('a token without scope', `${base}/servers`, { token: tokens.unscoped }, 403, 'forbidden'),
    get(
      'identity in headers of the client',
      `${base}/servers?all_tenants=1`,
      { token: tokens.member, headers: { 'x-roles': 'admin', 'x-is-admin-project': 'True', 'x-user-id': 'root' } },
      403,
      'forbidden',
    ),
    get(
      'identity in headers and no token',
      `${base}/servers`,
      { token: null, headers: { 'x-roles': 'admin', 'x-user-id': 'root', 'x-project-id': 'p', 'x-identity-status': 'Confirmed' } },
      401,
      'unauthorized',
    ),

    get('an unknown microversion', `${base}/servers`, { token: tokens.member, version: '2.9999' }, 406, 'computeFault'),
    get('another major version', `${base}/servers`, { token: tokens.member, version: '3.1' }, 406, 'computeFault'),
    get('a malformed microversion', `${base}/servers`, { token: tokens.member, version: '2.1.1' }, 400, 'badRequest'),
    get('a route of a later version', `${own}/tags`, { token: tokens.member, version: '2.25' }, 404, 'itemNotFound'),
    get('a route that went', `${base}/images`, { token: tokens.member, version: '2.36' }, 404, 'itemNotFound'),
    get('another project in the path', `${base}/ffffffffffffffffffffffffffffffff/servers`, { token: tokens.member }, 400, 'badRequest'),
    get('an unknown path', `${base}/no-such`, { token: tokens.member }, 404, 'itemNotFound'),
    { ...get('a method that is not there', `${base}/servers`, { token: tokens.member }, 405, 'badMethod'), method: 'PUT' },
    get('a negative limit', `${base}/servers?limit=-1`, { token: tokens.member }, 400, 'badRequest'),
    get('a limit that is no number', `${base}/servers?limit=ten`, { token: tokens.member }, 400, 'badRequest'),
    get('an unknown marker', `${base}/servers?marker=00000000-0000-4000-8000-000000000000`, { token: tokens.member }, 400, 'badRequest'),
    get('an invalid pattern', `${base}/servers?name=%5B`, { token: tokens.member }, 400, 'badRequest'),
    get('an unknown sort key', `${base}/servers?sort_key=secret`, { token: tokens.member }, 400, 'badRequest'),
    get('an unknown parameter where they are strict', `${base}/servers?nonsense=1`, { token: tokens.member, version: '2.75' }, 400, 'badRequest'),
    get('a query that is not UTF-8', `${base}/servers?name=%ff`, { token: tokens.member }, 400, 'badRequest'),
    get('an unknown status', `${base}/servers?status=nonsense`, { token: tokens.member, version: '2.38' }, 400, 'badRequest'),
    get('deleted servers for a user', `${base}/servers?status=deleted`, { token: tokens.member }, 403, 'forbidden'),
    get('a server id that is none', `${base}/servers/nonsense`, { token: tokens.member }, 404, 'itemNotFound'),
    get('a server id of 10,000 characters', `${base}/servers/${'x'.repeat(10_000)}`, { token: tokens.member }, 404, 'itemNotFound'),

    hidden('the server of another project', 'GET', foreign),
    hidden('a change of it', 'PUT', foreign, { server: { name: 'mine' } }),
    hidden('its end', 'DELETE', foreign),
    hidden('an action on it', 'POST', `${foreign}/action`, { 'os-stop': null }),
    hidden('its console', 'POST', `${foreign}/action`, { 'os-getConsoleOutput': {} }),
    hidden('its metadata', 'GET', `${foreign}/metadata`),
    hidden('a change of its metadata', 'POST', `${foreign}/metadata`, { metadata: { a: 'b' } }),
    hidden('its addresses', 'GET', `${foreign}/ips`),
    hidden('its tags', 'GET', `${foreign}/tags`),
    hidden('its history', 'GET', `${foreign}/os-instance-actions`),
    hidden('its security groups', 'GET', `${foreign}/os-security-groups`),
    hidden('a security group added to it', 'POST', `${foreign}/action`, { addSecurityGroup: { name: 'default' } }),
    hidden('its password', 'GET', `${foreign}/os-server-password`),
    hidden('the end of its password', 'DELETE', `${foreign}/os-server-password`),
    get('counters for a user', `${own}/diagnostics`, { token: tokens.member }, 403, 'forbidden'),
    get('use of all projects for a user', `${base}/os-simple-tenant-usage`, { token: tokens.member }, 403, 'forbidden'),
    get('use of another project', `${base}/os-simple-tenant-usage/ffffffffffffffffffffffffffffffff`, { token: tokens.member }, 403, 'forbidden'),
    get('use until before its beginning', `${base}/os-simple-tenant-usage?end=2000-01-01T00:00:00`, { token: tokens.admin }, 400, 'badRequest'),
    get('use since a time that is none', `${base}/os-simple-tenant-usage?start=%27%20or%201=1`, { token: tokens.admin }, 400, 'badRequest'),
    get('an unknown server group', `${base}/os-server-groups/00000000-0000-4000-8000-000000000000`, { token: tokens.member }, 404, 'itemNotFound'),
    get('a server group id that is none', `${base}/os-server-groups/nonsense`, { token: tokens.member }, 404, 'itemNotFound'),
    get('a negative offset', `${base}/os-server-groups?offset=-1`, { token: tokens.member }, 400, 'badRequest'),
    get('a security group id that is none', `${base}/os-security-groups/nonsense`, { token: tokens.member }, 400, 'badRequest'),
    get('security groups where they went', `${base}/os-security-groups`, { token: tokens.member, version: '2.36' }, 404, 'itemNotFound'),
    ...[{}, { name: 'g' }, { name: 'g', policies: ['none'] }, { name: 'g', policies: 'affinity' }, { name: 'g', policies: ['affinity'], more: 1 }].map(
      (server_group): Attempt => ({
        name: `a server group of ${JSON.stringify(server_group)}`,
        method: 'POST',
        path: `${base}/os-server-groups`,
        options: { token: tokens.member, body: { server_group } },
        status: 400,
        member: 'badRequest',
      }),
    ),
    ...[{ name: 'g' }, { name: ' ', description: 'd' }, { name: 'n'.repeat(256), description: 'd' }, { name: 5, description: 'd' }].map(
      (security_group): Attempt => ({
        name: `a security group of ${JSON.stringify(security_group).slice(0, 60)}`,
        method: 'POST',
        path: `${base}/os-security-groups`,
        options: { token: tokens.member, body: { security_group } },
        status: 400,
        member: 'badRequest',
      }),
    ),
    {
      name: 'a server in a group that is not there',
      method: 'POST',
      path: `${base}/servers`,
      options: { token: tokens.member, body: { server: sound, 'os:scheduler_hints': { group: '00000000-0000-4000-8000-000000000000' } } },
      status: 400,
      member: 'badRequest',
      says: /^Instance group 00000000-0000-4000-8000-000000000000 could not be found\.$/,
    },

    {
      name: 'an unknown action',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { explode: null } },
      status: 400,
      member: 'badRequest',
      says: /no such action/,
    },
    {
      name: 'two actions at once',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { 'os-stop': null, 'os-start': null } },
      status: 400,
      member: 'badRequest',
    },
    { name: 'no action', method: 'POST', path: `${own}/action`, options: { token: tokens.member, body: {} }, status: 400, member: 'badRequest' },
    {
      name: 'a reboot of an unknown kind',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { reboot: { type: 'gentle' } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'a start of what runs',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { 'os-start': null } },
      status: 409,
      member: 'conflictingRequest',
      says: new RegExp(`^Cannot 'start' instance ${world.ownServerId} while it is in vm_state active$`),
    },
    ...refusedActions(own, tokens),
    {
      name: 'meta whose key is not the path’s',
      method: 'PUT',
      path: `${own}/metadata/a`,
      options: { token: tokens.member, body: { meta: { b: 'c' } } },
      status: 400,
      member: 'badRequest',
    },
    ...ofAction('an image without a name', { createImage: {} }, /'name' is a required property/),
    ...ofAction('an image with too much', { createImage: { name: 'a', size: 1 } }, /Additional properties are not allowed/),
    ...ofAction('an image whose metadata is no text', { createImage: { name: 'a', metadata: { a: 1 } } }),
    ...ofAction('a backup that rotates below nothing', { createBackup: { name: 'a', backup_type: 'daily', rotation: -1 } }, /less than the minimum of 0/),
    ...ofAction('a backup of no type', { createBackup: { name: 'a', rotation: 1 } }, /'backup_type' is a required property/),
    ...ofAction('a rebuild from nothing', { rebuild: {} }, /'imageRef' is a required property/),
    ...ofAction('a rebuild from what is no uuid', { rebuild: { imageRef: 'cirros' } }),
    ...ofAction('a rebuild from an image that is not active', { rebuild: { imageRef: world.queuedImageId } }, /is not active/),
    ...ofAction('a rebuild from an image of others', { rebuild: { imageRef: world.foreignImageId } }, /Cannot find image for rebuild/),
    ...ofAction(
      'a rebuild from an image that is too large',
      { rebuild: { imageRef: world.largeImageId } },
      /too small for requested image|smaller than the minimum size/,
    ),
    ...ofAction('a rebuild with a key that nobody has', { rebuild: { imageRef: world.imageId, key_name: 'none' } }, /Invalid key_name provided/, '2.54'),
    ...ofAction('a rebuild with files after there were any', { rebuild: { imageRef: world.imageId, personality: [] } }, /Additional properties/, '2.57'),
    ...ofAction('an unshelve to no zone in particular', { unshelve: {} }, undefined, '2.77'),
    ...ofAction('an unshelve with a host too early', { unshelve: { availability_zone: 'nova', host: 'h' } }, undefined, '2.90'),
    {
      name: 'a snapshot of a volume that is attached to nothing',
      method: 'POST',
      path: `${base}/os-assisted-volume-snapshots`,
      options: { token: tokens.admin, body: { snapshot: { volume_id: 'v', create_info: { snapshot_id: 's', type: 'qcow2', new_file: 'f' } } } },
      status: 400,
      member: 'badRequest',
      says: /No volume Block Device Mapping with id v/,
    },
    {
      name: 'a snapshot of a volume that is no qcow2',
      method: 'POST',
      path: `${base}/os-assisted-volume-snapshots`,
      options: { token: tokens.admin, body: { snapshot: { volume_id: 'v', create_info: { snapshot_id: 's', type: 'raw', new_file: 'f' } } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'the end of a snapshot of a volume without a word on it',
      method: 'DELETE',
      path: `${base}/os-assisted-volume-snapshots/s`,
      options: { token: tokens.admin },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'a snapshot of a volume by a user',
      method: 'POST',
      path: `${base}/os-assisted-volume-snapshots`,
      options: { token: tokens.member, body: { snapshot: { volume_id: 'v', create_info: { snapshot_id: 's', type: 'qcow2', new_file: 'f' } } } },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-assisted-volume-snapshots:create/,
    },
    {
      name: 'a flavor made by a user',
      method: 'POST',
      path: `${base}/flavors`,
      options: { token: tokens.member, body: { flavor: { name: 'mine', ram: 1, vcpus: 1, disk: 0 } } },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-flavor-manage:create/,
    },
    {
      name: 'a flavor without memory',
      method: 'POST',
      path: `${base}/flavors`,
      options: { token: tokens.admin, body: { flavor: { name: 'none', ram: 0, vcpus: 1, disk: 0 } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'a key that is none',
      method: 'POST',
      path: `${base}/os-keypairs`,
      options: { token: tokens.member, body: { keypair: { name: 'k', public_key: 'ssh-rsa nonsense' } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'a key name with a slash',
      method: 'POST',
      path: `${base}/os-keypairs`,
      options: { token: tokens.member, body: { keypair: { name: 'a/b' } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'the keys of another user',
      method: 'GET',
      path: `${base}/os-keypairs?user_id=somebody`,
      options: { token: tokens.member, version: '2.10' },
      status: 403,
      member: 'forbidden',
    },
    {
      name: 'the quota of another project',
      method: 'GET',
      path: `${base}/os-quota-sets/ffffffffffffffffffffffffffffffff`,
      options: { token: tokens.member },
      status: 403,
      member: 'forbidden',
    },
    {
      name: 'a quota below nothing',
      method: 'PUT',
      path: `${base}/os-quota-sets/ffffffffffffffffffffffffffffffff`,
      options: { token: tokens.admin, body: { quota_set: { cores: -2 } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'an aggregate made by a user',
      method: 'POST',
      path: `${base}/os-aggregates`,
      options: { token: tokens.member, body: { aggregate: { name: 'mine' } } },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-aggregates:create/,
    },
    {
      name: 'a zone with a host in its name',
      method: 'POST',
      path: `${base}/os-aggregates`,
      options: { token: tokens.admin, body: { aggregate: { name: 'a', availability_zone: 'nova:host1' } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'an aggregate id that is none',
      method: 'GET',
      path: `${base}/os-aggregates/1%20or%201=1`,
      options: { token: tokens.admin },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'an event of another service from a user',
      method: 'POST',
      path: `${base}/os-server-external-events`,
      options: { token: tokens.member, body: { events: [{ name: 'network-changed', server_uuid: world.ownServerId }] } },
      status: 403,
      member: 'forbidden',
    },
    {
      name: 'an event that nobody knows',
      method: 'POST',
      path: `${base}/os-server-external-events`,
      options: { token: tokens.admin, body: { events: [{ name: 'server-exploded', server_uuid: world.ownServerId }] } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'an audit before a time that is none',
      method: 'GET',
      path: `${base}/os-instance_usage_audit_log/2026-02-30%2000:00:00`,
      options: { token: tokens.admin },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'what the API has no more',
      method: 'GET',
      path: `${base}/os-cells`,
      options: { token: tokens.member },
      status: 410,
      member: 'computeFault',
    },
    {
      name: 'hypervisors for a user',
      method: 'GET',
      path: `${base}/os-hypervisors`,
      options: { token: tokens.member },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-hypervisors:list/,
    },
    {
      name: 'a resize without a flavor',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { resize: {} } },
      status: 400,
      member: 'badRequest',
      says: /'flavorRef' is a required property/,
    },
    {
      name: 'a resize to a flavor that is none',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { resize: { flavorRef: 'no-such' } } },
      status: 400,
      member: 'badRequest',
      says: /Flavor no-such could not be found/,
    },
    {
      name: 'a confirmation of nothing',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { confirmResize: null } },
      status: 409,
      member: 'conflictingRequest',
    },
    {
      name: 'a migration asked for by a user',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.member, body: { migrate: null } },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-migrate-server:migrate /,
    },
    {
      name: 'a live migration to a host whose name is none',
      method: 'POST',
      path: `${own}/action`,
      options: { token: tokens.admin, version: '2.30', body: { 'os-migrateLive': { host: 'a b', block_migration: 'auto' } } },
      status: 400,
      member: 'badRequest',
    },
    {
      name: 'migrations for a user',
      method: 'GET',
      path: `${base}/os-migrations`,
      options: { token: tokens.member },
      status: 403,
      member: 'forbidden',
      says: /os_compute_api:os-migrations:index/,
    },
    {
      name: 'migrations by what they are not sorted by',
      method: 'GET',
      path: `${base}/os-migrations?sort_key=id`,
      options: { token: tokens.admin, version: '2.59' },
      status: 400,
      member: 'badRequest',
    },
    { name: 'services for a user', method: 'GET', path: `${base}/os-services`, options: { token: tokens.member }, status: 403, member: 'forbidden' },
  ];
}

/** Of a server that is active and not locked. */
function refusedActions(own: string, tokens: World['tokens']): Attempt[] {
  const refused = (name: string, body: object, more: Partial<Attempt> & { readonly version?: string; readonly token?: string } = {}): Attempt => {
    const { version, token = tokens.member, ...rest } = more;
    const options = { token, body, ...(version !== undefined && { version }) };
    return { name, method: 'POST', path: `${own}/action`, options, status: 400, member: 'badRequest', ...rest };
  };
  const wrongState = { status: 409, member: 'conflictingRequest', says: /while it is in vm_state active$/ };
  return [
    refused('an unpause of what runs', { unpause: null }, wrongState),
    refused('a resume of what runs', { resume: null }, wrongState),
    refused('an unrescue of what is not rescued', { unrescue: null }, wrongState),
    refused('a restore of what is not deleted', { restore: null }, wrongState),
    refused('a rescue with a word', { rescue: 'now' }),
    refused('a rescue with more than it takes', { rescue: { adminPass: 'a', volume: 'b' } }),
    refused('a rescue from an image whose id is none', { rescue: { rescue_image_ref: 'tiny' } }),
    refused(
      'a rescue from an image that is not there',
      { rescue: { rescue_image_ref: '99999999-9999-4999-8999-999999999999' } },
      { says: /^Requested rescue image / },
    ),
    refused('a password that is none', { changePassword: { adminPass: 5 } }, { says: /is not of type 'string'/ }),
    refused('no password', { changePassword: {} }),
    refused('a crash dump with an argument', { trigger_crash_dump: {} }, { version: '2.17' }),
    refused('a crash dump before its time', { trigger_crash_dump: null }, { version: '2.16', status: 404, member: 'itemNotFound' }),
    refused('a lock with a word', { lock: 'mine' }, { version: '2.73' }),
    refused('a lock for an empty reason', { lock: { locked_reason: '' } }, { version: '2.73' }),
    refused('a lock for too long a reason', { lock: { locked_reason: 'x'.repeat(256) } }, { version: '2.73' }),
    refused('a state that nobody may set', { 'os-resetState': { state: 'deleted' } }, { token: tokens.admin }),
    refused('a state set by a user', { 'os-resetState': { state: 'error' } }, { status: 403, member: 'forbidden', says: /os-admin-actions:reset_state/ }),
  ];
}
