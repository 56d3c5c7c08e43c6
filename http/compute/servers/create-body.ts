/**
 * A create body after its schema: typed, defaults in place, contradictions refused. Nothing is looked up here.
 */
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import { isBase64 } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { toBoolean, toInteger } from '../parameter-types.ts';

/** Servers of one request, whatever the quota: what one transaction takes well. */
export const COUNT_MAX = 1_000;

export type NetworkWish = { readonly uuid: string | null; readonly address: string | null };

export type CreateBody = {
  readonly name: string;
  readonly imageId: string | null;
  readonly flavorId: string;
  readonly adminPass: string | null;
  readonly metadata: { readonly [key: string]: string };
  /** `auto`: the first network that the project may use. */
  readonly networks: 'auto' | 'none' | readonly NetworkWish[];
  readonly diskConfig: 'AUTO' | 'MANUAL' | null;
  readonly accessIpV4: string | null;
  readonly accessIpV6: string | null;
  readonly personality: readonly { readonly path: string; readonly contents: string }[];
  readonly zone: string | null;
  readonly configDrive: boolean;
  readonly keyName: string | null;
  readonly minCount: number;
  readonly maxCount: number;
  readonly wantsReservationId: boolean;
  readonly securityGroups: readonly string[];
  readonly userData: string | null;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly host: string | null;
  readonly hostname: string | null;
  readonly hints: { readonly [key: string]: unknown };
};

type Members = { readonly [name: string]: unknown };

/** Fault `invalid` for what no schema can say. */
export function readCreateBody(call: Call): CreateBody {
  const body = asMembers(call.body);
  const server = ofVersion(asMembers(body['server']), call.version);
  const minCount = toInteger(server['min_count'] ?? 1);
  const maxCount = toInteger(server['max_count'] ?? server['min_count'] ?? 1);
  if (minCount > maxCount) throw invalid('min_count must be <= max_count');
  if (maxCount > COUNT_MAX) throw invalid(`max_count must be <= ${COUNT_MAX}`);
  const hostname = textOf(server['hostname']);
  if (hostname !== null && maxCount > 1) throw invalid('A hostname cannot be given for more than one server.');
  const networks = networksOf(server['networks']);
  if (maxCount > 1 && typeof networks !== 'string' && networks.some((one) => one.address !== null)) {
    throw invalid('Unable to launch multiple instances with a single configured fixed address.');
  }
  const imageId = imageOfDevices(server, textOf(server['imageRef']));
  return {
    name: String(server['name']).trim(),
    imageId,
    flavorId: lastSegment(String(server['flavorRef'])),
    adminPass: textOf(server['adminPass']),
    metadata: textsOf(server['metadata']),
    networks,
    diskConfig: server['OS-DCF:diskConfig'] === 'MANUAL' ? 'MANUAL' : server['OS-DCF:diskConfig'] === 'AUTO' ? 'AUTO' : null,
    accessIpV4: textOf(server['accessIPv4']),
    accessIpV6: textOf(server['accessIPv6']),
    personality: filesOf(server['personality'], call),
    zone: textOf(server['availability_zone']),
    configDrive: server['config_drive'] !== undefined && toBoolean(server['config_drive']),
    keyName: textOf(server['key_name']),
    minCount,
    maxCount,
    wantsReservationId: server['return_reservation_id'] !== undefined && toBoolean(server['return_reservation_id']),
    securityGroups: groupsOf(server['security_groups']),
    userData: textOf(server['user_data']),
    description: textOf(server['description']),
    tags: [...new Set(listOf(server['tags']).map(String))],
    host: hostAsked(server),
    hostname,
    hints: asMembers(body['os:scheduler_hints'] ?? body['OS-SCH-HNT:scheduler_hints'] ?? {}),
  };
}

/** Legacy bodies may hold members of later versions; they mean nothing there. */
const LATER: readonly (readonly [string, number])[] = [
  ['description', SINCE.serverDescription],
  ['tags', SINCE.createTags],
  ['host', SINCE.requestedHost],
  ['hypervisor_hostname', SINCE.requestedHost],
  ['hostname', SINCE.hostname],
];

function ofVersion(server: Members, version: number): Members {
  const later = LATER.filter(([name, since]) => version < since && name in server).map(([name]) => name);
  if (later.length === 0) return server;
  return Object.fromEntries(Object.entries(server).filter(([name]) => !later.includes(name)));
}

function asMembers(value: unknown): Members {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : {};
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function textsOf(value: unknown): { [key: string]: string } {
  return Object.fromEntries(Object.entries(asMembers(value)).map(([key, item]) => [key, String(item)]));
}

/** A reference may be a URL whose last segment is the id. */
function lastSegment(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1);
}

function networksOf(value: unknown): CreateBody['networks'] {
  if (value === 'none') return 'none';
  const items = listOf(value).map(asMembers);
  if (items.length === 0) return 'auto';
  return items.map((item) => {
    if (textOf(item['port']) !== null) throw invalid('Ports of a network service are not supported: name the network.');
    const uuid = textOf(item['uuid']);
    if (uuid === null) throw invalid('Bad networks format: network uuid is missing');
    return { uuid, address: textOf(item['fixed_ip']) };
  });
}

function groupsOf(value: unknown): string[] {
  const names = listOf(value)
    .map((item) => textOf(asMembers(item)['name']))
    .filter((name) => name !== null);
  return names.length === 0 ? ['default'] : [...new Set(names)];
}

function filesOf(value: unknown, call: Call): { path: string; contents: string }[] {
  return listOf(value).map((item) => {
    const { path, contents } = asMembers(item);
    if (typeof path !== 'string' || path === '') throw invalid('Bad personality format: missing path');
    if (typeof contents !== 'string' || (!call.legacy && !isBase64(contents))) throw invalid(`Personality content for ${path.slice(0, 100)} cannot be decoded`);
    if (path.includes('..')) throw invalid('Personality paths must not climb up.');
    return { path, contents };
  });
}

function hostAsked(server: Members): string | null {
  const host = textOf(server['host']);
  const node = textOf(server['hypervisor_hostname']);
  if (host !== null && node !== null && host !== node) throw invalid(`No hypervisor ${node} on host ${host}.`);
  if ((host ?? node) !== null && (textOf(server['availability_zone']) ?? '').includes(':')) {
    throw invalid('Unable to specify host or node through the availability zone together with host or hypervisor_hostname.');
  }
  return host ?? node;
}

/** The only device that is supported is the one that says what `imageRef` says: local boot disk from the image. */
function imageOfDevices(server: Members, imageRef: string | null): string | null {
  const old = listOf(server['block_device_mapping']);
  const devices = listOf(server['block_device_mapping_v2']).map(asMembers);
  if (old.length > 0 && devices.length > 0) throw invalid('Using different block_device_mapping syntaxes is not allowed in the same request.');
  if (old.length > 0) throw volumesNeeded();
  let imageId = imageRef;
  for (const device of devices) {
    if (device['source_type'] !== 'image' || device['destination_type'] === 'volume') throw volumesNeeded();
    if (device['boot_index'] === undefined || device['boot_index'] === null || toInteger(device['boot_index']) !== 0) {
      throw invalid('Block Device Mapping is Invalid: Mapping image to local is not supported except for boot index 0.');
    }
    const uuid = textOf(device['uuid']) ?? textOf(device['image_id']);
    if (uuid === null || (imageRef !== null && uuid !== imageRef)) {
      throw invalid('Block Device Mapping is Invalid: The image of the boot disk must be the one of imageRef.');
    }
    imageId = uuid;
  }
  if (devices.length > 1)
    throw invalid('Block Device Mapping is Invalid: Boot sequence for the instance and image/block device mapping combination is not valid.');
  return imageId;
}

function volumesNeeded(): Error {
  return invalid('Block Device Mapping is Invalid: It needs a volume service, and none is configured. Boot from an image.');
}

/** Members that this version takes and this cloud cannot fulfil. */
export function refuseUnsupported(call: Call): void {
  const server = asMembers(asMembers(call.body)['server']);
  if (call.version >= SINCE.trustedCertificates && listOf(server['trusted_image_certificates']).length > 0) {
    throw invalid('Image signature verification is not enabled: trusted_image_certificates cannot be checked.');
  }
}
