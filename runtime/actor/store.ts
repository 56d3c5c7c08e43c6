/**
 * Port: where an actor's record is kept. Filled by the conductor; its double is in test/doubles. It knows rows, not
 * clouds: what else changes in a commit is opaque to the runtime (`parts`).
 */
import type { Address } from './address.ts';

/** What one commit changes besides the record, as the store's room defines it. */
export type Commit = { readonly parts: object; readonly dueAtMs: number | null; readonly open: boolean };

export type Loaded = { readonly record: unknown; readonly version: number; readonly revision: number };

export type CommitAnswer =
  /** Durable. */
  | { readonly is: 'done'; readonly version: number; readonly revision: number }
  /** A rule of the store said no; nothing was changed. `fence`: we are not the owner any more. */
  | { readonly is: 'refused'; readonly why: string; readonly detail?: unknown }
  /** The store cannot take this record at all: a bug. Nothing was changed. */
  | { readonly is: 'broken'; readonly why: string }
  /** Nobody knows. Counts as not ours: forget, load, go on from what the row says. */
  | { readonly is: 'unknown' };

export interface Store {
  /** The row, or undefined when there is none. Faults: `unavailable`. */
  load(address: Address): Promise<Loaded | undefined>;
  /** One transaction: epoch and version checked, record and parts changed, event written. Never throws. */
  commit(request: {
    readonly address: Address;
    readonly shard: number;
    readonly epoch: number;
    readonly version: number;
    readonly record: unknown;
    readonly commit: Commit;
  }): Promise<CommitAnswer>;
  /** Addresses on these shards with an open operation, oldest first. */
  open(shards: readonly number[], limit: number, after: Address | null): Promise<Address[]>;
  /** Addresses on these shards whose due time has come. */
  due(shards: readonly number[], nowMs: number, limit: number): Promise<Address[]>;
}
