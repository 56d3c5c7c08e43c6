/**
 * The simulated machine: what each verb does to guests, in synchronous steps without time, chance or faults.
 * Each step looks at the guests anew, and writes once.
 */
import { check } from '../../runtime/base/check.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy, GuestDiagnostics, GuestEvent, GuestKey, GuestPower, GuestSpec, OpenCopy } from '../driver.ts';
import { renderConsole } from './console.ts';
import { countersOf } from './counters.ts';
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
  /** The same, also one that lies beside the place of a newer one. */
  findAny(guest: GuestKey): GuestSlot;
  switchOn(guest: GuestKey): Powered;
  /** `orderly`: the guest itself went down, and said so on its console. */
  switchOff(guest: GuestKey, orderly: boolean): Powered;
  restart(guest: GuestKey, orderly: boolean): Powered;
  /** From one of these powers to another; `conflict` from any other. No boot: it is the guest's memory that stays. */
  shift(guest: GuestKey, from: readonly GuestPower[], to: GuestPower): Powered;
  /** With the memory that was saved; booted when none was. */
  wake(guest: GuestKey): Powered;
  /** `conflict` when it does not run. */
  mustRun(guest: GuestKey): void;
  /** Boots the guest from another image, or from its own again (null). One that does so already is only started. */
  bootFrom(guest: GuestKey, imageId: string | null): Powered;
  /** It ran into its crash dump and booted again. `conflict` when it is off. */
  dump(guest: GuestKey): void;
  console(guest: GuestKey, maxBytes: number): Buffer;
  /** Copies the disk for that image, unless it is done; a copy for another one goes. */
  snapshot(guest: GuestKey, imageId: string): DiskCopy;
  openSnapshot(guest: GuestKey, imageId: string): OpenCopy;
  dropSnapshot(guest: GuestKey): void;
  /** Fault `conflict` when it does not run. */
  counters(guest: GuestKey): GuestDiagnostics;
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

  /** One that sleeps for a move is woken by the verbs of moves alone. */
  function awake(slot: GuestSlot): GuestSlot {
    if (slot.asleep === undefined) return slot;
    throw new Fault('conflict', 'guest.asleep', 'The guest is on its way to another place.', { detail: slot.asleep });
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
      awake(standing);
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
    const slot = awake(find(guest));
    if (slot.power === 'paused' || slot.power === 'suspended') throw wrongPower(slot.power);
    return slot.power === 'running' ? { power: 'running' } : boot(slot);
  }

  /** With nothing of the memory that it had. */
  function boot(slot: GuestSlot): Powered {
    admit(slot.memoryMiB, slot.power === 'paused' ? slot.memoryMiB : 0);
    const { fenced: _, ...record } = guests.read(slot);
    guests.put(log({ ...record, power: 'running' }, 'boot'));
    return { power: 'running' };
  }

  function shift(guest: GuestKey, from: readonly GuestPower[], to: GuestPower): Powered {
    const slot = awake(find(guest));
    if (slot.power === to) return { power: to };
    if (!from.includes(slot.power)) throw wrongPower(slot.power);
    if (slot.power === 'suspended') admit(slot.memoryMiB, 0);
    guests.put({ ...guests.read(slot), power: to });
    return { power: to };
  }

  function bootFrom(guest: GuestKey, imageId: string | null): Powered {
    const slot = awake(find(guest));
    const { rescuedWith, fenced: _, ...record } = guests.read(slot);
    const isSo = (rescuedWith ?? null) === imageId;
    if (isSo && slot.power === 'running') return { power: 'running' };
    admit(slot.memoryMiB, slot.power === 'running' || slot.power === 'paused' ? slot.memoryMiB : 0);
    guests.put(log({ ...record, power: 'running', ...(imageId !== null && { rescuedWith: imageId }) }, 'boot'));
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
    findAny: (guest) => guests.aside(guest.instanceId, guest.generation) ?? find(guest),
    switchOn,
    switchOff,
    shift,
    wake: (guest) => (find(guest).power === 'suspended' ? shift(guest, ['suspended'], 'running') : switchOn(guest)),
    mustRun(guest) {
      const { power } = awake(find(guest));
      if (power !== 'running') throw wrongPower(power);
    },
    bootFrom,
    dump(guest) {
      const slot = awake(find(guest));
      if (slot.power !== 'running' && slot.power !== 'paused') throw wrongPower(slot.power);
      if (slot.power === 'running') guests.put(log(log(guests.read(slot), 'panic'), 'boot'));
    },
    remove(guest) {
      const slot = guests.find(guest.instanceId);
      if (slot?.generation === guest.generation) guests.remove(slot);
      const aside = guests.aside(guest.instanceId, guest.generation);
      if (aside !== undefined) guests.removeAside(aside);
    },
    restart(guest, orderly) {
      const slot = awake(find(guest));
      if (slot.power !== 'running') return boot(slot);
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
    counters(guest) {
      const slot = find(guest);
      if (slot.power !== 'running') throw new Fault('conflict', 'guest.off', 'The guest does not run.');
      return countersOf(guests.read(slot), clock.wallMs());
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

function wrongPower(power: GuestPower): Fault {
  return new Fault('conflict', 'guest.power', 'The guest is in another power state.', { detail: power });
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
