/**
 * The first image of a new cloud: `tiny`, public, so that a server can be made at once. Twice does no harm, nor do
 * several nodes at the same time: it has the same id for all of them, and one upload wins.
 */
import { Readable } from 'node:stream';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Random } from '../../../runtime/base/random.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { openBlobs } from './blobs.ts';
import { tinyImage } from './tiny-image.ts';

export const TINY_NAME = 'tiny';
const TINY_ID = '7d0c64a1-5f5c-4c0e-9a3f-0b6a5b1e2c01';

export type ImageSeed = {
  /** The directory that `imageApi` is given. Seed before it is opened. */
  readonly blobs: string;
  /** Project id of its owner: the project of administrators. */
  readonly owner: string;
  readonly clock: Clock;
  readonly random: Random;
  /** This node's name, and where its image service will be. */
  readonly node: string;
  readonly url: string;
};

/** The id of the image. One that a crash left half made is finished. */
export async function seedImage(actors: Actors, { blobs: directory, owner, clock, random, node, url }: ImageSeed): Promise<string> {
  const viewer = { projectId: owner, admin: true };
  const filter = { names: [TINY_NAME], owner, visibility: 'public' } as const;
  const [found] = await actors.ask(CONDUCTOR, { type: 'imageList', viewer, filter, sort: [{ key: 'created_at', descending: false }], marker: null, limit: 1 });
  if (found && found.status !== 'queued' && found.status !== 'saving') return found.id;
  const nowMs = clock.wallMs();
  // Said first, so that no other node takes the upload for one that a dead node has left.
  await actors.ask(CONDUCTOR, { type: 'imageDoorSeen', node, url });
  await actors.ask(CONDUCTOR, { type: 'imageResetUploads', node, running: [], nowMs });
  const record: ImageRecord = found ?? {
    id: TINY_ID,
    name: TINY_NAME,
    status: 'queued',
    visibility: 'public',
    owner,
    protected: false,
    hidden: false,
    diskFormat: 'raw',
    containerFormat: 'bare',
    minDiskGiB: 1,
    minMemoryMiB: 0,
    sizeBytes: null,
    virtualSizeBytes: null,
    checksum: null,
    hash: null,
    tags: [],
    properties: {},
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    version: 1,
  };
  const { id } = record;
  const uploadId = random.uuid();
  try {
    if (!found) await actors.ask(CONDUCTOR, { type: 'imageCreate', record }).catch(leaveToOther);
    await actors.ask(CONDUCTOR, { type: 'imageBeginUpload', id, uploadId, node, nowMs });
  } catch (error) {
    leaveToOther(error);
    return id;
  }
  const disk = tinyImage();
  const blobs = await openBlobs(directory, clock, random);
  const draft = await blobs.write(Readable.from([disk]), disk.length);
  await draft.keep();
  const { sizeBytes, checksum, hash } = draft;
  await actors.ask(CONDUCTOR, { type: 'imageEndUpload', id, uploadId, node, sizeBytes, checksum, hash, nowMs: clock.wallMs() }).catch(leaveToOther);
  return id;
}

/** Another node has made it, or is uploading it, at this moment. */
function leaveToOther(error: unknown): void {
  if (!Fault.is(error, 'conflict')) throw error;
}
