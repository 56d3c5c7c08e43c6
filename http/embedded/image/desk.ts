/**
 * Images that are made of servers, as the embedded Image service keeps them: records through the conductor, bytes by a
 * ticket at whichever node answers. Fills the conductor's port; asked again, each verb finds what it did.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import type { ImageWay } from '../../../actors/conductor/messages/host.ts';
import type { ImageDraft } from '../../../actors/model/image.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Tickets } from './ticket.ts';

const ANYBODYS = { projectId: null, admin: true } as const;
/** Somebody who changes the image at the same moment comes first; then it is looked at again, so often. */
const TRIES = 5;
const BACKUPS_MAX = 1_000;

export function embeddedDesk(actors: Actors, tickets: Tickets, clock: Clock) {
  const show = (id: string): Promise<ImageRecord | null> => actors.ask(CONDUCTOR, { type: 'imageShow', id, viewer: ANYBODYS });
  return {
    async make(draft: ImageDraft): Promise<void> {
      const nowMs = clock.wallMs();
      const { id, name, owner, minDiskGiB, minMemoryMiB, properties } = draft;
      const record: ImageRecord = { ...EMPTY, id, name, owner, minDiskGiB, minMemoryMiB, properties, createdAtMs: nowMs, updatedAtMs: nowMs };
      await actors.ask(CONDUCTOR, { type: 'imageCreate', record }).catch(unlessThere);
    },
    async describe(imageId: string, { diskFormat, virtualBytes }: { readonly diskFormat: string; readonly virtualBytes: number }): Promise<void> {
      for (let tries = TRIES; ; tries--) {
        const record = await show(imageId);
        if (!record) throw new Fault('notFound', 'image.none', 'The image of the server was deleted.');
        const changed = { ...record, diskFormat, containerFormat: 'bare', virtualSizeBytes: virtualBytes, updatedAtMs: clock.wallMs() };
        try {
          await actors.ask(CONDUCTOR, { type: 'imageReplace', record: changed });
          return;
        } catch (error) {
          if (tries === 1 || !Fault.is(error, 'conflict')) throw error;
        }
      }
    },
    async show(imageId: string) {
      const record = await show(imageId);
      return record && { image: toRef(record), hasBytes: record.status === 'active' || record.status === 'deactivated' };
    },
    async write(imageId: string): Promise<ImageWay> {
      const doors = await actors.ask(CONDUCTOR, { type: 'imageDoors', hash: null, except: null });
      if (doors.length === 0) throw new Fault('unavailable', 'image.noEndpoint', 'No image service is up.');
      return { urls: doors.map(({ url }) => `${url}/v2/images/${imageId}/file`), ...tickets.issue('write', imageId) };
    },
    async backups(instanceId: string, backupType: string): Promise<readonly string[]> {
      const properties = { instance_uuid: instanceId, image_type: 'backup', backup_type: backupType };
      const sort = [{ key: 'created_at', descending: true }] as const;
      const filter = { properties, statuses: ['active'], visibility: 'all' } as const;
      const images = await actors.ask(CONDUCTOR, { type: 'imageList', viewer: ANYBODYS, filter, sort, marker: null, limit: BACKUPS_MAX });
      return images.map(({ id }) => id);
    },
    async drop(imageId: string): Promise<void> {
      await actors.ask(CONDUCTOR, { type: 'imageDelete', id: imageId }).catch((error: unknown) => {
        if (!Fault.is(error, 'notFound')) throw error;
      });
    },
  };
}

const EMPTY = {
  status: 'queued',
  visibility: 'private',
  protected: false,
  hidden: false,
  diskFormat: null,
  containerFormat: null,
  sizeBytes: null,
  virtualSizeBytes: null,
  checksum: null,
  hash: null,
  tags: [],
  version: 1,
} as const;

function unlessThere(error: unknown): void {
  if (!Fault.is(error, 'conflict')) throw error;
}

function toRef({ id, name, diskFormat, containerFormat, sizeBytes, hash, minDiskGiB, minMemoryMiB, properties }: ImageRecord) {
  return {
    id,
    name: name ?? '',
    diskFormat: diskFormat ?? '',
    containerFormat: containerFormat ?? '',
    sizeBytes: sizeBytes ?? 0,
    hash: hash === null ? null : ({ algorithm: 'sha512', hex: hash } as const),
    minDiskGiB,
    minMemoryMiB,
    properties,
  };
}
