/**
 * What one commit of an instance changes besides its record: all of it or nothing. The store's write batch checks it
 * (actors/conductor/write); the memory twin in test/doubles does the same.
 */
import type { MigrationWrite } from './migration.ts';
import type { Resources } from './resources.ts';
import type { StatusEvent } from './event.ts';

export type ClaimChange =
  /**
   * Records a granted claim: refused when the host's epoch moved (`hostEpoch`), its counters are full (`hostFull`), or
   * the server's group forbids that host as its members stand now (`groupPolicy`).
   */
  | { readonly op: 'add'; readonly generation: number; readonly host: string; readonly hostEpoch: number; readonly need: Resources; readonly standby?: true }
  /** The standby claim of that generation becomes the active one, which becomes standby, when it is there still. Refused (`claimGone`) when it is no standby claim of that host. */
  | { readonly op: 'activate'; readonly generation: number; readonly host: string }
  /** The guest of that generation is gone for certain. */
  | { readonly op: 'drop'; readonly generation: number }
  /** The guest may still be there; the host has to confirm that it is gone. */
  | { readonly op: 'doom'; readonly generation: number }
  /** The same, and the instance goes on elsewhere: refused (`hostNotProved`) unless something proves now that the guests of that host are dead. */
  | { readonly op: 'evacuate'; readonly generation: number; readonly host: string };

export type AddressTake = { readonly networkId: string; readonly address: string; readonly mac: string };

/** Signed changes of what a project and a user have in use. */
export type QuotaChange = { readonly projectId: string; readonly userId: string; readonly instances: number; readonly cores: number; readonly ram: number };

export type InstanceParts = {
  readonly claims: readonly ClaimChange[];
  readonly takeAddresses: readonly AddressTake[];
  readonly dropAddresses: boolean;
  /** More cores or memory than before are refused (`quota`) when a limit is in the way. */
  readonly quota: QuotaChange | null;
  readonly migration?: MigrationWrite | null;
  readonly event: Omit<StatusEvent, 'revision'> | null;
};

/** Why the store refuses a commit; `epoch` and `version` are fences, the rest are for the actor to decide on. `quota`: of addresses. */
export type RefusedWhy = 'epoch' | 'version' | 'hostEpoch' | 'hostFull' | 'hostGone' | 'hostNotProved' | 'claimGone' | 'groupPolicy' | 'addressTaken' | 'quota';
