/**
 * How long a host may count on its claims: from before the last beat that was answered and heard. Kept by the monotonic
 * clock alone. A host whose lease is over (its node was paused, the control plane away) asks again before it brings any
 * guest up: it may have been left behind meanwhile (F6). With a guard the end of the lease is also the end of its guests.
 */
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { CONDUCTOR } from '../conductor/messages.ts';

const LEAVE_MS = 5_000;

/** What watches over the guests of one host from outside of its node. */
export interface HostGuard {
  /** Guests are stopped before so long has passed since the sending of the last beat that was heard. */
  readonly selfFenceMs: number;
  /** Resolves when somebody watches; called before each start of the host. */
  watched(signal: AbortSignal): Promise<void>;
  /** Now, on the clock that the guard goes by. */
  nowMs(): number;
  /** The guests may run until then, on that clock. */
  extend(untilMs: number): void;
}

export type LeaseParts = { readonly host: string; readonly leaseMs: number; readonly clock: Clock; readonly actors: Actors; readonly guard?: HostGuard };

export class HostLease {
  readonly #parts: LeaseParts;
  #epoch = 0;
  #endsMs = Number.NEGATIVE_INFINITY;
  #over = new AbortController();
  #timer: Timer | undefined;

  constructor(parts: LeaseParts) {
    this.#parts = parts;
  }

  get selfFenceMs(): number | null {
    return this.#parts.guard?.selfFenceMs ?? null;
  }

  /** Aborts when the lease ends; of a host without a guard never, since its guests run on. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  async watched(signal: AbortSignal): Promise<void> {
    await this.#parts.guard?.watched(signal);
  }

  /** Called before a beat or a start is sent; what it answers is called when that was heard. */
  sending(): (epoch: number) => void {
    const { clock, guard, leaseMs } = this.#parts;
    const fromMs = clock.monotonicMs();
    const guardFromMs = guard?.nowMs() ?? 0;
    return (epoch) => {
      this.#epoch = epoch;
      if (fromMs + leaseMs <= this.#endsMs) return; // a later one was answered before
      this.#endsMs = fromMs + leaseMs;
      guard?.extend(guardFromMs + guard.selfFenceMs);
      if (guard) this.#watchEnd();
    };
  }

  /** Says whether the beat was heard; false: another epoch has begun. Rejects when nobody answers. */
  async beat(epoch: number, signal: AbortSignal): Promise<boolean> {
    const { actors, host } = this.#parts;
    const heard = this.sending();
    const isHeard = await actors.ask(CONDUCTOR, { type: 'hostBeat', host, epoch }, { signal });
    if (isHeard) heard(epoch);
    return isHeard;
  }

  /** Before a guest is brought up. Fault `unavailable` (reason `host.fenced`) when this life of the host is over. */
  async check(signal: AbortSignal): Promise<void> {
    if (this.#parts.clock.monotonicMs() < this.#endsMs) return;
    if (await this.beat(this.#epoch, signal)) return;
    throw new Fault('unavailable', 'host.fenced', 'The host has to begin anew before it runs anything.');
  }

  /** Nobody watches over the guests any more, and they go on. Rejects when the store has not heard it: the guard must stay. */
  async leave(): Promise<void> {
    const { actors, host } = this.#parts;
    this.#timer?.cancel();
    await actors.ask(CONDUCTOR, { type: 'hostLeave', host, epoch: this.#epoch }, { timeoutMs: LEAVE_MS });
  }

  #watchEnd(): void {
    const { clock } = this.#parts;
    this.#timer?.cancel();
    if (this.#over.signal.aborted) this.#over = new AbortController();
    this.#timer = clock.after(this.#endsMs - clock.monotonicMs(), () => {
      this.#over.abort(new Fault('unavailable', 'host.fenced', 'The lease of the host has ended.'));
    });
  }
}
