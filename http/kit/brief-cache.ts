/**
 * Answers kept for a moment, so that a burst of equal questions is one question. Single flight: who asks while the
 * answer is on its way waits for it. Failures are not kept. Bounded: the oldest entry leaves.
 */
import type { Clock } from '../../runtime/base/clock.ts';

type Entry<T> = { readonly value: Promise<T>; readonly untilMs: number };

export class BriefCache<T> {
  readonly #clock: Clock;
  readonly #ttlMs: number;
  readonly #max: number;
  readonly #entries = new Map<string, Entry<T>>();

  constructor(clock: Clock, options: { ttlMs: number; max: number }) {
    this.#clock = clock;
    this.#ttlMs = options.ttlMs;
    this.#max = options.max;
  }

  take(key: string, ask: () => Promise<T>): Promise<T> {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#entries.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.value;
    const value = ask();
    const entry = { value, untilMs: nowMs + this.#ttlMs };
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size > this.#max) {
      const oldest = this.#entries.keys().next();
      if (!oldest.done) this.#entries.delete(oldest.value);
    }
    value.catch(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    return value;
  }

  /** After a change: the next question is asked. */
  clear(): void {
    this.#entries.clear();
  }
}
