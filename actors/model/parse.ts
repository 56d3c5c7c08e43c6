/**
 * The door for messages of other nodes: what makes a kind's parser out of its table of schemas, and the shapes that
 * more than one kind's messages have. A message is refused whole, with Fault `invalid` that names type and path and
 * never a value. Limits are wider than those of the doors for users: what was accepted there must not be lost here.
 * Nothing here may depend on who asks: rights are looked at elsewhere.
 */
import { z } from 'zod';
import type { DiskCopy, GuestImage, GuestNic, GuestSpec, HostInventory, RescueDisk } from '../../drivers/driver.ts';
import { Fault, type Json } from '../../runtime/base/fault.ts';
import { UUID } from '../../runtime/base/ids.ts';
import type { Flavor } from './flavor.ts';
import type { ImageRef } from './image.ts';
import type { HostReport, PlacementRequest } from './placement.ts';
import type { Resources } from './resources.ts';
import { GROUP_POLICIES, type GroupPlaces } from './server-group.ts';
import { POWER_STATES, type PowerState } from './server-state.ts';

/** A schema for each member, optional ones too: a member that is forgotten does not compile. */
export type Shape<T> = { readonly [K in keyof T]-?: z.ZodType<T[K]> };
/** A schema for each of these messages of a protocol, and for no other. */
export type Bodies<P extends { readonly [type: string]: { readonly body: object } }, T extends keyof P> = { readonly [K in T]: z.ZodType<P[K]['body']> };

type Table = { readonly [type: string]: z.ZodType<object> };
type Parsed<B extends Table> = { [T in keyof B & string]: { readonly type: T } & z.output<B[T]> }[keyof B & string];

/** What PostgreSQL's integer holds: generations, counts of a flavor. */
const INTEGER_MAX = 2_147_483_647;
/** Code units of a name: 255 signs of up to two each, and what a multi-create adds. */
const NAME_MAX = 1_024;
/** Code units of the longest texts that users may give: user data, descriptions, public keys. */
const LONG_TEXT_MAX = 2 * 65_535;
const MAP_ENTRIES_MAX = 1_024;
const ADDRESSES_MAX = 64;
const HOSTS_MAX = 1_024;
const AGGREGATES_MAX = 256;
const ABILITIES_MAX = 16;
const FEATURES_MAX = 4_096;
/** As deep as the doors for users let JSON be. */
const DEPTH_MAX = 32;
/** Values and text of one free part; a frame of the mesh holds little more. */
const NODES_MAX = 65_536;
const FREE_TEXT_MAX = 1_048_576;
const SHOWN_PATH_MAX = 120;

export function parserOf<B extends Table>(kind: string, bodies: B): (type: string, body: unknown) => Parsed<B> {
  return (type, body) => {
    const schema = Object.hasOwn(bodies, type) ? bodies[type] : undefined;
    if (!schema) throw refused(kind, type, 'is not known');
    const parsed = schema.safeParse(body);
    if (!parsed.success) throw refused(kind, type, `is wrong at ${placeOf(parsed.error.issues[0])}`);
    return { ...parsed.data, type } as unknown as Parsed<B>;
  };
}

function refused(kind: string, type: string, why: string): Fault {
  return new Fault('invalid', 'message.invalid', `Message ${kind}.${printable(type)} ${why}.`);
}

function placeOf(issue: z.core.$ZodIssue | undefined): string {
  if (!issue) return 'its body';
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] ?? ''] : issue.path;
  return path.length === 0 ? 'its body' : printable(path.map(String).join('.'));
}

/** Names of members come from the sender too. */
function printable(text: string): string {
  return text.slice(0, SHOWN_PATH_MAX).replaceAll(/[^\x20-\x7e]/g, '?');
}

/** No NUL and no half surrogate: the store takes neither. */
function isStorable(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

/** Not by `max`: that asks any object that says it has a length, which may be no number. */
export function textUpTo(max: number): z.ZodType<string> {
  return z.string().refine((text) => text.length <= max && isStorable(text));
}

/** A list that is too long is refused before anybody looks at its items: a million wrong ones would be a million issues. */
export function listUpTo<T>(max: number, item: z.ZodType<T>): z.ZodType<T[]> {
  return z.custom<unknown[]>((value) => Array.isArray(value) && value.length <= max).pipe(z.array(item));
}

export const NAME = textUpTo(NAME_MAX);
export const LONG_TEXT = textUpTo(LONG_TEXT_MAX);
/** Visible signs without blanks: it is a part of tags and addresses. */
export const WORD = z.string().regex(/^[\x21-\x7e]{1,255}$/);
export const UUID_TEXT = z.string().regex(UUID);
export const ADDRESS = z.string().regex(/^[0-9a-fA-F:.]{2,45}$/);
export const COUNT = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const SMALL_COUNT = z.int().min(0).max(INTEGER_MAX);
/** −1 is unlimited. */
export const UNLIMITED_OR_COUNT = z.int().min(-1).max(INTEGER_MAX);
/** Of a placement that was made or is being made; 0 is before the first. */
export const GENERATION = z.int().min(1).max(INTEGER_MAX);
export const NO_BODY = z.strictObject({});

export const POWER = z.enum(Object.keys(POWER_STATES) as PowerState[]);
export const RESOURCES = z.strictObject({ vcpus: COUNT, memoryMiB: COUNT, diskGiB: COUNT } satisfies Shape<Resources>);

/** Text by key. Keys that an object has by itself are refused: whoever merges the map later must not meet them. */
export const TEXT_MAP = z.unknown().transform((value, context): { readonly [key: string]: string } => {
  if (isMembers(value)) {
    const wrong = wrongEntry(value);
    if (wrong === undefined && isTextMap(value)) return value;
    context.addIssue({ code: 'custom', path: wrong ?? [] });
  } else context.addIssue({ code: 'custom' });
  return z.NEVER;
});

/**
 * An object whose members are not looked at one by one: plain data within limits of depth, number and size, without
 * keys that an object has by itself. That it is a T is the sender's word.
 */
export function bounded<T extends object>(): z.ZodType<T> {
  return z.custom<T>().superRefine((value: unknown, context) => {
    const wrong = isMembers(value) ? wrongPlace(value, 0, { nodes: NODES_MAX, units: FREE_TEXT_MAX }) : [];
    if (wrong) context.addIssue({ code: 'custom', path: wrong });
  });
}

type Members = { readonly [key: string]: unknown };
type Left = { nodes: number; units: number };

function isMembers(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTextMap(value: Members): value is { readonly [key: string]: string } {
  return Object.values(value).every((item) => typeof item === 'string');
}

function isSafeKey(key: string): boolean {
  return key !== '__proto__' && key.length <= NAME_MAX && isStorable(key);
}

/** Path of the first entry that no map of texts may hold; undefined when there is none. */
function wrongEntry(map: Members): string[] | undefined {
  const entries = Object.entries(map);
  let units = 0;
  for (const [key, value] of entries) {
    if (!isSafeKey(key) || typeof value !== 'string' || value.length > LONG_TEXT_MAX || !isStorable(value)) return [key];
    units += key.length + value.length;
  }
  return entries.length > MAP_ENTRIES_MAX || units > FREE_TEXT_MAX ? [] : undefined;
}

/** Path of the first thing that no message may hold; undefined when there is none. */
function wrongPlace(value: unknown, depth: number, left: Left): string[] | undefined {
  if (--left.nodes < 0 || depth > DEPTH_MAX) return [];
  if (value === null || typeof value === 'boolean') return undefined;
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : [];
  if (typeof value === 'string') return (left.units -= value.length) >= 0 && isStorable(value) ? undefined : [];
  if (typeof value !== 'object') return [];
  const isList = Array.isArray(value);
  for (const [key, item] of Object.entries(value)) {
    if (!isList && (!isSafeKey(key) || (left.units -= key.length) < 0)) return [key];
    const wrong = wrongPlace(item, depth + 1, left);
    if (wrong) return [key, ...wrong];
  }
  return undefined;
}

export const JSON_MAP = bounded<{ readonly [key: string]: Json }>();

export const HASH = z.strictObject({ algorithm: z.enum(['sha512', 'sha256', 'md5']), hex: z.string().regex(/^[0-9a-fA-F]{1,128}$/) }).nullable();

/** What a server remembers of an image. */
export const IMAGE_REF = z.strictObject({
  id: WORD,
  name: NAME,
  diskFormat: NAME,
  containerFormat: NAME,
  sizeBytes: COUNT,
  hash: HASH,
  minDiskGiB: COUNT,
  minMemoryMiB: COUNT,
  properties: TEXT_MAP,
} satisfies Shape<ImageRef>);

export const DISK_COPY = z.strictObject({ diskFormat: WORD, sizeBytes: COUNT, virtualBytes: COUNT } satisfies Shape<DiskCopy>);

export const GUEST_IMAGE = z.strictObject({
  id: WORD,
  diskFormat: NAME,
  sizeBytes: COUNT,
  hash: HASH,
  properties: TEXT_MAP,
} satisfies Shape<GuestImage>);

const GUEST_NIC = z.strictObject({
  network: NAME,
  mac: z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
  address: z.string().regex(/^[0-9a-fA-F:.]{2,45}\/\d{1,3}$/),
  gateway: ADDRESS.nullable(),
} satisfies Shape<GuestNic>);

/** All that a driver needs of a new guest. */
export const GUEST_SPEC = z.strictObject({
  instanceId: UUID_TEXT,
  generation: GENERATION,
  name: WORD,
  displayName: NAME,
  hostname: NAME,
  projectId: NAME,
  userId: NAME,
  vcpus: SMALL_COUNT.min(1),
  memoryMiB: SMALL_COUNT.min(1),
  rootGiB: SMALL_COUNT,
  ephemeralGiB: SMALL_COUNT,
  swapMiB: SMALL_COUNT,
  image: GUEST_IMAGE,
  kernel: GUEST_IMAGE.exactOptional(),
  ramdisk: GUEST_IMAGE.exactOptional(),
  nics: listUpTo(ADDRESSES_MAX, GUEST_NIC),
  userData: LONG_TEXT.nullable(),
  metadata: TEXT_MAP,
} satisfies Shape<GuestSpec>);

export const FLAVOR = z.strictObject({
  flavorId: NAME,
  name: NAME,
  vcpus: SMALL_COUNT.min(1),
  memoryMiB: SMALL_COUNT.min(1),
  rootGiB: SMALL_COUNT,
  ephemeralGiB: SMALL_COUNT,
  swapMiB: SMALL_COUNT,
  rxtxFactor: z.number().min(0),
  isPublic: z.boolean(),
  disabled: z.boolean(),
  description: LONG_TEXT.nullable(),
  extraSpecs: TEXT_MAP,
} satisfies Shape<Flavor>);

const GROUP_PLACES = z.strictObject({
  policy: z.enum(GROUP_POLICIES),
  perHost: COUNT,
  hosts: z.record(WORD, COUNT),
} satisfies Shape<GroupPlaces>);

export const RESCUE_DISK = z.strictObject({
  image: GUEST_IMAGE,
  kernel: GUEST_IMAGE.exactOptional(),
  ramdisk: GUEST_IMAGE.exactOptional(),
} satisfies Shape<RescueDisk>);

export const PLACEMENT_REQUEST = z.strictObject({
  instanceId: UUID_TEXT,
  projectId: NAME,
  count: SMALL_COUNT.min(1),
  need: RESOURCES,
  zone: NAME.nullable(),
  onlyHost: WORD.nullable(),
  skipFilters: z.boolean(),
  excludedHosts: listUpTo(HOSTS_MAX, WORD),
  extraSpecs: TEXT_MAP,
  imageProperties: TEXT_MAP,
  hints: bounded<PlacementRequest['hints']>(),
  group: GROUP_PLACES.exactOptional(),
} satisfies Shape<PlacementRequest>);

/** Type, version and architecture are empty before the host has looked at its hypervisor. */
export const HOST_REPORT = z.strictObject({
  host: WORD,
  epoch: COUNT,
  seen: COUNT,
  zone: NAME,
  capacity: RESOURCES,
  used: RESOURCES,
  instances: COUNT,
  ioOps: COUNT,
  enabled: z.boolean(),
  up: z.boolean(),
  hypervisorType: NAME,
  hypervisorVersion: COUNT,
  arch: NAME,
  aggregates: listUpTo(AGGREGATES_MAX, z.strictObject({ id: COUNT, metadata: TEXT_MAP })),
  failures: COUNT,
} satisfies Shape<HostReport>);

export const HOST_INVENTORY = z.strictObject({
  vcpus: COUNT,
  memoryMiB: COUNT,
  diskGiB: COUNT,
  hypervisorType: NAME,
  hypervisorVersion: COUNT,
  abilities: listUpTo(ABILITIES_MAX, z.enum(['moves', 'live'])).exactOptional(),
  hostIp: NAME,
  cpu: z.strictObject({
    arch: NAME,
    model: NAME,
    vendor: NAME,
    topology: z.strictObject({ sockets: COUNT, cores: COUNT, threads: COUNT }),
    features: listUpTo(FEATURES_MAX, NAME),
  } satisfies Shape<HostInventory['cpu']>),
} satisfies Shape<HostInventory>);
