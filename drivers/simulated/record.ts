/**
 * What the simulated hypervisor keeps of one guest, and its JSON text: the "domain definition" of this driver.
 * It never holds user data, metadata or image bytes, since nothing here reads them. Text that comes back from a disk
 * is parsed before it is believed.
 */
import { z } from 'zod';
import { Fault } from '../../runtime/base/fault.ts';
import type { GuestSpec } from '../driver.ts';

/** One thing that the guest wrote about to its console; the text is rendered when somebody reads it. */
const consoleEntry = z.object({
  what: z.enum(['boot', 'shutdown', 'panic']),
  wallMs: z.number(),
});

const guestRecord = z.object({
  version: z.literal(1),
  /** null: a guest that somebody else made on this hypervisor. */
  instanceId: z.string().nullable(),
  generation: z.int().min(0),
  name: z.string(),
  power: z.enum(['pending', 'running', 'paused', 'shutdown', 'crashed', 'suspended']),
  hostname: z.string(),
  vcpus: z.int(),
  memoryMiB: z.int(),
  rootGiB: z.int(),
  ephemeralGiB: z.int(),
  swapMiB: z.int(),
  imageId: z.string(),
  nics: z.array(z.object({ mac: z.string(), address: z.string() })),
  console: z.array(consoleEntry),
  /** The image that its disk was copied for; the copy's bytes are told from what stands here. */
  snapshot: z.object({ imageId: z.string(), wallMs: z.number() }).exactOptional(),
  /** A guard stopped it, since the lease of its host had ended; until it is started again. */
  fenced: z.literal(true).exactOptional(),
  /** Asleep for a move, and why: see drivers/moves.ts. */
  asleep: z.enum(['parked', 'held', 'awaited', 'landing']).exactOptional(),
  /** What stands on its disk, as one word: where it was first made. */
  disk: z.string().exactOptional(),
  /** The image that it boots instead of its own disk. */
  rescuedWith: z.string().exactOptional(),
});

export type ConsoleEntry = z.infer<typeof consoleEntry>;
export type GuestRecord = z.infer<typeof guestRecord>;

/** A boot and a shutdown each take an entry: 128 boots are more text than the console log keeps. */
export const CONSOLE_ENTRIES_MAX = 256;

/** A defined guest that is off and has written nothing. */
export function toRecord(spec: GuestSpec): GuestRecord {
  return {
    version: 1,
    instanceId: spec.instanceId,
    generation: spec.generation,
    name: spec.name,
    power: 'shutdown',
    hostname: spec.hostname,
    vcpus: spec.vcpus,
    memoryMiB: spec.memoryMiB,
    rootGiB: spec.rootGiB,
    ephemeralGiB: spec.ephemeralGiB,
    swapMiB: spec.swapMiB,
    imageId: spec.image.id,
    nics: spec.nics.map((nic) => ({ mac: nic.mac, address: nic.address })),
    console: [],
    disk: `${spec.instanceId}/${spec.generation}`,
  };
}

export function withConsole(record: GuestRecord, entry: ConsoleEntry): GuestRecord {
  return { ...record, console: [...record.console, entry].slice(-CONSOLE_ENTRIES_MAX) };
}

export function renderRecord(record: GuestRecord): string {
  return JSON.stringify(record);
}

/** Fault `unavailable` when the text is no guest of this driver. */
export function parseRecord(text: string): GuestRecord {
  try {
    return guestRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new Fault('unavailable', 'guest.unreadable', 'The state of the guest cannot be read.', {
      detail: String(cause),
      cause,
    });
  }
}
