/**
 * The right to run shards. The node's lease is counted on the monotonic clock from before the beat that was answered
 * was sent; when it ends, every shard of the node stops at once (the store's fence would refuse its commits anyway),
 * and a later beat gives back what nobody has taken meanwhile.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { NodeTable } from '../database/node-table.ts';
import type { OwnedShard, ShardTable } from '../database/shard-table.ts';

export type LeaseSettings = { readonly leaseMs: number; readonly beatMs: number; readonly marginMs: number };

export type LeaseParts = {
  readonly node: string;
  readonly boot: string;
  readonly nodes: NodeTable;
  readonly shards: ShardTable;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: LeaseSettings;
  /** Shards that this node may run from now on: what is open there is to be taken up. */
  readonly onTaken: (shards: readonly number[]) => void;
  /** Shards that this node may not run any more. */
  readonly onLost: (shards: ReadonlySet<number>) => void;
};

export class Leases {
  readonly #parts: LeaseParts;
  readonly #epochs = new Map<number, number>();
  #endsMs = 0;
  #held = false;
  #timer: Timer | undefined;
  #watch: Timer | undefined;
  #closed = false;

  constructor(parts: LeaseParts) {
    this.#parts = parts;
  }

  /** The epoch under which this node may run the shard now; undefined: it may not. Cheap: asked at every step. */
  epochOf(shard: number): number | undefined {
    return this.#parts.clock.monotonicMs() < this.#endsMs ? this.#epochs.get(shard) : undefined;
  }

  get ownedCount(): number {
    return this.#held ? this.#epochs.size : 0;
  }

  /** Milliseconds until this node must have stopped; below zero: it has. */
  get leftMs(): number {
    return this.#endsMs - this.#parts.clock.monotonicMs();
  }

  /** Takes what is free, and what a former process of this node held, which a file lock proves to be dead. */
  async open(): Promise<void> {
    const { node, boot, shards, clock } = this.#parts;
    const beforeMs = clock.monotonicMs();
    await this.#beat();
    const taken = await shards.take(node, boot, { owner: node });
    this.#gain(taken, beforeMs);
    this.#beatLater();
  }

  /** Gives every shard up, so that the next owner takes them without a gap. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#lose('the node is stopping');
    await this.#parts.shards.giveUp(this.#parts.node, this.#parts.boot);
  }

  #beatLater(): void {
    this.#timer = this.#parts.clock.after(this.#parts.settings.beatMs, () => void this.#round());
  }

  async #round(): Promise<void> {
    const beforeMs = this.#parts.clock.monotonicMs();
    try {
      if (await this.#beat()) await this.#renew(beforeMs);
      else this.#lose('another process has this node’s row');
    } catch (error) {
      this.#parts.log.warn('beat failed', { error });
    }
    if (!this.#closed) this.#beatLater();
  }

  #beat(): Promise<boolean> {
    return this.#parts.nodes.beat(this.#parts.node, this.#parts.boot);
  }

  async #renew(beforeMs: number): Promise<void> {
    if (this.#closed) return;
    if (this.#held) return this.#extend(beforeMs);
    // The lease had ended: what is still ours stands in the table, and its epochs may be new.
    const { node, boot, shards } = this.#parts;
    this.#gain(await shards.owned(node, boot), beforeMs);
  }

  #gain(owned: readonly OwnedShard[], beforeMs: number): void {
    if (this.#closed) return;
    this.#epochs.clear();
    for (const { shard, epoch } of owned) this.#epochs.set(shard, epoch);
    this.#held = true;
    this.#extend(beforeMs);
    this.#parts.log.info('shards taken', { count: owned.length });
    this.#parts.onTaken(owned.map(({ shard }) => shard));
  }

  #extend(beforeMs: number): void {
    const { leaseMs, marginMs } = this.#parts.settings;
    this.#endsMs = beforeMs + leaseMs - marginMs;
    this.#watch?.cancel();
    this.#watch = this.#parts.clock.after(this.#endsMs - this.#parts.clock.monotonicMs(), () => {
      if (this.leftMs <= 0) this.#lose('no beat was answered in time');
    });
  }

  #lose(why: string): void {
    this.#watch?.cancel();
    this.#endsMs = 0;
    if (!this.#held) return;
    this.#held = false;
    this.#parts.log.warn('lease is over', { why, shards: this.#epochs.size });
    this.#parts.onLost(new Set(this.#epochs.keys()));
  }
}
