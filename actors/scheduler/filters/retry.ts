/** Hosts that failed this placement before are not tried again. */
import type { Filter } from './filter.ts';

export const RETRY: Filter = { name: 'RetryFilter', passes: ({ report }, request) => !request.excludedHosts.includes(report.host) };
