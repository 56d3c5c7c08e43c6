/**
 * The guests of one simulated machine: a small index in memory, the whole records on the shelf. The shelf is written
 * first, so that what a verb acknowledged is there after a kill -9. At most one guest per instance id, and beside it those
 * that are parked.
 */
import type { Log } from '../../runtime/base/log.ts';
import type { GuestPower } from '../driver.ts';
import type { GuestShelf } from './disk.ts';
import { parseRecord, renderRecord } from './record.ts';
import type { GuestRecord } from './record.ts';

/** What is remembered of each guest: as little as `list` and admission need. */
export type GuestSlot = {
  readonly instanceId: string | null;
  readonly generation: number;
  readonly name: string;
  readonly power: GuestPower;
  readonly memoryMiB: number;
  readonly asleep: GuestRecord['asleep'];
};

export interface Guests {
  find(instanceId: string): GuestSlot | undefined;
  /** A parked guest of that generation, beside the newer one that took its place. */
  aside(instanceId: string, generation: number): GuestSlot | undefined;
  /** Puts a parked guest beside its place. */
  setAside(slot: GuestSlot): void;
  /** Takes it back into its place. */
  takeBack(record: GuestRecord): void;
  removeAside(slot: GuestSlot): void;
  /** The guest of that name, whoever made it. */
  named(name: string): GuestSlot | undefined;
  all(): Iterable<GuestSlot>;
  /** Memory of the guests that are not off. */
  memoryInUseMiB(): number;
  read(slot: GuestSlot): GuestRecord;
  /** Makes the guest or replaces it, also one of another generation. */
  put(record: GuestRecord): void;
  remove(slot: GuestSlot): void;
}

/** Reads every guest of the shelf. One that can't be parsed is set aside and logged: it is lost, the others are not. */
export function openGuests(shelf: GuestShelf, log: Log): Guests {
  const slots = new Map<string, GuestSlot>();
  const names = new Map<string, string>();
  let inUseMiB = 0;

  function forget(stem: string): void {
    const slot = slots.get(stem);
    if (slot === undefined) return;
    inUseMiB -= heldMiB(slot);
    if (names.get(slot.name) === stem) names.delete(slot.name);
    slots.delete(stem);
  }

  function remember(stem: string, record: GuestRecord): void {
    forget(stem);
    const { instanceId, generation, name, power, memoryMiB, asleep } = record;
    const slot = { instanceId, generation, name, power, memoryMiB, asleep };
    slots.set(stem, slot);
    if (stem === stemOf(slot)) names.set(name, stem);
    inUseMiB += heldMiB(slot);
  }

  for (const stem of shelf.stems()) {
    try {
      remember(stem, parseRecord(shelf.read(stem)));
    } catch (error) {
      log.warn('simulated guest set aside: its state cannot be read', { guest: stem, error });
      shelf.setAside(stem);
    }
  }

  return {
    find(instanceId) {
      const slot = slots.get(instanceId);
      return slot?.instanceId === instanceId ? slot : undefined; // a foreign guest has a stem, but no instance
    },
    aside: (instanceId, generation) => slots.get(asideOf({ instanceId, generation })),
    setAside(slot) {
      const stem = asideOf(slot);
      const record = parseRecord(shelf.read(stemOf(slot)));
      shelf.write(stem, renderRecord(record));
      remember(stem, record);
    },
    takeBack(record) {
      const stem = asideOf(record);
      shelf.write(stemOf(record), renderRecord(record));
      remember(stemOf(record), record);
      shelf.remove(stem);
      forget(stem);
    },
    removeAside(slot) {
      const stem = asideOf(slot);
      shelf.remove(stem);
      forget(stem);
    },
    named: (name) => slots.get(names.get(name) ?? ''),
    all: () => slots.values(),
    memoryInUseMiB: () => inUseMiB,
    read: (slot) => parseRecord(shelf.read(slots.get(stemOf(slot))?.generation === slot.generation ? stemOf(slot) : asideOf(slot))),
    put(record) {
      const stem = stemOf(record);
      shelf.write(stem, renderRecord(record));
      remember(stem, record);
    },
    remove(slot) {
      const stem = stemOf(slot);
      shelf.remove(stem);
      forget(stem);
    },
  };
}

/** Instance ids are uuids (checked at `spawn`): a stem is a safe file name, and never that of a foreign guest. */
function stemOf(guest: { instanceId: string | null; name: string }): string {
  return guest.instanceId ?? `foreign-${encodeURIComponent(guest.name)}`;
}

/** Beside the place: no instance has such an id. */
function asideOf(guest: { instanceId: string | null; generation: number }): string {
  return `${guest.instanceId}+${guest.generation}`;
}

function heldMiB(slot: GuestSlot): number {
  return slot.power === 'running' || slot.power === 'paused' ? slot.memoryMiB : 0;
}
