/**
 * `/os-server-groups`: servers to be kept together or apart. Until 2.63 a group has `policies` and an empty `metadata`,
 * from 2.64 on one `policy` with its `rules`. Groups of other projects do not exist for callers that are no administrators.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { GROUP_POLICIES, type GroupPolicy, type ServerGroup, type ServerGroupView } from '../../../actors/model/server-group.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import { sliceOf } from '../../kit/paging.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { integer, list, members, NAME, toInteger } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

const PATH = '/os-server-groups';
const ONE = '/os-server-groups/:id';
const LIST_QUERY: QueryTable = {
  strictFrom: SINCE.strictQueries,
  parameters: { all_projects: { kind: 'text' }, limit: { kind: 'count' }, offset: { kind: 'count' } },
};

const CREATE: BodySchema = {
  breaks: [1, SINCE.softPolicies, SINCE.groupRules],
  at: (version) => {
    const policy = { type: 'string', enum: version >= SINCE.softPolicies ? GROUP_POLICIES : ['affinity', 'anti-affinity'] };
    const group =
      version >= SINCE.groupRules
        ? members({ name: NAME, policy, rules: members({ max_server_per_host: integer(1) }) }, ['name', 'policy'])
        : members({ name: NAME, policies: list(policy, { minItems: 1, maxItems: 1, uniqueItems: true }) }, ['name', 'policies']);
    return members({ server_group: group }, ['server_group']);
  },
};

export const SERVER_GROUP_ROUTES = [
  route({ method: 'GET', path: PATH, policy: 'os-server-groups:index', query: LIST_QUERY, ok: 200, serve: serveList }),
  route({ method: 'POST', path: PATH, policy: 'os-server-groups:create', body: CREATE, ok: 200, serve: serveCreate }),
  route({
    method: 'GET',
    path: ONE,
    policy: 'os-server-groups:show',
    ok: 200,
    find: findGroup,
    serve: (call, _parts, group) => ({ body: { server_group: groupView(group, call.version) } }),
  }),
  route({ method: 'DELETE', path: ONE, policy: 'os-server-groups:delete', ok: 204, find: findGroup, serve: serveDelete }),
];

async function findGroup(call: Call, parts: ComputeParts): Promise<ServerGroupView> {
  const id = call.param('id');
  const group = isUuid(id) ? await parts.actors.ask(CONDUCTOR, { type: 'showServerGroup', id }) : null;
  if (group === null || (group.projectId !== call.caller.projectId && !call.caller.isAdmin)) throw unknownGroup(id);
  return group;
}

export function unknownGroup(id: string): Error {
  return notFound(`Instance group ${id.slice(0, 64)} could not be found.`);
}

function groupView(group: ServerGroupView, version: number): object {
  const { id, name, policy, perHost, members: servers, projectId, userId } = group;
  const owner = version >= SINCE.serverGroupOwner ? { project_id: projectId, user_id: userId } : {};
  if (version < SINCE.groupRules) return { id, name, policies: [policy], members: servers, metadata: {}, ...owner };
  return { id, name, policy, rules: perHost === null ? {} : { max_server_per_host: perHost }, members: servers, ...owner };
}

/** All projects are for who may see them; others get their own groups as if they had not asked. */
async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const isAll = call.query.has('all_projects') && parts.policy.allows('os-server-groups:index:all_projects', call.caller);
  const slice = sliceOf(call.query, parts.settings.pageMax);
  const groups = await parts.actors.ask(CONDUCTOR, { type: 'listServerGroups', projectId: isAll ? null : call.caller.projectId, ...slice });
  return { body: { server_groups: groups.map((group) => groupView(group, call.version)) } };
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const { projectId, userId } = call.caller;
  const group: ServerGroup = { id: parts.random.uuid(), projectId, userId, ...readCreate(call) };
  await parts.actors.ask(CONDUCTOR, { type: 'createServerGroup', group }, { commandId: call.requestId });
  return { body: { server_group: groupView({ ...group, members: [] }, call.version) } };
}

function readCreate(call: Call): Pick<ServerGroup, 'name' | 'policy' | 'perHost'> {
  const body = call.body !== null && typeof call.body === 'object' && 'server_group' in call.body ? call.body.server_group : {};
  const given: { [name: string]: unknown } = Object.fromEntries(Object.entries(body ?? {}));
  const asked = call.version >= SINCE.groupRules ? given['policy'] : Array.isArray(given['policies']) ? given['policies'][0] : undefined;
  const policy = GROUP_POLICIES.find((one) => one === asked);
  if (policy === undefined) throw invalid('A server group has one policy.');
  return { name: String(given['name']).trim(), policy, perHost: perHostOf(given['rules'], policy) };
}

function perHostOf(rules: unknown, policy: GroupPolicy): number | null {
  if (rules === null || typeof rules !== 'object' || Object.keys(rules).length === 0) return null;
  if (policy !== 'anti-affinity') throw invalid('Only anti-affinity policy supports rules.');
  return 'max_server_per_host' in rules ? toInteger(rules.max_server_per_host) : null;
}

async function serveDelete(_call: Call, parts: ComputeParts, { id }: ServerGroupView): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteServerGroup', id });
  return {};
}
