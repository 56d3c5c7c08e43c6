/** What every weigher is: a number per host. Numbers are made comparable (0..1 over the candidates) and multiplied. */
import type { PlacementRequest } from '../../model/placement.ts';
import type { Candidate } from '../filters/filter.ts';

export type Weigher = {
  readonly name: string;
  /** Higher is better. */
  readonly weigh: (candidate: Candidate, request: PlacementRequest) => number;
  readonly multiplier: number;
};
