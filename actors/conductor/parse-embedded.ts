/**
 * The part of the API door for the embedded Identity and Image services (see parse.ts), and the pieces that both parts
 * are made of. A record's members are all looked at; whether they fit together is judged by the store.
 */
import { z } from 'zod';
import { COUNT, listUpTo, LONG_TEXT, NO_BODY, TEXT_MAP, textUpTo, UNLIMITED_OR_COUNT, UUID_TEXT, WORD, type Bodies, type Shape } from '../model/parse.ts';
import type {
  GrantTarget,
  IdentityDomain,
  IdentityEc2Key,
  IdentityEndpoint,
  IdentityFilter,
  IdentityGrant,
  IdentityProject,
  IdentityProtocol,
  IdentityRegion,
  IdentityRole,
  IdentityService,
  IdentityUser,
  Named,
  WantedScope,
} from './messages/identity.ts';
import {
  IMAGE_SORT_KEYS,
  type ImageFilter,
  type ImageMember,
  type ImageMemberStatus,
  type ImageProtocol,
  type ImageRecord,
  type ImageSort,
  type ImageStatus,
  type ImageViewer,
  type ImageVisibility,
  type TimeBound,
} from './messages/image.ts';

/** What a query of a door may hold. */
const QUERY_TEXT_MAX = 16_384;
export const ITEMS_MAX = 1_024;
/** More than any door gives at once. */
export const PAGE_MAX = 100_000;
/** The range of a Date. */
const MOMENT_MAX_MS = 8_640_000_000_000_000;

export const QUERY = textUpTo(QUERY_TEXT_MAX);
export const QUERIES = listUpTo(ITEMS_MAX, QUERY);
export const FLAG = z.boolean();
export const LIMIT = z.int().min(0).max(PAGE_MAX);
export const MS = z.number().min(-MOMENT_MAX_MS).max(MOMENT_MAX_MS);
export const MARKED = { marker: QUERY.nullable(), limit: LIMIT };

/** A change of a record: any of its members but the id. */
function someOf<T extends object>(shape: Shape<T>): z.ZodType<Partial<T>> {
  const members = Object.entries<z.ZodType>(shape).filter(([name]) => name !== 'id');
  return z.strictObject(Object.fromEntries(members.map(([name, schema]) => [name, schema.exactOptional()]))) as unknown as z.ZodType<Partial<T>>;
}

/** What may be said of one sort of records of the Identity service. */
function created<S extends z.ZodType<object>>(record: S) {
  return z.strictObject({ record, passwordHash: QUERY.exactOptional() });
}
function updated<T extends object>(shape: Shape<T>) {
  return z.strictObject({ id: QUERY, change: someOf(shape), passwordHash: QUERY.exactOptional() });
}

const DOMAIN = { id: QUERY, name: QUERY, description: LONG_TEXT, enabled: FLAG } satisfies Shape<IdentityDomain>;
const PROJECT = { id: QUERY, name: QUERY, domainId: QUERY, description: LONG_TEXT, enabled: FLAG } satisfies Shape<IdentityProject>;
const USER = {
  id: QUERY,
  name: QUERY,
  domainId: QUERY,
  enabled: FLAG,
  defaultProjectId: QUERY.nullable(),
  email: QUERY.nullable(),
  description: LONG_TEXT.nullable(),
} satisfies Shape<IdentityUser>;
const ROLE = { id: QUERY, name: QUERY, description: LONG_TEXT.nullable() } satisfies Shape<IdentityRole>;
const REGION = { id: QUERY, description: LONG_TEXT } satisfies Shape<IdentityRegion>;
const SERVICE = { id: QUERY, type: QUERY, name: QUERY, description: LONG_TEXT, enabled: FLAG } satisfies Shape<IdentityService>;
const ENDPOINT = {
  id: QUERY,
  serviceId: QUERY,
  regionId: QUERY,
  interface: z.enum(['public', 'internal', 'admin']),
  url: QUERY,
  enabled: FLAG,
} satisfies Shape<IdentityEndpoint>;

const IDENTITY_FILTER = z.strictObject({
  id: QUERY.exactOptional(),
  name: QUERY.exactOptional(),
  domainId: QUERY.exactOptional(),
  enabled: FLAG.exactOptional(),
  type: QUERY.exactOptional(),
  serviceId: QUERY.exactOptional(),
  regionId: QUERY.exactOptional(),
  interface: QUERY.exactOptional(),
} satisfies Shape<IdentityFilter>);

const DOMAIN_NAMED = z.union([z.strictObject({ id: QUERY }), z.strictObject({ name: QUERY })]);
const NAMED = z.union([z.strictObject({ id: QUERY }), z.strictObject({ name: QUERY, domain: DOMAIN_NAMED })]) satisfies z.ZodType<Named>;
const SCOPE = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('project'), project: NAMED }),
  z.strictObject({ kind: z.literal('domain'), domain: DOMAIN_NAMED }),
  z.strictObject({ kind: z.literal('system') }),
  z.strictObject({ kind: z.literal('unscoped') }),
  z.strictObject({ kind: z.literal('default') }),
]) satisfies z.ZodType<WantedScope>;
const PROOF = z.union([z.strictObject({ passwordHash: QUERY }), z.strictObject({ tokenHash: QUERY })]);

const TARGET_KIND = z.enum(['project', 'domain', 'system']);
const GRANT = z.strictObject({
  userId: QUERY,
  roleId: QUERY,
  target: z.strictObject({ kind: TARGET_KIND, id: QUERY } satisfies Shape<GrantTarget>),
} satisfies Shape<IdentityGrant>);
const EC2_KEY = z.strictObject({ access: QUERY, secret: QUERY, userId: QUERY, projectId: QUERY } satisfies Shape<IdentityEc2Key>);

const LISTED = z.strictObject({ filter: IDENTITY_FILTER, limit: LIMIT });
const BY_ID = z.strictObject({ id: QUERY });
const OF_USER = z.strictObject({ userId: QUERY, limit: LIMIT });

export const IDENTITY = {
  identityListDomain: LISTED,
  identityCreateDomain: created(z.strictObject(DOMAIN)),
  identityUpdateDomain: updated<IdentityDomain>(DOMAIN),
  identityDeleteDomain: BY_ID,
  identityListProject: LISTED,
  identityCreateProject: created(z.strictObject(PROJECT)),
  identityUpdateProject: updated<IdentityProject>(PROJECT),
  identityDeleteProject: BY_ID,
  identityListUser: LISTED,
  identityCreateUser: created(z.strictObject(USER)),
  identityUpdateUser: updated<IdentityUser>(USER),
  identityDeleteUser: BY_ID,
  identityListRole: LISTED,
  identityCreateRole: created(z.strictObject(ROLE)),
  identityUpdateRole: updated<IdentityRole>(ROLE),
  identityDeleteRole: BY_ID,
  identityListRegion: LISTED,
  identityCreateRegion: created(z.strictObject(REGION)),
  identityUpdateRegion: updated<IdentityRegion>(REGION),
  identityDeleteRegion: BY_ID,
  identityListService: LISTED,
  identityCreateService: created(z.strictObject(SERVICE)),
  identityUpdateService: updated<IdentityService>(SERVICE),
  identityDeleteService: BY_ID,
  identityListEndpoint: LISTED,
  identityCreateEndpoint: created(z.strictObject(ENDPOINT)),
  identityUpdateEndpoint: updated<IdentityEndpoint>(ENDPOINT),
  identityDeleteEndpoint: BY_ID,
  identityRevision: NO_BODY,
  identityLogin: z.strictObject({ user: NAMED }),
  identitySetPassword: z.strictObject({ userId: QUERY, passwordHash: QUERY }),
  identityIssueToken: z.strictObject({
    hash: WORD,
    userId: QUERY,
    proof: PROOF,
    scope: SCOPE,
    methods: QUERIES,
    auditIds: QUERIES,
    issuedAtMs: MS,
    expiresAtMs: MS,
  }),
  identityLoadToken: z.strictObject({ hash: WORD, nowMs: MS }),
  identityAuthorize: z.strictObject({ userId: QUERY, projectId: QUERY }),
  identityRevokeToken: z.strictObject({ hash: WORD }),
  identityPurgeTokens: z.strictObject({ nowMs: MS }),
  identityListGrants: z.strictObject({
    userId: QUERY.nullable(),
    roleId: QUERY.nullable(),
    target: z.strictObject({ kind: TARGET_KIND, id: QUERY.nullable() }).nullable(),
    limit: LIMIT,
  }),
  identityGrant: GRANT,
  identityRevokeGrant: GRANT,
  identityProjectsOfUser: OF_USER,
  identityDomainsOfUser: OF_USER,
  identityCreateEc2Key: z.strictObject({ key: EC2_KEY, max: UNLIMITED_OR_COUNT }),
  identityListEc2Keys: OF_USER,
  identityShowEc2Key: z.strictObject({ access: QUERY }),
  identityDeleteEc2Key: z.strictObject({ userId: QUERY, access: QUERY }),
} satisfies Bodies<IdentityProtocol, keyof IdentityProtocol>;

const STATUS = z.enum(['queued', 'saving', 'active', 'deactivated']) satisfies z.ZodType<ImageStatus>;
const VISIBILITY = z.enum(['public', 'community', 'shared', 'private']) satisfies z.ZodType<ImageVisibility>;
const MEMBER_STATUS = z.enum(['pending', 'accepted', 'rejected']) satisfies z.ZodType<ImageMemberStatus>;
const IMAGE_SORT = z.strictObject({ key: z.enum(IMAGE_SORT_KEYS), descending: FLAG } satisfies Shape<ImageSort>);
const VIEWER = z.strictObject({ projectId: QUERY.nullable(), admin: FLAG } satisfies Shape<ImageViewer>);
const TIME_BOUND = z.strictObject({ compare: z.enum(['gt', 'gte', 'lt', 'lte', 'eq', 'neq']), atMs: MS } satisfies Shape<TimeBound>);

const IMAGE_RECORD = z.strictObject({
  id: UUID_TEXT,
  name: QUERY.nullable(),
  status: STATUS,
  visibility: VISIBILITY,
  owner: QUERY.nullable(),
  protected: FLAG,
  hidden: FLAG,
  diskFormat: QUERY.nullable(),
  containerFormat: QUERY.nullable(),
  minDiskGiB: COUNT,
  minMemoryMiB: COUNT,
  sizeBytes: COUNT.nullable(),
  virtualSizeBytes: COUNT.nullable(),
  checksum: QUERY.nullable(),
  hash: QUERY.nullable(),
  tags: QUERIES,
  properties: TEXT_MAP,
  createdAtMs: MS,
  updatedAtMs: MS,
  version: COUNT,
} satisfies Shape<ImageRecord>);

const IMAGE_FILTER = z.strictObject({
  ids: QUERIES.exactOptional(),
  names: QUERIES.exactOptional(),
  statuses: QUERIES.exactOptional(),
  containerFormats: QUERIES.exactOptional(),
  diskFormats: QUERIES.exactOptional(),
  visibility: z.union([VISIBILITY, z.literal('all')]).exactOptional(),
  owner: QUERY.exactOptional(),
  protected: FLAG.exactOptional(),
  hidden: FLAG.exactOptional(),
  checksum: QUERY.exactOptional(),
  hash: QUERY.exactOptional(),
  sizeMinBytes: COUNT.exactOptional(),
  sizeMaxBytes: COUNT.exactOptional(),
  minDiskGiB: COUNT.exactOptional(),
  minMemoryMiB: COUNT.exactOptional(),
  tags: QUERIES.exactOptional(),
  properties: TEXT_MAP.exactOptional(),
  memberStatus: z.union([MEMBER_STATUS, z.literal('all')]).exactOptional(),
  created: TIME_BOUND.exactOptional(),
  updated: TIME_BOUND.exactOptional(),
} satisfies Shape<ImageFilter>);

const MEMBER = z.strictObject({ imageId: UUID_TEXT, projectId: QUERY, status: MEMBER_STATUS, createdAtMs: MS, updatedAtMs: MS } satisfies Shape<ImageMember>);
const UPLOAD = { id: UUID_TEXT, uploadId: UUID_TEXT, nowMs: MS };
const HASHES = listUpTo(PAGE_MAX, WORD);
const DOOR = { node: WORD, url: QUERY };
const OF_IMAGE = { imageId: UUID_TEXT };

export const IMAGES = {
  imageCreate: z.strictObject({ record: IMAGE_RECORD }),
  imageShow: z.strictObject({ id: QUERY, viewer: VIEWER }),
  imageList: z.strictObject({ viewer: VIEWER, filter: IMAGE_FILTER, sort: listUpTo(ITEMS_MAX, IMAGE_SORT), ...MARKED }),
  imageReplace: z.strictObject({ record: IMAGE_RECORD }),
  imageSetStatus: z.strictObject({ id: UUID_TEXT, from: listUpTo(ITEMS_MAX, STATUS), to: STATUS, nowMs: MS }),
  imageBeginUpload: z.strictObject({ ...UPLOAD, node: WORD }),
  imageEndUpload: z.strictObject({ ...UPLOAD, node: WORD, sizeBytes: COUNT, checksum: WORD, hash: WORD }),
  imageAbortUpload: z.strictObject(UPLOAD),
  imageResetUploads: z.strictObject({ node: WORD, running: listUpTo(ITEMS_MAX, UUID_TEXT), nowMs: MS }),
  imageWithBytes: z.strictObject({ hashes: HASHES }),
  imageHashes: z.strictObject({ ids: listUpTo(PAGE_MAX, UUID_TEXT) }),
  imageDoorOpen: z.strictObject({ ...DOOR, hashes: HASHES, after: QUERY, upTo: WORD.nullable() }),
  imageDoorSeen: z.strictObject(DOOR),
  imageCopied: z.strictObject({ node: WORD, hash: WORD }),
  imageDropCopy: z.strictObject({ node: WORD, hash: WORD }),
  imageDoors: z.strictObject({ hash: WORD.nullable(), except: WORD.nullable() }),
  imageLacking: z.strictObject({ node: WORD, copies: COUNT, limit: LIMIT }),
  imageDelete: z.strictObject({ id: QUERY }),
  imageAddTag: z.strictObject({ id: UUID_TEXT, tag: QUERY, max: UNLIMITED_OR_COUNT, nowMs: MS }),
  imageRemoveTag: z.strictObject({ id: UUID_TEXT, tag: QUERY, nowMs: MS }),
  imageListMembers: z.strictObject(OF_IMAGE),
  imageAddMember: z.strictObject({ member: MEMBER, max: UNLIMITED_OR_COUNT }),
  imageSetMember: z.strictObject({ ...OF_IMAGE, projectId: QUERY, status: MEMBER_STATUS, nowMs: MS }),
  imageRemoveMember: z.strictObject({ ...OF_IMAGE, projectId: QUERY }),
} satisfies Bodies<ImageProtocol, keyof ImageProtocol>;
