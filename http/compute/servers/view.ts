/**
 * A server as the Compute API shows it, by microversion and by what the caller may see. Rendered once per revision
 * and kept (kit/fragment.ts). Source: member tables of `GET /servers/detail`.
 */
import { hash } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { HostView } from '../../../actors/conductor/messages/read.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import { POWER_STATES, statusOf } from '../../../actors/model/server-state.ts';
import type { Json } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import type { Links } from '../../kit/links.ts';
import { SINCE } from '../microversions.ts';
import { hostsNow } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

/** What a caller sees of servers: the same for all servers of one answer. */
export type ServerSight = {
  readonly version: number;
  readonly links: Links;
  /** `OS-EXT-SRV-ATTR:*` and fault details. */
  readonly attributes: boolean;
  readonly extraSpecs: boolean;
  /** Hosts by name when `host_status` is shown; null when it is not. */
  readonly hosts: ReadonlyMap<string, HostView> | null;
  /** Only hosts whose state nobody knows are shown. */
  readonly unknownHostsOnly: boolean;
  /** Groups of the one server that is shown; undefined: as its record says. */
  readonly groups: readonly string[] | undefined;
};

const PROGRESS_STATUSES = new Set(['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE', 'MIGRATING']);
const FAULT_STATUSES = new Set(['ERROR', 'DELETED']);
const ROOT_DEVICE = '/dev/vda';
const FAULT_CODE = 500;

/** `shown`: the one server, where its group is looked up: a group that was deleted is not shown any more. */
export async function sightOf(call: Call, parts: ComputeParts, shown?: InstanceRecord): Promise<ServerSight> {
  const { policy } = parts;
  const full = call.version >= SINCE.hostStatus && policy.allows('servers:show:host_status', call.caller);
  const unknown = call.version >= SINCE.hostStatus && !full && policy.allows('servers:show:host_status:unknown-only', call.caller);
  return {
    version: call.version,
    links: call.links,
    attributes: policy.allows('os-extended-server-attributes', call.caller),
    extraSpecs: policy.allows('servers:show:flavor-extra-specs', call.caller),
    hosts: full || unknown ? new Map((await hostsNow(parts)).map((host) => [host.host, host])) : null,
    unknownHostsOnly: unknown,
    groups: shown?.group && call.version >= SINCE.serverGroups ? await groupsThere(parts, shown.group.id) : undefined,
  };
}

async function groupsThere(parts: ComputeParts, id: string): Promise<string[]> {
  return (await parts.actors.ask(CONDUCTOR, { type: 'showServerGroup', id })) === null ? [] : [id];
}

/** Names the shelf of views that look alike. */
export function shelfName(kind: 'brief' | 'detail' | 'show', sight: ServerSight): string {
  const flags = `${sight.attributes ? 'a' : ''}${sight.extraSpecs ? 'x' : ''}${sight.hosts === null ? '' : 'h'}${sight.unknownHostsOnly ? 'u' : ''}`;
  return `${kind} ${sight.version} ${flags} ${sight.links.self}`;
}

/** What a kept view depends on: the row's version, which every change raises, and the state of the host if shown. */
export function stampOf(stored: Stored<InstanceRecord>, sight: ServerSight): string | number {
  if (sight.hosts === null && sight.groups === undefined) return stored.version;
  return `${stored.version} ${sight.hosts === null ? '' : hostStatus(stored.record, sight.hosts)} ${sight.groups?.join() ?? ''}`;
}

export function briefView(record: InstanceRecord, links: Links): object {
  return { id: record.id, name: record.name, links: links.of('servers', record.id) };
}

export function detailView(record: InstanceRecord, sight: ServerSight): Record<string, unknown> {
  const view = coreView(record, sight);
  const { version } = sight;
  view['key_name'] = record.keyName;
  view['config_drive'] = record.configDrive ? 'True' : '';
  view['addresses'] = addressesOf(record, true);
  view['OS-EXT-AZ:availability_zone'] = record.zone ?? record.requestedZone ?? '';
  view['OS-EXT-STS:task_state'] = record.taskState;
  view['OS-EXT-STS:vm_state'] = record.vmState;
  view['OS-EXT-STS:power_state'] = POWER_STATES[record.powerState];
  view['OS-SRV-USG:launched_at'] = microTime(record.launchedAt);
  view['OS-SRV-USG:terminated_at'] = microTime(record.terminatedAt);
  view['os-extended-volumes:volumes_attached'] = [];
  if (record.securityGroups.length > 0) view['security_groups'] = groupsOf(record);
  if (sight.attributes) addAttributes(view, record, version);
  else if (version >= SINCE.hostname) view['OS-EXT-SRV-ATTR:hostname'] = record.hostname;
  if (sight.hosts !== null) {
    const status = hostStatus(record, sight.hosts);
    if (!sight.unknownHostsOnly || status === 'UNKNOWN') view['host_status'] = status;
  }
  if (version >= SINCE.pinnedZone) view['pinned_availability_zone'] = record.requestedZone;
  if (version >= SINCE.schedulerHints) view['scheduler_hints'] = record.schedulerHints;
  return view;
}

/** Show has what lists leave out. */
export function showView(record: InstanceRecord, sight: ServerSight): object {
  const view = detailView(record, sight);
  if (sight.version >= SINCE.serverGroups) view['server_groups'] = serverGroupsOf(record, sight);
  return view;
}

function serverGroupsOf({ group }: InstanceRecord, { groups }: ServerSight): readonly string[] {
  return groups ?? (group ? [group.id] : []);
}

/** The answer to an update: before 2.75 a shorter view without extensions. */
export function updatedView(record: InstanceRecord, sight: ServerSight): object {
  if (sight.version >= SINCE.strictQueries) return showView(record, sight);
  const view = coreView(record, sight);
  view['addresses'] = addressesOf(record, false);
  if (sight.version >= SINCE.serverGroups) view['server_groups'] = serverGroupsOf(record, sight);
  return view;
}

/** The answer to a rebuild: before 2.75 what an update shows, and what else the request may have changed. */
export function rebuiltView(record: InstanceRecord, sight: ServerSight): object {
  const { version } = sight;
  const { 'OS-EXT-SRV-ATTR:user_data': _, ...updated }: { [member: string]: unknown } = { ...updatedView(record, sight) };
  return {
    ...updated,
    ...(version >= SINCE.rebuildKey ? { key_name: record.keyName } : {}),
    ...(version >= SINCE.noPersonality ? { user_data: record.userData } : {}),
  };
}

/** What every full view has. */
function coreView(record: InstanceRecord, sight: ServerSight): Record<string, unknown> {
  const { version, links } = sight;
  const status = statusOf(record);
  const view: Record<string, unknown> = {
    id: record.id,
    name: record.name,
    status,
    tenant_id: record.projectId,
    user_id: record.userId,
    metadata: record.metadata,
    hostId: hostIdOf(record.projectId, record.host),
    image: imageView(record, sight),
    flavor: flavorView(record, sight),
    created: shortTime(record.createdAt),
    updated: shortTime(record.updatedAt),
    accessIPv4: record.accessIpV4 ?? '',
    accessIPv6: record.accessIpV6 ?? '',
    links: links.of('servers', record.id),
    'OS-DCF:diskConfig': record.diskConfig,
  };
  if (PROGRESS_STATUSES.has(status)) view['progress'] = 0;
  if (FAULT_STATUSES.has(status) && record.fault !== null) view['fault'] = faultView(record.fault, sight.attributes);
  if (version >= SINCE.serverLocked) view['locked'] = record.locked;
  if (version >= SINCE.serverDescription) view['description'] = record.description;
  if (version >= SINCE.serverTags) view['tags'] = record.tags;
  if (version >= SINCE.trustedCertificates) view['trusted_image_certificates'] = null;
  if (version >= SINCE.lockedReason) view['locked_reason'] = record.lockedReason;
  return view;
}

function addAttributes(view: Record<string, unknown>, record: InstanceRecord, version: number): void {
  view['OS-EXT-SRV-ATTR:host'] = record.host;
  view['OS-EXT-SRV-ATTR:hypervisor_hostname'] = record.host;
  view['OS-EXT-SRV-ATTR:instance_name'] = instanceName(record.number);
  if (version < SINCE.serverAttributes) return;
  view['OS-EXT-SRV-ATTR:reservation_id'] = record.reservationId;
  view['OS-EXT-SRV-ATTR:launch_index'] = record.launchIndex;
  view['OS-EXT-SRV-ATTR:hostname'] = record.hostname;
  view['OS-EXT-SRV-ATTR:kernel_id'] = record.kernel?.id ?? '';
  view['OS-EXT-SRV-ATTR:ramdisk_id'] = record.ramdisk?.id ?? '';
  view['OS-EXT-SRV-ATTR:root_device_name'] = record.host === null ? null : ROOT_DEVICE;
  view['OS-EXT-SRV-ATTR:user_data'] = record.userData;
}

function imageView(record: InstanceRecord, { version, links }: ServerSight): object {
  const view = { id: record.image.id, links: links.bookmarkOf('images', record.image.id) };
  return version >= SINCE.imageProperties ? { ...view, properties: record.image.properties } : view;
}

function flavorView(record: InstanceRecord, { version, links, extraSpecs }: ServerSight): object {
  const { flavor } = record;
  if (version < SINCE.embeddedFlavor) return { id: flavor.flavorId, links: links.bookmarkOf('flavors', flavor.flavorId) };
  return {
    vcpus: flavor.vcpus,
    ram: flavor.memoryMiB,
    disk: flavor.rootGiB,
    ephemeral: flavor.ephemeralGiB,
    swap: flavor.swapMiB,
    original_name: flavor.name,
    ...(extraSpecs ? { extra_specs: flavor.extraSpecs } : {}),
  };
}

function faultView(fault: NonNullable<InstanceRecord['fault']>, forAdmin: boolean): object {
  const view = { code: FAULT_CODE, created: shortTime(fault.at), message: fault.message };
  return forAdmin ? { ...view, details: detailText(fault.detail) } : view;
}

function detailText(detail: Json): string {
  return typeof detail === 'string' ? detail : JSON.stringify(detail);
}

/** Addresses by network label; `typed` adds what the extensions of old say. */
export function addressesOf(record: InstanceRecord, typed: boolean): { [label: string]: object[] } {
  const byLabel: { [label: string]: object[] } = Object.create(null);
  for (const nic of record.nics) {
    const plain = { version: isIPv6(nic.address) ? 6 : 4, addr: nic.address };
    const entry = typed ? { ...plain, 'OS-EXT-IPS:type': 'fixed', 'OS-EXT-IPS-MAC:mac_addr': nic.mac } : plain;
    (byLabel[nic.label] ??= []).push(entry);
  }
  return byLabel;
}

export function groupsOf(record: InstanceRecord): { name: string }[] {
  return record.securityGroups.map((name) => ({ name }));
}

/** Names a host to users without telling it: the same for all servers of a project on it. */
export function hostIdOf(projectId: string, host: string | null): string {
  return host === null ? '' : hash('sha224', projectId + host, 'hex');
}

function hostStatus(record: InstanceRecord, hosts: ReadonlyMap<string, HostView>): string {
  if (record.host === null) return '';
  const host = hosts.get(record.host);
  if (host === undefined) return 'UNKNOWN';
  if (!host.enabled) return 'MAINTENANCE';
  return host.up ? 'UP' : 'DOWN';
}

/** `instance-0000002a` */
export function instanceName(number: number): string {
  return `instance-${number.toString(16).padStart(8, '0')}`;
}

/** `2026-11-22T10:00:00Z` */
export function shortTime(iso: string): string {
  return `${iso.slice(0, 19)}Z`;
}

/** `2026-11-22T10:00:00.123000`; null stays null. */
export function microTime(iso: string | null): string | null {
  return iso === null ? null : `${iso.slice(0, 23)}000`;
}
