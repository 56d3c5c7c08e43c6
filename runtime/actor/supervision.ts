/** Counts the crashes of one activation: past the limit in the window it gives up instead of looping. */
export const CRASH_LIMIT = 5;
export const CRASH_WINDOW_MS = 60_000;

export class CrashCount {
  #times: number[] = [];

  /** Counts one; true when the limit is passed. */
  crashed(nowMs: number): boolean {
    this.#times = this.#times.filter((at) => nowMs - at < CRASH_WINDOW_MS);
    this.#times.push(nowMs);
    return this.#times.length > CRASH_LIMIT;
  }

  get count(): number {
    return this.#times.length;
  }
}
