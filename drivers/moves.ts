/**
 * Abilities to take a guest from host to host: members that a driver may lack. No verb here decides who may run: who
 * calls keeps at most one of a guest's places awake, and these verbs keep the others asleep whatever else is asked.
 *
 * - A guest that is parked, held (its memory was sent) or awaited (its memory has not come) does not run, and `start`,
 *   `reboot` and `spawn` of it are a `conflict`. `list` tells it with its own generation.
 * - Places of one guest on one host: a guest of a lower generation that is parked stays beside the newer one.
 * - All idempotent, as the verbs of driver.ts; a half made guest is found by the next `receive`, `destroy` or `list`.
 */
import type { Readable } from 'node:stream';
import type { GuestKey, GuestPower, GuestSpec } from './driver.ts';

/** Opens the bytes that `readDisk` gives at the other host, from the start. Faults: `notFound`, `unavailable`. */
export type OpenDisk = (signal: AbortSignal) => Promise<Readable>;

/** A guest that is off goes to another host or gets another size, with its disk. */
export interface GuestMoves {
  /** Asks the guest to shut down (as `stop`), then sets it aside. No error when it is already. */
  park(guest: GuestKey, options: { graceMs: number }, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** It is an ordinary guest again, and off. No error when it was never parked. `conflict`: a newer one is in its place. */
  unpark(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** What `receive` of the same kind of driver needs, in chunks: the disk, and the memory of a held guest. The guest is parked or held. */
  readDisk(guest: GuestKey, signal: AbortSignal): Promise<Readable>;
  /**
   * Makes the guest from what another host gives, off, its disk as large as the spec says (never smaller than it was:
   * `invalid`). `memory`: of a guest that was held, awaited here; it lies here asleep until `land`.
   */
  receive(spec: GuestSpec, open: OpenDisk, options: { memory: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
}

export type SendProgress = { readonly memoryTotal: number; readonly memoryDone: number; readonly diskTotal: number; readonly diskDone: number };

/** A guest goes to another host while it runs. */
export interface LiveMoves {
  /** At the destination: what the guest needs is set aside. It does not run, and waits for its memory. */
  prepare(spec: GuestSpec, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** At the source: memory and disk are made ready while the guest runs; at the end it is held: it does not run any more. */
  send(guest: GuestKey, options: { force: boolean }, onProgress: (progress: SendProgress) => void, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** A `send` under way ends soon, at the cost of a longer pause. Harmless when none is. */
  hurry(guest: GuestKey): void;
  /** At the source: it is not held any more, and runs as before (`paused`: stays paused). No error when it was never held. */
  stay(guest: GuestKey, options: { paused: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** At the destination: the guest that was received goes on where it was held. No error when it runs. */
  land(guest: GuestKey, options: { paused: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
}
