/** The host is enabled and answers. */
import type { Filter } from './filter.ts';

export const COMPUTE: Filter = { name: 'ComputeFilter', passes: ({ report }) => report.up && report.enabled };
