/** Every filter by name, and those in force by default, in their order: cheap and telling ones first. */
import { AGGREGATE_EXTRA_SPECS, AGGREGATE_IMAGE_PROPERTIES, AGGREGATE_TENANCY } from './aggregate.ts';
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
  AGGREGATE_TENANCY,
  AGGREGATE_IMAGE_PROPERTIES,
  CORE,
  RAM,
  DISK,
  IMAGE_PROPERTIES,
  IO_OPS,
  AFFINITY,
  ANTI_AFFINITY,
];

/** In force when an operator names them: they refuse what nobody meant for them. A flavor's plain specs are such. */
export const FURTHER_FILTERS: readonly Filter[] = [AGGREGATE_EXTRA_SPECS];

/** Asked of a forced host, too: the commit would refuse it all the same. */
export const GROUP_FILTERS: readonly Filter[] = [AFFINITY, ANTI_AFFINITY];
