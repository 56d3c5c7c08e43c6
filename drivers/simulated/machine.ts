/**
 * The simulated machine: what each verb does to guests, in synchronous steps without time, chance or faults.
 * Each step looks at the guests anew, and writes once.
 */
import { check } from '../../runtime/base/check.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy, GuestEvent, GuestKey, GuestPower, GuestSpec, OpenCopy } from '../driver.ts';
import { renderConsole } from './console.ts';
import type { GuestSlot, Guests } from './guests.ts';
import { MEMORY_OVERCOMMIT, checkSpec } from './limits.ts';
import type { Capacity } from './limits.ts';
import { toRecord, withConsole } from './record.ts';
import type { ConsoleEntry, GuestRecord } from './record.ts';
import { describeCopy, openCopy } from './snapshot.ts';

export type Powered = { power: GuestPower };

export interface Machine {
  /**
   * Makes the guest, running or off; a lower generation is replaced in the same write. One of this generation is the
   * answer, and is started when `running` is asked. `made`: there was none.
   */
  make(spec: GuestSpec, power: 'running' | 'shutdown'): Powered & { made: boolean };
  remove(guest: GuestKey): void;
  /** The guest of that key. Faults: `notFound`; `conflict` when its generation is another. */
  find(guest: GuestKey): GuestSlot;
  switchOn(guest: GuestKey): Powered;
  /** `orderly`: the guest itself went down, and said so on its console. */
  switchOff(guest: GuestKey, orderly: boolean): Powered;
  restart(guest: GuestKey, orderly: boolean): Powered;
  console(guest: GuestKey, maxBytes: number): Buffer;
  /** Copies the disk for that image, unless it is done; a copy for another one goes. */
  snapshot(guest: GuestKey, imageId: string): DiskCopy;
  openSnapshot(guest: GuestKey, imageId: string): OpenCopy;
  dropSnapshot(guest: GuestKey): void;
  /** A running guest goes off by itself. Undefined when it does not run. */
  drop(instanceId: string, power: 'shutdown' | 'crashed'): GuestEvent | undefined;
  /** A running guest of somebody else. */
  plant(name: string, memoryMiB: number): void;
}

export function openMachine(parts: { host: string; guests: Guests; clock: Clock; capacity: Capacity }): Machine {
  const { host, guests, clock } = parts;
  const memoryLimitMiB = parts.capacity.memoryMiB * MEMORY_OVERCOMMIT;

  function find(guest: GuestKey): GuestSlot {
    const slot = guests.find(guest.instanceId);
    if (slot === undefined) throw new Fault('notFound', 'guest.notFound', 'The guest is not on this host.');
    if (slot.generation !== guest.generation) throw otherGeneration(slot, guest);
    return slot;
  }

  function admit(memoryMiB: number, freedMiB: number): void {
    if (guests.memoryInUseMiB() - freedMiB + memoryMiB <= memoryLimitMiB) return;
    throw new Fault('overloaded', 'host.memory', 'The memory of the host is full.');
  }

  function log(record: GuestRecord, what: ConsoleEntry['what']): GuestRecord {
    return withConsole(record, { what, wallMs: clock.wallMs() });
  }

  function make(spec: GuestSpec, power: 'running' | 'shutdown'): Powered & { made: boolean } {
    checkSpec(spec);
    const standing = guests.find(spec.instanceId);
    if (standing !== undefined && standing.generation > spec.generation) throw otherGeneration(standing, spec);
    if (standing?.generation === spec.generation) {
      return { ...(power === 'running' ? switchOn(spec) : { power: standing.power }), made: false };
    }
    const namesake = guests.named(spec.name);
    if (namesake !== undefined && namesake !== standing) {
      throw new Fault('conflict', 'guest.name', 'Another guest on this host has that name.');
    }
    admit(spec.memoryMiB, standing?.power === 'running' ? standing.memoryMiB : 0);
    const record = toRecord(spec);
    guests.put(power === 'running' ? log({ ...record, power }, 'boot') : record);
    return { power, made: true };
  }

  function switchOn(guest: GuestKey): Powered {
    const slot = find(guest);
    if (slot.power !== 'running') {
      admit(slot.memoryMiB, 0);
      const { fenced: _, ...record } = guests.read(slot);
      guests.put(log({ ...record, power: 'running' }, 'boot'));
    }
    return { power: 'running' };
  }

  function switchOff(guest: GuestKey, orderly: boolean): Powered {
    const slot = find(guest);
    if (slot.power !== 'shutdown') {
      const off: GuestRecord = { ...guests.read(slot), power: 'shutdown' };
      guests.put(orderly && slot.power === 'running' ? log(off, 'shutdown') : off);
    }
    return { power: 'shutdown' };
  }

  return {
    make,
    find,
    switchOn,
    switchOff,
    remove(guest) {
      const slot = guests.find(guest.instanceId);
      if (slot?.generation === guest.generation) guests.remove(slot);
    },
    restart(guest, orderly) {
      const slot = find(guest);
      if (slot.power !== 'running') return switchOn(guest);
      const record = guests.read(slot);
      guests.put(log(orderly ? log(record, 'shutdown') : record, 'boot'));
      return { power: 'running' };
    },
    console: (guest, maxBytes) => renderConsole(guests.read(find(guest)), host, maxBytes),
    snapshot(guest, imageId) {
      const record = guests.read(find(guest));
      if (record.snapshot?.imageId === imageId) return describeCopy(record);
      const copied: GuestRecord = { ...record, snapshot: { imageId, wallMs: clock.wallMs() } };
      guests.put(copied);
      return describeCopy(copied);
    },
    openSnapshot: (guest, imageId) => openCopy(guests.read(find(guest)), imageId),
    dropSnapshot(guest) {
      const slot = guests.find(guest.instanceId);
      if (slot?.generation !== guest.generation) return;
      const { snapshot, ...record } = guests.read(slot);
      if (snapshot !== undefined) guests.put(record);
    },
    drop(instanceId, power) {
      const slot = guests.find(instanceId);
      if (slot?.power !== 'running') return undefined;
      guests.put(log({ ...guests.read(slot), power }, power === 'crashed' ? 'panic' : 'shutdown'));
      return { instanceId, generation: slot.generation, power };
    },
    plant(name, memoryMiB) {
      check(guests.named(name) === undefined, 'a planted guest has a name of its own');
      guests.put(foreignRecord(name, memoryMiB));
    },
  };
}

function otherGeneration(slot: GuestSlot, asked: GuestKey): Fault {
  return new Fault('conflict', 'guest.generation', 'The guest on this host is of another generation.', {
    detail: { here: slot.generation, asked: asked.generation },
  });
}

function foreignRecord(name: string, memoryMiB: number): GuestRecord {
  return {
    version: 1,
    instanceId: null,
    generation: 0,
    name,
    power: 'running',
    hostname: name,
    vcpus: 1,
    memoryMiB,
    rootGiB: 0,
    ephemeralGiB: 0,
    swapMiB: 0,
    imageId: '',
    nics: [],
    console: [],
  };
}
