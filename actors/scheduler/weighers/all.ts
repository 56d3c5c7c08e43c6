/** Every weigher with its usual multiplier. A recent build failure outweighs everything else. */
import type { Weigher } from './weigher.ts';

export const WEIGHERS: readonly Weigher[] = [
  { name: 'RAMWeigher', weigh: ({ free }) => free.memoryMiB, multiplier: 1 },
  { name: 'CPUWeigher', weigh: ({ free }) => free.vcpus, multiplier: 1 },
  { name: 'DiskWeigher', weigh: ({ free }) => free.diskGiB, multiplier: 1 },
  { name: 'IoOpsWeigher', weigh: ({ report }) => report.ioOps, multiplier: -1 },
  { name: 'BuildFailureWeigher', weigh: ({ report }) => report.failures, multiplier: -1_000_000 },
];
