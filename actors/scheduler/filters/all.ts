/** Every filter by name, and those in force by default, in their order: cheap and telling ones first. */
import { COMPUTE } from './compute.ts';
import type { Filter } from './filter.ts';
import { IMAGE_PROPERTIES } from './image-properties.ts';
import { IO_OPS } from './io-ops.ts';
import { REQUESTED_HOST } from './requested-host.ts';
import { CORE, DISK, RAM } from './resources.ts';
import { RETRY } from './retry.ts';
import { AFFINITY, ANTI_AFFINITY } from './server-group.ts';
import { AVAILABILITY_ZONE } from './zone.ts';

export const FILTERS: readonly Filter[] = [
  REQUESTED_HOST,
  RETRY,
  COMPUTE,
  AVAILABILITY_ZONE,
  CORE,
  RAM,
  DISK,
  IMAGE_PROPERTIES,
  IO_OPS,
  AFFINITY,
  ANTI_AFFINITY,
];

/** Asked of a forced host, too: the commit would refuse it all the same. */
export const GROUP_FILTERS: readonly Filter[] = [AFFINITY, ANTI_AFFINITY];
