/** What a write batch is made of, and how each item ends. Fault-free: an expected refusal is an answer. */
import type { InstanceRecord, Stored } from '../../model/instance.ts';
import type { InstanceParts, RefusedWhy } from '../../model/commit.ts';
import type { CreateOrder } from '../messages/write.ts';

/** One actor's commit: its record, fenced by the shard's epoch and the row's version. */
export type CommitItem = {
  readonly is: 'commit';
  readonly shard: number;
  readonly epoch: number;
  readonly version: number;
  readonly record: InstanceRecord;
  readonly parts: InstanceParts;
  readonly open: boolean;
  readonly dueAtMs: number | null;
};

/** One create order: rows, quota and events together, or nothing. */
export type OrderItem = { readonly is: 'order'; readonly order: CreateOrder };

export type WriteItem = CommitItem | OrderItem;

export type CommitAnswer = { readonly is: 'done'; readonly version: number; readonly revision: number } | { readonly is: 'refused'; readonly why: RefusedWhy };

export type OrderAnswer =
  | { readonly is: 'accepted'; readonly instances: readonly Stored<InstanceRecord>[] }
  /** The key came before with this body: the instances of then. */
  | { readonly is: 'seen'; readonly ids: readonly string[] }
  | { readonly is: 'keyReused' }
  /** There is no such server group in the project any more. */
  | { readonly is: 'groupGone' }
  /** A security group that the order names is not there any more. */
  | { readonly is: 'securityGroupGone' }
  /** The user has as many servers in the group as the quota lets be. */
  | { readonly is: 'groupFull' }
  | { readonly is: 'overQuota'; readonly over: QuotaState };

export type QuotaState = { readonly [who in 'project' | 'user']: { readonly limit: readonly number[]; readonly used: readonly number[] } };

export type WriteAnswer = CommitAnswer | OrderAnswer | { readonly is: 'again' };
