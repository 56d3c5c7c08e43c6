/**
 * The beat of a node that shares no shards: its row is made, its beat raised again and again, and who else is alive is
 * looked at. What hangs on the beat (a host's lease) is counted on the monotonic clock from before the beat that was
 * answered was sent. A row that vanished is made anew; one that another process of this name has is left to it.
 */
import type { Clock, Timer } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { NodeRow, NodeTable } from '../database/node-table.ts';
import type { MembershipView } from './view.ts';

export type PulseParts = {
  readonly row: Omit<NodeRow, 'beat'>;
  readonly nodes: NodeTable;
  readonly view: MembershipView;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: { readonly leaseMs: number; readonly beatMs: number };
};

/** Between tries to enter at the start. */
const ENTER_RETRY_MS = 250;

export class Pulse {
  readonly #parts: PulseParts;
  #endsMs = 0;
  #timer: Timer | undefined;
  #closed = false;

  constructor(parts: PulseParts) {
    this.#parts = parts;
  }

  /** Milliseconds for which the last answered beat still stands; below zero: it is over. */
  get leftMs(): number {
    return this.#endsMs - this.#parts.clock.monotonicMs();
  }

  /** Resolves when the row is made; tries until `signal` ends it, since who is asked may be away. */
  async open(signal: AbortSignal): Promise<void> {
    const { row, nodes, view, clock, log } = this.#parts;
    for (;;) {
      signal.throwIfAborted();
      try {
        await nodes.enter(row);
        break;
      } catch (error) {
        if (isRefusal(error)) throw error;
        log.info('cannot enter yet', { error });
        await clock.sleep(ENTER_RETRY_MS, signal);
      }
    }
    await this.#beat();
    await view.look();
    this.#later();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #later(): void {
    if (!this.#closed) this.#timer = this.#parts.clock.after(this.#parts.settings.beatMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const { view, log } = this.#parts;
    try {
      const isOurs = await this.#beat();
      await view.look();
      if (!isOurs && !this.#closed) await this.#enterAgain();
    } catch (error) {
      log.warn('beat failed', { error });
    }
    this.#later();
  }

  async #beat(): Promise<boolean> {
    const { row, nodes, clock, settings } = this.#parts;
    const beforeMs = clock.monotonicMs();
    const isOurs = await nodes.beat(row.name, row.boot);
    if (isOurs) this.#endsMs = beforeMs + settings.leaseMs;
    return isOurs;
  }

  async #enterAgain(): Promise<void> {
    const { row, nodes, view, log } = this.#parts;
    const other = view.all().find(({ name }) => name === row.name);
    if (other !== undefined && other.boot !== row.boot) return log.error('another process runs under this node’s name', { name: row.name });
    await nodes.enter(row);
  }
}

/** Nobody who is asked later will say anything else. */
function isRefusal(error: unknown): boolean {
  return Fault.is(error, 'forbidden') || Fault.is(error, 'invalid');
}
