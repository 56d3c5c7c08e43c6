/**
 * What operators say of groups of hosts. Each change is one transaction; a change of the zone of a host that has
 * servers is refused. Who asked tells the hosts (`rowChanged`); they look by themselves too, but later.
 *
 * Faults: `notFound` (aggregate, host), `conflict` (name taken, host in it already, zones), `invalid` (reason
 * `aggregate.zone`: servers or another zone stand against a changed word; `aggregate.hosts`: it still has some).
 */
import type { GuestImage } from '../../../drivers/driver.ts';
import type { Aggregate } from '../../model/aggregate.ts';

export type AggregateProtocol = {
  /** By id. */
  listAggregates: { body: object; reply: readonly Aggregate[] };
  showAggregate: { body: { id: number }; reply: Aggregate | null };
  createAggregate: { body: { name: string; zone: string | null }; reply: Aggregate };
  /** Members left out stay; zone null takes the word away. */
  updateAggregate: { body: { id: number; change: { name?: string; zone?: string | null } }; reply: Aggregate };
  deleteAggregate: { body: { id: number }; reply: undefined };
  addAggregateHost: { body: { id: number; host: string }; reply: Aggregate };
  removeAggregateHost: { body: { id: number; host: string }; reply: Aggregate };
  /** Words that are set and words that go. */
  setAggregateWords: { body: { id: number; set: { readonly [key: string]: string }; drop: readonly string[] }; reply: Aggregate };
  /** Remembered until each host of the aggregate has fetched them, or could not. */
  wantImages: { body: { id: number; images: readonly GuestImage[] }; reply: { readonly hosts: readonly string[] } };
};

/** What a host is to fetch ahead of time, and its word that it did or cannot. */
export type ImageWantProtocol = {
  hostWantedImages: { body: { host: string }; reply: readonly GuestImage[] };
  hostImageDone: { body: { host: string; imageId: string }; reply: undefined };
};
