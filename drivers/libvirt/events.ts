/**
 * libvirt's states and lifecycle events in the contract's words, and the watch that hands them on in order. Reasons
 * count: a guest that is off may have crashed. Events name a domain only; whose generation it is must be looked up.
 */
import type { GuestEvent, GuestPower } from '../driver.ts';
import type { Log } from '../../runtime/base/log.ts';
import { LIFECYCLE_MESSAGE } from './procedures.ts';
import { decode } from './xdr.ts';

export const STATE = { running: 1, blocked: 2, paused: 3, shuttingDown: 4, off: 5, crashed: 6, suspended: 7 } as const;
const OFF_REASON = { crashed: 3, saved: 5, failed: 6 } as const;
const PAUSED_REASON_CRASHED = 10;
const EVENT = { started: 2, suspended: 3, resumed: 4, stopped: 5, suspendedByGuest: 7, crashed: 8 } as const;
const STOPPED_DETAIL = { crashed: 2, saved: 4, failed: 5 } as const;

export function powerOfState(state: number, reason: number): GuestPower {
  switch (state) {
    case STATE.running:
    case STATE.blocked:
    case STATE.shuttingDown: // it still runs
      return 'running';
    case STATE.paused:
      return reason === PAUSED_REASON_CRASHED ? 'crashed' : 'paused';
    case STATE.off:
      if (reason === OFF_REASON.crashed || reason === OFF_REASON.failed) return 'crashed';
      return reason === OFF_REASON.saved ? 'suspended' : 'shutdown';
    case STATE.crashed:
      return 'crashed';
    case STATE.suspended:
      return 'suspended';
    default:
      return 'pending';
  }
}

/** Undefined for events that change no power: defined, undefined, about to shut down. */
export function powerOfEvent(event: number, detail: number): GuestPower | undefined {
  switch (event) {
    case EVENT.started:
    case EVENT.resumed:
      return 'running';
    case EVENT.suspended:
      return 'paused';
    case EVENT.stopped:
      // `failed` is what a QEMU that was killed gives.
      if (detail === STOPPED_DETAIL.crashed || detail === STOPPED_DETAIL.failed) return 'crashed';
      return detail === STOPPED_DETAIL.saved ? 'suspended' : 'shutdown';
    case EVENT.suspendedByGuest:
      return 'suspended';
    case EVENT.crashed:
      return 'crashed';
    default:
      return undefined;
  }
}

/** Events that wait for a look-up; past it the watchers are told to list again instead. */
const WAITING_MAX = 1_000;

export type WatchOptions = {
  readonly log: Log;
  /** Undefined: not one of ours. */
  readonly generationOf: (instanceId: string) => Promise<number | undefined>;
};

export class GuestWatch {
  readonly #options: WatchOptions;
  readonly #watchers = new Set<(event: GuestEvent | null) => void>();
  #last: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  add(onEvent: (event: GuestEvent | null) => void): void {
    this.#watchers.add(onEvent);
  }

  /** Events may have been missed: everyone lists again. */
  missed(): void {
    this.#tell(null);
  }

  take(procedure: number, payload: Buffer): void {
    if (procedure !== LIFECYCLE_MESSAGE.number) return;
    const { dom, event, detail } = decode(LIFECYCLE_MESSAGE.codec, payload);
    const power = powerOfEvent(event, detail);
    if (power === undefined || this.#watchers.size === 0) return;
    if (this.#waiting >= WAITING_MAX) return this.missed();
    this.#waiting++;
    this.#last = this.#last.then(() => this.#handOn(dom.uuid, power));
  }

  close(): void {
    this.#watchers.clear();
  }

  async #handOn(instanceId: string, power: GuestPower): Promise<void> {
    this.#waiting--;
    try {
      const generation = await this.#options.generationOf(instanceId);
      if (generation !== undefined) this.#tell({ instanceId, generation, power });
    } catch (error) {
      this.#options.log.warn('libvirt.event.lost', { instanceId, error });
      this.missed();
    }
  }

  #tell(event: GuestEvent | null): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}
