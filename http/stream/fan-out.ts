/**
 * From what the store commits to all who listen in this process (P5).
 *
 * The feed tells batches as they are committed here; revisions without events are not told, and what other nodes commit
 * may not be told at all. So a step in the numbers proves nothing: only `through + 1` continues what we have, and for
 * anything later the history is asked for what lies between. The same question, asked every few seconds, finds what
 * nobody told us of and moves the bookmarks on. Batches that come before their turn wait; they are never delivered
 * out of order, twice or with a hole before them.
 *
 *   feed ──► through + 1? ──► ring ──► live subscriptions
 *                 │ no          ▲
 *                 └► history ───┘          cursor.ts brings a subscription to where it can join
 *
 * While nobody is live the history is not asked: the ring then begins anew after each hole.
 */
import { CONDUCTOR } from '../../actors/conductor/messages.ts';
import type { EventBatch, EventFeed, StatusEvent } from '../../actors/model/event.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import { Entry } from './frame.ts';
import { ASK_MS } from './limits.ts';
import { byRevision, type Ring, type Slot } from './ring.ts';
import type { Subscription } from './subscription.ts';

const HISTORY_PAGE = 1_000;
/** Batches that came before their turn; past it they are forgotten, since the history has them. */
const EARLY_MAX = 1_024;
const RETRY_MS = 250;

export type FanOutParts = { readonly actors: Actors; readonly feed: EventFeed; readonly clock: Clock; readonly log: Log; readonly ring: Ring };

export class FanOut {
  readonly ring: Ring;
  #oldest = 1;
  #incarnation: string | undefined;
  #deliveries = 0;
  #live = 0;
  readonly #byProject = new Map<string, Set<Subscription>>();
  readonly #ofAll = new Set<Subscription>();
  readonly #early = new Map<number, EventBatch>();
  readonly #parts: FanOutParts;
  readonly #unsubscribe: () => void;
  #catching: Promise<void> | undefined;
  #fresh: Promise<void> | undefined;
  #fresher: Promise<void> | undefined;
  #retry: Timer | undefined;
  #closed = false;

  constructor(parts: FanOutParts) {
    this.#parts = parts;
    this.ring = parts.ring;
    this.#unsubscribe = parts.feed.subscribe((batch) => this.#told(batch));
  }

  /** Known after the first `freshen`. */
  get incarnation(): string {
    return this.#incarnation ?? '';
  }

  /** The oldest revision whose events were kept when the store was last asked. */
  get oldest(): number {
    return this.#oldest;
  }

  get live(): number {
    return this.#live;
  }

  get deliveries(): number {
    return this.#deliveries;
  }

  /** From now on it gets every event; its past must be settled up to `ring.through`. */
  join(sub: Subscription): void {
    sub.phase = 'live';
    this.#live++;
    const { projectId } = sub.reader;
    if (sub.wish.scope === 'all' || projectId === null) return void this.#ofAll.add(sub);
    const others = this.#byProject.get(projectId);
    if (others) others.add(sub);
    else this.#byProject.set(projectId, new Set([sub]));
  }

  /** Harmless when it never joined. */
  leave(sub: Subscription): void {
    if (sub.phase === 'live') {
      this.#live--;
      this.#ofAll.delete(sub);
      const { projectId } = sub.reader;
      const others = projectId === null ? undefined : this.#byProject.get(projectId);
      if (projectId !== null && others?.delete(sub) && others.size === 0) this.#byProject.delete(projectId);
    }
    sub.phase = 'ended';
  }

  /** Resolves when the ring holds what was committed before this call. Those who ask at the same time share the question. */
  freshen(): Promise<void> {
    if (this.#fresh === undefined) {
      this.#fresh = this.#askWhereTheCellStands().finally(() => (this.#fresh = undefined));
      return this.#fresh;
    }
    // The running question may have been answered before this call: a next one is needed.
    this.#fresher ??= this.#fresh
      .catch(() => undefined)
      .then(() => {
        this.#fresher = undefined;
        return this.freshen();
      });
    return this.#fresher;
  }

  close(): void {
    this.#closed = true;
    this.#unsubscribe();
    this.#retry?.cancel();
  }

  #told(batch: EventBatch): void {
    const { ring } = this;
    if (this.#closed || batch.revision <= ring.through) return;
    if (batch.revision === ring.through + 1) {
      this.#append(batch.revision, batch.events);
      return this.#appendEarly();
    }
    if (this.#live === 0) {
      ring.reset(batch.revision - 1);
      return this.#append(batch.revision, batch.events);
    }
    if (this.#early.size >= EARLY_MAX) this.#early.clear();
    this.#early.set(batch.revision, batch);
    this.#catchUpSoon();
  }

  #append(revision: number, events: readonly StatusEvent[]): void {
    const slot: Slot = { revision, entries: events.map((event) => new Entry(event)) };
    this.ring.append(slot);
    if (this.#live > 0) this.#deliver(slot);
  }

  #appendEarly(): void {
    for (const [revision, batch] of this.#early) {
      if (revision > this.ring.through + 1) continue;
      this.#early.delete(revision);
      if (revision === this.ring.through + 1) {
        this.#append(revision, batch.events);
        return this.#appendEarly();
      }
    }
  }

  #deliver({ revision, entries }: Slot): void {
    const nowMs = this.#parts.clock.wallMs();
    const touched: Subscription[] = [];
    for (const entry of entries) {
      this.#stage(entry, this.#byProject.get(entry.event.projectId), nowMs, touched);
      this.#stage(entry, this.#ofAll, nowMs, touched);
    }
    for (const sub of touched) sub.settle(revision);
  }

  #stage(entry: Entry, subs: Iterable<Subscription> | undefined, nowMs: number, touched: Subscription[]): void {
    if (subs === undefined) return;
    for (const sub of subs) {
      if (!sub.reader.isAuthorised(nowMs)) continue;
      const staged = sub.stage(entry);
      if (staged > 0) this.#deliveries++;
      if (staged === 1) touched.push(sub);
    }
  }

  #catchUpSoon(): void {
    if (this.#catching !== undefined || this.#retry !== undefined) return;
    this.#catchUp().catch((error: unknown) => this.#parts.log.warn('the history cannot be read', { error }));
  }

  /** Until no early batch is left that has a hole before it. */
  #catchUp(): Promise<void> {
    this.#catching ??= this.#fetch().finally(() => {
      this.#catching = undefined;
      if (this.#early.size > 0) this.#tryAgain();
    });
    return this.#catching;
  }

  #tryAgain(): void {
    if (this.#closed || this.#retry !== undefined) return;
    this.#retry = this.#parts.clock.after(RETRY_MS, () => {
      this.#retry = undefined;
      if (this.#early.size > 0) this.#catchUpSoon();
    });
  }

  async #fetch(): Promise<void> {
    for (;;) {
      const after = this.ring.through;
      const page = await this.#history(after);
      if (page === undefined || this.#closed) return;
      for (const { revision, events } of byRevision(page.events)) {
        if (revision > this.ring.through) this.#append(revision, events);
      }
      this.ring.pass(page.upTo);
      this.#appendEarly();
      if (this.#early.size === 0 || page.upTo <= after) return;
    }
  }

  async #history(after: number): Promise<{ events: readonly StatusEvent[]; upTo: number } | undefined> {
    try {
      return await this.#parts.actors.ask(CONDUCTOR, { type: 'history', after, limit: HISTORY_PAGE }, { timeoutMs: ASK_MS });
    } catch (error) {
      if (!Fault.is(error, 'notFound')) throw error;
      this.#parts.log.warn('this node was away for longer than events are kept', { after });
      const { revision, oldest } = await this.#parts.actors.ask(CONDUCTOR, { type: 'revision' }, { timeoutMs: ASK_MS });
      this.#startAnew(revision, oldest);
      return undefined;
    }
  }

  async #askWhereTheCellStands(): Promise<void> {
    const seen = this.ring.through;
    const { revision, oldest, incarnation } = await this.#parts.actors.ask(CONDUCTOR, { type: 'revision' }, { timeoutMs: ASK_MS });
    if (this.#closed) return;
    // A store that stands below what was told before it was asked has lost that, under whatever name.
    const isOther = this.#incarnation !== undefined && (this.#incarnation !== incarnation || revision < seen);
    this.#incarnation = incarnation;
    this.#oldest = oldest;
    if (isOther) return this.#startAnew(revision, oldest);
    if (revision <= this.ring.through) return;
    if (this.#live === 0) {
      this.ring.reset(revision);
      return this.#appendEarly();
    }
    while (this.ring.through < revision && !this.#closed) {
      const before = this.ring.through;
      await this.#catchUp();
      if (this.ring.through === before) throw new Fault('unavailable', 'stream.behind', 'The history lags behind the cell.');
    }
  }

  /** Nobody's place holds any more: the store was restored, or we were away for too long. */
  #startAnew(revision: number, oldest: number): void {
    this.#oldest = oldest;
    this.#early.clear();
    this.ring.reset(revision);
    const everyone = [...this.#ofAll, ...[...this.#byProject.values()].flatMap((subs) => [...subs])];
    for (const sub of everyone) sub.reader.closeGone(sub.id, oldest);
  }
}
