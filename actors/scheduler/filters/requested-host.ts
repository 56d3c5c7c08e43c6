/** An administrator named the host. */
import type { Filter } from './filter.ts';

export const REQUESTED_HOST: Filter = {
  name: 'RequestedHostFilter',
  passes: ({ report }, request) => request.onlyHost === null || report.host === request.onlyHost,
};
