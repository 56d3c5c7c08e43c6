/** Placement: what is asked, offered, granted and refused. */
import type { Resources } from './resources.ts';
import type { GroupPlaces } from './server-group.ts';

export type PlacementRequest = {
  readonly instanceId: string;
  readonly projectId: string;
  /** Hosts wanted: 1, or n for a multi-create that the first instance places for all. */
  readonly count: number;
  readonly need: Resources;
  readonly zone: string | null;
  /** Only this host is considered. With `skipFilters` (an admin's `zone:host`) nothing but its existence is asked. */
  readonly onlyHost: string | null;
  readonly skipFilters: boolean;
  readonly excludedHosts: readonly string[];
  readonly extraSpecs: { readonly [key: string]: string };
  readonly imageProperties: { readonly [key: string]: string };
  readonly hints: { readonly [key: string]: unknown };
  /** Of a server in a group: where the others are. */
  readonly group?: GroupPlaces;
};

/** What one slice offers: a host, how good it is (higher is better), and the state it saw. */
export type Bid = {
  readonly host: string;
  readonly zone: string;
  readonly score: number;
  /** Counts the host actor's changes; a claim may find a newer one. */
  readonly seen: number;
};

/** Which filter removed how many hosts, and the nearest miss; kept with the instance action. */
export type Explanation = {
  readonly considered: number;
  readonly removed: { readonly [filter: string]: number };
  readonly bids: readonly Bid[];
};

/** A slice's answer. `isLearning`: it has only begun, and hosts may not have told it of themselves yet. */
export type Placed = { readonly bids: readonly Bid[]; readonly explanation: Explanation; readonly isLearning: boolean };

/** What a host actor tells the schedulers about itself. */
export type HostReport = {
  readonly host: string;
  /** Raised at each start of the host actor; older reports are dropped. */
  readonly epoch: number;
  /** Raised by each change; orders reports of one epoch. */
  readonly seen: number;
  readonly zone: string;
  readonly capacity: Resources;
  readonly used: Resources;
  readonly instances: number;
  readonly ioOps: number;
  readonly enabled: boolean;
  readonly up: boolean;
  readonly hypervisorType: string;
  readonly hypervisorVersion: number;
  readonly arch: string;
  readonly aggregates: readonly { readonly id: number; readonly metadata: { readonly [key: string]: string } }[];
  readonly failures: number;
};

export type ClaimRole = 'active' | 'standby' | 'doomed';

/** A granted share of a host. Keyed by instance and generation. */
export type Claim = {
  readonly instanceId: string;
  readonly generation: number;
  readonly host: string;
  readonly role: ClaimRole;
  readonly need: Resources;
};

export type ClaimAnswer =
  | { readonly granted: true; readonly hostEpoch: number }
  | { readonly granted: false; readonly why: 'full' | 'stale' | 'disabled' | 'starting'; readonly report: HostReport | null };
