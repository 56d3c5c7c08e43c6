/** Every planted bug. */
import type { PlantedBug } from './bug.ts';
import { CLUSTER_BUGS } from './catalogue/cluster.ts';
import { HOST_BUGS } from './catalogue/host.ts';
import { INSTANCE_BUGS } from './catalogue/instance.ts';
import { RUNTIME_BUGS } from './catalogue/runtime.ts';
import { STORE_BUGS } from './catalogue/store.ts';

export const CATALOGUE: readonly PlantedBug[] = [...RUNTIME_BUGS, ...CLUSTER_BUGS, ...INSTANCE_BUGS, ...HOST_BUGS, ...STORE_BUGS];
