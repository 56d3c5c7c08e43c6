/** `/servers/{id}/tags` (2.26): a set of short words. */
import { instanceRef, type ListChange } from '../../../../actors/instance/messages.ts';
import { refusal, refusalText } from '../../../../actors/model/server-state.ts';
import type { Call } from '../../../kit/call.ts';
import { conflict, invalid, notFound } from '../../../kit/errors.ts';
import type { Reply } from '../../../kit/route.ts';
import { LATEST } from '../../../kit/route.ts';
import { SINCE } from '../../microversions.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { actorCaller, findServer } from '../find.ts';
import type { FoundServer } from '../find.ts';
import { TAGS_BODY, TAGS_MAX } from '../schema.ts';

const ALL = '/servers/:id/tags';
const ONE = '/servers/:id/tags/:tag';
const versions = [SINCE.serverTags, LATEST] as const;
const TAG_FORM = /^[^,/]{1,60}$/u;

export const TAG_ROUTES = [
  route({
    method: 'GET',
    path: ALL,
    versions,
    policy: 'os-server-tags:index',
    ok: 200,
    find: findServer,
    serve: (_call, _parts, { record }) => ({ body: { tags: record.tags } }),
  }),
  route({ method: 'PUT', path: ALL, versions, policy: 'os-server-tags:update_all', body: TAGS_BODY, ok: 200, find: findServer, serve: serveReplace }),
  route({ method: 'DELETE', path: ALL, versions, policy: 'os-server-tags:delete_all', ok: 204, find: findServer, serve: serveDropAll }),
  route({ method: 'GET', path: ONE, versions, policy: 'os-server-tags:show', ok: 204, find: findServer, serve: serveCheck }),
  route({ method: 'PUT', path: ONE, versions, policy: 'os-server-tags:update', ok: 201, find: findServer, serve: serveAdd }),
  route({ method: 'DELETE', path: ONE, versions, policy: 'os-server-tags:delete', ok: 204, find: findServer, serve: serveDrop }),
];

async function change(call: Call, parts: ComputeParts, { record }: FoundServer, tags: ListChange): Promise<readonly string[]> {
  const why = refusal('tags', record);
  if (why !== null) throw conflict(refusalText('update tags', record.id, why), 'state');
  const after = await parts.actors.ask(
    instanceRef(record.id),
    { type: 'update', changes: { tags: { ...tags, max: TAGS_MAX } }, caller: actorCaller(call) },
    { commandId: call.requestId },
  );
  return after.record.tags;
}

async function serveReplace(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const given = call.body !== null && typeof call.body === 'object' && 'tags' in call.body && Array.isArray(call.body.tags) ? call.body.tags.map(String) : [];
  return { body: { tags: await change(call, parts, found, { replace: true, add: given }) } };
}

async function serveDropAll(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  await change(call, parts, found, { replace: true });
  return {};
}

function mustHave(call: Call, { record }: FoundServer): string {
  const tag = call.param('tag');
  if (!record.tags.includes(tag)) throw notFound(`Server ${record.id} has no tag '${tag.slice(0, 60)}'`);
  return tag;
}

function serveCheck(call: Call, _parts: ComputeParts, found: FoundServer): Reply {
  mustHave(call, found);
  return {};
}

async function serveAdd(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const tag = call.param('tag');
  const { record } = found;
  if (!TAG_FORM.test(tag)) throw invalid(`Invalid input for field/attribute tag. Value: ${tag.slice(0, 60)}. A tag has 1 to 60 characters without , and /.`);
  const headers = { Location: `${call.links.self}/servers/${record.id}/tags/${encodeURIComponent(tag)}` };
  if (record.tags.includes(tag)) return { status: 204, headers };
  await change(call, parts, found, { add: [tag] });
  return { status: 201, headers };
}

async function serveDrop(call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> {
  const tag = mustHave(call, found);
  await change(call, parts, found, { drop: [tag] });
  return {};
}
