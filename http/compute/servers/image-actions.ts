/**
 * `POST /servers/{id}/action` with createImage, createBackup, shelve: an image is made of the server's disk. Its id is
 * given here, and it exists before it is named to the user.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { ImageDraft } from '../../../actors/model/image.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { ANYTHING, integer, members, METADATA, NAME, TEXT, toInteger } from '../parameter-types.ts';
import { limitsOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';

const PATH = '/servers/:id/action';
const NAME_MAX = 255;
const ASK_MS = 10_000;

const CREATE_IMAGE: BodySchema = { breaks: [1], at: () => members({ createImage: members({ name: NAME, metadata: METADATA }, ['name']) }, ['createImage']) };
const CREATE_BACKUP: BodySchema = {
  breaks: [1],
  at: () =>
    members({ createBackup: members({ name: NAME, backup_type: TEXT, rotation: integer(0), metadata: METADATA }, ['name', 'backup_type', 'rotation']) }, [
      'createBackup',
    ]),
};
const SHELVE: BodySchema = { breaks: [1], at: () => members({ shelve: ANYTHING }, ['shelve']) };

const COMMON = { method: 'POST', path: PATH, ok: 202, find: findServer } as const;

export const IMAGE_ACTION_ROUTES = [
  route({ ...COMMON, action: 'createImage', policy: 'servers:create_image', body: CREATE_IMAGE, serve: serveImage }),
  route({ ...COMMON, action: 'createBackup', policy: 'os-create-backup', body: CREATE_BACKUP, serve: serveBackup }),
  route({ ...COMMON, action: 'shelve', policy: 'os-shelve:shelve', body: SHELVE, serve: serveShelve }),
];

async function serveImage(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const { name, metadata } = wishOf(call, 'createImage');
  await refuseOverLimit(call, parts, metadata);
  refuseIllegal('createImage', 'createImage', record, call);
  const image = draftOf(call, parts, record, { name: String(name), type: 'snapshot', properties: metadata });
  await begin(call, parts, record, { name: 'createImage', image });
  return answer(call, parts, image.id);
}

async function serveBackup(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const { name, metadata, ...wish } = wishOf(call, 'createBackup');
  await refuseOverLimit(call, parts, metadata);
  const backupType = String(wish['backup_type']);
  const rotation = toInteger(wish['rotation']);
  refuseIllegal('createBackup', 'createBackup', record, call);
  const image = draftOf(call, parts, record, { name: String(name), type: 'backup', properties: { ...metadata, backup_type: backupType } });
  await begin(call, parts, record, { name: 'createBackup', image, backupType, rotation });
  // Of none that are kept there is nothing to name.
  return rotation === 0 ? {} : answer(call, parts, image.id);
}

async function serveShelve(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  refuseIllegal('shelve', 'shelve', record, call);
  const name = `${record.name.slice(0, NAME_MAX - SHELVED.length)}${SHELVED}`;
  await begin(call, parts, record, { name: 'shelve', image: draftOf(call, parts, record, { name, type: 'snapshot', properties: {} }) });
  return {};
}

const SHELVED = '-shelved';

/** Accepted when this resolves; the image exists then, unless no image service answers for the moment. */
async function begin(call: Call, parts: ComputeParts, { id }: InstanceRecord, verb: Extract<Verb, { image: ImageDraft }>): Promise<void> {
  await parts.actors.ask(instanceRef(id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  if (verb.name === 'shelve') return;
  try {
    await parts.actors.ask(CONDUCTOR, { type: 'snapshotImage', instanceId: id, imageId: verb.image.id }, { timeoutMs: ASK_MS });
  } catch (error) {
    // The operation goes on, or has ended already: it alone says how.
    if (!Fault.is(error) || error.code === 'internal') throw error;
    parts.log.info('image.late', { instanceId: id, imageId: verb.image.id, fault: error.toRecord() });
  }
}

function answer(call: Call, parts: ComputeParts, imageId: string): Reply {
  if (call.version >= SINCE.imageIdInBody) return { body: { image_id: imageId } };
  return { headers: { Location: `${parts.settings.imageUrl}/images/${imageId}` } };
}

/** What an image is not given of the one that the server was made from: it says something about those very bytes. */
const NOT_INHERITED = /^(cache_in_nova|bittorrent|signature_verified|img_signature.*|os_glance.*|backup_type)$/;

type Wish = { readonly name: string; readonly type: 'snapshot' | 'backup'; readonly properties: { readonly [key: string]: string } };

function draftOf(call: Call, parts: ComputeParts, record: InstanceRecord, { name, type, properties }: Wish): ImageDraft {
  const { image, flavor } = record;
  // The user has the last word on a snapshot; backups are told from others, and rotated, by these.
  const own = { instance_uuid: record.id, image_type: type };
  const inherited = Object.fromEntries(Object.entries(image.properties).filter(([key]) => !NOT_INHERITED.test(key)));
  return {
    id: parts.random.uuid(),
    name,
    owner: call.caller.projectId,
    minDiskGiB: Math.max(image.minDiskGiB, flavor.rootGiB),
    minMemoryMiB: image.minMemoryMiB,
    properties: {
      ...inherited,
      user_id: call.caller.userId,
      owner_id: record.projectId,
      image_location: 'snapshot',
      image_state: 'available',
      base_image_ref: image.id,
      ...(type === 'snapshot' ? { ...own, ...properties } : { ...properties, ...own }),
    },
  };
}

/** Limits of image metadata went with the proxy for it. */
async function refuseOverLimit(call: Call, parts: ComputeParts, metadata: { readonly [key: string]: string }): Promise<void> {
  if (call.version >= SINCE.noImageMetadata) return;
  const { metadata_items: limit } = await limitsOf(parts, call.caller);
  if (limit >= 0 && Object.keys(metadata).length > limit) throw forbidden('Image metadata limit exceeded', 'quota.metadata_items');
}

function wishOf(call: Call, action: string): { readonly [name: string]: unknown; readonly metadata: { readonly [key: string]: string } } {
  const outer = call.body !== null && typeof call.body === 'object' ? Object.fromEntries(Object.entries(call.body)) : {};
  const given: { [name: string]: unknown } = Object.fromEntries(Object.entries(outer[action] ?? {}));
  const metadata = Object.fromEntries(Object.entries(given['metadata'] ?? {}).map(([key, value]) => [key, String(value)]));
  return { ...given, metadata };
}
