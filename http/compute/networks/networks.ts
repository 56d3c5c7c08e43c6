/**
 * `/os-networks` and `/os-tenant-networks` (..2.35), for reading: which networks a project may use. Clients without a
 * network service look names up here. Administrators see every network.
 */
import { isIPv6 } from 'node:net';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { NetworkRecord } from '../../../actors/model/addressing.ts';
import type { Call } from '../../kit/call.ts';
import { notFound } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { networksOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

const versions = [1, SINCE.noProxies - 1] as const;

export const NETWORK_ROUTES = [
  route({ method: 'GET', path: '/os-networks', versions, policy: 'os-networks:list', ok: 200, serve: serveList }),
  route({
    method: 'GET',
    path: '/os-networks/:id',
    versions,
    policy: 'os-networks:show',
    ok: 200,
    find: findNetwork,
    serve: (call, _parts, network) => ({ body: { network: fullView(network, call) } }),
  }),
  route({ method: 'GET', path: '/os-tenant-networks', versions, policy: 'os-tenant-networks:list', ok: 200, serve: serveTenantList }),
  route({
    method: 'GET',
    path: '/os-tenant-networks/:id',
    versions,
    policy: 'os-tenant-networks:show',
    ok: 200,
    find: findNetwork,
    serve: (_call, _parts, network) => ({ body: { network: tenantView(network) } }),
  }),
];

function visible(call: Call, parts: ComputeParts): Promise<readonly NetworkRecord[]> {
  return call.caller.isAdmin ? parts.actors.ask(CONDUCTOR, { type: 'listNetworks', projectId: null }) : networksOf(parts, call.caller.projectId);
}

async function findNetwork(call: Call, parts: ComputeParts): Promise<NetworkRecord> {
  const id = call.param('id');
  const network = (await visible(call, parts)).find((one) => one.id === id);
  if (network === undefined) throw notFound(`Network ${id.slice(0, 64)} could not be found.`);
  return network;
}

/** Clients look for one name with `label=`: the list is cut to it, so that several networks are not ambiguous. */
async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const label = call.query.one('label');
  const networks = (await visible(call, parts)).filter((network) => label === undefined || network.label === label);
  return { body: { networks: networks.map((network) => fullView(network, call)) } };
}

async function serveTenantList(call: Call, parts: ComputeParts): Promise<Reply> {
  return { body: { networks: (await visible(call, parts)).map(tenantView) } };
}

function tenantView({ id, label, cidr }: NetworkRecord): object {
  return { id, label, cidr };
}

/** Members that a network of this cloud has no value for, shown as null. */
const UNSET = { dns1: null, dns2: null };
const ADMIN_UNSET = {
  created_at: null,
  updated_at: null,
  deleted_at: null,
  deleted: false,
  injected: false,
  bridge: null,
  vlan: null,
  vpn_public_address: null,
  vpn_public_port: null,
  vpn_private_address: null,
  dhcp_start: null,
  host: null,
  bridge_interface: null,
  multi_host: false,
  priority: null,
  rxtx_base: null,
  mtu: null,
  dhcp_server: null,
  enable_dhcp: true,
  share_address: false,
};

function fullView(network: NetworkRecord, call: Call): object {
  const { id, label, cidr, gateway, projectId } = network;
  const v6 = isIPv6(cidr.split('/')[0] ?? '');
  const { netmask, broadcast } = v6 ? { netmask: null, broadcast: null } : edges(cidr);
  const view = {
    id,
    label,
    cidr: v6 ? null : cidr,
    gateway: v6 ? null : gateway,
    netmask,
    broadcast,
    cidr_v6: v6 ? cidr : null,
    gateway_v6: v6 ? gateway : null,
    netmask_v6: v6 ? (cidr.split('/')[1] ?? null) : null,
    ...UNSET,
  };
  return call.caller.isAdmin ? { ...view, project_id: projectId, ...ADMIN_UNSET } : view;
}

/** Mask and last address of an IPv4 network. */
function edges(cidr: string): { netmask: string; broadcast: string } {
  const [address = '0.0.0.0', bits = '32'] = cidr.split('/');
  const mask = Number(bits) === 0 ? 0 : (~0 << (32 - Number(bits))) >>> 0;
  const number = address.split('.').reduce((sum, part) => (sum << 8) | Number(part), 0) >>> 0;
  return { netmask: dotted(mask), broadcast: dotted(((number & mask) | ~mask) >>> 0) };
}

function dotted(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}
