/**
 * `/os-floating-ips` and its pools (..2.35) for a cloud that has no addresses to give: there is no pool, so nobody has
 * one, and none can be asked for.
 */
import { isIPv4 } from 'node:net';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { members } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { Rule } from '../rules.ts';
import { findServer } from '../servers/find.ts';
import type { FoundServer } from '../servers/find.ts';

const versions = [1, SINCE.noProxies - 1] as const;
const BODY: BodySchema = {
  breaks: [1],
  at: () => ({ type: ['object', 'null'], properties: { pool: { type: ['string', 'null'] } }, additionalProperties: false }),
};

const IP: JsonSchema = { type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] };
const ADD_BODY = members({ address: IP, fixed_address: IP }, ['address']);
const REMOVE_BODY = members({ address: IP }, ['address']);

export const FLOATING_IP_ROUTES = [
  route({
    method: 'GET',
    path: '/os-floating-ip-pools',
    versions,
    policy: 'os-floating-ip-pools',
    ok: 200,
    serve: () => ({ body: { floating_ip_pools: [] } }),
  }),
  route({ method: 'GET', path: '/os-floating-ips', versions, policy: 'os-floating-ips:list', ok: 200, serve: () => ({ body: { floating_ips: [] } }) }),
  route({ method: 'POST', path: '/os-floating-ips', versions, policy: 'os-floating-ips:create', body: BODY, ok: 200, serve: refusePool }),
  route({ method: 'GET', path: '/os-floating-ips/:id', versions, policy: 'os-floating-ips:show', ok: 200, serve: refuseUnknown }),
  route({ method: 'DELETE', path: '/os-floating-ips/:id', versions, policy: 'os-floating-ips:delete', ok: 202, serve: refuseUnknown }),
  action('addFloatingIp', 'os-floating-ips:add', ADD_BODY, (server) => {
    if (!server.record.nics.some(({ address }) => isIPv4(address))) throw invalid('No fixed IPs associated to instance', 'floatingIp.fixed');
  }),
  action('removeFloatingIp', 'os-floating-ips:remove', REMOVE_BODY, () => {}),
];

/** On a server: whatever address is named, there is none of it. */
function action(name: string, policy: Rule, body: JsonSchema, check: (server: FoundServer) => void) {
  return route({
    method: 'POST',
    path: '/servers/:id/action',
    action: name,
    versions: [1, SINCE.noMultinic - 1],
    policy,
    body: { breaks: [1], at: () => members({ [name]: body }, [name]) },
    ok: 202,
    find: findServer,
    serve: (_call, _parts, server) => {
      check(server);
      throw notFound('floating IP not found', 'floatingIp');
    },
  });
}

function refusePool(): never {
  throw notFound('Floating IP pool not found.', 'floatingIp.pool');
}

function refuseUnknown(call: Call): never {
  throw notFound(`Floating IP not found for ID ${call.param('id').slice(0, 64)}`, 'floatingIp');
}
