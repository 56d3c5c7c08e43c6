/** What an operator may set about hosts. Milliseconds unless said otherwise. */
import type { Ratios, Resources } from '../model/resources.ts';

export type HostSettings = {
  readonly node: string;
  readonly driver: string;
  readonly zone: string;
  readonly ratios: Ratios;
  readonly reserved: Resources;
  /** How long a granted claim waits for its commit. */
  readonly promiseMs: number;
  /** Between beats, reports and looks at promises. */
  readonly tickMs: number;
  /** Between comparisons of store and hypervisor, besides those that events ask for. */
  readonly lookMs: number;
  /** Driver verbs at once on this host. */
  readonly verbsAtOnce: number;
  /** Longest run of one verb, above the grace it was given. */
  readonly verbLimitMs: number;
  /** The scheduler slices that this host reports to. */
  readonly slicesOf: (host: string) => readonly number[];
};

export const HOST_DEFAULTS = {
  zone: 'nova',
  ratios: { vcpus: 4, memoryMiB: 1, diskGiB: 1 },
  reserved: { vcpus: 0, memoryMiB: 512, diskGiB: 0 },
  promiseMs: 10_000,
  tickMs: 5_000,
  lookMs: 60_000,
  verbsAtOnce: 64,
  verbLimitMs: 300_000,
} as const;
