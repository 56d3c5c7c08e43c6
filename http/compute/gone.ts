/**
 * What the API once had and has no more: 410 in the versions in which it was there, whoever asks. A client learns that
 * it need not try again, which 404 would not say.
 */
import { Fault } from '../../runtime/base/fault.ts';
import type { Method } from '../kit/route.ts';
import { SINCE } from './microversions.ts';
import { route } from './parts.ts';

const PROXY = [1, SINCE.noProxies - 1] as const;
const VIRTUAL = [1, SINCE.noMultinic - 1] as const;

type Dropped = readonly [path: string, methods: readonly Method[], versions?: readonly [number, number]];

const DROPPED: readonly Dropped[] = [
  ['/os-agents', ['GET', 'POST']],
  ['/os-agents/:id', ['PUT', 'DELETE']],
  ['/os-cells', ['GET', 'POST']],
  ['/os-cells/capacities', ['GET']],
  ['/os-cells/detail', ['GET']],
  ['/os-cells/info', ['GET']],
  ['/os-cells/sync_instances', ['POST']],
  ['/os-cells/:id', ['GET', 'PUT', 'DELETE']],
  ['/os-cells/:id/capacities', ['GET']],
  ['/os-certificates', ['POST']],
  ['/os-certificates/:id', ['GET']],
  ['/os-cloudpipe', ['GET', 'POST']],
  ['/os-cloudpipe/:id', ['PUT']],
  ['/os-fixed-ips/:id', ['GET'], PROXY],
  ['/os-fixed-ips/:id/action', ['POST'], PROXY],
  ['/os-floating-ip-dns', ['GET'], PROXY],
  ['/os-floating-ip-dns/:id', ['PUT', 'DELETE'], PROXY],
  ['/os-floating-ip-dns/:id/entries/:entry', ['GET', 'PUT', 'DELETE'], PROXY],
  ['/os-floating-ips-bulk', ['GET', 'POST'], PROXY],
  ['/os-floating-ips-bulk/:id', ['GET', 'PUT'], PROXY],
  ['/os-fping', ['GET'], PROXY],
  ['/os-fping/:id', ['GET'], PROXY],
  ['/os-networks', ['POST'], PROXY],
  ['/os-networks/add', ['POST'], PROXY],
  ['/os-networks/:id', ['DELETE'], PROXY],
  ['/os-networks/:id/action', ['POST'], PROXY],
  ['/os-tenant-networks', ['POST'], PROXY],
  ['/os-tenant-networks/:id', ['DELETE'], PROXY],
  ['/os-security-group-default-rules', ['GET', 'POST'], PROXY],
  ['/os-security-group-default-rules/:id', ['GET', 'DELETE'], PROXY],
  ['/servers/:id/consoles', ['GET', 'POST']],
  ['/servers/:id/consoles/:console', ['GET', 'DELETE']],
  ['/servers/:id/os-virtual-interfaces', ['GET'], VIRTUAL],
];

/** Actions of servers that went the same way. */
const DROPPED_ACTIONS: readonly (readonly [action: string, versions?: readonly [number, number]])[] = [
  ['resetNetwork'],
  ['os-getRDPConsole', [1, SINCE.remoteConsoles - 1]],
];

export const GONE_ROUTES = [
  ...DROPPED.flatMap(([path, methods, versions]) =>
    methods.map((method) => route({ method, path, ...(versions === undefined ? {} : { versions }), policy: null, ok: 410, serve: dropped })),
  ),
  ...DROPPED_ACTIONS.map(([action, versions]) =>
    route({ method: 'POST', path: '/servers/:id/action', action, ...(versions === undefined ? {} : { versions }), policy: null, ok: 410, serve: dropped }),
  ),
];

function dropped(): never {
  throw new Fault('notFound', 'http.dropped', 'This resource is no longer available. No forwarding address is given.');
}
