/** Members of a strict server group: together on one host, or so many to a host. The commit looks again. */
import type { PlacementRequest } from '../../model/placement.ts';
import type { Filter } from './filter.ts';

export const AFFINITY: Filter = {
  name: 'ServerGroupAffinityFilter',
  passes({ report }, { group }) {
    if (group?.policy !== 'affinity') return true;
    const hosts = Object.keys(group.hosts);
    return hosts.every((host) => host === report.host);
  },
};

export const ANTI_AFFINITY: Filter = {
  name: 'ServerGroupAntiAffinityFilter',
  passes: ({ report }, { group }) => group?.policy !== 'anti-affinity' || membersOn(group, report.host) < group.perHost,
};

export function membersOn(group: NonNullable<PlacementRequest['group']>, host: string): number {
  return Object.hasOwn(group.hosts, host) ? (group.hosts[host] ?? 0) : 0;
}
