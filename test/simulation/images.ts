/**
 * The image service of the simulated cell, and the twin of the rows by which conductors look after images of servers.
 * Images outlive every process. Nobody deletes one but the cloud itself, so what a server was made an image of must be there.
 */
import type { ImageDesk } from '../../actors/conductor/snapshot-images.ts';
import type { SnapshotRows } from '../../actors/conductor/snapshot-rows.ts';
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import type { ImageDraft, ImageRef } from '../../actors/model/image.ts';
import type { ImageSink } from '../../drivers/driver.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Flight } from '../doubles/memory-flight.ts';
import { toLoaded } from '../doubles/memory-store.ts';
import type { MemoryTables } from '../doubles/memory-tables.ts';

export type SimImage = {
  readonly draft: ImageDraft;
  readonly diskFormat: string;
  readonly sizeBytes: number;
  readonly status: 'queued' | 'active';
  readonly madeMs: number;
};
export type SimImages = Map<string, SimImage>;

const OLD_MS = 120_000;
const UPLOAD_MS = 300;
/** An image that bytes are brought to is not there, or has some: as an image service answers it. */
const IN_THE_WAY = new Fault('unavailable', 'sim.upload', 'somebody else brings the bytes');

export function simulatedDesk(images: SimImages, flight: Flight, nowMs: () => number): ImageDesk {
  const described = (id: string, diskFormat: string): void => {
    const image = images.get(id);
    if (!image) throw new Fault('notFound', 'image.none', 'gone');
    images.set(id, { ...image, diskFormat });
  };
  return {
    make: (draft) =>
      flight('image.make', () => {
        if (!images.has(draft.id)) images.set(draft.id, { draft, diskFormat: '', sizeBytes: 0, status: 'queued', madeMs: nowMs() });
      }),
    describe: async (id, { diskFormat }) => {
      const fault = await flight('image.describe', () => faultOf(() => described(id, diskFormat)));
      if (fault) throw fault;
    },
    show: (id) =>
      flight('image.show', () => {
        const image = images.get(id);
        return image ? { image: toRef(image), hasBytes: image.status === 'active' } : null;
      }),
    write: async () => ({ urls: [], token: '', expiresAtMs: 0 }),
    backups: (instanceId, backupType) =>
      flight('image.list', () =>
        [...images]
          .filter(
            ([, { draft, status }]) =>
              status === 'active' && draft.properties['instance_uuid'] === instanceId && draft.properties['backup_type'] === backupType,
          )
          .sort(([, a], [, b]) => b.madeMs - a.madeMs)
          .map(([id]) => id),
      ),
    drop: (id) => flight('image.drop', () => void images.delete(id)),
  };
}

export function simulatedRows({ instances, claims, snapshotImages }: MemoryTables, flight: Flight, nowMs: () => number): SnapshotRows {
  const recordOf = (id: string) => {
    const row = instances.get(id);
    return row && toLoaded(row).record;
  };
  const draftOf = (instanceId: string): ImageDraft | undefined => recordOf(instanceId)?.operation?.args['image'] as ImageDraft | undefined;
  const isNeeded = (imageId: string, instanceId: string): boolean => {
    const record = recordOf(instanceId);
    return record !== undefined && !record.deleted && (draftOf(instanceId)?.id === imageId || record.shelved?.image.id === imageId);
  };
  return {
    draft: (instanceId, imageId) => flight('snapshot.draft', () => (draftOf(instanceId)?.id === imageId ? draftOf(instanceId) : undefined)),
    remember: (imageId, instanceId) => flight('snapshot.remember', () => void snapshotImages.set(imageId, { instanceId, madeMs: nowMs() })),
    forget: (imageId) => flight('snapshot.forget', () => void snapshotImages.delete(imageId)),
    forgetOld: (imageId) =>
      flight('snapshot.forgetOld', () => {
        if (nowMs() - (snapshotImages.get(imageId)?.madeMs ?? 0) > OLD_MS) snapshotImages.delete(imageId);
      }),
    unneeded: (imageId, limit) =>
      flight('snapshot.unneeded', () =>
        [...snapshotImages]
          .filter(([id, { instanceId }]) => (imageId === null || id === imageId) && !isNeeded(id, instanceId))
          .map(([id]) => id)
          .slice(0, limit),
      ),
    isClaimed: (host, instanceId, imageId) =>
      flight('snapshot.isClaimed', () => {
        const isOn = [...claims.values()].some((claim) => claim.host === host && claim.instanceId === instanceId && claim.role === 'active');
        return isOn && draftOf(instanceId)?.id === imageId;
      }),
  };
}

/** As a node plugs it: a ticket, and then the bytes over a line of their own. */
export function simulatedSink(host: string, actors: Actors, images: SimImages, flight: Flight, clock: Clock): ImageSink {
  return {
    async store({ imageId, instanceId }, open, signal) {
      const ticket = await actors.ask(CONDUCTOR, { type: 'hostUploadTicket', host, instanceId, imageId, again: false }, { signal });
      if (ticket.is === 'done') return;
      const { body, sizeBytes } = await open();
      body.destroy();
      await clock.sleep(UPLOAD_MS, signal);
      const fault = await flight('image.upload', () => taken(images, imageId, sizeBytes));
      if (fault) throw fault;
    },
  };
}

function taken(images: SimImages, id: string, sizeBytes: number): Fault | undefined {
  const image = images.get(id);
  if (!image) return new Fault('notFound', 'image.none', 'gone');
  if (image.status === 'active') return IN_THE_WAY;
  images.set(id, { ...image, sizeBytes, status: 'active' });
  return undefined;
}

function faultOf(run: () => void): Fault | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return Fault.from(error);
  }
}

function toRef({ draft, diskFormat, sizeBytes }: SimImage): ImageRef {
  const { id, name, minDiskGiB, minMemoryMiB, properties } = draft;
  return { id, name, diskFormat, containerFormat: 'bare', sizeBytes, hash: null, minDiskGiB, minMemoryMiB, properties };
}
