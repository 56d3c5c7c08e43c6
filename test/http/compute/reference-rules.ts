/**
 * Who may do what by default, as users of the API know it: written down here a second time, so that a wrong default in
 * the product's table is found. `owner` is the user whose object it is.
 */

/** Rules by the least role that passes them. */
const RULES_BY_ROLE: { readonly [role: string]: string } = {
  any: `
    extensions limits os-availability-zone:list os-floating-ip-pools os-quota-sets:defaults`,
  reader: `
    os-consoles:index os-consoles:show os-fping os-virtual-interfaces
    compute:server:topology:index ips:index ips:show os-attach-interfaces:list os-attach-interfaces:show os-flavor-extra-specs:index
    os-flavor-extra-specs:show os-floating-ips:list os-floating-ips:show os-instance-actions:list os-instance-actions:show os-networks:list
    os-networks:show os-quota-sets:detail os-quota-sets:show os-security-groups:get os-security-groups:list os-security-groups:show
    os-server-groups:index os-server-groups:show os-server-password:show os-server-shares:index os-server-shares:show os-server-tags:index
    os-server-tags:show os-simple-tenant-usage:show os-tenant-networks:list os-tenant-networks:show os-volumes-attachments:index
    os-volumes-attachments:show os-volumes:detail os-volumes:list os-volumes:show os-volumes:snapshots:detail os-volumes:snapshots:list
    os-volumes:snapshots:show server-metadata:index server-metadata:show servers:detail servers:index servers:show servers:show:flavor-extra-specs`,
  member: `
    os-admin-password os-attach-interfaces:create os-attach-interfaces:delete os-certificates:create os-certificates:show os-console-output
    os-consoles:create os-consoles:delete os-create-backup os-deferred-delete:force os-deferred-delete:restore
    os-floating-ip-dns os-floating-ips:add os-floating-ips:create os-floating-ips:delete os-floating-ips:remove os-lock-server:lock
    os-lock-server:unlock os-multinic:add os-multinic:remove os-pause-server:pause os-pause-server:unpause os-remote-consoles os-rescue
    os-security-groups:add os-security-groups:create os-security-groups:delete os-security-groups:remove os-security-groups:rule:create
    os-security-groups:rule:delete os-security-groups:update os-server-groups:create os-server-groups:delete os-server-password:clear
    os-server-shares:create os-server-shares:delete os-server-tags:delete os-server-tags:delete_all os-server-tags:update os-server-tags:update_all
    os-shelve:shelve os-shelve:unshelve os-suspend-server:resume os-suspend-server:suspend os-unrescue     os-volumes-attachments:create os-volumes-attachments:delete os-volumes-attachments:update os-volumes:create os-volumes:delete
    os-volumes:snapshots:create os-volumes:snapshots:delete server-metadata:create server-metadata:delete server-metadata:update
    server-metadata:update_all servers:confirm_resize servers:create servers:create:attach_network servers:create:attach_volume
    servers:create:trusted_certs servers:create_image servers:create_image:allow_volume_backed servers:delete servers:reboot servers:rebuild
    servers:rebuild:trusted_certs servers:resize servers:revert_resize servers:start servers:stop servers:trigger_crash_dump servers:update`,
  owner: `
    os-keypairs:create os-keypairs:delete os-keypairs:index os-keypairs:show`,
  manager: `
    os-migrate-server:migrate os-migrate-server:migrate_live os-migrations:index servers:migrations:delete servers:migrations:force_complete
    servers:migrations:index`,
  service: `
    os-assisted-volume-snapshots:create os-assisted-volume-snapshots:delete os-server-external-events:create os-volumes-attachments:swap`,
  admin: `
    compute:aggregates:images compute:server:topology:host:index compute:servers:create:requested_destination limits:other_project
    network:attach_external_network os-admin-actions:inject_network_info os-admin-actions:reset_network os-admin-actions:reset_state os-agents
    os-aggregates:add_host os-aggregates:create os-aggregates:delete os-aggregates:index os-aggregates:remove_host os-aggregates:set_metadata
    os-aggregates:show os-aggregates:update os-availability-zone:detail os-baremetal-nodes:list os-baremetal-nodes:show os-cells os-cells:create
    os-cells:delete os-cells:sync_instances os-cells:update os-cloudpipe os-console-auth-tokens os-evacuate os-extended-server-attributes
    os-fixed-ips os-flavor-access os-flavor-access:add_tenant_access os-flavor-access:remove_tenant_access os-flavor-extra-specs:create
    os-flavor-extra-specs:delete os-flavor-extra-specs:update os-flavor-manage:create os-flavor-manage:delete os-flavor-manage:update
    os-floating-ip-dns:domain:delete os-floating-ip-dns:domain:update os-floating-ips-bulk os-fping:all_tenants os-hosts:list os-hosts:reboot
    os-hosts:show os-hosts:shutdown os-hosts:start os-hosts:update os-hypervisors:list os-hypervisors:list-detail os-hypervisors:search
    os-hypervisors:servers os-hypervisors:show os-hypervisors:statistics os-hypervisors:uptime os-instance-actions:events
    os-instance-actions:events:details os-instance-usage-audit-log:list os-instance-usage-audit-log:show os-lock-server:unlock:unlock_override
    os-migrate-server:migrate:host os-migrate-server:migrate_live:host os-migrations:index:all_projects os-migrations:index:host os-networks
    os-networks-associate os-quota-class-sets:show os-quota-class-sets:update os-quota-sets:delete os-quota-sets:update
    os-security-group-default-rules os-server-diagnostics os-server-groups:index:all_projects os-services:delete os-services:list os-services:update
    os-shelve:shelve_offload os-shelve:unshelve_to_host os-simple-tenant-usage:list servers:allow_all_filters servers:create:forced_host
    servers:create:zero_disk_flavor servers:detail:get_all_tenants servers:index:get_all_tenants servers:migrations:index:host
    servers:migrations:show servers:show:host_status servers:show:host_status:unknown-only`,
  nobody: `
    compute:servers:resize:cross_cell`,
  'is_admin:True': `
    cells_scheduler_filter:DifferentCellFilter cells_scheduler_filter:TargetCellFilter`,
  'is_admin:False': `
    os-hide-server-addresses`,
};

/** `METHOD path [action] [versions]` by the least role; `{}` stands for any segment. */
const ROUTES_BY_ROLE: { readonly [role: string]: string } = {
  any: `
    GET /
    GET /extensions
    GET /extensions/{}
    GET /flavors
    GET /flavors/detail
    GET /flavors/{}
    GET /images ..2.35
    GET /images/detail ..2.35
    DELETE /images/{} ..2.35
    GET /images/{} ..2.35
    GET /images/{}/metadata ..2.38
    POST /images/{}/metadata ..2.38
    PUT /images/{}/metadata ..2.38
    DELETE /images/{}/metadata/{} ..2.38
    GET /images/{}/metadata/{} ..2.38
    PUT /images/{}/metadata/{} ..2.38
    GET /limits
    GET /os-availability-zone
    POST /os-baremetal-nodes ..2.35
    DELETE /os-baremetal-nodes/{} ..2.35
    POST /os-baremetal-nodes/{}/action add_interface ..2.35
    POST /os-baremetal-nodes/{}/action remove_interface ..2.35
    GET /os-floating-ip-pools ..2.35
    GET /os-quota-sets/{}/defaults
    GET /versions/{}`,
  admin: `
    POST /flavors
    DELETE /flavors/{}
    PUT /flavors/{} 2.55+
    POST /flavors/{}/action addTenantAccess
    POST /flavors/{}/action removeTenantAccess
    POST /flavors/{}/os-extra_specs
    DELETE /flavors/{}/os-extra_specs/{}
    PUT /flavors/{}/os-extra_specs/{}
    GET /flavors/{}/os-flavor-access
    GET /os-agents
    POST /os-agents
    DELETE /os-agents/{}
    PUT /os-agents/{}
    GET /os-aggregates
    POST /os-aggregates
    DELETE /os-aggregates/{}
    GET /os-aggregates/{}
    PUT /os-aggregates/{}
    POST /os-aggregates/{}/action add_host
    POST /os-aggregates/{}/action remove_host
    POST /os-aggregates/{}/action set_metadata
    POST /os-aggregates/{}/images 2.81+
    GET /os-availability-zone/detail
    GET /os-baremetal-nodes ..2.35
    GET /os-baremetal-nodes/{} ..2.35
    GET /os-cells
    POST /os-cells
    GET /os-cells/capacities
    GET /os-cells/detail
    GET /os-cells/info
    POST /os-cells/sync_instances
    DELETE /os-cells/{}
    GET /os-cells/{}
    PUT /os-cells/{}
    GET /os-cells/{}/capacities
    GET /os-cloudpipe
    POST /os-cloudpipe
    PUT /os-cloudpipe/{}
    GET /os-console-auth-tokens/{}
    GET /os-fixed-ips/{} ..2.35
    POST /os-fixed-ips/{}/action reserve ..2.35
    POST /os-fixed-ips/{}/action unreserve ..2.35
    DELETE /os-floating-ip-dns/{} ..2.35
    PUT /os-floating-ip-dns/{} ..2.35
    GET /os-floating-ips-bulk ..2.35
    POST /os-floating-ips-bulk ..2.35
    GET /os-floating-ips-bulk/{} ..2.35
    PUT /os-floating-ips-bulk/{} ..2.35
    GET /os-hosts ..2.42
    GET /os-hosts/{} ..2.42
    PUT /os-hosts/{} ..2.42
    GET /os-hosts/{}/reboot ..2.42
    GET /os-hosts/{}/shutdown ..2.42
    GET /os-hosts/{}/startup ..2.42
    GET /os-hypervisors
    GET /os-hypervisors/detail
    GET /os-hypervisors/statistics ..2.87
    GET /os-hypervisors/{}
    GET /os-hypervisors/{}/search ..2.52
    GET /os-hypervisors/{}/servers ..2.52
    GET /os-hypervisors/{}/uptime ..2.87
    GET /os-instance_usage_audit_log
    GET /os-instance_usage_audit_log/{}
    POST /os-networks ..2.35
    POST /os-networks/add ..2.35
    DELETE /os-networks/{} ..2.35
    POST /os-networks/{}/action associate_host ..2.35
    POST /os-networks/{}/action disassociate ..2.35
    POST /os-networks/{}/action disassociate_host ..2.35
    POST /os-networks/{}/action disassociate_project ..2.35
    GET /os-quota-class-sets/{}
    PUT /os-quota-class-sets/{}
    DELETE /os-quota-sets/{}
    PUT /os-quota-sets/{}
    GET /os-security-group-default-rules ..2.35
    POST /os-security-group-default-rules ..2.35
    DELETE /os-security-group-default-rules/{} ..2.35
    GET /os-security-group-default-rules/{} ..2.35
    GET /os-services
    DELETE /os-services/{}
    PUT /os-services/{}
    GET /os-simple-tenant-usage
    POST /servers/{}/action evacuate
    POST /servers/{}/action injectNetworkInfo
    POST /servers/{}/action os-resetState
    POST /servers/{}/action resetNetwork
    POST /servers/{}/action shelveOffload
    GET /servers/{}/diagnostics
    GET /servers/{}/migrations/{} 2.23+`,
  reader: `
    GET /flavors/{}/os-extra_specs
    GET /flavors/{}/os-extra_specs/{}
    GET /os-floating-ip-dns ..2.35
    GET /os-floating-ip-dns/{}/entries/{} ..2.35
    GET /os-floating-ips ..2.35
    GET /os-floating-ips/{} ..2.35
    GET /os-fping ..2.35
    GET /os-fping/{} ..2.35
    GET /os-networks ..2.35
    GET /os-networks/{} ..2.35
    GET /os-quota-sets/{}
    GET /os-quota-sets/{}/detail
    GET /os-security-groups ..2.35
    GET /os-security-groups/{} ..2.35
    GET /os-server-groups
    GET /os-server-groups/{}
    GET /os-simple-tenant-usage/{}
    GET /os-snapshots ..2.35
    GET /os-snapshots/detail ..2.35
    GET /os-snapshots/{} ..2.35
    GET /os-tenant-networks ..2.35
    GET /os-tenant-networks/{} ..2.35
    GET /os-volumes ..2.35
    GET /os-volumes/detail ..2.35
    GET /os-volumes/{} ..2.35
    GET /servers
    GET /servers/detail
    GET /servers/{}
    GET /servers/{}/consoles
    GET /servers/{}/consoles/{}
    GET /servers/{}/ips
    GET /servers/{}/ips/{}
    GET /servers/{}/metadata
    GET /servers/{}/metadata/{}
    GET /servers/{}/os-instance-actions
    GET /servers/{}/os-instance-actions/{}
    GET /servers/{}/os-interface
    GET /servers/{}/os-interface/{}
    GET /servers/{}/os-security-groups
    GET /servers/{}/os-server-password
    GET /servers/{}/os-virtual-interfaces ..2.43
    GET /servers/{}/os-volume_attachments
    GET /servers/{}/os-volume_attachments/{}
    GET /servers/{}/shares 2.97+
    GET /servers/{}/shares/{} 2.97+
    GET /servers/{}/tags 2.26+
    GET /servers/{}/tags/{} 2.26+
    GET /servers/{}/topology 2.78+`,
  service: `
    POST /os-assisted-volume-snapshots
    DELETE /os-assisted-volume-snapshots/{}
    POST /os-server-external-events`,
  member: `
    POST /os-certificates
    GET /os-certificates/{}
    DELETE /os-floating-ip-dns/{}/entries/{} ..2.35
    PUT /os-floating-ip-dns/{}/entries/{} ..2.35
    POST /os-floating-ips ..2.35
    DELETE /os-floating-ips/{} ..2.35
    POST /os-security-group-rules ..2.35
    DELETE /os-security-group-rules/{} ..2.35
    POST /os-security-groups ..2.35
    DELETE /os-security-groups/{} ..2.35
    PUT /os-security-groups/{} ..2.35
    POST /os-server-groups
    DELETE /os-server-groups/{}
    POST /os-snapshots ..2.35
    DELETE /os-snapshots/{} ..2.35
    POST /os-tenant-networks ..2.35
    DELETE /os-tenant-networks/{} ..2.35
    POST /os-volumes ..2.35
    DELETE /os-volumes/{} ..2.35
    POST /servers
    DELETE /servers/{}
    PUT /servers/{}
    POST /servers/{}/action addFixedIp ..2.43
    POST /servers/{}/action addFloatingIp ..2.43
    POST /servers/{}/action addSecurityGroup
    POST /servers/{}/action changePassword
    POST /servers/{}/action confirmResize
    POST /servers/{}/action createBackup
    POST /servers/{}/action createImage
    POST /servers/{}/action forceDelete
    POST /servers/{}/action lock
    POST /servers/{}/action os-getConsoleOutput
    POST /servers/{}/action os-getRDPConsole ..2.5
    POST /servers/{}/action os-getSPICEConsole ..2.5
    POST /servers/{}/action os-getSerialConsole ..2.5
    POST /servers/{}/action os-getVNCConsole ..2.5
    POST /servers/{}/action os-start
    POST /servers/{}/action os-stop
    POST /servers/{}/action pause
    POST /servers/{}/action reboot
    POST /servers/{}/action rebuild
    POST /servers/{}/action removeFixedIp ..2.43
    POST /servers/{}/action removeFloatingIp ..2.43
    POST /servers/{}/action removeSecurityGroup
    POST /servers/{}/action rescue
    POST /servers/{}/action resize
    POST /servers/{}/action restore
    POST /servers/{}/action resume
    POST /servers/{}/action revertResize
    POST /servers/{}/action shelve
    POST /servers/{}/action suspend
    POST /servers/{}/action trigger_crash_dump 2.17+
    POST /servers/{}/action unlock
    POST /servers/{}/action unpause
    POST /servers/{}/action unrescue
    POST /servers/{}/action unshelve
    POST /servers/{}/consoles
    DELETE /servers/{}/consoles/{}
    POST /servers/{}/metadata
    PUT /servers/{}/metadata
    DELETE /servers/{}/metadata/{}
    PUT /servers/{}/metadata/{}
    POST /servers/{}/os-interface
    DELETE /servers/{}/os-interface/{}
    DELETE /servers/{}/os-server-password
    POST /servers/{}/os-volume_attachments
    DELETE /servers/{}/os-volume_attachments/{}
    PUT /servers/{}/os-volume_attachments/{}
    POST /servers/{}/remote-consoles 2.6+
    POST /servers/{}/shares 2.97+
    DELETE /servers/{}/shares/{} 2.97+
    DELETE /servers/{}/tags 2.26+
    PUT /servers/{}/tags 2.26+
    DELETE /servers/{}/tags/{} 2.26+
    PUT /servers/{}/tags/{} 2.26+`,
  owner: `
    GET /os-keypairs
    POST /os-keypairs
    DELETE /os-keypairs/{}
    GET /os-keypairs/{}`,
  manager: `
    GET /os-migrations
    POST /servers/{}/action migrate
    POST /servers/{}/action os-migrateLive
    GET /servers/{}/migrations 2.23+
    DELETE /servers/{}/migrations/{} 2.24+
    POST /servers/{}/migrations/{}/action force_complete 2.22+`,
};

/** Those that later releases dropped: whoever answers 410 there, to everybody, is right too. */
const DROPPED_ROUTES = `
  GET /os-agents
  POST /os-agents
  PUT /os-agents/{}
  DELETE /os-agents/{}
  POST /os-cells
  GET /os-cells
  GET /os-cells/capacities
  GET /os-cells/detail
  GET /os-cells/info
  POST /os-cells/sync_instances
  GET /os-cells/{}
  PUT /os-cells/{}
  DELETE /os-cells/{}
  GET /os-cells/{}/capacities
  POST /os-certificates
  GET /os-certificates/{}
  GET /os-cloudpipe
  POST /os-cloudpipe
  PUT /os-cloudpipe/{}
  GET /os-fixed-ips/{}
  POST /os-fixed-ips/{}/action reserve
  POST /os-fixed-ips/{}/action unreserve
  GET /os-floating-ip-dns
  PUT /os-floating-ip-dns/{}
  DELETE /os-floating-ip-dns/{}
  GET /os-floating-ip-dns/{}/entries/{}
  PUT /os-floating-ip-dns/{}/entries/{}
  DELETE /os-floating-ip-dns/{}/entries/{}
  GET /os-floating-ips-bulk
  POST /os-floating-ips-bulk
  GET /os-floating-ips-bulk/{}
  PUT /os-floating-ips-bulk/{}
  GET /os-fping
  GET /os-fping/{}
  POST /os-networks
  POST /os-networks/add
  DELETE /os-networks/{}
  POST /os-networks/{}/action disassociate
  POST /os-networks/{}/action disassociate_host
  POST /os-networks/{}/action disassociate_project
  POST /os-networks/{}/action associate_host
  GET /os-security-group-default-rules
  POST /os-security-group-default-rules
  GET /os-security-group-default-rules/{}
  DELETE /os-security-group-default-rules/{}
  POST /os-tenant-networks
  DELETE /os-tenant-networks/{}
  POST /servers/{}/action resetNetwork
  POST /servers/{}/action os-getRDPConsole
  GET /servers/{}/consoles
  POST /servers/{}/consoles
  GET /servers/{}/consoles/{}
  DELETE /servers/{}/consoles/{}
  GET /servers/{}/os-virtual-interfaces
`;

export type Least = 'any' | 'reader' | 'member' | 'manager' | 'admin' | 'owner' | 'service' | 'nobody';

const LEAST = new Set(['any', 'reader', 'member', 'manager', 'admin', 'owner', 'service', 'nobody']);

const DROPPED = new Set(DROPPED_ROUTES.trim().split(/\s*\n\s*/));

function isLeast(role: string): role is Least {
  return LEAST.has(role);
}

/** Rule → least role, or an expression that is none of them. */
export const LEAST_OF_RULE: ReadonlyMap<string, string> = new Map(
  Object.entries(RULES_BY_ROLE).flatMap(([role, names]) =>
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, role] as const),
  ),
);

export type KnownRoute = {
  readonly method: string;
  readonly segments: readonly string[];
  readonly action: string | undefined;
  readonly from: number;
  readonly to: number;
  readonly least: Least;
  readonly isDropped: boolean;
};

export const KNOWN_ROUTES: readonly KnownRoute[] = Object.entries(ROUTES_BY_ROLE).flatMap(([role, lines]) =>
  lines
    .trim()
    .split('\n')
    .map((line): KnownRoute => {
      if (!isLeast(role)) throw new Error(role);
      const words = line.trim().split(' ');
      const whole = line.trim().replace(/ (2\.\d+\+|\.\.2\.\d+)$/, '');
      const range = /^(?:(2\.\d+)\+|\.\.(2\.\d+))$/.exec(words.at(-1) ?? '');
      const [method = '', path = '', action] = range === null ? words : words.slice(0, -1);
      return {
        method,
        segments: path.split('/'),
        action,
        from: minor(range?.[1]) ?? 1,
        to: minor(range?.[2]) ?? Infinity,
        least: role,
        isDropped: DROPPED.has(whole),
      };
    }),
);

function minor(version: string | undefined): number | undefined {
  return version === undefined ? undefined : Number(version.slice(2));
}

/** Another name of `/servers`, up to 2.102. */
const ALIAS = /^\/os-volumes_boot(?=\/|$)/;

/** The row of a route as the product writes it: `/servers/:id`. */
export function knownRoute(method: string, path: string, action: string | undefined): KnownRoute | undefined {
  if (ALIAS.test(path)) {
    const row = knownRoute(method, path.replace(ALIAS, '/servers'), action);
    return row === undefined ? undefined : { ...row, to: Math.min(row.to, 102) };
  }
  const segments = path.split('/');
  const fits = (row: KnownRoute): boolean =>
    row.method === method &&
    (row.action === action || (action === undefined && path.endsWith('/action'))) &&
    row.segments.length === segments.length &&
    row.segments.every((one, i) => one === segments[i] || one === '{}');
  const exact = (row: KnownRoute): number => row.segments.filter((one, i) => one === segments[i]).length;
  return KNOWN_ROUTES.filter(fits).sort((a, b) => exact(b) - exact(a))[0];
}

/** Roles, as a token brings them, that pass what is for `least`. */
export function passing(least: string): readonly string[] {
  switch (least) {
    case 'any':
    case 'owner':
      return ['none', 'service', 'reader', 'member', 'manager', 'admin'];
    case 'reader':
      return ['reader', 'member', 'manager', 'admin'];
    case 'member':
      return ['member', 'manager', 'admin'];
    case 'manager':
      return ['manager', 'admin'];
    case 'service':
      return ['service', 'admin'];
    case 'nobody':
      return [];
    case 'is_admin:False':
      return ['none', 'service', 'reader', 'member', 'manager'];
    default:
      return ['admin'];
  }
}
