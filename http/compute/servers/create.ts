/**
 * `POST /servers`: one order, one transaction, 202. The servers are woken by a hint; were it lost, they would be found
 * by their open operation all the same.
 */
import { hash } from 'node:crypto';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { CreateOrder } from '../../../actors/conductor/messages/write.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid } from '../../kit/errors.ts';
import { canonicalJson } from '../../kit/json.ts';
import type { Target } from '../../kit/policy.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { readCreateBody, refuseUnsupported } from './create-body.ts';
import type { CreateBody } from './create-body.ts';
import { password } from './names.ts';
import { makeOrder } from './order.ts';
import { CREATE_BODY } from './schema.ts';
import { groupsOf } from './view.ts';

const ACCEPT_ASK_MS = 15_000;
const KEY_FORM = /^[\x21-\x7e]{1,255}$/;

export const SERVER_CREATE_ROUTES = [
  route({
    method: 'POST',
    path: '/servers',
    policy: 'servers:create',
    target: zoneAsked,
    body: CREATE_BODY,
    ok: 202,
    query: { parameters: {}, strictFrom: SINCE.strictQueries },
    serve: serveCreate,
  }),
];

/** Rules may be about the zone that is asked for. */
function zoneAsked({ body }: Call): Target {
  const server = body !== null && typeof body === 'object' && 'server' in body ? body.server : null;
  const zone = server !== null && typeof server === 'object' && 'availability_zone' in server ? server.availability_zone : null;
  return typeof zone === 'string' ? { zone } : {};
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const body = readCreateBody(call);
  refuseUnsupported(call);
  const order = await makeOrder(call, parts, body, idempotencyOf(call));
  const { instances, replayed } = await parts.actors.ask(CONDUCTOR, { type: 'accept', order }, { timeoutMs: ACCEPT_ASK_MS, commandId: call.requestId });
  const first = instances[0]?.record;
  if (first === undefined) throw conflict('The servers that this Idempotency-Key made are gone.');
  if (!replayed) for (const { record } of instances) parts.actors.tell(instanceRef(record.id), { type: 'wake' });
  const headers = { Location: `${call.links.self}/servers/${first.id}` };
  if (body.wantsReservationId) return { body: { reservation_id: first.reservationId }, headers };
  return { body: { server: createdView(call, parts, first, body, replayed) }, headers };
}

function createdView(call: Call, parts: ComputeParts, record: InstanceRecord, body: CreateBody, replayed: boolean): object {
  // A generated password is nowhere kept, so a replay cannot repeat it.
  const adminPass = body.adminPass ?? (replayed ? undefined : password(parts.random));
  return {
    id: record.id,
    links: call.links.of('servers', record.id),
    'OS-DCF:diskConfig': record.diskConfig,
    security_groups: groupsOf(record),
    ...(adminPass === undefined ? {} : { adminPass }),
  };
}

/** The same key with the same body is the same order; with another body it is refused by the store. */
function idempotencyOf(call: Call): CreateOrder['idempotency'] {
  const key = call.headers['idempotency-key'];
  if (key === undefined) return null;
  if (typeof key !== 'string' || !KEY_FORM.test(key)) throw invalid('An Idempotency-Key is 1 to 255 printable characters.');
  return { key, bodyHash: hash('sha256', `${call.path}\n${canonicalJson(call.body)}`, 'hex') };
}
