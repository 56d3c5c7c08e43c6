/** `/servers/{id}/metadata`: what users write beside a server. Changed as a whole by the server's own actor. */
import { instanceRef, type MapChange } from '../../../../actors/instance/messages.ts';
import type { Call } from '../../../kit/call.ts';
import { invalid, notFound } from '../../../kit/errors.ts';
import type { Reply } from '../../../kit/route.ts';
import { limitsOf, route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { actorCaller, findServer, refuseIllegal } from '../find.ts';
import type { FoundServer } from '../find.ts';
import { META_BODY, METADATA_BODY } from '../schema.ts';

type Metadata = { readonly [key: string]: string };

const ALL = '/servers/:id/metadata';
const ONE = '/servers/:id/metadata/:key';

export const METADATA_ROUTES = [
  route({
    method: 'GET',
    path: ALL,
    policy: 'server-metadata:index',
    ok: 200,
    find: findServer,
    serve: (_call, _parts, { record }) => ({ body: { metadata: record.metadata } }),
  }),
  route({ method: 'POST', path: ALL, policy: 'server-metadata:create', body: METADATA_BODY, ok: 200, find: findServer, serve: serveMerge }),
  route({ method: 'PUT', path: ALL, policy: 'server-metadata:update_all', body: METADATA_BODY, ok: 200, find: findServer, serve: serveReplace }),
  route({ method: 'GET', path: ONE, policy: 'server-metadata:show', ok: 200, find: findServer, serve: serveOne }),
  route({ method: 'PUT', path: ONE, policy: 'server-metadata:update', body: META_BODY, ok: 200, find: findServer, serve: serveSet }),
  route({ method: 'DELETE', path: ONE, policy: 'server-metadata:delete', ok: 204, find: findServer, serve: serveDrop }),
];

function given(call: Call, member: 'metadata' | 'meta'): Metadata {
  const value = call.body !== null && typeof call.body === 'object' ? Object.entries(call.body).find(([name]) => name === member)?.[1] : undefined;
  if (value === null || typeof value !== 'object') throw invalid(`'${member}' is a required property`);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
}

async function serveMerge(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  return { body: { metadata: await change(call, parts, found, { set: given(call, 'metadata') }) } };
}

async function serveReplace(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  return { body: { metadata: await change(call, parts, found, { replace: true, set: given(call, 'metadata') }) } };
}

function valueOf(call: Call, { record }: FoundServer): string {
  const key = call.param('key');
  const value = Object.hasOwn(record.metadata, key) ? record.metadata[key] : undefined;
  if (value === undefined) throw notFound('Metadata item was not found');
  return value;
}

function serveOne(call: Call, _parts: ComputeParts, found: FoundServer): Reply {
  return { body: { meta: { [call.param('key')]: valueOf(call, found) } } };
}

async function serveSet(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const meta = given(call, 'meta');
  const key = call.param('key');
  const value = meta[key];
  if (value === undefined) throw invalid('Request body and URI mismatch');
  await change(call, parts, found, { set: { [key]: value } });
  return { body: { meta: { [key]: value } } };
}

async function serveDrop(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  valueOf(call, found);
  await change(call, parts, found, { drop: [call.param('key')] });
  return {};
}

/** Made by the server's own actor of what is there then: two changes side by side both count. */
async function change(call: Call, parts: ComputeParts, found: FoundServer, metadata: MapChange): Promise<Metadata> {
  refuseIllegal('metadata', 'update metadata', found.record, call);
  const { metadata_items: max } = await limitsOf(parts, found.record);
  const changes = { metadata: { ...metadata, max } };
  const after = await parts.actors.ask(instanceRef(found.record.id), { type: 'update', changes, caller: actorCaller(call) }, { commandId: call.requestId });
  return after.record.metadata;
}
