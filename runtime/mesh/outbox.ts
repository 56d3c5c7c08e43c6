/**
 * What waits for one peer: two bounded lanes, urgent before ordinary, each in order. Frames that grow too old are
 * dropped and counted, an ask already when its own deadline is over. A full lane says no; memory never grows past
 * the limits however long a peer is absent (P8). Knows nothing of sockets.
 */
import { BoundedQueue } from '../base/bounded-queue.ts';
import { encodeFrame, withWaited } from './frame.ts';
import type { Frame } from './frame.ts';
import type { MeshLimits } from './limits.ts';

type OutboxLimits = Pick<
  MeshLimits,
  'framesMax' | 'bytesMax' | 'urgentFramesMax' | 'urgentBytesMax' | 'frameBytesMax' | 'batchFramesMax' | 'batchBytesMax' | 'ageMaxMs'
>;
type Entry = { readonly text: string; readonly bytes: number; readonly putMs: number; readonly endMs: number; readonly isAsk: boolean };
export type Push = 'queued' | 'full' | 'tooLarge';

export class Outbox {
  readonly #limits: OutboxLimits;
  readonly #urgent: Lane;
  readonly #ordinary: Lane;
  #aged = 0;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
    this.#urgent = new Lane(limits.urgentFramesMax, limits.urgentBytesMax);
    this.#ordinary = new Lane(limits.framesMax, limits.bytesMax);
  }

  get queued(): number {
    return this.#urgent.length + this.#ordinary.length;
  }

  get queuedBytes(): number {
    return this.#urgent.bytes + this.#ordinary.bytes;
  }

  /** Frames that were taken in and dropped for their age. */
  get aged(): number {
    return this.#aged;
  }

  /** Writes the frame down as it is now: what the caller changes later is not sent. */
  push(frame: Frame, nowMs: number): Push {
    const text = encodeFrame(frame);
    if (text === undefined) return 'tooLarge';
    const bytes = Buffer.byteLength(text);
    if (bytes > this.#limits.frameBytesMax) return 'tooLarge';
    const isAsk = frame.kind === 'ask';
    const lifeMs = isAsk ? Math.min(frame.leftMs, this.#limits.ageMaxMs) : this.#limits.ageMaxMs;
    const lane = frame.priority === true ? this.#urgent : this.#ordinary;
    if (!lane.hasRoom(bytes)) this.#aged += lane.dropOld(nowMs);
    return lane.push({ text, bytes, putMs: nowMs, endMs: nowMs + lifeMs, isAsk }) ? 'queued' : 'full';
  }

  /** The next message's frames, as texts; empty when nothing waits. */
  take(nowMs: number): string[] {
    const texts: string[] = [];
    let bytes = 0;
    for (const lane of [this.#urgent, this.#ordinary]) {
      while (texts.length < this.#limits.batchFramesMax && bytes < this.#limits.batchBytesMax) {
        const entry = lane.shift();
        if (entry === undefined) break;
        if (entry.endMs < nowMs) {
          this.#aged++;
          continue;
        }
        texts.push(entry.isAsk ? withWaited(entry.text, nowMs - entry.putMs) : entry.text);
        bytes += entry.bytes;
      }
    }
    return texts;
  }

  /** Drops what is too old from the front of both lanes. Called on each beat, so that an absent peer costs nothing for long. */
  dropOld(nowMs: number): void {
    this.#aged += this.#urgent.dropOld(nowMs) + this.#ordinary.dropOld(nowMs);
  }
}

/** A queue bounded in entries and bytes whose first entry can be looked at. */
class Lane {
  readonly #queue: BoundedQueue<Entry>;
  readonly #bytesMax: number;
  #first: Entry | undefined;
  #bytes = 0;

  constructor(framesMax: number, bytesMax: number) {
    this.#queue = new BoundedQueue(framesMax);
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#queue.length + (this.#first ? 1 : 0);
  }

  get bytes(): number {
    return this.#bytes;
  }

  hasRoom(bytes: number): boolean {
    return this.length < this.#queue.max && this.#bytes + bytes <= this.#bytesMax;
  }

  push(entry: Entry): boolean {
    if (!this.hasRoom(entry.bytes)) return false;
    this.#bytes += entry.bytes;
    return this.#queue.push(entry);
  }

  shift(): Entry | undefined {
    const entry = this.#peek();
    this.#first = undefined;
    if (entry) this.#bytes -= entry.bytes;
    return entry;
  }

  dropOld(nowMs: number): number {
    let dropped = 0;
    for (let entry = this.#peek(); entry && entry.endMs < nowMs; entry = this.#peek()) {
      this.shift();
      dropped++;
    }
    return dropped;
  }

  #peek(): Entry | undefined {
    this.#first ??= this.#queue.shift();
    return this.#first;
  }
}
