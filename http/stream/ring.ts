/**
 * The newest events of the cell, without holes: everything that happened in (`after`, `through`] is here. Bounded by
 * the number of events; the oldest revisions leave first. Revisions without events take no room.
 */
import type { StatusEvent } from '../../actors/model/event.ts';
import type { Entry } from './frame.ts';

export type Slot = { readonly revision: number; readonly entries: readonly Entry[] };

/** About 20 MB when each event has its usual size and has been sent under one name. */
export const RING_MAX_EVENTS = 8_192;
/** Slots that have left are cut off together. */
const CUT = 1_024;

export class Ring {
  #after = -1;
  #through = -1;
  #slots: Slot[] = [];
  #head = 0;
  #events = 0;
  readonly #maxEvents: number;

  constructor(maxEvents: number = RING_MAX_EVENTS) {
    this.#maxEvents = maxEvents;
  }

  get through(): number {
    return this.#through;
  }

  get events(): number {
    return this.#events;
  }

  /** Whether everything after this revision is here. */
  covers(revision: number): boolean {
    return revision >= this.#after && revision <= this.#through;
  }

  /** Forgets all; what comes next follows `revision`. */
  reset(revision: number): void {
    this.#after = revision;
    this.#through = revision;
    this.#slots = [];
    this.#head = 0;
    this.#events = 0;
  }

  /** The next revision that holds events; all before it are known to hold no others. */
  append(slot: Slot): void {
    this.#through = slot.revision;
    if (slot.entries.length === 0) return;
    this.#slots.push(slot);
    this.#events += slot.entries.length;
    while (this.#events > this.#maxEvents && this.#head < this.#slots.length - 1) this.#dropOldest();
  }

  /** Nothing happened up to this revision that is not here. */
  pass(revision: number): void {
    this.#through = Math.max(this.#through, revision);
  }

  /** The first slot after a revision that is covered; undefined when there is none. */
  next(revision: number): Slot | undefined {
    let low = this.#head;
    let high = this.#slots.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#slots[middle]?.revision ?? Infinity) > revision) high = middle;
      else low = middle + 1;
    }
    return this.#slots[low];
  }

  #dropOldest(): void {
    const oldest = this.#slots[this.#head];
    if (oldest === undefined) return;
    this.#after = oldest.revision;
    this.#events -= oldest.entries.length;
    this.#head++;
    if (this.#head === CUT) {
      this.#slots = this.#slots.slice(CUT);
      this.#head = 0;
    }
  }
}

/** Events of whole revisions, oldest first, parted into revisions. */
export function byRevision(events: readonly StatusEvent[]): { revision: number; events: StatusEvent[] }[] {
  const out: { revision: number; events: StatusEvent[] }[] = [];
  for (const event of events) {
    const last = out.at(-1);
    if (last?.revision === event.revision) last.events.push(event);
    else out.push({ revision: event.revision, events: [event] });
  }
  return out;
}
