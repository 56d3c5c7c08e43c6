/** What a server has on the network, for reading: its addresses by network label. */
import type { Call } from '../../../kit/call.ts';
import { notFound } from '../../../kit/errors.ts';
import type { Reply } from '../../../kit/route.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { findServer } from '../find.ts';
import type { FoundServer } from '../find.ts';
import { addressesOf } from '../view.ts';

export const ADDRESS_ROUTES = [
  route({
    method: 'GET',
    path: '/servers/:id/ips',
    policy: 'ips:index',
    ok: 200,
    find: findServer,
    serve: (_call, _parts, { record }) => ({ body: { addresses: addressesOf(record, false) } }),
  }),
  route({ method: 'GET', path: '/servers/:id/ips/:label', policy: 'ips:show', ok: 200, find: findServer, serve: serveLabel }),
];

function serveLabel(call: Call, _parts: ComputeParts, { record }: FoundServer): Reply {
  const label = call.param('label');
  const addresses = addressesOf(record, false)[label];
  if (addresses === undefined) throw notFound('Instance is not a member of specified network');
  return { body: { [label]: addresses } };
}
