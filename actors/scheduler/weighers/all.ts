/** Every weigher with its usual multiplier. A recent build failure outweighs everything else. */
import { membersOn } from '../filters/server-group.ts';
import type { Weigher } from './weigher.ts';

/** More than all that is free may add up to: what a group asks for goes before spreading. */
const GROUP_WEIGHT = 10;

export const WEIGHERS: readonly Weigher[] = [
  { name: 'RAMWeigher', weigh: ({ free }) => free.memoryMiB, multiplier: 1 },
  { name: 'CPUWeigher', weigh: ({ free }) => free.vcpus, multiplier: 1 },
  { name: 'DiskWeigher', weigh: ({ free }) => free.diskGiB, multiplier: 1 },
  { name: 'IoOpsWeigher', weigh: ({ report }) => report.ioOps, multiplier: -1 },
  {
    name: 'ServerGroupSoftAffinityWeigher',
    weigh: ({ report }, { group }) => (group?.policy === 'soft-affinity' ? membersOn(group, report.host) : 0),
    multiplier: GROUP_WEIGHT,
  },
  {
    name: 'ServerGroupSoftAntiAffinityWeigher',
    weigh: ({ report }, { group }) => (group?.policy === 'soft-anti-affinity' ? -membersOn(group, report.host) : 0),
    multiplier: GROUP_WEIGHT,
  },
  { name: 'BuildFailureWeigher', weigh: ({ report }) => report.failures, multiplier: -1_000_000 },
];
