/**
 * A small cell: instances, a revision, an event log and what conductors answer about them. It is nasty where the real
 * one may be: a list reads its records a moment after their ids, batches may be told late, in another order or not at
 * all, history is cut, the store is away for a while.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { EventBatch, EventFeed, StatusEvent } from '../../../actors/model/event.ts';
import { eventOf } from '../../../actors/model/events-of.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import type { ReadProtocol } from '../../../actors/conductor/messages/read.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { instanceRecord, uuidOf } from '../../actors/conductor/rows.ts';

export type Change = { readonly nth: number; readonly patch?: Partial<InstanceRecord> };

export class Cell implements EventFeed {
  revision = 0;
  oldest = 1;
  incarnation = 'first';
  isAway = false;
  asked = { history: 0, revision: 0, listServers: 0 };
  /** Runs between the two halves of a list. */
  whileListing: () => void | Promise<void> = () => undefined;
  readonly events: StatusEvent[] = [];
  readonly servers = new Map<string, Stored<InstanceRecord>>();
  readonly #listeners = new Set<(batch: EventBatch) => void>();

  subscribe(listener: (batch: EventBatch) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** One revision with these changes; new instances are created. */
  commit(...changes: readonly Change[]): EventBatch {
    const batch = this.commitUntold(...changes);
    this.tell(batch);
    return batch;
  }

  commitUntold(...changes: readonly Change[]): EventBatch {
    const revision = ++this.revision;
    const events = changes.map(({ nth, patch }) => {
      const before = this.servers.get(uuidOf(nth));
      const record = { ...(before?.record ?? instanceRecord(nth)), ...patch };
      this.servers.set(record.id, { record, version: (before?.version ?? 0) + 1, revision });
      return { ...eventOf(before?.record, record), revision };
    });
    this.events.push(...events);
    return { revision, events };
  }

  /** A plain record changed: a revision that nobody is told of. */
  plain(): void {
    this.revision++;
  }

  tell(batch: EventBatch): void {
    for (const listener of this.#listeners) listener(batch);
  }

  /** Drops events before `oldest`. */
  trim(oldest: number): void {
    this.oldest = oldest;
  }

  readonly actors: Actors = {
    tell: () => undefined,
    ask: (async (_to: string, message: { type: string }) => {
      await turn();
      if (this.isAway) throw new Fault('unavailable', 'store.read', 'The database does not answer.');
      return this.#answer(message);
    }) as Actors['ask'],
  };

  async #answer(message: { type: string }): Promise<unknown> {
    if (message.type === 'revision') {
      this.asked.revision++;
      return { revision: this.revision, oldest: this.oldest, incarnation: this.incarnation };
    }
    if (message.type === 'history') return this.#history(message as unknown as ReadProtocol['history']['body']);
    if (message.type === 'listServers') return this.#list(message as unknown as ReadProtocol['listServers']['body']);
    throw new Error(`not asked in this room: ${message.type}`);
  }

  #history({ after, limit }: ReadProtocol['history']['body']): ReadProtocol['history']['reply'] {
    this.asked.history++;
    if (after + 1 < this.oldest) throw new Fault('notFound', 'stream.gone', 'no longer kept', { detail: { oldest: this.oldest } });
    const later = this.events.filter((event) => event.revision > after);
    const cut = later[limit]?.revision;
    if (cut === undefined) return { events: later, upTo: this.revision };
    const whole = later.filter((event) => event.revision < cut);
    if (whole.length > 0) return { events: whole, upTo: cut - 1 };
    return { events: later.filter((event) => event.revision === cut), upTo: cut };
  }

  async #list({ filter, marker, limit }: ReadProtocol['listServers']['body']): Promise<ReadProtocol['listServers']['reply']> {
    this.asked.listServers++;
    const { revision } = this;
    const place = marker === null ? '' : `${this.servers.get(marker)?.record.createdAt}/${marker}`;
    const ids = [...this.servers.values()]
      .filter(({ record }) => !record.deleted && (filter.projectId === null || record.projectId === filter.projectId))
      .filter(({ record }) => filter.ids === null || filter.ids.includes(record.id))
      .filter(({ record }) => filter.states === null || filter.states.some((state) => state.vmState === record.vmState))
      .map(({ record }) => `${record.createdAt}/${record.id}`)
      .filter((key) => key > place)
      .sort()
      .slice(0, limit)
      .map((key) => key.slice(key.indexOf('/') + 1));
    await this.whileListing();
    await turn();
    const servers = ids.map((id) => this.servers.get(id)).filter((stored) => stored !== undefined && !stored.record.deleted);
    return { servers: servers as Stored<InstanceRecord>[], revision };
  }
}
