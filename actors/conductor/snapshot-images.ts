/**
 * Images that are made of servers. Every one stands in `snapshot_image` from before it exists until it has all its bytes
 * and belongs to its project alone, or is gone. One that no open operation is about, and no shelved server comes back
 * from, is left over (a fault, a delete, a node that died): it is removed, at once after a hint, else by the clock. So
 * none stays without bytes, whatever happened to who made it.
 */
import type pg from 'pg';
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { DiskCopy } from '../../drivers/driver.ts';
import type { ImageDraft, ImageRef } from '../model/image.ts';
import type { ImageWay } from './messages/host.ts';
import type { SnapshotProtocol, UploadTicketProtocol } from './messages/snapshot.ts';
import { openQuery, type Query } from './reads/query.ts';

/** Port: whoever keeps images. Faults: `unavailable` when no image service is known or answers. */
export interface ImageDesk {
  /** The image exists, without bytes. No error when it is there already. */
  make(draft: ImageDraft): Promise<void>;
  /** Fault `notFound`. */
  describe(imageId: string, disk: DiskCopy): Promise<void>;
  /** null: there is none. `hasBytes`: all of them. */
  show(imageId: string): Promise<{ readonly image: ImageRef; readonly hasBytes: boolean } | null>;
  /** Where its bytes are put. `again`: what was given last was refused. */
  write(imageId: string, again: boolean): Promise<ImageWay>;
  /** Backups of a server, of one type, that have their bytes; the newest first. */
  backups(instanceId: string, backupType: string): Promise<readonly string[]>;
  /** No error when it is gone. Fault `conflict` when somebody protects it. */
  drop(imageId: string): Promise<void>;
}

type Parts = { readonly pool: pg.Pool; readonly desk: ImageDesk; readonly log: Log };
type Serve = ServiceKind<SnapshotProtocol & UploadTicketProtocol>['serve'];

const ROUND_MS = 30_000;
const ROUND_ROWS = 100;

const OPEN_DRAFT = `select record->'operation'->'args'->'image' as draft from instance
  where id = $1 and not deleted and record->'operation'->'args'->'image'->>'id' = $2::text`;
const REMEMBER = 'insert into snapshot_image (image_id, instance_id) values ($1, $2) on conflict do nothing';
const REMEMBERED = 'select 1 as one from snapshot_image where image_id = $1';
const FORGET = 'delete from snapshot_image where image_id = $1';
const UNNEEDED = `from snapshot_image s left join instance i on i.id = s.instance_id
  where coalesce(i.deleted or s.image_id::text not in (
    coalesce(i.record->'operation'->'args'->'image'->>'id', ''), coalesce(i.record->'shelved'->'image'->>'id', '')), true)`;
const CLAIMED = `select 1 as one from claim c join instance i on i.id = c.instance_id
  where c.host = $1 and c.instance_id = $2 and c.role = 'active' and i.record->'operation'->'args'->'image'->>'id' = $3::text`;

export function snapshotServe(parts: Parts): Serve {
  const query = openQuery(parts.pool);
  const { desk } = parts;
  return {
    async snapshotImage({ instanceId, imageId }) {
      const [row] = await query<{ draft: ImageDraft }>({ text: OPEN_DRAFT, values: [instanceId, imageId] });
      if (!row) throw new Fault('conflict', 'snapshot.over', 'No open operation of the server is about this image.');
      await query({ text: REMEMBER, values: [imageId, instanceId] });
      await desk.make(row.draft);
      // It may have been found unneeded, and forgotten, between the two.
      if ((await query({ text: REMEMBERED, values: [imageId] })).length === 0) await desk.drop(imageId);
      return undefined;
    },
    async snapshotDescribe({ imageId, disk }) {
      await desk.describe(imageId, disk);
      return undefined;
    },
    async snapshotSettle({ instanceId, imageId, rotate, isKept }) {
      const found = await desk.show(imageId);
      if (!found) throw new Fault('notFound', 'image.none', 'The image of the server was deleted.');
      if (!found.hasBytes) throw new Fault('conflict', 'image.status', 'The image of the server has no data.');
      if (!isKept) await query({ text: FORGET, values: [imageId] });
      if (rotate) await rotated(parts, instanceId, rotate);
      return found.image;
    },
    async snapshotLeft({ imageId }) {
      await dropUnneeded(parts, query, imageId);
      return undefined;
    },
    async hostUploadTicket({ host, instanceId, imageId, again }) {
      const rows = await query({ text: CLAIMED, values: [host, instanceId, imageId] });
      if (rows.length === 0) throw new Fault('forbidden', 'image.notClaimed', `No server on host ${host} is made image ${imageId} of.`);
      const found = await desk.show(imageId);
      if (!found) throw new Fault('notFound', 'image.none', 'The image of the server was deleted.');
      return found.hasBytes ? { is: 'done' } : { is: 'open', ...(await desk.write(imageId, again)) };
    },
  };
}

/** One that cannot be removed (somebody protects it) is left alone. */
async function rotated({ desk, log }: Parts, instanceId: string, { backupType, rotation }: { backupType: string; rotation: number }): Promise<void> {
  const images = await desk.backups(instanceId, backupType);
  for (const imageId of images.slice(rotation)) {
    try {
      await desk.drop(imageId);
    } catch (error) {
      if (!Fault.is(error, 'conflict') && !Fault.is(error, 'forbidden')) throw error;
      log.info('an old backup stays', { image: imageId, error });
    }
  }
}

/** Says how many went. `imageId` null: of all. */
async function dropUnneeded({ desk, log }: Parts, query: Query, imageId: string | null): Promise<number> {
  const one = imageId === null ? { text: '', values: [] } : { text: ' and s.image_id = $1', values: [imageId] };
  const rows = await query<{ id: string }>({ text: `select s.image_id as id ${UNNEEDED}${one.text} limit ${ROUND_ROWS}`, values: one.values });
  for (const { id } of rows) {
    await desk.drop(id);
    await query({ text: FORGET, values: [id] });
    log.info('image that no server needs is removed', { image: id });
  }
  return rows.length;
}

/** Finds what hints did not tell. Everything here may be late and may fail: the next round does it. */
export class LeftImages {
  readonly #parts: Parts & { readonly clock: Clock };
  #timer: Timer | undefined;
  #closed = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(parts: Parts & { readonly clock: Clock }) {
    this.#parts = parts;
    this.#later();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = this.#parts.clock.after(ROUND_MS, () => {
      const round = dropUnneeded(this.#parts, openQuery(this.#parts.pool), null);
      this.#running = round.catch((error: unknown) => this.#parts.log.debug('left images are removed later', { error })).finally(() => this.#later());
    });
  }
}
