/**
 * The right to run shards. The node's lease is counted on the monotonic clock from before the beat that was answered
 * was sent; when it ends, every shard of the node stops at once (the store's fence would refuse its commits anyway),
 * and a later beat gives back what nobody has taken meanwhile.
 *
 * Shards are shared fairly: each round a node that has fewer than its share takes free ones and those of nodes whose
 * lease is over; one that has more stops the surplus and gives it up, so that others can take it without waiting.
 */
import type { Clock, Timer } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { NodeTable } from '../database/node-table.ts';
import type { OwnedShard, ShardTable } from '../database/shard-table.ts';
import type { MembershipView } from '../membership/view.ts';
import { SHARD_COUNT } from './ring.ts';

export type LeaseSettings = { readonly leaseMs: number; readonly beatMs: number; readonly marginMs: number };

export type LeaseParts = {
  readonly node: string;
  readonly boot: string;
  readonly nodes: NodeTable;
  readonly shards: ShardTable;
  readonly view: MembershipView;
  /** The role whose nodes run shards: only they share. */
  readonly role: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: LeaseSettings;
  /** Makes the node's row anew: a former process of this node may have had a last word that came late. */
  readonly enter: () => Promise<void>;
  /** All shards that this node may run from now on, and those that are new: what is open there is to be taken up. */
  readonly onTaken: (owned: readonly number[], taken: readonly number[]) => void;
  /** Shards that this node may not run any more, and those that are left. */
  readonly onLost: (lost: ReadonlySet<number>, left: readonly number[]) => void;
};

/** Rounds after which the table is read again although nothing failed: a shard may have been taken by a hair’s breadth. */
const LOOK_ROUNDS = 5;
/** A timer may come so much too early. */
const TIMER_GRAIN_MS = 1;

export class Leases {
  readonly #parts: LeaseParts;
  readonly #epochs = new Map<number, number>();
  #endsMs = 0;
  #held = false;
  #timer: Timer | undefined;
  #watch: Timer | undefined;
  #lapse: Timer | undefined;
  #closed = false;
  #rounds = 0;
  #settling = false;
  /** Another boot has this node's row. */
  #isReplaced = false;
  /** A statement failed that may have changed owners all the same. */
  #unsure = false;
  /** Until then what was given up may still leave: the server works on at a statement whose answer was lost. */
  #leavingUntilMs = Number.NEGATIVE_INFINITY;

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

  /** Takes back what a former process of this node held, then its share of what is free. */
  async open(): Promise<void> {
    const { node, boot, shards, view, clock } = this.#parts;
    const beforeMs = clock.monotonicMs();
    await this.#beat();
    this.#extend(beforeMs);
    this.#held = true;
    this.#gain(await shards.takeBack(node, boot));
    await view.look();
    await this.#share();
    this.#beatLater();
  }

  /** Gives every shard up, so that the next owner takes them without a gap. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#lapse?.cancel();
    this.#lose('the node is stopping');
    await this.#parts.shards.giveUp(this.#parts.node, this.#parts.boot);
  }

  #beatLater(): void {
    this.#timer = this.#parts.clock.after(this.#parts.settings.beatMs, () => void this.#round());
  }

  /** The next beat waits for nothing but this one's answer: changes of owner may have to wait for the cell's row. */
  async #round(): Promise<void> {
    const beforeMs = this.#parts.clock.monotonicMs();
    let answered = false;
    try {
      answered = await this.#beat();
      this.#isReplaced = !answered;
      if (!answered) this.#lose('another process has this node’s row');
      else if (this.leftMs <= 0) this.#lose('a beat was answered too late');
      else if (this.#held) this.#extend(beforeMs);
    } catch (error) {
      this.#parts.log.warn('beat failed', { error });
    }
    if (this.#closed) return;
    this.#beatLater();
    if (!this.#settling) await this.#settle(answered ? beforeMs : undefined);
  }

  /** Agrees with the table where that is needed, then goes toward the fair share. `beforeMs`: of an answered beat. */
  async #settle(beforeMs: number | undefined): Promise<void> {
    this.#settling = true;
    try {
      if (beforeMs !== undefined && (!this.#held || this.#unsure || ++this.#rounds % LOOK_ROUNDS === 0)) await this.#agree(beforeMs);
      await this.#parts.view.look();
      if (this.#isReplaced) await this.#enterAgain();
      if (this.#held) await this.#share();
    } catch (error) {
      this.#unsure = true;
      this.#parts.log.warn('shards cannot be shared', { error });
    }
    this.#settling = false;
    this.#lookAtLapse();
  }

  /** What has our row and does not beat is no process any more: its last word was done after our first. */
  async #enterAgain(): Promise<void> {
    const { node, view, log, enter } = this.#parts;
    if (this.#closed || !view.isStill(node)) return;
    log.warn('the row of this node is made anew', { node });
    await enter();
  }

  /** A node that moves no more is over for us between two rounds: looked at then, and not up to a beat later. */
  #lookAtLapse(): void {
    this.#lapse?.cancel();
    const { clock, settings, view } = this.#parts;
    const lapseMs = view.lapseInMs;
    if (this.#closed || lapseMs === undefined || lapseMs >= settings.beatMs) return;
    this.#lapse = clock.after(lapseMs + TIMER_GRAIN_MS, () => {
      if (!this.#closed && !this.#settling) void this.#settle(undefined);
    });
  }

  #beat(): Promise<boolean> {
    return this.#parts.nodes.beat(this.#parts.node, this.#parts.boot);
  }

  /** Runs what the table says, under its epochs: the lease had ended, or a change of owner had an unknown outcome. */
  async #agree(beforeMs: number): Promise<void> {
    const { node, boot, shards, clock } = this.#parts;
    if (clock.monotonicMs() < this.#leavingUntilMs) return;
    // Statements of a former process may be done late: what it got then would be nobody's for ever.
    await shards.takeBack(node, boot);
    const owned = await shards.owned(node, boot);
    if (this.#closed) return;
    if (!this.#held) {
      this.#epochs.clear();
      this.#extend(beforeMs);
      this.#held = true;
    }
    this.#unsure = false;
    const epochs = new Map(owned.map(({ shard, epoch }) => [shard, epoch]));
    const lost = [...this.#epochs].filter(([shard, epoch]) => epochs.get(shard) !== epoch).map(([shard]) => shard);
    for (const shard of lost) this.#epochs.delete(shard);
    if (lost.length > 0) this.#parts.onLost(new Set(lost), [...this.#epochs.keys()]);
    this.#gain(owned.filter(({ shard }) => !this.#epochs.has(shard)));
  }

  /** Toward the fair share: takes what is free or over, or gives up what is too much. */
  async #share(): Promise<void> {
    const { node, boot, shards, view, role } = this.#parts;
    const sharers = Math.max(1, view.alive().filter((row) => row.roles.includes(role)).length);
    const share = Math.ceil(SHARD_COUNT / sharers);
    if (this.#epochs.size > share) return this.#giveUp([...this.#epochs.keys()].slice(share));
    if (this.#epochs.size < share) this.#gain(await shards.takeFree(node, boot, share - this.#epochs.size));
    for (const former of view.lapsed()) {
      if (this.#epochs.size >= share || this.#closed) return;
      const taken = await shards.takeFrom(node, boot, former, share - this.#epochs.size);
      if (taken.length > 0) this.#parts.log.warn('shards of a lapsed node taken', { from: former.name, count: taken.length });
      this.#gain(taken);
    }
  }

  /** Stopped here first, then free for others: at no moment may two run one. */
  async #giveUp(surplus: readonly number[]): Promise<void> {
    const { node, boot, shards, log, clock, settings } = this.#parts;
    for (const shard of surplus) this.#epochs.delete(shard);
    this.#parts.onLost(new Set(surplus), [...this.#epochs.keys()]);
    log.info('shards given up', { count: surplus.length });
    try {
      await shards.giveUp(node, boot, surplus);
    } catch (error) {
      // No statement lasts as long as a lease. What the table says before that is not to be run: it may be free a moment later.
      this.#leavingUntilMs = clock.monotonicMs() + settings.leaseMs;
      throw error;
    }
  }

  #gain(taken: readonly OwnedShard[]): void {
    if (this.#closed || taken.length === 0) return;
    for (const { shard, epoch } of taken) this.#epochs.set(shard, epoch);
    this.#parts.log.info('shards taken', { count: taken.length, owned: this.#epochs.size });
    this.#parts.onTaken(
      [...this.#epochs.keys()],
      taken.map(({ shard }) => shard),
    );
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
    this.#parts.onLost(new Set(this.#epochs.keys()), []);
  }
}
