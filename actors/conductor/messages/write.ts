/** The writes that doors ask for. Each is one transaction; the answer comes after its commit (P6). */
import type { InstanceRecord, Stored } from '../../model/instance.ts';
import type { QuotaNeed } from '../../model/quota.ts';

/** A create order: n instances, all with their open operation `create`, or as many as the quota allows. */
export type CreateOrder = {
  readonly projectId: string;
  readonly userId: string;
  /** Full records but for `number`, which the store gives; `operation` is the open create. */
  readonly instances: readonly InstanceRecord[];
  /** At least so many, else nothing is accepted. */
  readonly minCount: number;
  /** Need of one instance. */
  readonly needEach: QuotaNeed;
  /** Present when the client sent an idempotency key. */
  readonly idempotency: { readonly key: string; readonly bodyHash: string } | null;
};

export type WriteProtocol = {
  /**
   * Accepts an order. Faults: `overQuota` (detail: OverQuota[]), `unprocessable` (the key came before with another
   * body). `replayed`: the key came before with the same body; the instances are those of then.
   */
  accept: { body: { order: CreateOrder }; reply: { instances: Stored<InstanceRecord>[]; replayed: boolean } };
};
