/**
 * One subscription of one reader: which events it gets, and handing them over revision by revision.
 *
 * A revision is handed over whole or not at all: all but its last event say `more`, so that a client which stops in
 * between knows it and resumes before that revision (atomic), and sees nothing twice (unique). Authorisation is asked
 * for each event, of the reader as it is now. A reader that does not keep up is closed (`every`), or gets the newest
 * state of each object when it can take it (`latest`); nothing is ever skipped in silence.
 */
import { dressOf, type Dress, type Entry, type Form } from './frame.ts';
import { LATE_OBJECTS_MAX } from './limits.ts';
import type { ServerMessage, Wish } from './message.ts';

/** Who reads: a socket, an event source or a long poll. */
export interface Reader {
  readonly form: Form;
  readonly projectId: string | null;
  readonly isAdmin: boolean;
  /** Bytes handed over that have not left this process. */
  readonly bufferedBytes: number;
  readonly bufferMaxBytes: number;
  /** No more should be handed over of what can wait; `drained` tells when. */
  readonly isFull: boolean;
  send(frame: Buffer): void;
  tell(message: ServerMessage, incarnation?: string): void;
  /** Everything sent until `release` leaves in one flight. */
  hold(): void;
  release(): void;
  /** Resolves when there is room again, or when the reader is closed. */
  drained(): Promise<void>;
  /** False when its token has ended; it has been closed then. */
  isAuthorised(nowMs: number): boolean;
  /** `delivered`: the last revision that it has got whole; undefined when it has got no whole state yet. */
  closeSlow(delivered: number | undefined): void;
  closeGone(sub: string, oldest: number): void;
}

export class Subscription {
  readonly id: string;
  readonly wish: Wish;
  readonly reader: Reader;
  /** Everything up to this revision has been handed over. Of a live one: the last revision that held something for it. */
  settled = -1;
  /** `starting`: its past is being read; `live`: the fan-out feeds it. */
  phase: 'starting' | 'live' | 'ended' = 'starting';
  /** Of a snapshot: revisions of objects that were listed in a newer state than the list's first page. */
  listed: Map<string, number> | undefined;
  #dress: Dress | undefined;
  #staged: Entry[] = [];
  /** Mode `latest`: what is owed, by object, oldest revision first. */
  #late: Map<string, Entry> | undefined;

  constructor(id: string, wish: Wish, reader: Reader) {
    this.id = id;
    this.wish = wish;
    this.reader = reader;
  }

  /** How its frames look: to be called before the first event, and when the reader's rights have changed. */
  dress(incarnation: string): void {
    this.#dress = dressOf(this.reader.form, this.id, this.reader.isAdmin, incarnation);
  }

  get incarnation(): string {
    return this.#dress?.incarnation ?? '';
  }

  /** How many events wait for the next `settle`, with this one; 0 when it is not wanted. */
  stage(entry: Entry): number {
    return this.#wants(entry) ? this.#staged.push(entry) : 0;
  }

  /** Hands over what was staged; all of it is of this revision. */
  settle(revision: number): void {
    if (this.phase === 'ended') return;
    if (this.#staged.length > 0) {
      const handed = this.wish.mode === 'latest' ? this.#handOverLatest() : this.#handOver();
      this.#staged.length = 0;
      if (!handed) return;
    }
    this.settled = revision;
  }

  /** Events of one revision from the past. */
  take(entries: readonly Entry[], revision: number): void {
    for (const entry of entries) this.stage(entry);
    this.settle(revision);
  }

  /** Something is held back until the reader has room. */
  get owes(): boolean {
    return this.#late !== undefined;
  }

  /** The last revision from which a resume misses nothing; undefined before there is one. */
  get delivered(): number | undefined {
    const isPartial = this.phase === 'starting' && this.wish.from === 'snapshot';
    return isPartial || this.settled < 0 ? undefined : this.#owedFrom(this.settled);
  }

  /** The same, of a live one, when everything up to `through` was offered. */
  bookmark(through: number): number | undefined {
    return this.phase === 'live' ? this.#owedFrom(through) : this.delivered;
  }

  /** There is room again: what is owed leaves, whole revisions, oldest first. */
  payLate(): void {
    const late = this.#late;
    if (late === undefined || this.phase === 'ended') return;
    const entries = [...late.values()];
    this.reader.hold();
    for (let at = 0; at < entries.length && !this.reader.isFull;) {
      let next = at + 1;
      while (next < entries.length && entries[next]?.event.revision === entries[at]?.event.revision) next++;
      const revision = entries.slice(at, next);
      this.#send(revision.map((entry, i) => this.#frame(entry, i < revision.length - 1)));
      for (const entry of revision) late.delete(entry.event.id);
      at = next;
    }
    this.reader.release();
    if (late.size === 0) this.#late = undefined;
  }

  #owedFrom(through: number): number {
    const [first] = this.#late?.values() ?? [];
    return first === undefined ? through : Math.min(through, first.event.revision - 1);
  }

  #wants({ event }: Entry): boolean {
    const { reader, wish } = this;
    if (wish.scope === 'all' ? !reader.isAdmin : event.projectId !== reader.projectId) return false;
    if (wish.ids !== null && !wish.ids.has(event.id)) return false;
    const { statuses } = wish;
    if (statuses !== null && !statuses.has(event.status) && (event.was === null || !statuses.has(event.was))) return false;
    const listed = this.listed?.get(event.id);
    return listed === undefined || event.revision > listed;
  }

  #handOver(): boolean {
    const { reader } = this;
    const last = this.#staged.length - 1;
    const frames = this.#staged.map((entry, i) => this.#frame(entry, i < last));
    let bytes = reader.bufferedBytes;
    // A reader that owes nothing gets even a revision that alone is larger than the buffer.
    if (bytes > 0) {
      for (const frame of frames) bytes += frame.length;
      if (bytes > reader.bufferMaxBytes) {
        reader.closeSlow(this.delivered);
        return false;
      }
    }
    this.#send(frames);
    return true;
  }

  #handOverLatest(): boolean {
    const late = (this.#late ??= new Map<string, Entry>());
    for (const entry of this.#staged) {
      late.delete(entry.event.id); // set anew, so that the order stays that of revisions
      late.set(entry.event.id, entry);
    }
    if (!this.reader.isFull) this.payLate();
    if (late.size <= LATE_OBJECTS_MAX) return true;
    this.reader.closeSlow(this.delivered);
    return false;
  }

  #send(frames: readonly Buffer[]): void {
    const { reader } = this;
    const [only] = frames;
    if (only !== undefined && frames.length === 1) return reader.send(only);
    reader.hold();
    for (const frame of frames) reader.send(frame);
    reader.release();
  }

  #frame(entry: Entry, more: boolean): Buffer {
    this.#dress ??= dressOf(this.reader.form, this.id, this.reader.isAdmin, '');
    return entry.frame(this.#dress, more);
  }
}
