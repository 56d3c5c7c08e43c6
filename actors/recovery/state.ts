/**
 * What the watch remembers: memory only. Proofs stand in the rows of hosts, evacuations in those of servers; a new
 * owner waits anew. All times are of the watching node's monotonic clock, as its readings say.
 */
import type { HostStanding } from '../model/host-standing.ts';

export type Watched = {
  readonly standing: HostStanding;
  /** When its mark was first read; the silence counts from here. */
  readonly sinceMs: number;
  /** Until when it has been silent for sure: the beginning of the last reading. */
  readonly silentMs: number;
};

/** `notBeforeMs`: the next try. `pauseMs`: from this try to the next one. */
export type Tried = { readonly notBeforeMs: number; readonly pauseMs: number };

export type RecoveryState = {
  readonly hosts: ReadonlyMap<string, Watched>;
  /** End of the last reading that was answered; null: none, or the wait begins anew. */
  readonly readMs: number | null;
  readonly paused: { readonly lost: number; readonly of: number } | null;
  /** Lost hosts that an administrator has let go on. */
  readonly accepted: ReadonlySet<string>;
  /** Work under way or not to be tried again before: by `host epoch` and by server. */
  readonly tried: ReadonlyMap<string, Tried>;
  /** Evacuations that may begin now. */
  readonly budget: number;
};

export const NOTHING_SEEN: RecoveryState = { hosts: new Map(), readMs: null, paused: null, accepted: new Set(), tried: new Map(), budget: 0 };
