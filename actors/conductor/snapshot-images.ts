/**
 * Images that are made of servers. Every one stands in `snapshot_image` from before it exists until it has all its bytes
 * and belongs to its project alone, or is gone. One that no open operation is about, and no shelved server comes back
 * from, is left over (a fault, a delete, a node that died): it is removed, at once after a hint, else by the clock. So
 * none stays without bytes, whatever happened to who made it.
 */
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { DiskCopy } from '../../drivers/driver.ts';
import type { ImageDraft, ImageRef } from '../model/image.ts';
import type { ImageWay } from './messages/host.ts';
import type { SnapshotProtocol, UploadTicketProtocol } from './messages/snapshot.ts';
import type { SnapshotRows } from './snapshot-rows.ts';

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

type Parts = { readonly rows: SnapshotRows; readonly desk: ImageDesk; readonly log: Log };
type Serve = ServiceKind<SnapshotProtocol & UploadTicketProtocol>['serve'];

const ROUND_MS = 30_000;
const ROUND_ROWS = 100;

export function snapshotServe(parts: Parts): Serve {
  const { desk, rows } = parts;
  return {
    async snapshotImage({ instanceId, imageId }) {
      const draft = await rows.draft(instanceId, imageId);
      if (!draft) throw new Fault('conflict', 'snapshot.over', 'No open operation of the server is about this image.');
      await rows.remember(imageId, instanceId);
      await desk.make(draft);
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
      if (!isKept) await rows.forget(imageId);
      if (rotate) await rotated(parts, instanceId, rotate);
      return found.image;
    },
    async snapshotLeft({ imageId }) {
      await dropUnneeded(parts, imageId);
      return undefined;
    },
    async hostUploadTicket({ host, instanceId, imageId, again }) {
      if (!(await rows.isClaimed(host, instanceId, imageId))) {
        throw new Fault('forbidden', 'image.notClaimed', `No server on host ${host} is made image ${imageId} of.`);
      }
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

/** Removed again in later rounds, until what was asked before it has come: an image that was made late goes too. */
async function dropUnneeded({ rows, desk, log }: Parts, imageId: string | null): Promise<void> {
  for (const id of await rows.unneeded(imageId, ROUND_ROWS)) {
    await desk.drop(id);
    await rows.forgetOld(id);
    log.info('image that no server needs is removed', { image: id });
  }
}

/** Finds what hints did not tell. Everything here may be late and may fail: the next round does it. */
export class LeftImages {
  readonly #parts: Parts & { readonly clock: Clock };
  #timer: Timer | undefined;
  #closed = false;
  #running: Promise<void> = Promise.resolve();

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
      const round = dropUnneeded(this.#parts, null);
      this.#running = round.catch((error: unknown) => this.#parts.log.debug('left images are removed later', { error })).finally(() => this.#later());
    });
  }
}
