/**
 * The load client: HTTP with connections that are kept, one request at a time on each, answers as bytes. It does as
 * little as it can per request, since it shares the machine with what it measures. A request that fails on the way
 * answers status 0; nothing is tried again.
 */
import { Pool, type Dispatcher } from 'undici';

export type Answer = {
  readonly status: number;
  readonly headers: { readonly [name: string]: string | string[] | undefined };
  readonly bytes: Buffer;
  /** `performance.now()` when it was handed to the client. */
  readonly sentMs: number;
  /** From being handed over to the last byte of the body. */
  readonly tookMs: number;
};

export type Request = { readonly method: string; readonly path: string; readonly headers: { readonly [name: string]: string }; readonly body?: string };

const ANSWER_MS = 60_000;

export class HttpLoad {
  readonly #pool: Pool;
  readonly #prefix: string;

  constructor(url: string, connections: number) {
    const { origin, pathname } = new URL(url);
    this.#prefix = pathname.replace(/\/+$/, '');
    this.#pool = new Pool(origin, { connections, pipelining: 1, headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS, keepAliveTimeout: ANSWER_MS });
  }

  send({ method, path, headers, body }: Request): Promise<Answer> {
    const sentMs = performance.now();
    return new Promise((resolve) => {
      const options = { method: method as Dispatcher.HttpMethod, path: this.#prefix + path, headers, body: body ?? null };
      this.#pool.dispatch(options, new Receiver(sentMs, resolve));
    });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}

class Receiver implements Dispatcher.DispatchHandler {
  readonly #sentMs: number;
  readonly #resolve: (answer: Answer) => void;
  readonly #chunks: Buffer[] = [];
  #status = 0;
  #headers: Answer['headers'] = {};

  constructor(sentMs: number, resolve: (answer: Answer) => void) {
    this.#sentMs = sentMs;
    this.#resolve = resolve;
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Answer['headers']): void {
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#end();
  }

  onResponseError(): void {
    this.#status = 0;
    this.#end();
  }

  #end(): void {
    const [only] = this.#chunks;
    const bytes = this.#chunks.length === 1 && only ? only : Buffer.concat(this.#chunks);
    this.#resolve({ status: this.#status, headers: this.#headers, bytes, sentMs: this.#sentMs, tookMs: performance.now() - this.#sentMs });
  }
}

/** Closed loop: so many at a time, each begins when one before it has ended. */
export async function inLanes<T>(items: readonly T[], lanes: number, run: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await run(items[index] as T, index);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, lane));
}

/** Closed loop for a time; resolves when the last has ended. */
export async function forMs(lanes: number, durationMs: number, run: () => Promise<void>): Promise<number> {
  const beginMs = performance.now();
  let count = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() - beginMs < durationMs) {
      await run();
      count++;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return count;
}

/**
 * Open loop: `total` runs at a fixed rate, whatever the answers take. The timer's grain is a millisecond, so several may
 * start together. Answers how late the latest start was: where that is much, the figures are the generator's, not the service's.
 */
export async function atRate(perSecond: number, total: number, run: (index: number) => Promise<void>): Promise<{ latestMs: number }> {
  const running: Promise<void>[] = [];
  const beginMs = performance.now();
  let latestMs = 0;
  while (running.length < total) {
    const nowMs = performance.now();
    const due = Math.min(total, Math.floor(((nowMs - beginMs) / 1_000) * perSecond) + 1);
    for (let index = running.length; index < due; index++) {
      latestMs = Math.max(latestMs, nowMs - beginMs - (index / perSecond) * 1_000);
      running.push(run(index));
    }
    await sleep(1);
  }
  await Promise.all(running);
  return { latestMs };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
