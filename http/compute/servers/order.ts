/**
 * From what the body asks to one order: everything that the servers will need is looked up here, once, and written
 * into their records. What does not fit together is refused with 400 before anything is stored.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { CreateOrder } from '../../../actors/conductor/messages/write.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { ImageRef } from '../../../actors/model/image.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { beginAction, type Operation } from '../../../actors/model/operation.ts';
import { quotaNeed } from '../../../actors/model/quota.ts';
import { DEFAULT_GROUP } from '../../../actors/model/security-group.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden, invalid } from '../../kit/errors.ts';
import type { CatalogImage } from '../../kit/image-catalog.ts';
import { flavorOf, hostsNow, imageOf, limitsOf, networksOf, zonesNow } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { namedGroup, securityGroupsOf } from '../networks/find-security-group.ts';
import type { CreateBody } from './create-body.ts';
import { hostnameFrom, reservationId } from './names.ts';
import { addressWithin } from './networks.ts';

const GIB = 1_073_741_824;

type Target = { readonly zone: string | null; readonly host: string | null; readonly skipFilters: boolean };

/** Faults: `invalid`, `forbidden`; `unavailable` when a service that must be asked is down. */
export async function makeOrder(call: Call, parts: ComputeParts, body: CreateBody, idempotency: CreateOrder['idempotency']): Promise<CreateOrder> {
  const [flavor, image] = await Promise.all([flavorFor(call, parts, body), imageFor(call, parts, body)]);
  refuseMisfit(call, parts, flavor, image);
  const [kernel, ramdisk, wantedNetworks, key, target, securityGroups, group] = await Promise.all([
    bootImage(call, parts, image, 'kernel_id'),
    bootImage(call, parts, image, 'ramdisk_id'),
    networksFor(call, parts, body),
    keyFor(call, parts, body),
    targetOf(call, parts, body),
    securityGroupsFor(call, parts, body),
    serverGroupFor(call, parts, body),
    refuseOverLimits(call, parts, body),
  ]);
  const nowMs = parts.clock.wallMs();
  const now = toIso(nowMs);
  const { userId, projectId } = call.caller;
  const common = {
    number: 0,
    projectId,
    userId,
    description: body.description,
    reservationId: reservationId(parts.random),
    vmState: 'building',
    taskState: 'scheduling',
    powerState: 'pending',
    createdAt: now,
    updatedAt: now,
    launchedAt: null,
    terminatedAt: null,
    deleted: false,
    flavor,
    image: imageRef(image),
    kernel,
    ramdisk,
    keyName: body.keyName,
    publicKey: key,
    userData: body.userData,
    configDrive: body.configDrive,
    diskConfig: body.diskConfig ?? diskConfigOf(image),
    metadata: body.metadata,
    tags: body.tags,
    securityGroups,
    ...(group && { group }),
    accessIpV4: body.accessIpV4,
    accessIpV6: body.accessIpV6,
    schedulerHints: body.hints,
    requestedZone: target.zone,
    requestedHost: target.host,
    zone: null,
    host: null,
    generation: 0,
    wantedNetworks,
    nics: [],
    locked: false,
    lockedReason: null,
    fault: null,
    commands: [],
  } as const;
  const instances = Array.from({ length: body.maxCount }, (_, index): InstanceRecord => {
    const id = parts.random.uuid();
    const suffix = body.maxCount > 1 ? `-${index + 1}` : '';
    const name = `${body.name}${suffix}`;
    const operation: Operation = {
      name: 'create',
      id: parts.random.uuid(),
      step: 'place',
      args: { ...(target.skipFilters ? { forcedHost: true } : {}), ...(body.personality.length > 0 ? { personality: body.personality } : {}) },
      requestId: call.requestId,
      startedAt: now,
      stepDueMs: nowMs + parts.settings.placeLimitMs,
      attempt: 0,
      excludedHosts: [],
    };
    return {
      ...common,
      id,
      name,
      hostname: body.hostname ?? hostnameFrom(body.name, suffix, id),
      launchIndex: index,
      operation,
      actions: [beginAction(operation, { userId, projectId }, null)],
    };
  });
  return { projectId, userId, instances, minCount: body.minCount, needEach: quotaNeed(1, flavor), idempotency };
}

async function flavorFor(call: Call, parts: ComputeParts, body: CreateBody): Promise<Flavor> {
  const flavor = await flavorOf(parts, call, body.flavorId);
  if (flavor === null || flavor.disabled) throw invalid(`Flavor ${body.flavorId.slice(0, 100)} could not be found.`);
  return flavor;
}

async function imageFor(call: Call, parts: ComputeParts, body: CreateBody): Promise<CatalogImage> {
  if (body.imageId === null) throw invalid('Block Device Mapping is Invalid: An imageRef is needed, since no volume service is configured.');
  const image = await readableImage(call, parts, body.imageId);
  if (image === null) throw invalid('Can not find requested image');
  if (image.status !== 'active') throw invalid(`Image ${image.id} is not active.`);
  return image;
}

/** The image service decides by the token; ownership is checked again, so that a careless service opens nothing. */
export async function readableImage(call: Call, parts: ComputeParts, imageId: string): Promise<CatalogImage | null> {
  if (!isUuid(imageId.toLowerCase())) return null;
  const image = await imageOf(parts, call, imageId);
  if (image === null) return null;
  const hidden = image.visibility === 'private' && image.owner !== null && image.owner !== call.caller.projectId && !call.caller.isAdmin;
  return hidden ? null : image;
}

function refuseMisfit(call: Call, parts: ComputeParts, flavor: Flavor, image: CatalogImage): void {
  if (flavor.memoryMiB < image.minMemoryMiB) throw invalid("Flavor's memory is too small for requested image.");
  if (flavor.rootGiB === 0) {
    if (!parts.policy.allows('servers:create:zero_disk_flavor', call.caller)) {
      throw forbidden('Only volume-backed servers are allowed for flavors with zero disk.', 'zeroDisk');
    }
    return;
  }
  refuseLarge(flavor, image);
}

/** An image that does not fit on the root disk of a flavor that has one. */
export function refuseLarge(flavor: Flavor, image: CatalogImage): void {
  if (image.sizeBytes > flavor.rootGiB * GIB) {
    throw invalid(`Flavor's disk is too small for requested image. Flavor disk is ${flavor.rootGiB * GIB} bytes, image is ${image.sizeBytes} bytes.`);
  }
  if (image.minDiskGiB > flavor.rootGiB) {
    throw invalid(
      `Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is ${flavor.rootGiB} GiB, minimum size is ${image.minDiskGiB} GiB.`,
    );
  }
}

export async function bootImage(call: Call, parts: ComputeParts, image: CatalogImage, property: 'kernel_id' | 'ramdisk_id'): Promise<ImageRef | null> {
  const id = image.properties[property];
  if (id === undefined || id === '' || id === 'nokernel') return null;
  const found = await readableImage(call, parts, id);
  if (found === null || found.status !== 'active') throw invalid(`Image ${id.slice(0, 64)} could not be found.`);
  return imageRef(found);
}

export function imageRef(image: CatalogImage): ImageRef {
  const { id, name, diskFormat, containerFormat, sizeBytes, hash, minDiskGiB, minMemoryMiB, properties } = image;
  return { id, name, diskFormat, containerFormat, sizeBytes, hash, minDiskGiB, minMemoryMiB, properties };
}

function diskConfigOf(image: CatalogImage): 'AUTO' | 'MANUAL' {
  return /^true$/i.test(image.properties['auto_disk_config'] ?? '') ? 'AUTO' : 'MANUAL';
}

async function networksFor(call: Call, parts: ComputeParts, body: CreateBody): Promise<InstanceRecord['wantedNetworks']> {
  if (body.networks === 'none') return [];
  const known = await networksOf(parts, call.caller.projectId);
  if (body.networks === 'auto') {
    const first = known[0];
    return first === undefined ? [] : [{ networkId: first.id, address: null }];
  }
  return body.networks.map(({ uuid, address }) => {
    const network = known.find((one) => one.id === uuid);
    if (network === undefined) throw invalid(`Network ${String(uuid).slice(0, 64)} could not be found.`);
    if (address !== null && !addressWithin(address, network.cidr)) {
      throw invalid(`Fixed IP address ${address} is not a valid ip address for network ${network.id}.`);
    }
    return { networkId: network.id, address };
  });
}

async function keyFor(call: Call, parts: ComputeParts, body: CreateBody): Promise<string | null> {
  if (body.keyName === null) return null;
  const key = await parts.actors.ask(CONDUCTOR, { type: 'showKeyPair', userId: call.caller.userId, name: body.keyName });
  if (key === null) throw invalid('Invalid key_name provided.');
  return key.publicKey;
}

/** `zone`, or `zone:host` and `zone::host` of an administrator; a host of 2.74 goes through the filters. */
async function targetOf(call: Call, parts: ComputeParts, body: CreateBody): Promise<Target> {
  if (body.host !== null) parts.policy.enforce('compute:servers:create:requested_destination', call.caller);
  const [zoneText = '', ...hostTexts] = (body.zone ?? '').split(':');
  const forced = hostTexts.filter((text) => text !== '');
  if (hostTexts.length > 2) throw invalid('Unable to parse availability_zone');
  if (forced.length > 0) parts.policy.enforce('servers:create:forced_host', call.caller);
  const host = body.host ?? forced[0] ?? null;
  const zone = zoneText === '' ? null : zoneText;
  if (zone !== null && !(await zonesNow(parts)).some((one) => one.name === zone)) throw invalid('The requested availability zone is not available');
  if (host !== null && !(await hostsNow(parts)).some((one) => one.host === host)) throw invalid(`Compute host ${host.slice(0, 100)} could not be found.`);
  return { zone, host, skipFilters: forced.length > 0 };
}

/** Limits per server: metadata items, injected files. Those of a project are counted in the transaction. */
async function refuseOverLimits(call: Call, parts: ComputeParts, body: CreateBody): Promise<void> {
  const items = Object.keys(body.metadata).length;
  if (items === 0 && body.personality.length === 0) return;
  const limits = await limitsOf(parts, call.caller);
  const over = (limit: number, count: number): boolean => limit >= 0 && count > limit;
  if (over(limits.metadata_items, items)) throw forbidden(`Maximum number of metadata items exceeds ${limits.metadata_items}`, 'quota.metadata_items');
  if (over(limits.injected_files, body.personality.length)) throw forbidden('Personality file limit exceeded', 'quota.injected_files');
  for (const { path, contents } of body.personality) {
    if (over(limits.injected_file_path_bytes, Buffer.byteLength(path)))
      throw forbidden('Personality file path exceeds maximum length', 'quota.injected_file_path_bytes');
    const bytes = Buffer.byteLength(contents, 'base64');
    if (over(limits.injected_file_content_bytes, bytes)) throw forbidden('Personality file content exceeds maximum size', 'quota.injected_file_content_bytes');
  }
}

/** Groups by name, or by id, are the project's own; servers remember their names. */
async function securityGroupsFor(call: Call, parts: ComputeParts, { securityGroups }: CreateBody): Promise<string[]> {
  if (securityGroups.every((name) => name === DEFAULT_GROUP)) return [DEFAULT_GROUP];
  const groups = await securityGroupsOf(parts, call.caller.projectId);
  const names = securityGroups.map((asked) => {
    const group = asked === DEFAULT_GROUP ? { name: asked } : namedGroup(groups, asked);
    if (group === undefined) throw invalid(`Security group ${asked.slice(0, 100)} not found for project ${call.caller.projectId}.`);
    return group.name;
  });
  return [...new Set(names)];
}

/** The hint names one group of the project. The order is refused when it is gone by then. */
async function serverGroupFor(call: Call, parts: ComputeParts, { hints }: CreateBody): Promise<{ readonly id: string } | null> {
  const asked: unknown = Array.isArray(hints['group']) ? hints['group'][0] : hints['group'];
  if (asked === undefined) return null;
  const id = String(asked).toLowerCase();
  const group = isUuid(id) ? await parts.actors.ask(CONDUCTOR, { type: 'showServerGroup', id }) : null;
  if (group === null || group.projectId !== call.caller.projectId) throw invalid(`Instance group ${id.slice(0, 64)} could not be found.`);
  return { id };
}
