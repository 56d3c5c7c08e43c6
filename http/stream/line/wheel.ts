/**
 * One timer for all open lines: they stand in the slots of a wheel, and each turn of a slot visits its lines, so that
 * ten thousand heartbeats are spread over a round and no line needs a timer.
 */
import type { Clock, Timer } from '../../../runtime/base/clock.ts';
import type { Client } from './client.ts';

const SLOTS = 16;

export class Wheel {
  readonly #slots: Set<Client>[] = Array.from({ length: SLOTS }, () => new Set<Client>());
  readonly #clock: Clock;
  readonly #turnMs: number;
  readonly #onTurn: () => void;
  #at = 0;
  #next = 0;
  #timer: Timer;

  /** `onTurn` runs at each of the 16 turns of a round, before the lines of that slot are visited. */
  constructor(clock: Clock, roundMs: number, onTurn: () => void) {
    this.#clock = clock;
    this.#turnMs = roundMs / SLOTS;
    this.#onTurn = onTurn;
    this.#timer = this.#clock.after(this.#turnMs, this.#turn);
  }

  get size(): number {
    return this.#slots.reduce((sum, slot) => sum + slot.size, 0);
  }

  add(client: Client): void {
    this.#slots[this.#next++ % SLOTS]?.add(client);
  }

  remove(client: Client): void {
    for (const slot of this.#slots) if (slot.delete(client)) return;
  }

  all(): Client[] {
    return this.#slots.flatMap((slot) => [...slot]);
  }

  stop(): void {
    this.#timer.cancel();
  }

  readonly #turn = (): void => {
    this.#timer = this.#clock.after(this.#turnMs, this.#turn);
    this.#onTurn();
    for (const client of this.#slots[this.#at++ % SLOTS] ?? []) client.visit();
  };
}
