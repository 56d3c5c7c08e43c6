/**
 * Filters and order of server lists: from query parameters to what the conductor asks its rows. Names and pattern
 * filters are matched literally, anchored by `^` and `$` (S34): no expression of a client ever runs.
 */
import type { ServerFilter, ServerSort, ServerSortKey } from '../../../actors/conductor/messages/read.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { POWER_STATES, statesOfStatus } from '../../../actors/model/server-state.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden, invalid } from '../../kit/errors.ts';
import type { Query, QueryTable } from '../../kit/query.ts';
import { parseBool, parseTime } from '../../kit/query.ts';
import { SINCE } from '../microversions.ts';
import type { ComputeParts } from '../parts.ts';

/** What the conductor filters, and what is left to look at in each row. */
export type ServerSelection = {
  readonly filter: ServerFilter;
  readonly rest: readonly ((record: InstanceRecord) => boolean)[];
};

const PATTERNS = [
  'kernel_id',
  'ramdisk_id',
  'hostname',
  'key_name',
  'power_state',
  'node',
  'flavor',
  'reservation_id',
  'launched_at',
  'terminated_at',
  'availability_zone',
  'name',
  'display_name',
  'description',
  'display_description',
  'locked_by',
  'root_device_name',
  'config_drive',
  'access_ip_v4',
  'access_ip_v6',
  'auto_disk_config',
  'progress',
  'ip',
  'ip6',
  'created_at',
] as const;
const TEXTS = [
  'user_id',
  'project_id',
  'tenant_id',
  'launch_index',
  'image_ref',
  'image',
  'vm_state',
  'task_state',
  'host',
  'uuid',
  'sort_dir',
  'sort_key',
  'all_tenants',
  'soft_deleted',
  'deleted',
  'status',
  'block_device_mapping',
  'services',
  'metadata',
  'system_metadata',
  'info_cache',
  'security_groups',
  'pci_devices',
  'marker',
] as const;
const TAG_FILTERS = ['tags', 'tags-any', 'not-tags', 'not-tags-any'] as const;

export const SERVER_QUERY: QueryTable = {
  strictFrom: SINCE.strictQueries,
  alsoMatching: /^_/,
  parameters: {
    ...Object.fromEntries(PATTERNS.map((name) => [name, { kind: 'pattern' as const }])),
    ...Object.fromEntries(TEXTS.map((name) => [name, { kind: 'text' as const }])),
    ...Object.fromEntries(TAG_FILTERS.map((name) => [name, { kind: 'text' as const, from: SINCE.serverTags }])),
    limit: { kind: 'count' },
    'changes-since': { kind: 'date' },
    'changes-before': { kind: 'date', from: SINCE.changesBefore },
    locked: { kind: 'text', from: SINCE.lockedReason },
  },
};

/** Filters of everyone, by the version from which they hold. */
const FOR_ALL: { readonly [name: string]: number } = {
  reservation_id: 1,
  name: 1,
  status: 1,
  image: 1,
  flavor: 1,
  ip: 1,
  'changes-since': 1,
  all_tenants: 1,
  ip6: SINCE.ip6Filter,
  'changes-before': SINCE.changesBefore,
  locked: SINCE.lockedReason,
  tags: SINCE.serverTags,
  'tags-any': SINCE.serverTags,
  'not-tags': SINCE.serverTags,
  'not-tags-any': SINCE.serverTags,
  availability_zone: SINCE.moreFilters,
  config_drive: SINCE.moreFilters,
  key_name: SINCE.moreFilters,
  created_at: SINCE.moreFilters,
  launched_at: SINCE.moreFilters,
  terminated_at: SINCE.moreFilters,
  power_state: SINCE.moreFilters,
  task_state: SINCE.moreFilters,
  vm_state: SINCE.moreFilters,
  progress: SINCE.moreFilters,
  user_id: SINCE.moreFilters,
  hostname: SINCE.hostname,
};
const NO_FILTERS = new Set(['block_device_mapping', 'services', 'metadata', 'system_metadata', 'info_cache', 'security_groups', 'pci_devices']);

/** The selection that a query asks for; null when nothing can match. Faults: `invalid`, `forbidden`. */
export function selectServers(call: Call, parts: ComputeParts, rule: 'servers:index' | 'servers:detail'): ServerSelection | null {
  const { query, version, caller } = call;
  const all = parts.policy.allows('servers:allow_all_filters', caller);
  const value = (name: string): string | undefined => {
    if (!all && !((FOR_ALL[name] ?? Infinity) <= version)) return undefined;
    return query.one(name);
  };
  if (all) refuseNonFilters(query);
  const allTenants = asksAllTenants(query);
  if (allTenants) parts.policy.enforce(`${rule}:get_all_tenants`, caller);

  const states = statesAsked(query, version, caller.isAdmin);
  if (states === 'none') return null;
  const since = timeOf(value('changes-since'));
  const before = timeOf(value('changes-before'));
  if (since !== null && before !== null && since > before) throw invalid('The value of changes-since must be less than or equal to changes-before.');
  const power = powerOf(value('power_state'));
  if (power === undefined) return null;
  const uuid = value('uuid');

  const filter: ServerFilter = {
    projectId: allTenants ? ((all ? (query.one('project_id') ?? query.one('tenant_id')) : undefined) ?? null) : caller.projectId,
    ...softDeletedOf(query, all, states, deletedOf(query, all, states, since), value('vm_state')),
    deleted: deletedOf(query, all, states, since ?? before),
    changedSinceMs: since,
    changedBeforeMs: before,
    name: literal(value('name') ?? (all ? query.one('display_name') : undefined)),
    states: states?.pairs ?? null,
    vmState: value('vm_state') ?? null,
    taskState: value('task_state') ?? null,
    powerState: power,
    imageId: value('image') ?? (all ? (query.one('image_ref') ?? null) : null),
    flavorId: value('flavor') ?? null,
    userId: value('user_id') ?? null,
    host: value('host') ?? plain(value('node')),
    zone: plain(value('availability_zone')),
    reservationId: plain(value('reservation_id')),
    keyName: plain(value('key_name')),
    ids: uuid === undefined ? null : [uuid],
    ip: plain(value('ip')),
    ip6: plain(value('ip6')),
    hostname: plain(value('hostname')),
    configDrive: boolOf('config_drive', value('config_drive')),
    locked: boolOf('locked', value('locked')),
    tags: tagsOf(value('tags')),
    tagsAny: tagsOf(value('tags-any')),
    notTags: tagsOf(value('not-tags')),
    notTagsAny: tagsOf(value('not-tags-any')),
  };
  return { filter, rest: restOf(value) };
}

function refuseNonFilters(query: Query): void {
  for (const name of query.names()) {
    if (NO_FILTERS.has(name) || name.startsWith('_')) throw invalid(`Invalid filter field: ${name.slice(0, 60)}.`);
  }
}

function asksAllTenants(query: Query): boolean {
  const text = query.one('all_tenants');
  if (text === undefined) return false;
  if (text === '') return true;
  const asked = parseBool(text);
  if (asked === undefined) throw invalid(`Invalid value for all_tenants: ${text.slice(0, 60)}`);
  return asked;
}

type States = { readonly pairs: NonNullable<ServerFilter['states']>; readonly deleted: boolean };

/** `none`: a status that no server can have. */
function statesAsked(query: Query, version: number, isAdmin: boolean): States | null | 'none' {
  const asked = query.all('status');
  if (asked.length === 0) return null;
  const pairs = asked.flatMap((status) => statesOfStatus(status));
  if (pairs.length === 0) {
    if (version >= SINCE.unknownStatusRefused) throw invalid('Invalid status value');
    return 'none';
  }
  const deleted = pairs.some((pair) => pair.vmState === 'deleted');
  if (deleted && !isAdmin) throw forbidden('Only administrators may list deleted instances');
  return { pairs, deleted };
}

/** Deleted servers show when changes are asked for, with `status=deleted`, and when an administrator asks for them. */
function deletedOf(query: Query, all: boolean, states: States | null, changedMs: number | null): boolean | null {
  if (states?.deleted) return true;
  if (all && query.has('deleted')) return parseBool(query.one('deleted') ?? '') ?? false;
  return changedMs === null ? false : null;
}

/** A server that can still be restored is hidden as a deleted one is, unless its state is asked for. */
function softDeletedOf(query: Query, all: boolean, states: States | null, deleted: boolean | null, vmState?: string): Pick<ServerFilter, 'softDeleted'> {
  const isNamed = vmState === SOFT_DELETED || (states?.pairs.some((pair) => pair.vmState === SOFT_DELETED) ?? false);
  const asked = all ? parseBool(query.one('soft_deleted') ?? '') : undefined;
  if (deleted === null || isNamed) return {};
  if (deleted) return asked === false ? {} : { softDeleted: 'asDeleted' };
  return asked === true ? {} : { softDeleted: 'hidden' };
}

const SOFT_DELETED = 'soft-delete';

function timeOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const ms = parseTime(text);
  if (ms === undefined) throw invalid(`Invalid time: ${text.slice(0, 60)}`);
  return ms;
}

/** A power state by number or name; undefined when there is none such. */
function powerOf(text: string | undefined): string | null | undefined {
  if (text === undefined) return null;
  return Object.entries(POWER_STATES).find(([name, number]) => name === text || String(number) === text)?.[0];
}

function boolOf(name: string, text: string | undefined): boolean | null {
  if (text === undefined) return null;
  if (text === '') return name === 'config_drive' ? false : null;
  const value = parseBool(text);
  if (value === undefined) throw invalid(`Invalid value for ${name}: ${text.slice(0, 60)}`);
  return value;
}

function tagsOf(text: string | undefined): readonly string[] | null {
  return text === undefined || text === '' ? null : text.split(',');
}

/** A pattern as literal text: escapes undone, `.*` at the ends dropped; anchors stay. */
export function literal(pattern: string | undefined): string | null {
  if (pattern === undefined || pattern === '') return null;
  let text = pattern;
  if (text.startsWith('.*')) text = text.slice(2);
  if (text.endsWith('.*')) text = text.slice(0, -2);
  return text.replaceAll(/\\([^a-zA-Z0-9])/g, '$1');
}

/** The same without anchors, where rows are searched for a substring only. */
function plain(pattern: string | undefined): string | null {
  return literal(pattern)?.replace(/^\^/, '').replace(/\$$/, '') ?? null;
}

/** Rarely used filters that rows are not searched by: looked at in each row of a page. */
function restOf(value: (name: string) => string | undefined): ((record: InstanceRecord) => boolean)[] {
  const rest: ((record: InstanceRecord) => boolean)[] = [];
  const add = (name: string, of: (record: InstanceRecord) => string | null): void => {
    const wanted = plain(value(name));
    if (wanted !== null) rest.push((record) => (of(record) ?? '').includes(wanted));
  };
  add('created_at', (record) => record.createdAt);
  add('launched_at', (record) => record.launchedAt);
  add('terminated_at', (record) => record.terminatedAt);
  add('description', (record) => record.description);
  add('display_description', (record) => record.description);
  add('access_ip_v4', (record) => record.accessIpV4);
  add('access_ip_v6', (record) => record.accessIpV6);
  add('kernel_id', (record) => record.kernel?.id ?? '');
  add('ramdisk_id', (record) => record.ramdisk?.id ?? '');
  const index = value('launch_index');
  if (index !== undefined) rest.push((record) => String(record.launchIndex) === index);
  return rest;
}

/** API names of sort keys; null: the same for every server, so that it orders nothing. */
const SORT_KEYS: { readonly [name: string]: ServerSortKey | null } = {
  availability_zone: 'zone',
  created_at: 'createdAt',
  display_name: 'name',
  host: 'host',
  node: 'host',
  hostname: 'hostname',
  image_ref: 'imageId',
  instance_type_id: 'flavorId',
  key_name: 'keyName',
  launch_index: 'launchIndex',
  launched_at: 'launchedAt',
  power_state: 'powerState',
  project_id: 'projectId',
  task_state: 'taskState',
  terminated_at: 'terminatedAt',
  updated_at: 'updatedAt',
  user_id: 'userId',
  uuid: 'id',
  vm_state: 'vmState',
  access_ip_v4: 'accessIpV4',
  access_ip_v6: 'accessIpV6',
  auto_disk_config: 'diskConfig',
  config_drive: 'configDrive',
  display_description: 'description',
  kernel_id: 'kernelId',
  locked_by: null,
  progress: null,
  ramdisk_id: 'ramdiskId',
  root_device_name: null,
};
/** Columns of old that are taken and never meant anything to users. */
const OLD_SORT_KEYS = new Set([
  'architecture',
  'cell_name',
  'cleaned',
  'default_ephemeral_device',
  'default_swap_device',
  'deleted',
  'deleted_at',
  'disable_terminate',
  'ephemeral_gb',
  'ephemeral_key_uuid',
  'id',
  'key_data',
  'launched_on',
  'memory_mb',
  'os_type',
  'reservation_id',
  'root_gb',
  'shutdown_terminate',
  'user_data',
  'vcpus',
  'vm_mode',
]);
const SORTS_MAX = 10;

/** Newest first when nothing is asked. Faults: `invalid`, `forbidden` (hosts are for administrators). */
export function sortServers(call: Call): readonly ServerSort[] {
  const keys = call.query.all('sort_key');
  const directions = call.query.all('sort_dir');
  for (const direction of directions) if (direction !== 'asc' && direction !== 'desc') throw invalid(`Unknown sort direction: ${direction.slice(0, 20)}`);
  if (keys.length > SORTS_MAX) throw invalid(`At most ${SORTS_MAX} sort keys are taken.`);
  if (directions.length > Math.max(keys.length, 1)) throw invalid('Sort direction size exceeds sort key size');
  const fill = directions[0] ?? 'desc';
  if (keys.length === 0) return [{ key: 'createdAt', descending: fill === 'desc' }];
  const sorts: ServerSort[] = [];
  keys.forEach((name, i) => {
    const key = sortKeyOf(name, call);
    if (key !== null) sorts.push({ key, descending: (directions[i] ?? fill) === 'desc' });
  });
  return sorts.length > 0 ? sorts : [{ key: 'createdAt', descending: true }];
}

function sortKeyOf(name: string, call: Call): ServerSortKey | null {
  if ((name === 'host' || name === 'node') && !call.caller.isAdmin) throw forbidden(`Only administrators can sort servers by ${name}`);
  const key = Object.hasOwn(SORT_KEYS, name) ? SORT_KEYS[name] : undefined;
  if (key !== undefined) return key;
  if (name === 'locked') return call.version >= SINCE.lockedReason ? 'locked' : null;
  if (OLD_SORT_KEYS.has(name)) return null;
  throw invalid(`Invalid input for query parameters sort_key. Value: ${name.slice(0, 60)}. It is not one of the sort keys.`);
}
