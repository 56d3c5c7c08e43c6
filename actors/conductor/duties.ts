/** What a conductor does by the clock and nobody waits for: event partitions made ahead and dropped whole. */
import type pg from 'pg';
import { keepPartitions } from '../../runtime/database/history.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';

const ROUND_MS = 60_000;

export class Duties {
  readonly #parts: { pool: pg.Pool; clock: Clock; log: Log };
  #timer: Timer | undefined;
  #closed = false;
  #running: Promise<void> = Promise.resolve();

  constructor(parts: { pool: pg.Pool; clock: Clock; log: Log }) {
    this.#parts = parts;
  }

  /** The first round is awaited: a revision without a partition cannot be stored. */
  async open(): Promise<void> {
    await keepPartitions(this.#parts.pool);
    this.#later();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#running;
  }

  #later(): void {
    if (this.#closed) return;
    this.#timer = this.#parts.clock.after(ROUND_MS, () => {
      this.#running = this.#round().finally(() => this.#later());
    });
  }

  async #round(): Promise<void> {
    try {
      const { made, dropped } = await keepPartitions(this.#parts.pool);
      if (made.length + dropped.length > 0) this.#parts.log.info('event partitions', { made, dropped });
    } catch (error) {
      this.#parts.log.warn('event partitions cannot be kept', { error });
    }
  }
}
