/**
 * A stored operation: what was accepted and has not ended. It stands in the instance's row from the transaction that
 * accepts it to the one that ends it, so whoever takes the shard over can take it up (P2).
 */
import type { FaultRecord, Json } from '../../runtime/base/fault.ts';

export const OPERATIONS = ['create', 'delete', 'start', 'stop', 'reboot'] as const;
export type OperationName = (typeof OPERATIONS)[number];

export type Operation = {
  readonly name: OperationName;
  /** Unique per operation; a host tells a repeated verb by it. */
  readonly id: string;
  /** The current step of the operation's plan. */
  readonly step: string;
  readonly args: { readonly [key: string]: Json };
  readonly requestId: string;
  readonly startedAt: string;
  /** Wall milliseconds after which the current step fails. */
  readonly stepDueMs: number;
  /** How often placement began again (create). */
  readonly attempt: number;
  /** Hosts that refused or failed this operation; they are not asked again. */
  readonly excludedHosts: readonly string[];
};

/** An entry of the history that `os-instance-actions` shows. */
export type ActionRecord = {
  readonly requestId: string;
  readonly action: string;
  readonly userId: string;
  readonly projectId: string;
  readonly startedAt: string;
  readonly updatedAt: string;
  /** `Error` when it failed. */
  readonly message: string | null;
  readonly events: readonly ActionEvent[];
};

export type ActionEvent = {
  readonly event: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly result: 'Success' | 'Error' | null;
  readonly host: string | null;
  readonly fault: FaultRecord | null;
  /** Why this host was chosen or none was: counts per filter, bids, refusals. Admins see it. */
  readonly explanation?: Json;
};
