/** `/os-hypervisors`: the hosts as administrators see them. Numbers are of what is claimed, not of what guests use. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { HostView } from '../../../actors/conductor/messages/read.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import { cutPage, pageOf } from '../../kit/paging.ts';
import { parseBool } from '../../kit/query.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { hostsNow, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { uptimeOf, uptimesOf } from './uptime.ts';

const PATTERN = { match: /^[a-zA-Z0-9-._]+$/, max: 255 };
const LIST_QUERY: QueryTable = {
  strictFrom: SINCE.uuidServices,
  parameters: {
    limit: { kind: 'count', from: SINCE.hypervisorPages, onceFrom: SINCE.uuidServices },
    marker: { kind: 'text', from: SINCE.hypervisorPages, onceFrom: SINCE.uuidServices },
    hypervisor_hostname_pattern: { kind: PATTERN, from: SINCE.uuidServices, onceFrom: SINCE.uuidServices },
    with_servers: { kind: 'bool', from: SINCE.uuidServices, onceFrom: SINCE.uuidServices },
  },
};
const SHOW_QUERY: QueryTable = {
  strictFrom: SINCE.uuidServices,
  parameters: { with_servers: { kind: 'bool', from: SINCE.uuidServices, onceFrom: SINCE.uuidServices } },
};
const BEFORE_LEAN = [1, SINCE.leanHypervisors - 1] as const;
const BEFORE_UUIDS = [1, SINCE.uuidServices - 1] as const;
const GIB_FREE_NONE = 0;
const NO_UPTIMES: ReadonlyMap<string, string> = new Map();

export const HYPERVISOR_ROUTES = [
  route({
    method: 'GET',
    path: '/os-hypervisors',
    policy: 'os-hypervisors:list',
    query: LIST_QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, false),
  }),
  route({
    method: 'GET',
    path: '/os-hypervisors/detail',
    policy: 'os-hypervisors:list-detail',
    query: LIST_QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, true),
  }),
  route({
    method: 'GET',
    path: '/os-hypervisors/statistics',
    versions: BEFORE_LEAN,
    policy: 'os-hypervisors:statistics',
    ok: 200,
    serve: (_call, parts) => serveStatistics(parts),
  }),
  route({ method: 'GET', path: '/os-hypervisors/:id', policy: 'os-hypervisors:show', query: SHOW_QUERY, ok: 200, find: findHost, serve: serveShow }),
  route({
    method: 'GET',
    path: '/os-hypervisors/:id/uptime',
    versions: BEFORE_LEAN,
    policy: 'os-hypervisors:uptime',
    ok: 200,
    find: findHost,
    serve: serveUptime,
  }),
  route({
    method: 'GET',
    path: '/os-hypervisors/:id/search',
    versions: BEFORE_UUIDS,
    policy: 'os-hypervisors:search',
    ok: 200,
    serve: (call, parts) => serveSearch(call, parts, false),
  }),
  route({
    method: 'GET',
    path: '/os-hypervisors/:id/servers',
    versions: BEFORE_UUIDS,
    policy: 'os-hypervisors:servers',
    ok: 200,
    serve: (call, parts) => serveSearch(call, parts, true),
  }),
];

type ServersOf = ReadonlyMap<string, readonly { readonly name: string; readonly uuid: string }[]>;

/** Ids of old are numbers, later ones uuids; the wrong sort is 404, and 400 where the version says uuid. */
async function findHost(call: Call, parts: ComputeParts): Promise<HostView> {
  const id = call.param('id');
  const byUuid = call.version >= SINCE.uuidServices;
  if (byUuid && !isUuid(id)) throw invalid(`Invalid uuid ${id.slice(0, 64)}`);
  const host = (await hostsNow(parts)).find((one) => (byUuid ? one.hypervisorUuid === id : String(one.hypervisorId) === id));
  if (host === undefined) throw notFound(`Hypervisor with ID '${id.slice(0, 64)}' could not be found.`);
  return host;
}

function idOf(host: HostView, version: number): string | number {
  return version >= SINCE.uuidServices ? host.hypervisorUuid : host.hypervisorId;
}

function briefView(host: HostView, version: number, servers: ServersOf | null): Record<string, unknown> {
  const view: Record<string, unknown> = {
    id: idOf(host, version),
    hypervisor_hostname: host.host,
    state: host.up ? 'up' : 'down',
    status: host.enabled ? 'enabled' : 'disabled',
  };
  addServers(view, host, version, servers);
  return view;
}

/** Empty lists are shown since 2.75; before, the member is left out. */
function addServers(view: Record<string, unknown>, host: HostView, version: number, servers: ServersOf | null): void {
  if (servers === null) return;
  const own = servers.get(host.host) ?? [];
  if (own.length > 0 || version >= SINCE.strictQueries) view['servers'] = own;
}

function fullView(host: HostView, version: number, servers: ServersOf | null, uptimes: ReadonlyMap<string, string>): object {
  const view: Record<string, unknown> = {
    ...briefView(host, version, servers),
    hypervisor_type: host.hypervisorType,
    hypervisor_version: host.hypervisorVersion,
    host_ip: host.hostIp,
    service: { id: version >= SINCE.uuidServices ? host.uuid : host.id, host: host.host, disabled_reason: host.disabledReason },
  };
  if (version >= SINCE.leanHypervisors) return { ...view, uptime: uptimes.get(host.host) ?? null };
  return { ...view, ...numbersOf(host), cpu_info: version >= SINCE.cpuObject ? host.cpu : JSON.stringify(host.cpu) };
}

function numbersOf({ total, used, instances }: HostView) {
  return {
    vcpus: total.vcpus,
    vcpus_used: used.vcpus,
    memory_mb: total.memoryMiB,
    memory_mb_used: used.memoryMiB,
    free_ram_mb: total.memoryMiB - used.memoryMiB,
    local_gb: total.diskGiB,
    local_gb_used: used.diskGiB,
    free_disk_gb: total.diskGiB - used.diskGiB,
    disk_available_least: Math.max(GIB_FREE_NONE, total.diskGiB - used.diskGiB),
    current_workload: 0,
    running_vms: instances,
  };
}

async function serversOf(parts: ComputeParts, hosts: readonly HostView[]): Promise<ServersOf> {
  const servers = new Map<string, { name: string; uuid: string }[]>();
  if (hosts.length === 0) return servers;
  for (const { host, id, name } of await parts.actors.ask(CONDUCTOR, { type: 'listServersOfHosts', hosts: hosts.map((one) => one.host) })) {
    const own = servers.get(host) ?? [];
    own.push({ name, uuid: id });
    servers.set(host, own);
  }
  return servers;
}

function wantsServers(call: Call): boolean {
  return call.version >= SINCE.uuidServices && parseBool(call.query.one('with_servers') ?? 'false') === true;
}

async function serveList(call: Call, parts: ComputeParts, full: boolean): Promise<Reply> {
  const { version, query } = call;
  const paged = version >= SINCE.hypervisorPages;
  const pattern = version >= SINCE.uuidServices ? query.one('hypervisor_hostname_pattern') : undefined;
  if (pattern !== undefined && (query.has('limit') || query.has('marker')))
    throw invalid('Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.');
  let hosts = [...(await hostsNow(parts))].sort((a, b) => a.hypervisorId - b.hypervisorId);
  if (pattern !== undefined) {
    hosts = hosts.filter((host) => host.host.includes(pattern));
    if (hosts.length === 0) throw notFound(`No hypervisor matching '${pattern}' could be found.`);
  }
  const page = pageOf(query, parts.settings.pageMax);
  const { items, full: more } = paged ? cutPage(hosts, page, (host) => String(idOf(host, version))) : { items: hosts, full: false };
  const servers = wantsServers(call) ? await serversOf(parts, items) : null;
  const uptimes = full && version >= SINCE.leanHypervisors ? await uptimesOf(parts, items) : NO_UPTIMES;
  const last = items.at(-1);
  const links = more && last !== undefined && query.has('limit') ? { hypervisors_links: call.links.next(call.path, query, String(idOf(last, version))) } : {};
  return { body: { hypervisors: items.map((host) => (full ? fullView(host, version, servers, uptimes) : briefView(host, version, servers))), ...links } };
}

async function serveShow(call: Call, parts: ComputeParts, host: HostView): Promise<Reply> {
  const servers = wantsServers(call) ? await serversOf(parts, [host]) : null;
  const uptimes = call.version >= SINCE.leanHypervisors ? await uptimesOf(parts, [host]) : NO_UPTIMES;
  return { body: { hypervisor: fullView(host, call.version, servers, uptimes) } };
}

/** One that is down cannot tell; one that does not know is 501, as for a hypervisor that lacks it. */
async function serveUptime(call: Call, parts: ComputeParts, host: HostView): Promise<Reply> {
  if (!host.up) throw invalid(`Compute service of ${host.host} is unavailable at this time.`);
  const uptime = await uptimeOf(parts, host.host).catch((thrown: unknown) => {
    throw Fault.is(thrown, 'unavailable') || Fault.is(thrown, 'timeout') ? invalid(`Compute service of ${host.host} is unavailable at this time.`) : thrown;
  });
  if (uptime === null) throw new Fault('unsupported', 'driver.uptime', 'The hypervisor does not tell its uptime.');
  return { body: { hypervisor: { ...briefView(host, call.version, null), uptime } } };
}

async function serveSearch(call: Call, parts: ComputeParts, withServers: boolean): Promise<Reply> {
  const pattern = call.param('id');
  const hosts = (await hostsNow(parts)).filter((host) => host.host.includes(pattern));
  if (hosts.length === 0) throw notFound(`No hypervisor matching '${pattern.slice(0, 100)}' could be found.`);
  const servers = withServers ? await serversOf(parts, hosts) : null;
  return { body: { hypervisors: hosts.map((host) => briefView(host, call.version, servers)) } };
}

async function serveStatistics(parts: ComputeParts): Promise<Reply> {
  const hosts = (await hostsNow(parts)).filter((host) => host.enabled);
  const sums = {
    count: hosts.length,
    vcpus: 0,
    vcpus_used: 0,
    memory_mb: 0,
    memory_mb_used: 0,
    free_ram_mb: 0,
    local_gb: 0,
    local_gb_used: 0,
    free_disk_gb: 0,
    disk_available_least: 0,
    current_workload: 0,
    running_vms: 0,
  };
  for (const host of hosts) {
    const numbers = numbersOf(host);
    sums.vcpus += numbers.vcpus;
    sums.vcpus_used += numbers.vcpus_used;
    sums.memory_mb += numbers.memory_mb;
    sums.memory_mb_used += numbers.memory_mb_used;
    sums.free_ram_mb += numbers.free_ram_mb;
    sums.local_gb += numbers.local_gb;
    sums.local_gb_used += numbers.local_gb_used;
    sums.free_disk_gb += numbers.free_disk_gb;
    sums.disk_available_least += numbers.disk_available_least;
    sums.running_vms += numbers.running_vms;
  }
  return { body: { hypervisor_statistics: sums } };
}
