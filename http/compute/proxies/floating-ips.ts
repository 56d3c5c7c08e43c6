/**
 * `/os-floating-ips` and its pools (..2.35) for a cloud that has no addresses to give: there is no pool, so nobody has
 * one, and none can be asked for.
 */
import type { Call } from '../../kit/call.ts';
import { notFound } from '../../kit/errors.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';

const versions = [1, SINCE.noProxies - 1] as const;
const BODY: BodySchema = {
  breaks: [1],
  at: () => ({ type: ['object', 'null'], properties: { pool: { type: ['string', 'null'] } }, additionalProperties: false }),
};

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
];

function refusePool(): never {
  throw notFound('Floating IP pool not found.', 'floatingIp.pool');
}

function refuseUnknown(call: Call): never {
  throw notFound(`Floating IP not found for ID ${call.param('id').slice(0, 64)}`, 'floatingIp');
}
