/**
 * Messages are hints, the store knows: a node that takes shards asks which operations are open there and wakes their
 * actors, oldest first; then, every second, those whose time has come (P2), and now and then all that is open: a time
 * that was noted under a wall clock that ran ahead would come much too late. A lost hint costs at most a moment.
 */
import type { Actors } from '../actor/ask.ts';
import type { Store } from '../actor/store.ts';
import type { Address } from '../actor/address.ts';
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { shardOf } from './ring.ts';

const SCAN_MS = 1_000;
/** Scans after which all open operations are woken, whatever their time. */
const SCANS_TO_ALL = 30;
const PAGE = 500;
/** Between pages of open operations, so that a takeover of many does not fill every mailbox at once. */
const PAGE_PAUSE_MS = 20;

export type TakeoverParts = {
  readonly store: Store;
  readonly actors: Actors;
  readonly clock: Clock;
  readonly log: Log;
  /** Actors without open work that are to be there all the same, wherever their shard is. */
  readonly standing?: readonly Address[];
};

export class Takeover {
  readonly #parts: TakeoverParts;
  #shards: ReadonlySet<number> = new Set();
  #timer: Timer | undefined;
  #closed = false;
  #scans = 0;

  constructor(parts: TakeoverParts) {
    this.#parts = parts;
    this.#scanLater();
  }

  /** `owned` are run here from now on; of these, `taken` are new and looked through for open operations. */
  taken(owned: readonly number[], taken: readonly number[] = owned): void {
    this.#shards = new Set(owned);
    void this.#wakeOpen(taken);
  }

  /** Only these are left. */
  lost(left: readonly number[] = []): void {
    this.#shards = new Set(left);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  /** Wakes what is open, page by page, as long as the shards are ours; at most so often when it cannot be read. */
  async #wakeOpen(taken: readonly number[], tries = Number.POSITIVE_INFINITY): Promise<void> {
    const { store, clock, log } = this.#parts;
    let after: Address | null = null;
    let count = 0;
    for (;;) {
      const ours = taken.filter((shard) => this.#shards.has(shard));
      if (this.#closed || ours.length === 0) break;
      try {
        const page: Address[] = await store.open(ours, PAGE, after);
        this.#wake(page);
        count += page.length;
        after = page.at(-1) ?? null;
        if (page.length < PAGE) break;
        await clock.sleep(PAGE_PAUSE_MS);
      } catch (error) {
        log.warn('open operations cannot be read', { error });
        if (--tries <= 0) return;
        await clock.sleep(SCAN_MS);
      }
    }
    if (count > 0 && tries > 1) log.info('open operations taken up', { count });
  }

  #scanLater(): void {
    this.#timer = this.#parts.clock.after(SCAN_MS, () => void this.#scan());
  }

  async #scan(): Promise<void> {
    this.#wake((this.#parts.standing ?? []).filter((address) => this.#shards.has(shardOf(address))));
    try {
      if (this.#shards.size > 0) this.#wake(await this.#parts.store.due([...this.#shards], this.#parts.clock.wallMs(), PAGE));
    } catch (error) {
      this.#parts.log.warn('due operations cannot be read', { error });
    }
    if (++this.#scans % SCANS_TO_ALL === 0) await this.#wakeOpen([...this.#shards], 1);
    if (!this.#closed) this.#scanLater();
  }

  #wake(addresses: readonly Address[]): void {
    for (const address of addresses) this.#parts.actors.tell(address as never, { type: 'wake' } as never);
  }
}
