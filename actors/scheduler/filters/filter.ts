/** What every filter is: a host passes or not. One file per filter; the list of those in force is a setting. */
import type { HostReport, PlacementRequest } from '../../model/placement.ts';
import type { Resources } from '../../model/resources.ts';

/** A host with what its reports and the open bids leave. */
export type Candidate = { readonly report: HostReport; readonly free: Resources };

export type Filter = {
  /** As operators know it. */
  readonly name: string;
  readonly passes: (candidate: Candidate, request: PlacementRequest) => boolean;
};
