/** Beats of hosts: all that wait go out in one statement, which takes neither the cell's row nor a place in a batch. */
import type { CellStore } from './store.ts';

type Beat = { readonly host: string; readonly epoch: number };

export class HostBeats {
  readonly #store: CellStore;
  #waiting: Beat[] = [];
  #flight: Promise<void> | undefined;

  constructor(store: CellStore) {
    this.#store = store;
  }

  /** Resolves when a statement that carried the beat was answered. */
  async beat(beat: Beat): Promise<undefined> {
    this.#waiting.push(beat);
    await this.#flight?.catch(() => undefined);
    this.#flight ??= this.#fly();
    await this.#flight;
    return undefined;
  }

  async #fly(): Promise<void> {
    const beats = this.#waiting;
    this.#waiting = [];
    try {
      if (beats.length > 0) await this.#store.hostBeats(beats);
    } finally {
      this.#flight = undefined;
    }
  }
}
