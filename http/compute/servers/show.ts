/** `GET`, `PUT` and `DELETE` of one server. */
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { InstanceChanges } from '../../../actors/instance/messages.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';
import { UPDATE_BODY } from './schema.ts';
import { shelfName, showView, sightOf, stampOf, updatedView } from './view.ts';

export const SERVER_ROUTES_OF_ONE = [
  route({ method: 'GET', path: '/servers/:id', policy: 'servers:show', ok: 200, find: findServer, serve: serveShow }),
  route({ method: 'PUT', path: '/servers/:id', policy: 'servers:update', body: UPDATE_BODY, ok: 200, find: findServer, serve: serveUpdate }),
  route({ method: 'DELETE', path: '/servers/:id', policy: 'servers:delete', ok: 204, find: findServer, serve: serveDelete }),
];

async function serveShow(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const sight = await sightOf(call, parts, found.record);
  const shelf = parts.fragments.shelf(shelfName('show', sight));
  return { text: shelf.take(found.record.id, stampOf(found, sight), () => `{"server":${JSON.stringify(showView(found.record, sight))}}`) };
}

async function serveUpdate(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const changes = changesOf(call, found);
  refuseIllegal('update', 'update', found.record, call);
  const after =
    Object.keys(changes).length === 0
      ? found
      : await parts.actors.ask(instanceRef(found.record.id), { type: 'update', changes, caller: actorCaller(call) }, { commandId: call.requestId });
  return { body: { server: updatedView(after.record, await sightOf(call, parts, after.record)) } };
}

function changesOf(call: Call, { record }: FoundServer): InstanceChanges {
  const asked = updateMembers(call.body);
  const changes: { -readonly [name in keyof InstanceChanges]: InstanceChanges[name] } = {};
  if (typeof asked['name'] === 'string') changes.name = asked['name'].trim();
  if (asked['name'] !== undefined && changes.name === '') throw invalid('A name is needed.');
  if (call.version >= SINCE.serverDescription && 'description' in asked)
    changes.description = typeof asked['description'] === 'string' ? asked['description'] : null;
  if (call.version >= SINCE.hostname && typeof asked['hostname'] === 'string') changes.hostname = asked['hostname'];
  if (asked['OS-DCF:diskConfig'] === 'AUTO' || asked['OS-DCF:diskConfig'] === 'MANUAL') changes.diskConfig = asked['OS-DCF:diskConfig'];
  if (typeof asked['accessIPv4'] === 'string') changes.accessIpV4 = asked['accessIPv4'];
  if (typeof asked['accessIPv6'] === 'string') changes.accessIpV6 = asked['accessIPv6'];
  if (call.version >= SINCE.changePinnedZone && 'pinned_availability_zone' in asked)
    refusePinnedZone(asked['pinned_availability_zone'], record.requestedZone, record.zone);
  return changes;
}

/** Only what changes nothing can be granted as long as a placement cannot be asked for anew. */
function refusePinnedZone(asked: unknown, pinned: string | null, current: string | null): void {
  if (asked === pinned) return;
  if (asked === null) throw conflict('The server cannot be unpinned from its availability zone.');
  if (pinned !== null) throw conflict(`The server is pinned to availability zone ${pinned}.`);
  if (asked !== current) throw conflict('The pinned availability zone must be the current one.');
  throw conflict('The server cannot be pinned to an availability zone after its creation.');
}

/** The members that this version knows; the schema has seen them. In legacy mode others may be there and are ignored. */
function updateMembers(body: unknown): { readonly [name: string]: unknown } {
  const server = body !== null && typeof body === 'object' && 'server' in body ? body.server : undefined;
  return server !== null && typeof server === 'object' ? Object.fromEntries(Object.entries(server)) : {};
}

async function serveDelete(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  refuseIllegal('delete', 'delete', found.record, call);
  await parts.actors.ask(instanceRef(found.record.id), { type: 'act', verb: { name: 'delete' }, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}
