/** What one slice remembers: its hosts as they last reported, and the bids it has made that no report shows yet. Memory only. */
import type { HostReport } from '../model/placement.ts';
import type { Resources } from '../model/resources.ts';

/** Counted as used until a report shows it, it is taken back, or its moment is over. */
export type OpenBid = { readonly host: string; readonly need: Resources; readonly untilMs: number };

export type SchedulerState = {
  readonly hosts: ReadonlyMap<string, HostReport>;
  /** By instance. */
  readonly open: ReadonlyMap<string, OpenBid>;
};

export const NO_HOSTS: SchedulerState = { hosts: new Map(), open: new Map() };
