/** `/servers/{id}/os-server-password`: what the guest posted, encrypted with its user's key; empty when it posted nothing. */
import { instanceRef } from '../../../../actors/instance/messages.ts';
import type { Call } from '../../../kit/call.ts';
import type { Reply } from '../../../kit/route.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { actorCaller, findServer } from '../find.ts';
import type { FoundServer } from '../find.ts';

const PATH = '/servers/:id/os-server-password';

export const GUEST_PASSWORD_ROUTES = [
  route({
    method: 'GET',
    path: PATH,
    policy: 'os-server-password:show',
    ok: 200,
    find: findServer,
    serve: (_call, _parts, { record }) => ({ body: { password: record.guestPassword ?? '' } }),
  }),
  route({ method: 'DELETE', path: PATH, policy: 'os-server-password:clear', ok: 204, find: findServer, serve: serveClear }),
];

async function serveClear(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  if (record.guestPassword === undefined || record.guestPassword === null) return {};
  const changes = { guestPassword: null };
  await parts.actors.ask(instanceRef(record.id), { type: 'update', changes, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}
