/**
 * Virtual time. One queue of events, ordered by time and then by order of entry (or by a seeded draw, to try other
 * interleavings); between two events every microtask runs to its end. Thousands of seconds take milliseconds.
 *
 * `VirtualWorld.run` puts virtual timers in place of the process's global ones, since nact knows no others, and puts
 * the real ones back when it ends. Two worlds can't run at once, and nothing real may be awaited inside one.
 */
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import type { Random } from '../../runtime/base/random.ts';

const REAL = {
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
};
/** A world in which something spins for ever at one moment is stopped after so many events. */
const EVENTS_AT_ONCE_MAX = 1_000_000;
const EVENTS_PER_REAL_TURN = 1_000;

type Event = { readonly atMs: number; readonly turn: number; readonly entry: number; run: (() => void) | undefined };

export type WorldOptions = {
  /** Wall time at the beginning, milliseconds since 1970. */
  readonly wallMs?: number;
  /** With it, events of one moment come in a drawn order. */
  readonly ties?: Random;
};

export class VirtualWorld {
  readonly #heap: Event[] = [];
  readonly #ties: Random | undefined;
  readonly #startMs: number;
  #nowMs = 0;
  #entries = 0;
  #running = false;
  /** Events that have run. */
  events = 0;

  constructor(options: WorldOptions = {}) {
    this.#ties = options.ties;
    this.#startMs = options.wallMs ?? Date.UTC(2026, 0, 1);
  }

  /** Milliseconds since the beginning. */
  get nowMs(): number {
    return this.#nowMs;
  }

  readonly clock: Clock = {
    wallMs: () => this.#startMs + Math.floor(this.#nowMs),
    monotonicMs: () => this.#nowMs,
    after: (delayMs, run) => this.after(delayMs, run),
    sleep: (delayMs, signal) => sleepOn(this.clock, delayMs, signal),
  };

  after(delayMs: number, run: () => void): Timer {
    const atMs = this.#nowMs + Math.max(0, Number.isFinite(delayMs) ? delayMs : 0);
    const entry = this.#entries++;
    const event: Event = { atMs, turn: this.#ties?.next() ?? 0, entry, run };
    push(this.#heap, event);
    return { cancel: () => (event.run = undefined) };
  }

  /** Runs `work` and then events until nothing is left or `limitMs` of virtual time are over. */
  async run<T>(work: () => Promise<T>, limitMs: number): Promise<T> {
    if (this.#running) throw new Error('the world is running already');
    this.#running = true;
    // From within a tick (a message of the parent process) the first microtasks would run in another order.
    await realTurn();
    const unpatch = this.#patch();
    try {
      let ended = false;
      const result = work().finally(() => (ended = true));
      result.catch(() => undefined); // told below, when the loop has ended
      await microtasks();
      while (!ended && (await this.#step(limitMs)));
      if (!ended) throw new Error(`the world stood still at ${this.#nowMs} ms of ${limitMs} before its work was done`);
      return await result;
    } finally {
      unpatch();
      this.#running = false;
    }
  }

  /** The next event; false when there is none before the limit. */
  async #step(limitMs: number): Promise<boolean> {
    for (;;) {
      const event = pop(this.#heap);
      if (!event || event.atMs > limitMs) return false;
      if (!event.run) continue;
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      if (++this.events % EVENTS_AT_ONCE_MAX === 0) this.#checkProgress();
      const { run } = event;
      event.run = undefined;
      run();
      await microtasks();
      if (this.events % EVENTS_PER_REAL_TURN === 0) await realTurn();
      return true;
    }
  }

  #lastCheckedMs = -1;
  #checkProgress(): void {
    if (this.#nowMs === this.#lastCheckedMs) throw new Error(`something spins at ${this.#nowMs} ms`);
    this.#lastCheckedMs = this.#nowMs;
  }

  /** nact calls these by their global names. */
  #patch(): () => void {
    const virtual = {
      setImmediate: (run: (...args: unknown[]) => void, ...args: unknown[]) => this.after(0, () => run(...args)),
      clearImmediate: (timer: Timer | undefined) => timer?.cancel(),
      setTimeout: (run: (...args: unknown[]) => void, delayMs?: number, ...args: unknown[]) => withUnref(this.after(delayMs ?? 0, () => run(...args))),
      clearTimeout: (timer: Timer | undefined) => timer?.cancel?.(),
    };
    Object.assign(globalThis, virtual);
    return () => void Object.assign(globalThis, REAL);
  }
}

function withUnref(timer: Timer): Timer & { unref(): Timer; ref(): Timer } {
  return Object.assign(timer, { unref: () => timer, ref: () => timer });
}

/** Everything that only waits for promises has run by then: ticks come when no microtask is left. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

/** A turn of the real loop, for whoever else lives in this process. */
function realTurn(): Promise<void> {
  return new Promise((resolve) => REAL.setImmediate(resolve));
}

/** The sleep of any clock that has timers. */
export function sleepOn(clock: Pick<Clock, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = (): void => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', stop);
      resolve();
    });
    signal?.addEventListener('abort', stop, { once: true });
  });
}

function isBefore(a: Event, b: Event): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.turn === b.turn ? a.entry < b.entry : a.turn < b.turn;
}

function push(heap: Event[], event: Event): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent] as Event;
    if (!isBefore(event, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: Event[]): Event | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (!first || !last || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = child + 1;
    if (right < heap.length && isBefore(heap[right] as Event, heap[child] as Event)) child = right;
    if (!isBefore(heap[child] as Event, last)) break;
    heap[at] = heap[child] as Event;
    at = child;
  }
  heap[at] = last;
  return first;
}
