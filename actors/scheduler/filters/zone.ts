/** The host is in the zone that was asked for. */
import type { Filter } from './filter.ts';

export const AVAILABILITY_ZONE: Filter = {
  name: 'AvailabilityZoneFilter',
  passes: ({ report }, request) => request.zone === null || report.zone === request.zone,
};
