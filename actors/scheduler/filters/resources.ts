/** Free vCPUs, memory and disk, with the host's ratios already in its capacity. */
import type { Filter } from './filter.ts';

export const CORE: Filter = { name: 'CoreFilter', passes: ({ free }, { need }) => need.vcpus <= free.vcpus };
export const RAM: Filter = { name: 'RamFilter', passes: ({ free }, { need }) => need.memoryMiB <= free.memoryMiB };
export const DISK: Filter = { name: 'DiskFilter', passes: ({ free }, { need }) => need.diskGiB <= free.diskGiB };
