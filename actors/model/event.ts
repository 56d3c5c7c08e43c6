/**
 * A status event: written in the transaction that makes the change, pushed to subscribers after it (P5).
 * `revision` orders all events of a cell; one object changes at most once in a revision.
 */
export type StatusEvent = {
  readonly revision: number;
  readonly kind: 'instance';
  readonly id: string;
  readonly projectId: string;
  /** `created`, `changed`, `deleted` */
  readonly change: 'created' | 'changed' | 'deleted';
  /** Derived API status before and after; null before a creation. */
  readonly was: string | null;
  readonly status: string;
  readonly at: string;
  readonly cause: { readonly requestId: string | null; readonly operation: string | null; readonly step: string | null };
  /** The compact record: what a view of the list needs (see `toCompact`). */
  readonly record: CompactInstance;
};

export type CompactInstance = {
  readonly id: string;
  readonly name: string;
  readonly projectId: string;
  readonly userId: string;
  readonly status: string;
  readonly vmState: string;
  readonly taskState: string | null;
  readonly powerState: string;
  readonly host: string | null;
  readonly flavorId: string;
  readonly flavorName: string;
  readonly imageId: string;
  readonly addresses: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly launchedAt: string | null;
  readonly fault: { readonly reason: string; readonly message: string } | null;
};

/** What one commit made visible, in order. A revision without events is not told. */
export type EventBatch = { readonly revision: number; readonly events: readonly StatusEvent[] };

/** Batches as they are committed, in revision order; a gap means that batches are to be fetched from history. */
export interface EventFeed {
  /** Answers with what ends the subscription. */
  subscribe(listener: (batch: EventBatch) => void): () => void;
}
