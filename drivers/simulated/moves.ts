/**
 * How simulated guests go from host to host: what another host gives is a small text, since there are no disks behind
 * it; what was on the disk (one word) and on the console comes with it, so that a test sees whether it came. Each step is
 * one write, or two of which the second is found undone after a crash.
 */
import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { z } from 'zod';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { GuestKey, GuestSpec } from '../driver.ts';
import type { SendProgress } from '../driver.ts';
import type { GuestSlot, Guests } from './guests.ts';
import { checkSpec } from './limits.ts';
import type { Machine, Powered } from './machine.ts';
import { toRecord, withConsole, type GuestRecord } from './record.ts';

const parcel = z.object({
  disk: z.string(),
  rootGiB: z.int(),
  power: z.string(),
  console: z.array(z.object({ what: z.enum(['boot', 'shutdown', 'panic']), wallMs: z.number() })),
});
/** Bytes of one parcel; a longer one is not from a driver like this. */
const PARCEL_MAX_BYTES = 65_536;
const CHUNK_BYTES = 512;

export interface Moving {
  park(guest: GuestKey): Powered;
  unpark(guest: GuestKey): Powered;
  pack(guest: GuestKey): Readable;
  /** There already, and whole: nothing has to be fetched. */
  has(spec: GuestSpec, memory: boolean): Powered | undefined;
  unpack(spec: GuestSpec, bytes: Readable, memory: boolean): Promise<Powered>;
  prepare(spec: GuestSpec): Powered;
  hold(guest: GuestKey): Powered;
  stay(guest: GuestKey, paused: boolean): Powered;
  land(guest: GuestKey, paused: boolean): Powered;
  progress(guest: GuestKey, share: number): SendProgress;
}

const MIB = 1024 * 1024;

export function openMoving({ guests, machine, clock }: { guests: Guests; machine: Machine; clock: Clock }): Moving {
  /** In its place, or beside it. */
  function lying(guest: GuestKey): GuestSlot {
    return guests.aside(guest.instanceId, guest.generation) ?? machine.find(guest);
  }

  function put(slot: GuestSlot, changes: Partial<GuestRecord>, boots = false): Powered {
    const { asleep: _, ...record } = guests.read(slot);
    const changed: GuestRecord = { ...record, ...changes };
    guests.put(boots ? withConsole(changed, { what: 'boot', wallMs: clock.wallMs() }) : changed);
    return { power: changed.power };
  }

  /** The place of the guest is free for this generation: an older one that is parked goes beside it. */
  function make(spec: GuestSpec, record: GuestRecord): Powered {
    checkSpec(spec);
    const standing = guests.find(spec.instanceId);
    if (standing !== undefined && standing.generation > spec.generation) throw new Fault('conflict', 'guest.generation', 'A newer guest is on this host.');
    if (standing !== undefined && standing.generation < spec.generation && standing.asleep === 'parked') guests.setAside(standing);
    guests.put(record);
    return { power: record.power };
  }

  return {
    park(guest) {
      const slot = lying(guest);
      if (slot.asleep === 'parked') return { power: slot.power };
      if (slot.asleep !== undefined) throw new Fault('conflict', 'guest.asleep', 'The guest is on its way to another place.');
      return put(slot, { power: 'shutdown', asleep: 'parked' });
    },
    unpark(guest) {
      const aside = guests.aside(guest.instanceId, guest.generation);
      if (aside === undefined) {
        const slot = machine.find(guest);
        return slot.asleep === 'parked' ? put(slot, {}) : { power: slot.power };
      }
      const standing = guests.find(guest.instanceId);
      if (standing?.generation === guest.generation && standing.asleep === undefined) {
        guests.removeAside(aside); // left by a kill between two writes
        return { power: standing.power };
      }
      if (standing !== undefined && standing.generation !== guest.generation) throw new Fault('conflict', 'guest.generation', 'A newer guest is in its place.');
      const { asleep: _, ...record } = guests.read(aside);
      guests.takeBack(record);
      return { power: record.power };
    },
    pack(guest) {
      const slot = lying(guest);
      if (slot.asleep !== 'parked' && slot.asleep !== 'held') throw new Fault('conflict', 'guest.awake', 'The disk of a guest that may run is not given away.');
      const { disk = '', rootGiB, power, console } = guests.read(slot);
      const bytes = Buffer.from(JSON.stringify({ disk, rootGiB, power, console } satisfies z.infer<typeof parcel>));
      return Readable.from(chunksOf(bytes), { objectMode: false });
    },
    has(spec, memory) {
      const slot = guests.find(spec.instanceId);
      if (slot?.generation !== spec.generation || slot.asleep === 'awaited') return undefined;
      return memory === (slot.asleep === 'landing') || slot.power === 'running' ? { power: slot.power } : undefined;
    },
    async unpack(spec, bytes, memory) {
      const { disk, rootGiB, console } = await parsed(bytes);
      if (spec.rootGiB > 0 && spec.rootGiB < rootGiB) throw new Fault('invalid', 'spec.disk', 'The disk of the guest does not become smaller.');
      const record: GuestRecord = { ...toRecord(spec), disk, console };
      return make(spec, memory ? { ...record, power: 'paused', asleep: 'landing' } : record);
    },
    prepare(spec) {
      const slot = guests.find(spec.instanceId);
      if (slot?.generation === spec.generation) return { power: slot.power };
      return make(spec, { ...toRecord(spec), power: 'pending', asleep: 'awaited' });
    },
    hold(guest) {
      const slot = machine.find(guest);
      if (slot.asleep === 'held') return { power: slot.power };
      if (slot.asleep !== undefined || (slot.power !== 'running' && slot.power !== 'paused'))
        throw new Fault('conflict', 'guest.power', 'A guest that does not run has no memory to send.');
      return put(slot, { power: 'paused', asleep: 'held' });
    },
    stay(guest, paused) {
      const slot = machine.find(guest);
      if (slot.asleep === undefined) return { power: slot.power };
      if (slot.asleep !== 'held') throw new Fault('conflict', 'guest.asleep', 'The guest is on its way to another place.');
      // Its memory is lost when it was switched off meanwhile.
      return put(slot, { power: paused && slot.power === 'paused' ? 'paused' : 'running' }, slot.power !== 'paused');
    },
    land(guest, paused) {
      const slot = machine.find(guest);
      if (slot.asleep === undefined) return { power: slot.power };
      if (slot.asleep !== 'landing') throw new Fault('conflict', 'guest.asleep', 'The memory of the guest has not come.');
      return put(slot, { power: paused && slot.power === 'paused' ? 'paused' : 'running' }, slot.power !== 'paused');
    },
    progress(guest, share) {
      const { memoryMiB, rootGiB } = guests.read(machine.find(guest));
      const [memoryTotal, diskTotal] = [memoryMiB * MIB, rootGiB * 1024 * MIB];
      return { memoryTotal, memoryDone: Math.floor(memoryTotal * share), diskTotal, diskDone: Math.floor(diskTotal * share) };
    },
  };
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

async function parsed(bytes: Readable): Promise<z.infer<typeof parcel>> {
  let size = 0;
  bytes.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > PARCEL_MAX_BYTES) bytes.destroy(new Fault('invalid', 'disk.size', 'What the other host gives is too much.'));
  });
  try {
    return parcel.parse(JSON.parse(await textOf(bytes)));
  } catch (cause) {
    throw Fault.is(cause) ? cause : new Fault('unavailable', 'disk.unreadable', 'What the other host gives cannot be read.', { detail: String(cause), cause });
  }
}
