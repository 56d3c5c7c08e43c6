/**
 * What other nodes may ask of a conductor, by the door they stand at (P7). HOST_DOOR is all that a node of hypervisors
 * may say. API_DOOR is for nodes with doors for users: the order in full (a server that begins must begin with nothing:
 * no host, no claim, no address), reads, plain records and those of the embedded services. Free are only hints of the
 * scheduler and arguments of the operation: plain data within limits.
 * Who stands at which door is not known here: the parser of a door is chosen by whoever knows the sender.
 */
import { z } from 'zod';
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import {
  ADDRESS,
  bounded,
  COUNT,
  DISK_COPY,
  FLAVOR,
  GENERATION,
  GUEST_IMAGE,
  HOST_INVENTORY,
  IMAGE_REF,
  JSON_MAP,
  listUpTo,
  LONG_TEXT,
  NAME,
  parserOf,
  NO_BODY,
  RESOURCES,
  SMALL_COUNT,
  TEXT_MAP,
  UNLIMITED_OR_COUNT,
  UUID_TEXT,
  WORD,
  type Bodies,
  type Shape,
} from '../model/parse.ts';
import type { InstanceRecord } from '../model/instance.ts';
import type { MigrationFilter } from '../model/migration.ts';
import type { KeyPair } from '../model/key-pair.ts';
import type { ActionEvent, ActionRecord, Operation } from '../model/operation.ts';
import { QUOTA_DEFAULTS, type QuotaName, type QuotaNeed } from '../model/quota.ts';
import { GROUP_POLICIES, type ServerGroup } from '../model/server-group.ts';
import type { ConductorProtocol } from './messages.ts';
import type { AggregateProtocol, ImageWantProtocol } from './messages/aggregate.ts';
import type { GroupProtocol } from './messages/group.ts';
import type { HostDoorProtocol, ImageTicketProtocol } from './messages/host.ts';
import type { IdentityProtocol } from './messages/identity.ts';
import type { ImageProtocol } from './messages/image.ts';
import type { DoorNodeProtocol, NodeDoorProtocol } from './messages/node.ts';
import type { OperatorProtocol } from './messages/operator.ts';
import { SERVER_SORT_KEYS, type ReadProtocol, type ServerFilter, type ServerSort } from './messages/read.ts';
import type { FlavorSortKey, RecordProtocol } from './messages/record.ts';
import type { RecoveryDoorProtocol } from './messages/recovery.ts';
import type { SnapshotProtocol, UploadTicketProtocol } from './messages/snapshot.ts';
import type { CreateOrder, WriteProtocol } from './messages/write.ts';
import { FLAG, IDENTITY, IMAGES, ITEMS_MAX, LIMIT, MARKED, MS, PAGE_MAX, QUERIES, QUERY } from './parse-embedded.ts';

type ApiProtocol = WriteProtocol &
  ReadProtocol &
  Pick<RecoveryDoorProtocol, 'hostStanding'> &
  Pick<SnapshotProtocol, 'snapshotImage'> &
  RecordProtocol &
  AggregateProtocol &
  OperatorProtocol &
  IdentityProtocol &
  ImageProtocol &
  DoorNodeProtocol;

/** Servers of one order; what one transaction takes well. */
const ORDER_MAX = 1_000;
const HOSTS_MAX = 100_000;
const STRAYS_MAX = 10_000;
const ROLES_MAX = 32;

const INTEGER = z.int();
const ISO = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const NOBODY_YET = z.null();
const GUEST = { instanceId: UUID_TEXT, generation: GENERATION };
const HOST = { host: WORD };

type OfHosts = HostDoorProtocol & ImageTicketProtocol & UploadTicketProtocol & ImageWantProtocol;

export const HOST_DOOR = {
  hostStart: z.strictObject({
    ...HOST,
    node: WORD,
    driver: WORD,
    inventory: HOST_INVENTORY,
    capacity: RESOURCES,
    zone: NAME,
    selfFenceMs: SMALL_COUNT.min(1).nullable(),
  }),
  hostClaims: z.strictObject({ ...HOST, instanceId: UUID_TEXT.nullable() }),
  hostRow: z.strictObject(HOST),
  hostConfirmGone: z.strictObject({ ...HOST, ...GUEST }),
  // A hypervisor may hold a guest whose mark names no generation: 0.
  hostStrays: z.strictObject({ ...HOST, guests: listUpTo(STRAYS_MAX, z.strictObject({ instanceId: UUID_TEXT, generation: SMALL_COUNT })) }),
  hostBeat: z.strictObject({ ...HOST, epoch: COUNT }),
  hostLeave: z.strictObject({ ...HOST, epoch: COUNT }),
  hostImageTicket: z.strictObject({ ...HOST, imageId: UUID_TEXT, again: z.boolean() }),
  hostUploadTicket: z.strictObject({ ...HOST, instanceId: UUID_TEXT, imageId: UUID_TEXT, again: z.boolean() }),
  hostWantedImages: z.strictObject(HOST),
  hostImageDone: z.strictObject({ ...HOST, imageId: WORD }),
} satisfies Bodies<OfHosts, keyof OfHosts>;

const NODE_TEXT = z.string().regex(/^[\x20-\x7e]{1,256}$/);
const ROLE_LIST = listUpTo(ROLES_MAX, WORD);
const KNOWN = z.strictObject({ known: NODE_TEXT.nullable() });

/** For every node without a database, whatever its roles. */
export const NODE_DOOR = {
  nodeEnter: z.strictObject({ row: z.strictObject({ name: WORD, boot: WORD, endpoint: NODE_TEXT, publicKey: NODE_TEXT, roles: ROLE_LIST }) }),
  nodeBeat: z.strictObject({ name: WORD, boot: WORD }),
  nodes: z.strictObject({ roles: ROLE_LIST.nullable() }),
  owners: KNOWN,
  hostNodes: KNOWN,
} satisfies Bodies<NodeDoorProtocol, keyof NodeDoorProtocol>;

const CREATE_OPERATION = z.strictObject({
  name: z.literal('create'),
  id: WORD,
  step: z.literal('place'),
  args: JSON_MAP,
  requestId: WORD,
  startedAt: ISO,
  stepDueMs: MS,
  attempt: z.literal(0),
  excludedHosts: z.tuple([]),
} satisfies Shape<Operation>);

const CREATE_ACTION = z.strictObject({
  requestId: WORD,
  action: z.literal('create'),
  userId: NAME,
  projectId: NAME,
  startedAt: ISO,
  updatedAt: ISO,
  message: NOBODY_YET,
  events: z.tuple([
    z.strictObject({
      event: WORD,
      startedAt: ISO,
      finishedAt: NOBODY_YET,
      result: NOBODY_YET,
      host: NOBODY_YET,
      fault: NOBODY_YET,
    } satisfies Shape<Omit<ActionEvent, 'explanation'>>),
  ]),
} satisfies Shape<ActionRecord>);

/** A server that begins. What only its own actor may say of it is not taken from a door. */
const NEW_INSTANCE = z.strictObject({
  id: UUID_TEXT,
  number: z.literal(0),
  projectId: NAME,
  userId: NAME,
  name: NAME,
  description: LONG_TEXT.nullable(),
  hostname: NAME,
  reservationId: WORD,
  launchIndex: z.int().min(0).max(ORDER_MAX),
  vmState: z.literal('building'),
  taskState: z.literal('scheduling'),
  powerState: z.literal('pending'),
  createdAt: ISO,
  updatedAt: ISO,
  launchedAt: NOBODY_YET,
  terminatedAt: NOBODY_YET,
  deleted: z.literal(false),
  flavor: FLAVOR,
  image: IMAGE_REF,
  kernel: IMAGE_REF.nullable(),
  ramdisk: IMAGE_REF.nullable(),
  keyName: NAME.nullable(),
  publicKey: LONG_TEXT.nullable(),
  userData: LONG_TEXT.nullable(),
  configDrive: FLAG,
  diskConfig: z.enum(['AUTO', 'MANUAL']),
  metadata: TEXT_MAP,
  tags: listUpTo(ITEMS_MAX, NAME),
  securityGroups: listUpTo(ITEMS_MAX, NAME),
  accessIpV4: NAME.nullable(),
  accessIpV6: NAME.nullable(),
  schedulerHints: bounded<InstanceRecord['schedulerHints']>(),
  requestedZone: NAME.nullable(),
  requestedHost: WORD.nullable(),
  zone: NOBODY_YET,
  host: NOBODY_YET,
  generation: z.literal(0),
  generationTop: z.literal(0).exactOptional(),
  move: NOBODY_YET.exactOptional(),
  group: z.strictObject({ id: UUID_TEXT }).nullable().exactOptional(),
  guestPassword: NOBODY_YET.exactOptional(),
  wantedNetworks: listUpTo(ITEMS_MAX, z.strictObject({ networkId: UUID_TEXT, address: ADDRESS.nullable() })),
  nics: z.tuple([]),
  locked: z.literal(false),
  lockedReason: NOBODY_YET,
  lockedBy: NOBODY_YET.exactOptional(),
  reclaimAtMs: NOBODY_YET.exactOptional(),
  fault: NOBODY_YET,
  operation: CREATE_OPERATION,
  actions: z.tuple([CREATE_ACTION]),
  commands: z.tuple([]),
  shelved: NOBODY_YET.exactOptional(),
} satisfies Shape<InstanceRecord>);

/** Quota is counted for the order's project and user: all of its servers must be theirs, of the size that is counted. */
const ORDER = z
  .strictObject({
    projectId: NAME,
    userId: NAME,
    instances: listUpTo(ORDER_MAX, NEW_INSTANCE),
    minCount: z.int().min(1).max(ORDER_MAX),
    needEach: z.strictObject({ instances: z.literal(1), cores: COUNT, ram: COUNT } satisfies Shape<QuotaNeed>),
    idempotency: z.strictObject({ key: NAME, bodyHash: WORD }).nullable(),
  } satisfies Shape<CreateOrder>)
  .refine(({ instances }) => instances.length > 0, { path: ['instances'] })
  .refine(({ instances, projectId, userId }) => instances.every((one) => one.projectId === projectId && one.userId === userId), { path: ['projectId'] })
  .refine(({ instances: [first, ...rest] }) => rest.every((one) => one.group?.id === first?.group?.id), { path: ['group'] })
  .refine(({ instances, needEach }) => instances.every(({ flavor }) => flavor.vcpus === needEach.cores && flavor.memoryMiB === needEach.ram), {
    path: ['needEach'],
  });

const WRITES = { accept: z.strictObject({ order: ORDER }) } satisfies Bodies<WriteProtocol, keyof WriteProtocol>;

const SERVER_FILTER = z.strictObject({
  projectId: QUERY.nullable(),
  deleted: FLAG.nullable(),
  softDeleted: z.enum(['hidden', 'asDeleted']).exactOptional(),
  changedSinceMs: MS.nullable(),
  changedBeforeMs: MS.nullable(),
  name: QUERY.nullable(),
  states: listUpTo(ITEMS_MAX, z.strictObject({ vmState: QUERY, taskStates: QUERIES.nullable() })).nullable(),
  vmState: QUERY.nullable(),
  taskState: QUERY.nullable(),
  powerState: QUERY.nullable(),
  imageId: QUERY.nullable(),
  flavorId: QUERY.nullable(),
  userId: QUERY.nullable(),
  host: QUERY.nullable(),
  zone: QUERY.nullable(),
  reservationId: QUERY.nullable(),
  keyName: QUERY.nullable(),
  ids: listUpTo(PAGE_MAX, QUERY).nullable(),
  ip: QUERY.nullable(),
  ip6: QUERY.nullable(),
  hostname: QUERY.nullable(),
  configDrive: FLAG.nullable(),
  locked: FLAG.nullable(),
  tags: QUERIES.nullable(),
  tagsAny: QUERIES.nullable(),
  notTags: QUERIES.nullable(),
  notTagsAny: QUERIES.nullable(),
} satisfies Shape<ServerFilter>);

const SERVER_SORT = z.strictObject({ key: z.enum(SERVER_SORT_KEYS), descending: FLAG } satisfies Shape<ServerSort>);
const OF_PROJECT = { projectId: QUERY, userId: QUERY.nullable() };

const MIGRATION_FILTER = z.strictObject({
  instanceId: QUERY.exactOptional(),
  host: QUERY.exactOptional(),
  source: QUERY.exactOptional(),
  status: QUERY.exactOptional(),
  type: QUERY.exactOptional(),
  userId: QUERY.exactOptional(),
  projectId: QUERY.exactOptional(),
  ofProject: QUERY.exactOptional(),
  number: COUNT.exactOptional(),
  changedSinceMs: MS.exactOptional(),
  changedBeforeMs: MS.exactOptional(),
} satisfies Shape<MigrationFilter>);

const READS = {
  listServers: z.strictObject({ filter: SERVER_FILTER, sort: listUpTo(ITEMS_MAX, SERVER_SORT), ...MARKED }),
  showServer: z.strictObject({ id: UUID_TEXT }),
  listHosts: z.strictObject({ withDeleted: FLAG.exactOptional() }),
  listNodeServices: NO_BODY,
  listZones: NO_BODY,
  showQuota: z.strictObject(OF_PROJECT),
  listServerUse: z.strictObject({ projectId: QUERY.nullable(), fromMs: MS, toMs: MS, ...MARKED }),
  listServersOfHosts: z.strictObject({ hosts: listUpTo(HOSTS_MAX, QUERY) }),
  listMigrations: z.strictObject({ filter: MIGRATION_FILTER, ...MARKED }),
  history: z.strictObject({ after: INTEGER, limit: LIMIT }),
  revision: NO_BODY,
} satisfies Bodies<ReadProtocol, keyof ReadProtocol>;

const FLAVOR_SORT_KEYS = [
  'flavorId',
  'name',
  'memoryMiB',
  'vcpus',
  'rootGiB',
  'createdAt',
  'id',
  'isPublic',
  'swapMiB',
  'ephemeralGiB',
] as const satisfies readonly FlavorSortKey[];
const QUOTA_NAMES = Object.keys(QUOTA_DEFAULTS) as QuotaName[];
/** Limits that are set; the others stay. */
const LIMITS = z.partialRecord(z.enum(QUOTA_NAMES), UNLIMITED_OR_COUNT);
const KEY_PAIR = z.strictObject({
  userId: NAME,
  name: NAME,
  type: z.enum(['ssh', 'x509']),
  publicKey: LONG_TEXT,
  fingerprint: NAME,
} satisfies Shape<Omit<KeyPair, 'id' | 'createdAt'>>);
const OF_GROUP = z.strictObject({ id: UUID_TEXT });
const SHORT_NAME = z.string().max(255);
const PAGED_GROUPS = { projectId: QUERY.nullable(), offset: COUNT, limit: LIMIT };
const SERVER_GROUP = z.strictObject({
  id: UUID_TEXT,
  projectId: NAME,
  userId: NAME,
  name: NAME,
  policy: z.enum(GROUP_POLICIES),
  perHost: SMALL_COUNT.min(1).nullable(),
} satisfies Shape<ServerGroup>);
const PORT = z.int().min(-1).max(65_535).nullable();
const SECURITY_RULE = z.strictObject({
  id: UUID_TEXT,
  parentGroupId: UUID_TEXT,
  userId: NAME,
  protocol: WORD.nullable(),
  fromPort: PORT,
  toPort: PORT,
  cidr: NAME.nullable(),
  sourceGroupId: UUID_TEXT.nullable(),
});
const OF_FLAVOR = { flavorId: QUERY };
const ONE_KEY_PAIR = z.strictObject({ userId: QUERY, name: QUERY });

const RECORDS = {
  listFlavors: z.strictObject({
    projectId: QUERY.nullable(),
    isPublic: FLAG.nullable(),
    minMemoryMiB: INTEGER.nullable(),
    minRootGiB: INTEGER.nullable(),
    name: QUERY.nullable(),
    sort: z.strictObject({ key: z.enum(FLAVOR_SORT_KEYS), descending: FLAG }),
    ...MARKED,
  }),
  showFlavor: z.strictObject({ ...OF_FLAVOR, projectId: QUERY.nullable() }),
  createFlavor: z.strictObject({ flavor: FLAVOR }),
  updateFlavor: z.strictObject({ ...OF_FLAVOR, description: LONG_TEXT.nullable() }),
  deleteFlavor: z.strictObject(OF_FLAVOR),
  setFlavorSpecs: z.strictObject({ ...OF_FLAVOR, specs: TEXT_MAP }),
  deleteFlavorSpec: z.strictObject({ ...OF_FLAVOR, key: QUERY }),
  listFlavorAccess: z.strictObject(OF_FLAVOR),
  addFlavorAccess: z.strictObject({ ...OF_FLAVOR, projectId: QUERY }),
  removeFlavorAccess: z.strictObject({ ...OF_FLAVOR, projectId: QUERY }),
  listKeyPairs: z.strictObject({ userId: QUERY, marker: QUERY.nullable(), limit: LIMIT.nullable() }),
  showKeyPair: ONE_KEY_PAIR,
  createKeyPair: z.strictObject({ keyPair: KEY_PAIR, projectId: NAME }),
  deleteKeyPair: ONE_KEY_PAIR,
  showQuotaLimits: z.strictObject(OF_PROJECT),
  setQuotaLimits: z.strictObject({ ...OF_PROJECT, limits: LIMITS }),
  resetQuotaLimits: z.strictObject(OF_PROJECT),
  showQuotaClass: z.strictObject({ name: QUERY }),
  setQuotaClass: z.strictObject({ name: QUERY, limits: LIMITS }),
  listServerGroups: z.strictObject(PAGED_GROUPS),
  showServerGroup: OF_GROUP,
  createServerGroup: z.strictObject({ group: SERVER_GROUP }),
  deleteServerGroup: OF_GROUP,
  listSecurityGroups: z.strictObject(PAGED_GROUPS),
  showSecurityGroup: OF_GROUP,
  createSecurityGroup: z.strictObject({ group: z.strictObject({ id: UUID_TEXT, projectId: NAME, userId: NAME, name: SHORT_NAME, description: SHORT_NAME }) }),
  updateSecurityGroup: z.strictObject({ id: UUID_TEXT, name: SHORT_NAME, description: SHORT_NAME }),
  deleteSecurityGroup: OF_GROUP,
  createSecurityRule: z.strictObject({ rule: SECURITY_RULE }),
  showSecurityRule: OF_GROUP,
  deleteSecurityRule: OF_GROUP,
  listNetworks: z.strictObject({ projectId: QUERY.nullable() }),
  updateService: z.strictObject({
    uuid: QUERY.nullable(),
    host: QUERY.nullable(),
    enabled: FLAG.exactOptional(),
    disabledReason: QUERY.nullable().exactOptional(),
    forcedDown: FLAG.exactOptional(),
  }),
  deleteService: z.strictObject({ uuid: QUERY }),
} satisfies Bodies<RecordProtocol, keyof RecordProtocol>;

const SNAPSHOT = { instanceId: UUID_TEXT, imageId: UUID_TEXT };
/** A door wants to see the image that it names to its user; the rest is for the operation itself. */
const SNAPSHOT_IMAGE = { snapshotImage: z.strictObject(SNAPSHOT) } satisfies Bodies<SnapshotProtocol, 'snapshotImage'>;
const SNAPSHOTS = {
  snapshotDescribe: z.strictObject({ ...SNAPSHOT, disk: DISK_COPY }),
  snapshotSettle: z.strictObject({ ...SNAPSHOT, rotate: z.strictObject({ backupType: NAME, rotation: SMALL_COUNT }).nullable(), isKept: FLAG }),
  snapshotLeft: z.strictObject({ imageId: UUID_TEXT }),
} satisfies Bodies<SnapshotProtocol, Exclude<keyof SnapshotProtocol, 'snapshotImage'>>;

/** What instances ask while they are placed. */
const GROUPS = { groupPlaces: z.strictObject({ groupId: UUID_TEXT, instanceId: UUID_TEXT }) } satisfies Bodies<GroupProtocol, keyof GroupProtocol>;

const ONE_AGGREGATE = { id: SMALL_COUNT };
const AGGREGATES = {
  listAggregates: NO_BODY,
  showAggregate: z.strictObject(ONE_AGGREGATE),
  createAggregate: z.strictObject({ name: NAME, zone: NAME.nullable() }),
  updateAggregate: z.strictObject({ ...ONE_AGGREGATE, change: z.strictObject({ name: NAME.exactOptional(), zone: NAME.nullable().exactOptional() }) }),
  deleteAggregate: z.strictObject(ONE_AGGREGATE),
  addAggregateHost: z.strictObject({ ...ONE_AGGREGATE, host: WORD }),
  removeAggregateHost: z.strictObject({ ...ONE_AGGREGATE, host: WORD }),
  setAggregateWords: z.strictObject({ ...ONE_AGGREGATE, set: TEXT_MAP, drop: QUERIES }),
  wantImages: z.strictObject({ ...ONE_AGGREGATE, images: listUpTo(ITEMS_MAX, GUEST_IMAGE) }),
} satisfies Bodies<AggregateProtocol, keyof AggregateProtocol>;

const OPERATORS = {
  hostUse: z.strictObject({ host: QUERY }),
  serversInPeriod: z.strictObject({ beginMs: MS, endMs: MS }),
} satisfies Bodies<OperatorProtocol, keyof OperatorProtocol>;

/** The rest of what is said about silent hosts stays on control nodes. */
const STANDING = { hostStanding: z.strictObject({ host: QUERY }) } satisfies Bodies<RecoveryDoorProtocol, 'hostStanding'>;

export const API_DOOR = {
  ...WRITES,
  ...READS,
  ...STANDING,
  ...SNAPSHOT_IMAGE,
  ...RECORDS,
  ...AGGREGATES,
  ...OPERATORS,
  ...IDENTITY,
  ...IMAGES,
  secrets: NO_BODY,
} satisfies Bodies<ApiProtocol, keyof ApiProtocol>;

type Parse = NonNullable<ServiceKind<ConductorProtocol>['parse']>;

/** All doors; who stands at which is actors/doors.ts. */
export const parseConductorMessage: Parse = parserOf('conductor', { ...HOST_DOOR, ...NODE_DOOR, ...API_DOOR, ...SNAPSHOTS, ...GROUPS });

/** What does no harm when it comes twice. An order is known by the ids of its instances. */
export const REPEATABLE: ReadonlySet<string> = new Set([
  ...Object.keys({ ...WRITES, ...READS, ...STANDING, ...SNAPSHOT_IMAGE, ...SNAPSHOTS, ...GROUPS, ...HOST_DOOR, ...NODE_DOOR }),
  ...Object.keys({ ...RECORDS, ...AGGREGATES, ...OPERATORS, ...IDENTITY, ...IMAGES }).filter((type) =>
    /^(secrets$|list|show|hostUse$|serversInPeriod$|image(List|Show)|identity(List|Show|Load|Login|Authorize|Revision|DomainsOf|ProjectsOf))/.test(type),
  ),
]);
