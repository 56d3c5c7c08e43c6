/**
 * The best few of a slice for one request: filter, weigh, take the best; among near-equals by chance, so that many
 * schedulers and many requests do not all ask the same host. Pure.
 */
import { minus, type Resources } from '../model/resources.ts';
import type { Bid, Explanation, PlacementRequest } from '../model/placement.ts';
import { GROUP_FILTERS } from './filters/all.ts';
import type { Candidate, Filter } from './filters/filter.ts';
import type { SchedulerState } from './state.ts';
import type { Weigher } from './weighers/weigher.ts';

export type Choice = { readonly filters: readonly Filter[]; readonly weighers: readonly Weigher[] };

/** Scores so close that chance may decide. */
const NEAR = 0.05;

export function bidFor(
  state: SchedulerState,
  request: PlacementRequest,
  wanted: number,
  chance: () => number,
  choice: Choice,
): { bids: Bid[]; explanation: Explanation } {
  const open = openByHost(state);
  const removed: Record<string, number> = {};
  const left: Candidate[] = [];
  for (const report of state.hosts.values()) {
    const taken = open.get(report.host);
    const free = minus(report.capacity, report.used);
    const candidate: Candidate = { report, free: taken ? minus(free, taken) : free };
    const failed = failing(candidate, request, choice.filters);
    if (failed === undefined) left.push(candidate);
    else removed[failed] = (removed[failed] ?? 0) + 1;
  }
  const bids = best(score(left, request, choice.weighers), wanted, chance);
  return { bids, explanation: { considered: state.hosts.size, removed, bids } };
}

function failing(candidate: Candidate, request: PlacementRequest, filters: readonly Filter[]): string | undefined {
  // A forced host (`zone:host` of an administrator) is asked nothing but whether it is the one, and what its group says.
  if (request.skipFilters && candidate.report.host !== request.onlyHost) return 'RequestedHostFilter';
  return (request.skipFilters ? GROUP_FILTERS : filters).find((filter) => !filter.passes(candidate, request))?.name;
}

function score(candidates: readonly Candidate[], request: PlacementRequest, weighers: readonly Weigher[]): { candidate: Candidate; score: number }[] {
  const scored = candidates.map((candidate) => ({ candidate, score: 0 }));
  for (const { weigh, multiplier } of weighers) {
    const weights = candidates.map((candidate) => weigh(candidate, request));
    const low = Math.min(...weights);
    const span = Math.max(...weights) - low;
    if (span === 0) continue;
    scored.forEach((entry, i) => (entry.score += (multiplier * ((weights[i] ?? low) - low)) / span));
  }
  return scored;
}

function best(scored: { candidate: Candidate; score: number }[], wanted: number, chance: () => number): Bid[] {
  scored.sort((a, b) => b.score - a.score);
  const top = scored[0]?.score ?? 0;
  const near = scored.filter((entry) => top - entry.score <= NEAR).length;
  const first = Math.floor(chance() * near);
  const order = [...scored.slice(first, near), ...scored.slice(0, first), ...scored.slice(near)];
  return order.slice(0, wanted).map(({ candidate: { report }, score: points }) => ({ host: report.host, zone: report.zone, score: points, seen: report.seen }));
}

function openByHost(state: SchedulerState): Map<string, Resources> {
  const sums = new Map<string, Resources>();
  for (const { host, need } of state.open.values()) {
    const sum = sums.get(host);
    sums.set(host, sum ? { vcpus: sum.vcpus + need.vcpus, memoryMiB: sum.memoryMiB + need.memoryMiB, diskGiB: sum.diskGiB + need.diskGiB } : need);
  }
  return sums;
}
