/**
 * When servers become ACTIVE as a user of the API sees it: one poller on its own connection asks the brief list for
 * what changed lately. The next poll starts four times the last poll's duration after it ended, 20 ms at least and
 * 500 ms at most; a server's time is the end of the poll that first shows it. `gapMs` is the grain that this had.
 */
import type { Compute } from './compute.ts';
import { percentile } from './figures.ts';
import { sleep } from './http-load.ts';

const GAP_MIN_MS = 20;
const GAP_MAX_MS = 500;

export class ActiveWatch {
  readonly #compute: Compute;
  readonly #seenMs = new Map<string, number>();
  readonly #gapsMs: number[] = [];
  readonly #loop: Promise<void>;
  #closed = false;
  #sinceMs = Date.now();

  constructor(compute: Compute) {
    this.#compute = compute;
    this.#loop = this.#run();
  }

  /** `performance.now()` of the first poll that showed it. */
  seenMs(id: string): number | undefined {
    return this.#seenMs.get(id);
  }

  /** How many were seen so far. */
  get count(): number {
    return this.#seenMs.size;
  }

  get polls(): number {
    return this.#gapsMs.length;
  }

  get gapP50Ms(): number {
    return percentile(this.#gapsMs, 0.5);
  }

  /** Waits until all of these are seen, or the limit has passed; answers how many are missing. */
  async until(ids: ReadonlySet<string>, limitMs: number): Promise<number> {
    const endMs = performance.now() + limitMs;
    const missing = (): number => [...ids].filter((id) => !this.#seenMs.has(id)).length;
    while (missing() > 0 && performance.now() < endMs) await sleep(5);
    return missing();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      const beginMs = performance.now();
      const wallMs = Date.now();
      const ids = await this.#compute.changed('ACTIVE', this.#sinceMs);
      this.#sinceMs = wallMs;
      const endMs = performance.now();
      for (const id of ids) if (!this.#seenMs.has(id)) this.#seenMs.set(id, endMs);
      const pauseMs = Math.min(GAP_MAX_MS, Math.max(GAP_MIN_MS, 4 * (endMs - beginMs)));
      await sleep(pauseMs);
      this.#gapsMs.push(performance.now() - beginMs);
    }
  }
}
