/**
 * What this image service holds, kept in agreement with the records: it says where it is reached, fetches copies of
 * images that few nodes hold (one at a time, at a bounded rate, checked before they count), removes files that no
 * image has any more, and opens uploads again that nobody carries on.
 *
 * Everything here may be late and may fail: the next round does it.
 */
import { Readable } from 'node:stream';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Clock, Timer } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Blobs } from './blobs.ts';
import { openAtPeer, type PeerParts, type WantedBytes } from './peers.ts';

const ROUND_MS = 5_000;
/** Rounds between two looks for files that no image has. */
const SWEEP_EVERY = 6;
/** Nodes that hold an image, the one that took it among them. Others pass its bytes on and keep none. */
const COPIES_WANTED = 3;
const FETCHES_PER_ROUND = 8;
const COPY_BYTES_PER_S = 128 * 2 ** 20;
const REST_MS = 60_000;
const UNKNOWN_KEPT_MS = 7 * 24 * 3_600_000;
const BATCH = 500;

export type CopyParts = PeerParts & {
  readonly blobs: Blobs;
  readonly clock: Clock;
  /** Where other nodes reach this service, without `/v2`. */
  readonly url: string;
  /** Ids of uploads that run here. */
  readonly uploads: ReadonlySet<string>;
};

export class Copies {
  readonly #parts: CopyParts;
  readonly #stop = new AbortController();
  /** Asked for by somebody: first in the next round. */
  readonly #wanted = new Map<string, WantedBytes>();
  /** Until when one that failed is left alone, so that it keeps no other from being copied. */
  readonly #resting = new Map<string, number>();
  #timer: Timer | undefined;
  #running: Promise<void> = Promise.resolve();
  #rounds = 0;

  constructor(parts: CopyParts) {
    this.#parts = parts;
  }

  /** Puts the directory in order and says what it holds. Nothing else may use it before. */
  async open(): Promise<void> {
    const { actors, blobs, clock, log, node } = this.#parts;
    const reset = await actors.ask(CONDUCTOR, { type: 'imageResetUploads', node, running: [], nowMs: clock.wallMs() });
    const left = await blobs.tidy();
    await this.#adopt();
    const swept = await this.#sweep();
    if (reset + left + swept > 0) log.info('image leftovers removed', { uploads: reset, files: left + swept });
    await this.#tell();
    this.#later();
  }

  async close(): Promise<void> {
    this.#stop.abort(new Fault('cancelled', 'image.stopped', 'The image service is stopping.'));
    this.#timer?.cancel();
    await this.#running;
  }

  /** Bytes that were passed on and had better be here. */
  want(image: WantedBytes, holders: number): void {
    if (holders < COPIES_WANTED && this.#wanted.size < BATCH) this.#wanted.set(image.hash, image);
  }

  /** Removes the file if no image has its bytes any more. Inside `alone` of the hash. */
  async dropUnused(hash: string): Promise<void> {
    const { actors, blobs, node } = this.#parts;
    if ((await actors.ask(CONDUCTOR, { type: 'imageDropCopy', node, hash })) !== 'used') await blobs.remove(hash);
  }

  /**
   * The same for a file that is found: one that the store does not know may be newer than a backup which it was restored
   * from, and stays for days.
   */
  async #dropFound(hash: string): Promise<boolean> {
    const { actors, blobs, clock, node } = this.#parts;
    const known = await actors.ask(CONDUCTOR, { type: 'imageDropCopy', node, hash });
    if (known === 'used' || (known === 'unknown' && clock.wallMs() - (await blobs.writtenMs(hash)) < UNKNOWN_KEPT_MS)) return false;
    await blobs.remove(hash);
    return true;
  }

  #later(): void {
    if (this.#stop.signal.aborted) return;
    this.#timer = this.#parts.clock.after(ROUND_MS, () => {
      this.#running = this.#round().finally(() => this.#later());
    });
  }

  async #round(): Promise<void> {
    const { actors, clock, log, node, url, uploads } = this.#parts;
    try {
      await actors.ask(CONDUCTOR, { type: 'imageDoorSeen', node, url });
      await actors.ask(CONDUCTOR, { type: 'imageResetUploads', node, running: [...uploads], nowMs: clock.wallMs() });
      if (++this.#rounds % SWEEP_EVERY === 0) await this.#sweep();
      await this.#fetchSome();
    } catch (error) {
      if (!this.#stop.signal.aborted) log.warn('images cannot be looked after now', { error });
    }
  }

  async #fetchSome(): Promise<void> {
    const { actors, clock, log, node } = this.#parts;
    const nowMs = clock.monotonicMs();
    for (const [hash, untilMs] of this.#resting) if (untilMs <= nowMs) this.#resting.delete(hash);
    const limit = FETCHES_PER_ROUND + this.#resting.size;
    const lacking = await actors.ask(CONDUCTOR, { type: 'imageLacking', node, copies: COPIES_WANTED, limit });
    const wanted = [...this.#wanted.values(), ...lacking].filter(({ hash }) => !this.#resting.has(hash)).slice(0, FETCHES_PER_ROUND);
    for (const image of new Map(wanted.map((one) => [one.hash, one])).values()) {
      if (this.#stop.signal.aborted) return;
      this.#wanted.delete(image.hash);
      try {
        await this.#fetch(image);
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (this.#resting.size < BATCH) this.#resting.set(image.hash, clock.monotonicMs() + REST_MS);
        log.info('an image cannot be copied now', { image: image.id, error });
      }
    }
  }

  async #fetch(image: WantedBytes): Promise<void> {
    const { actors, blobs, log, node } = this.#parts;
    const there = await blobs.open(image.hash);
    if (there) return there.close();
    const { body } = await openAtPeer(this.#parts, image, this.#stop.signal);
    const draft = await blobs.write(this.#paced(body), image.sizeBytes).finally(() => body.destroy());
    try {
      if (draft.hash !== image.hash || draft.sizeBytes !== image.sizeBytes) throw new Fault('unavailable', 'image.wrongBytes', 'The bytes came damaged.');
      await blobs.alone(image.hash, async () => {
        await draft.keep();
        if (await actors.ask(CONDUCTOR, { type: 'imageCopied', node, hash: image.hash })) log.info('image copied', { image: image.id });
        else await this.dropUnused(image.hash);
      });
    } finally {
      await draft.discard();
    }
  }

  /** Other transfers of this node have the larger part of its wire. */
  #paced(from: Readable): Readable {
    const { clock } = this.#parts;
    const { signal } = this.#stop;
    async function* slowly(): AsyncGenerator<Buffer> {
      const startMs = clock.monotonicMs();
      let bytes = 0;
      for await (const chunk of from) {
        const piece: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
        bytes += piece.length;
        yield piece;
        const aheadMs = (bytes / COPY_BYTES_PER_S) * 1_000 - (clock.monotonicMs() - startMs);
        if (aheadMs > 1) await clock.sleep(aheadMs, signal);
      }
    }
    return Readable.from(slowly(), { objectMode: false });
  }

  /** In parts, as large as a frame between nodes may be. */
  async #tell(): Promise<void> {
    const { actors, blobs, node, url } = this.#parts;
    const all = (await blobs.list()).sort();
    let after = '';
    do {
      const hashes = all.splice(0, BATCH);
      const upTo = all.length > 0 ? (hashes.at(-1) ?? null) : null;
      await actors.ask(CONDUCTOR, { type: 'imageDoorOpen', node, url, hashes, after, upTo });
      after = upTo ?? '';
    } while (all.length > 0);
  }

  /** Files that no image has go. Says how many. */
  async #sweep(): Promise<number> {
    const { actors, blobs } = this.#parts;
    const all = await blobs.list();
    let removed = 0;
    for (let from = 0; from < all.length; from += BATCH) {
      const hashes = all.slice(from, from + BATCH);
      const used = new Set(await actors.ask(CONDUCTOR, { type: 'imageWithBytes', hashes }));
      for (const hash of hashes) {
        if (!used.has(hash) && (await blobs.alone(hash, () => this.#dropFound(hash)))) removed++;
      }
    }
    return removed;
  }

  /** Files that a former release named by their image. */
  async #adopt(): Promise<void> {
    const { actors, blobs } = this.#parts;
    const ids = await blobs.named();
    for (let from = 0; from < ids.length; from += BATCH) {
      const batch = ids.slice(from, from + BATCH);
      const known = await actors.ask(CONDUCTOR, { type: 'imageHashes', ids: batch });
      const hashes = new Map(known.map(({ id, hash }) => [id, hash]));
      for (const id of batch) await blobs.rename(id, hashes.get(id));
    }
  }
}
