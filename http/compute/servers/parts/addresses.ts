/** What a server has on the network, for reading: its addresses by network label, its security groups. */
import { hash } from 'node:crypto';
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
  route({ method: 'GET', path: '/servers/:id/os-security-groups', policy: 'os-security-groups:list', ok: 200, find: findServer, serve: serveGroups }),
];

function serveLabel(call: Call, _parts: ComputeParts, { record }: FoundServer): Reply {
  const label = call.param('label');
  const addresses = addressesOf(record, false)[label];
  if (addresses === undefined) throw notFound('Instance is not a member of specified network');
  return { body: { [label]: addresses } };
}

/** Groups have no records of their own yet: each project has its `default`, without rules. */
function serveGroups(_call: Call, _parts: ComputeParts, { record }: FoundServer): Reply {
  const groups = record.securityGroups.map((name) => ({
    id: groupId(record.projectId, name),
    name,
    description: name,
    tenant_id: record.projectId,
    rules: [],
  }));
  return { body: { security_groups: groups } };
}

/** The same group has the same id everywhere: drawn from project and name. */
function groupId(projectId: string, name: string): string {
  const h = hash('sha256', `${projectId}/${name}`, 'hex');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-5${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20, 32)}`;
}
