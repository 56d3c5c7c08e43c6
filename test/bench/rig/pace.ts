/** How asks are offered: as many as answer (closed), or at a fixed rate whatever the answers take (open). */
import { percentile } from './figures.ts';

export type Asked = { readonly perSecond: number; readonly p50Ms: number; readonly p99Ms: number; readonly failed: number; readonly latestMs: number };

const FAILED_SHARE_MAX = 0.01;

/** So many at a time, each begins when one before it has ended. */
export async function asFastAsAnswered(inFlight: number, forMs: number, one: () => Promise<unknown>): Promise<Asked> {
  const samples = new Samples();
  const beginMs = performance.now();
  const lane = async (): Promise<void> => {
    while (performance.now() - beginMs < forMs) await samples.take(performance.now(), one);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return samples.told(performance.now() - beginMs, 0);
}

/**
 * At a fixed rate; a sample counts from when it was due. Turns the event loop without pause, since a timer's grain of
 * a millisecond would start dozens at once: the asker's CPU figures mean nothing here.
 */
export async function atFixedRate(perSecond: number, forMs: number, one: () => Promise<unknown>): Promise<Asked> {
  const samples = new Samples();
  const running: Promise<void>[] = [];
  const total = Math.floor((perSecond * forMs) / 1_000);
  const beginMs = performance.now();
  let latestMs = 0;
  while (running.length < total) {
    const nowMs = performance.now();
    const due = Math.min(total, Math.floor(((nowMs - beginMs) / 1_000) * perSecond) + 1);
    while (running.length < due) {
      const dueMs = beginMs + (running.length / perSecond) * 1_000;
      latestMs = Math.max(latestMs, nowMs - dueMs);
      running.push(samples.take(dueMs, one));
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(running);
  return samples.told(performance.now() - beginMs, latestMs);
}

class Samples {
  readonly #tookMs: number[] = [];
  #failed = 0;

  async take(fromMs: number, one: () => Promise<unknown>): Promise<void> {
    try {
      await one();
      this.#tookMs.push(performance.now() - fromMs);
    } catch {
      this.#failed++;
    }
  }

  /** Throws when more than a few failed: then nothing was measured. */
  told(tookMs: number, latestMs: number): Asked {
    const count = this.#tookMs.length;
    if (this.#failed > FAILED_SHARE_MAX * (count + this.#failed)) throw new Error(`${this.#failed} of ${count + this.#failed} asks failed`);
    return {
      perSecond: (count / tookMs) * 1_000,
      p50Ms: percentile(this.#tookMs, 0.5),
      p99Ms: percentile(this.#tookMs, 0.99),
      failed: this.#failed,
      latestMs,
    };
  }
}
