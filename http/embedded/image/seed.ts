/** The first image of a new cloud: `tiny`, public, so that a server can be made at once. Twice does no harm. */
import { Readable } from 'node:stream';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { Random } from '../../../runtime/base/random.ts';
import { openBlobs } from './blobs.ts';
import { tinyImage } from './tiny-image.ts';

export const TINY_NAME = 'tiny';

export type ImageSeed = {
  /** The directory that `imageApi` is given. Seed before it is opened. */
  readonly blobs: string;
  /** Project id of its owner: the project of administrators. */
  readonly owner: string;
  readonly clock: Clock;
  readonly random: Random;
};

/** The id of the image. One that a crash left half made is finished. */
export async function seedImage(actors: Actors, { blobs: directory, owner, clock, random }: ImageSeed): Promise<string> {
  const viewer = { projectId: owner, admin: true };
  const filter = { names: [TINY_NAME], owner, visibility: 'public' } as const;
  const [found] = await actors.ask(CONDUCTOR, { type: 'imageList', viewer, filter, sort: [{ key: 'created_at', descending: false }], marker: null, limit: 1 });
  if (found && found.status !== 'queued' && found.status !== 'saving') return found.id;
  const nowMs = clock.wallMs();
  const record: ImageRecord = found ?? {
    id: random.uuid(),
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
  if (!found) await actors.ask(CONDUCTOR, { type: 'imageCreate', record });
  else await actors.ask(CONDUCTOR, { type: 'imageResetUploads', nowMs });
  const { id } = record;
  const uploadId = random.uuid();
  await actors.ask(CONDUCTOR, { type: 'imageBeginUpload', id, uploadId, nowMs });
  const disk = tinyImage();
  const blobs = await openBlobs(directory, clock);
  const written = await blobs.write(id, uploadId, Readable.from([disk]), disk.length);
  await actors.ask(CONDUCTOR, { type: 'imageEndUpload', id, uploadId, ...written, nowMs: clock.wallMs() });
  return id;
}
