/**
 * One write batch in flight while the next one fills: commits of many actors share one transaction, one flight and
 * one fsync. An expected refusal is an answer of its item; an unexpected error splits the batch in halves until the
 * item that causes it stands alone; an outcome that nobody knows is told as such to all of the batch.
 */
import { Fault } from '../base/fault.ts';
import { BoundedQueue } from '../base/bounded-queue.ts';

/** Thrown by `run` when it can't be known whether the batch was committed. */
export class OutcomeUnknown extends Error {
  constructor(cause: unknown) {
    super('the outcome of a batch is unknown', { cause });
    this.name = 'OutcomeUnknown';
  }
}

export type BatchOptions<Item, Answer> = {
  /** Runs one transaction; answers in the order of the items. Throws when nothing of it happened. */
  readonly run: (items: readonly Item[]) => Promise<readonly Answer[]>;
  /** How much of a batch's room an item takes. */
  readonly sizeOf: (item: Item) => number;
  readonly maxSize: number;
  /** Items that wait for the next batch; past it `write` fails with `overloaded` at once (P8). */
  readonly maxWaiting: number;
  /** Called when an item alone makes the transaction fail: a bug or a broken constraint. */
  readonly onPoison: (item: Item, error: unknown) => void;
};

type Waiting<Item, Answer> = { item: Item; resolve: (answer: Answer) => void; reject: (error: unknown) => void };

export class WriteBatch<Item, Answer> {
  readonly #options: BatchOptions<Item, Answer>;
  readonly #waiting: BoundedQueue<Waiting<Item, Answer>>;
  #flying = false;
  #closed = false;
  #flight: Promise<void> = Promise.resolve();

  constructor(options: BatchOptions<Item, Answer>) {
    this.#options = options;
    this.#waiting = new BoundedQueue(options.maxWaiting);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves with the item's answer after the commit. Rejects: `overloaded`, `unavailable`, OutcomeUnknown, a bug. */
  write(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new Fault('unavailable', 'store.closed', 'The store is closing.'));
      if (!this.#waiting.push({ item, resolve, reject })) {
        return reject(new Fault('overloaded', 'store.queue', 'Too many changes are waiting to be stored.'));
      }
      if (!this.#flying) this.#takeOff();
    });
  }

  /** Waits for what was accepted; nothing more is taken. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#flying) await this.#flight;
  }

  #takeOff(): void {
    this.#flying = true;
    this.#flight = this.#flyAll();
  }

  async #flyAll(): Promise<void> {
    // One turn of the loop lets everything that is ready now board the first batch.
    await Promise.resolve();
    for (;;) {
      const batch = this.#board();
      if (batch.length === 0) break;
      await this.#fly(batch);
    }
    this.#flying = false;
  }

  #board(): Waiting<Item, Answer>[] {
    const batch: Waiting<Item, Answer>[] = [];
    let size = 0;
    while (size < this.#options.maxSize) {
      const next = this.#waiting.shift();
      if (!next) break;
      size += this.#options.sizeOf(next.item);
      batch.push(next);
    }
    return batch;
  }

  async #fly(batch: Waiting<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#options.run(batch.map((waiting) => waiting.item));
      batch.forEach((waiting, i) => waiting.resolve(answers[i] as Answer));
    } catch (error) {
      if (error instanceof OutcomeUnknown || Fault.is(error, 'unavailable')) {
        for (const waiting of batch) waiting.reject(error);
      } else if (batch.length === 1) {
        const [alone] = batch as [Waiting<Item, Answer>];
        this.#options.onPoison(alone.item, error);
        alone.reject(error);
      } else {
        const half = batch.length >> 1;
        await this.#fly(batch.slice(0, half));
        await this.#fly(batch.slice(half));
      }
    }
  }
}
