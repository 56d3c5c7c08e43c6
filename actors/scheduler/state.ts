/** What one slice remembers: its hosts as they last reported, and the bids it has made that no report shows yet. Memory only. */
import type { HostReport } from '../model/placement.ts';
import type { Resources } from '../model/resources.ts';

/** Counted as used until a report shows it, it is taken back, or its moment is over. */
export type OpenBid = { readonly host: string; readonly need: Resources; readonly untilMs: number };

export type SchedulerState = {
  readonly hosts: ReadonlyMap<string, HostReport>;
  /** By instance. */
  readonly open: ReadonlyMap<string, OpenBid>;
  /** Counts this slice's own ticks: silence is told by them, not by a clock that may be set. */
  readonly round: number;
  /** The round of each host's last report. */
  readonly heard: ReadonlyMap<string, number>;
};

export const NO_HOSTS: SchedulerState = { hosts: new Map(), open: new Map(), round: 0, heard: new Map() };
