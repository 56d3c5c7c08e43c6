/** One message of each type that the embedded Identity and Image services send; the compiler misses none. */
import type { IdentityProtocol } from '../../../actors/conductor/messages/identity.ts';
import type { ImageProtocol, ImageRecord } from '../../../actors/conductor/messages/image.ts';
import type { Message } from '../crossing.ts';

type Protocol = IdentityProtocol & ImageProtocol;
type Bodies = { readonly [T in keyof Protocol]: Protocol[T]['body'] };

const ID = '70a599e0-31e7-49b7-b260-868f441e862b';
const NOW_MS = Date.UTC(2026, 0, 1);
const listed = { filter: { name: 'n', enabled: true }, limit: 10 };
const byId = { id: 'x' };
const ofUser = { userId: 'u', limit: 10 };
const upload = { id: ID, uploadId: ID, nowMs: NOW_MS };
const grant = { userId: 'u', roleId: 'r', target: { kind: 'system', id: '' } } as const;
const record: ImageRecord = {
  id: ID,
  name: null,
  status: 'queued',
  visibility: 'shared',
  owner: 'p',
  protected: false,
  hidden: false,
  diskFormat: 'raw',
  containerFormat: null,
  minDiskGiB: 0,
  minMemoryMiB: 0,
  sizeBytes: null,
  virtualSizeBytes: null,
  checksum: null,
  hash: null,
  tags: ['t'],
  properties: { a: 'b' },
  createdAtMs: NOW_MS,
  updatedAtMs: NOW_MS,
  version: 1,
};
const named = { id: 'x', name: 'n', description: '', enabled: true };

const BODIES: Bodies = {
  identityListDomain: listed,
  identityCreateDomain: { record: named },
  identityUpdateDomain: { id: 'x', change: { enabled: false } },
  identityDeleteDomain: byId,
  identityListProject: listed,
  identityCreateProject: { record: { ...named, domainId: 'd' } },
  identityUpdateProject: { id: 'x', change: { name: 'm' } },
  identityDeleteProject: byId,
  identityListUser: listed,
  identityCreateUser: {
    record: { id: 'x', name: 'n', domainId: 'd', enabled: true, defaultProjectId: null, email: 'a@b.c', description: null },
    passwordHash: 'scrypt$1',
  },
  identityUpdateUser: { id: 'x', change: { email: null }, passwordHash: 'scrypt$2' },
  identityDeleteUser: byId,
  identityListRole: listed,
  identityCreateRole: { record: { id: 'x', name: 'n', description: null } },
  identityUpdateRole: { id: 'x', change: {} },
  identityDeleteRole: byId,
  identityListRegion: { filter: {}, limit: 1 },
  identityCreateRegion: { record: { id: 'x', description: '' } },
  identityUpdateRegion: { id: 'x', change: { description: 'd' } },
  identityDeleteRegion: byId,
  identityListService: listed,
  identityCreateService: { record: { ...named, type: 'image' } },
  identityUpdateService: { id: 'x', change: { type: 't' } },
  identityDeleteService: byId,
  identityListEndpoint: { filter: { serviceId: 's', regionId: 'r', interface: 'public', type: 't', domainId: 'd', id: 'x' }, limit: 1 },
  identityCreateEndpoint: { record: { id: 'x', serviceId: 's', regionId: 'r', interface: 'public', url: 'http://a/%(project_id)s', enabled: true } },
  identityUpdateEndpoint: { id: 'x', change: { url: 'http://b', interface: 'admin' } },
  identityDeleteEndpoint: byId,
  identityRevision: {},
  identityLogin: { user: { name: 'n', domain: { name: 'Default' } } },
  identitySetPassword: { userId: 'u', passwordHash: 'scrypt$1' },
  identityIssueToken: {
    hash: 'ab'.repeat(32),
    userId: 'u',
    proof: { tokenHash: 'cd'.repeat(32) },
    scope: { kind: 'project', project: { name: 'p', domain: { id: 'default' } } },
    methods: ['token'],
    auditIds: ['a', 'b'],
    issuedAtMs: NOW_MS,
    expiresAtMs: NOW_MS + 1,
  },
  identityLoadToken: { hash: 'ab'.repeat(32), nowMs: NOW_MS },
  identityAuthorize: { userId: 'u', projectId: 'p' },
  identityRevokeToken: { hash: 'ab'.repeat(32) },
  identityPurgeTokens: { nowMs: NOW_MS },
  identityListGrants: { userId: 'u', roleId: null, target: { kind: 'project', id: null }, limit: 1 },
  identityGrant: grant,
  identityRevokeGrant: grant,
  identityProjectsOfUser: ofUser,
  identityDomainsOfUser: ofUser,
  identityCreateEc2Key: { key: { access: 'a', secret: 's', userId: 'u', projectId: 'p' }, max: 10 },
  identityListEc2Keys: ofUser,
  identityShowEc2Key: { access: 'a' },
  identityDeleteEc2Key: { userId: 'u', access: 'a' },
  imageCreate: { record },
  imageShow: { id: ID, viewer: { projectId: null, admin: true } },
  imageList: {
    viewer: { projectId: 'p', admin: false },
    filter: {
      ids: [ID],
      hidden: false,
      visibility: 'all',
      memberStatus: 'all',
      created: { compare: 'gte', atMs: NOW_MS },
      properties: { os: 'x' },
      sizeMinBytes: 0,
    },
    sort: [{ key: 'created_at', descending: true }],
    marker: null,
    limit: 25,
  },
  imageReplace: { record: { ...record, name: 'n', status: 'active', sizeBytes: 7, checksum: 'ab', hash: 'cd' } },
  imageSetStatus: { id: ID, from: ['active', 'deactivated'], to: 'active', nowMs: NOW_MS },
  imageBeginUpload: { ...upload, node: 'n' },
  imageEndUpload: { ...upload, node: 'n', sizeBytes: 7, checksum: 'ab', hash: 'cd' },
  imageAbortUpload: upload,
  imageResetUploads: { node: 'n', running: [ID], nowMs: NOW_MS },
  imageWithBytes: { hashes: ['ab'.repeat(64)] },
  imageHashes: { ids: [ID] },
  imageDoorOpen: { node: 'n', url: 'http://127.0.0.1:9292', hashes: ['ab'.repeat(64)], after: '', upTo: null },
  imageDoorSeen: { node: 'n', url: 'http://127.0.0.1:9292' },
  imageCopied: { node: 'n', hash: 'ab'.repeat(64) },
  imageDropCopy: { node: 'n', hash: 'ab'.repeat(64) },
  imageDoors: { hash: 'ab'.repeat(64), except: null },
  imageLacking: { node: 'n', copies: 3, limit: 4 },
  imageDelete: { id: ID },
  imageAddTag: { id: ID, tag: 't', max: 128, nowMs: NOW_MS },
  imageRemoveTag: { id: ID, tag: 't', nowMs: NOW_MS },
  imageListMembers: { imageId: ID },
  imageAddMember: { member: { imageId: ID, projectId: 'p', status: 'pending', createdAtMs: NOW_MS, updatedAtMs: NOW_MS }, max: 128 },
  imageSetMember: { imageId: ID, projectId: 'p', status: 'accepted', nowMs: NOW_MS },
  imageRemoveMember: { imageId: ID, projectId: 'p' },
};

export const EMBEDDED_MESSAGES: readonly Message[] = Object.entries(BODIES).map(([type, body]) => ({ type, ...body }));
