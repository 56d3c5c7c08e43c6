/**
 * Time is handed in. Decisions about leases and deadlines use `monotonicMs`; `wallMs` is only for people and rows.
 * The virtual twin lives in test/doubles; nothing outside this room may call Date.now or a bare timer.
 */
export type Timer = { cancel(): void };

export interface Clock {
  /** Milliseconds since 1970 UTC. Jumps when the machine's clock is set. */
  wallMs(): number;
  /** Milliseconds on a clock that never jumps; its zero means nothing. */
  monotonicMs(): number;
  /** Runs once after `delayMs`. A timer never keeps the process alive. */
  after(delayMs: number, run: () => void): Timer;
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

const MAX_TIMER_MS = 2 ** 31 - 1; // past it the platform fires at once

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, Math.min(delayMs, MAX_TIMER_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
  sleep(delayMs, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const handle = setTimeout(finish, Math.min(delayMs, MAX_TIMER_MS));
      signal?.addEventListener('abort', stop, { once: true });
      function finish(): void {
        signal?.removeEventListener('abort', stop);
        resolve();
      }
      function stop(): void {
        clearTimeout(handle);
        reject(signal?.reason);
      }
    });
  },
};

/** `2026-11-22T10:00:00.123Z` */
export function toIso(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
