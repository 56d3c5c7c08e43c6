/** Every route of the Compute API that is served: the resources' tables, joined. */
import type { ComputeRoute } from './parts.ts';
import { EXTENSION_ROUTES } from './extensions.ts';
import { FLAVOR_ROUTES } from './flavors/flavors.ts';
import { FLAVOR_ACCESS_ROUTES } from './flavors/access.ts';
import { EXTRA_SPEC_ROUTES } from './flavors/extra-specs.ts';
import { GONE_ROUTES } from './gone.ts';
import { AGGREGATE_ROUTES } from './hosts/aggregates.ts';
import { AUDIT_ROUTES } from './hosts/audit.ts';
import { HOST_ROUTES } from './hosts/hosts.ts';
import { HYPERVISOR_ROUTES } from './hosts/hypervisors.ts';
import { MIGRATION_ROUTES } from './hosts/migrations.ts';
import { SERVICE_ROUTES } from './hosts/services.ts';
import { ZONE_ROUTES } from './hosts/zones.ts';
import { NETWORK_ROUTES } from './networks/networks.ts';
import { SECURITY_GROUP_ROUTES } from './networks/security-groups.ts';
import { KEY_PAIR_ROUTES } from './projects/key-pairs.ts';
import { LIMIT_ROUTES } from './projects/limits.ts';
import { QUOTA_CLASS_ROUTES } from './projects/quota-classes.ts';
import { QUOTA_ROUTES } from './projects/quota-sets.ts';
import { SERVER_GROUP_ROUTES } from './projects/server-groups.ts';
import { USAGE_ROUTES } from './projects/usage.ts';
import { ASSISTED_SNAPSHOT_ROUTES } from './proxies/assisted-snapshots.ts';
import { BAREMETAL_ROUTES } from './proxies/baremetal-nodes.ts';
import { FLOATING_IP_ROUTES } from './proxies/floating-ips.ts';
import { IMAGE_ROUTES } from './proxies/images.ts';
import { bootAliases } from './servers/boot-alias.ts';
import { EXTERNAL_EVENT_ROUTES } from './servers/external-events.ts';
import { SERVER_ROUTES } from './servers/servers.ts';

export const ROUTES: readonly ComputeRoute[] = [
  ...EXTENSION_ROUTES,
  ...FLAVOR_ROUTES,
  ...FLAVOR_ACCESS_ROUTES,
  ...EXTRA_SPEC_ROUTES,
  ...IMAGE_ROUTES,
  ...ASSISTED_SNAPSHOT_ROUTES,
  ...LIMIT_ROUTES,
  ...QUOTA_ROUTES,
  ...QUOTA_CLASS_ROUTES,
  ...KEY_PAIR_ROUTES,
  ...SERVER_GROUP_ROUTES,
  ...USAGE_ROUTES,
  ...ZONE_ROUTES,
  ...AGGREGATE_ROUTES,
  ...HOST_ROUTES,
  ...AUDIT_ROUTES,
  ...HYPERVISOR_ROUTES,
  ...SERVICE_ROUTES,
  ...MIGRATION_ROUTES,
  ...NETWORK_ROUTES,
  ...FLOATING_IP_ROUTES,
  ...BAREMETAL_ROUTES,
  ...EXTERNAL_EVENT_ROUTES,
  ...SECURITY_GROUP_ROUTES,
  ...SERVER_ROUTES,
  ...GONE_ROUTES,
  ...bootAliases(SERVER_ROUTES),
];
