/**
 * The record of one instance: what its row holds and its actor remembers. Plain JSON, no undefined, times as ISO text.
 * Everything that a view or a driver needs is here, so that a read costs one row.
 */
import type { FaultRecord } from '../../runtime/base/fault.ts';
import type { Nic } from './addressing.ts';
import type { Flavor } from './flavor.ts';
import type { ImageRef } from './image.ts';
import type { Move } from './move.ts';
import type { ActionRecord, Operation } from './operation.ts';
import type { PowerState, TaskState, VmState } from './server-state.ts';

export type InstanceRecord = {
  readonly id: string;
  /** Grows by one per instance of the cell; names the guest (`instance-%08x`). */
  readonly number: number;
  readonly projectId: string;
  readonly userId: string;
  readonly name: string;
  readonly description: string | null;
  readonly hostname: string;
  readonly reservationId: string;
  readonly launchIndex: number;
  readonly vmState: VmState;
  readonly taskState: TaskState | null;
  readonly powerState: PowerState;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly launchedAt: string | null;
  readonly terminatedAt: string | null;
  readonly deleted: boolean;
  readonly flavor: Flavor;
  readonly image: ImageRef;
  readonly kernel: ImageRef | null;
  readonly ramdisk: ImageRef | null;
  readonly keyName: string | null;
  readonly publicKey: string | null;
  readonly userData: string | null;
  readonly configDrive: boolean;
  readonly diskConfig: 'AUTO' | 'MANUAL';
  readonly metadata: { readonly [key: string]: string };
  readonly tags: readonly string[];
  readonly securityGroups: readonly string[];
  readonly accessIpV4: string | null;
  readonly accessIpV6: string | null;
  readonly schedulerHints: { readonly [key: string]: unknown };
  /** The zone the user asked for; null when none. */
  readonly requestedZone: string | null;
  /** `zone:host` or `host` of an admin. */
  readonly requestedHost: string | null;
  readonly zone: string | null;
  /** The host of the active claim; null before placement and after the guest is gone. */
  readonly host: string | null;
  /** Counts placements: 0 before the first. Names claim and guest together with the id. */
  readonly generation: number;
  /** The highest generation that was ever given, when it is not the one above. */
  readonly generationTop?: number;
  /** Present while the server holds two claims: see model/move.ts. */
  readonly move?: Move | null;
  /** The server group it was made in; absent or null when none. It never changes. */
  readonly group?: { readonly id: string } | null;
  /** What the guest posted as its password, encrypted with the user's key; absent or null when it posted none. */
  readonly guestPassword?: string | null;
  /** Networks asked for, with the address wanted there; `nics` are what came of it. */
  readonly wantedNetworks: readonly { readonly networkId: string; readonly address: string | null }[];
  readonly nics: readonly Nic[];
  readonly locked: boolean;
  readonly lockedReason: string | null;
  /** Whose lock it is. Left out of rows that are older than it: nobody's. */
  readonly lockedBy?: 'owner' | 'admin' | null;
  /** Of a soft-deleted server: wall milliseconds after which it is deleted for good. While it stands, no quota is used. */
  readonly reclaimAtMs?: number | null;
  readonly fault: (FaultRecord & { readonly at: string }) | null;
  readonly operation: Operation | null;
  /** Newest last; at most 30 are kept with the record. */
  readonly actions: readonly ActionRecord[];
  /** Commands that were done, so that a retry is answered from the record and not done again. */
  readonly commands: readonly CommandMemory[];
  /** What a shelved server comes back from; absent or null when it is none. */
  readonly shelved?: Shelved | null;
};

/** The image with the disk of a shelved server, and when it leaves its host by itself (wall milliseconds; null: never, or it has). */
export type Shelved = { readonly image: ImageRef; readonly offloadDueMs: number | null };

export type CommandMemory = { readonly id: string; readonly atMs: number };

/** A record with what its row adds: the row's version and the revision of its last change. */
export type Stored<T> = { readonly record: T; readonly version: number; readonly revision: number };
