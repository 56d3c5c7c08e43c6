/** A server's security groups: the list, and the actions `addSecurityGroup` and `removeSecurityGroup`. */
import { instanceRef, type ListChange } from '../../../../actors/instance/messages.ts';
import type { SecurityGroup } from '../../../../actors/model/security-group.ts';
import type { Call } from '../../../kit/call.ts';
import { invalid, notFound } from '../../../kit/errors.ts';
import type { Reply } from '../../../kit/route.ts';
import { namedGroup, securityGroupsOf } from '../../networks/find-security-group.ts';
import { groupView } from '../../networks/security-groups.ts';
import { members, text } from '../../parameter-types.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { actorCaller, findServer } from '../find.ts';
import type { FoundServer } from '../find.ts';

const NAME_MAX = 255;
const ACTION = '/servers/:id/action';

export const SERVER_SECURITY_GROUP_ROUTES = [
  route({ method: 'GET', path: '/servers/:id/os-security-groups', policy: 'os-security-groups:list', ok: 200, find: findServer, serve: serveGroups }),
  actionRoute('addSecurityGroup', 'os-security-groups:add', async (call, parts, found) => {
    const { id, name } = await groupAsked(call, parts, found, 'addSecurityGroup');
    if (found.record.securityGroups.includes(name)) throw invalid(`Security group ${id} is already associated with the instance ${found.record.id}`);
    return change(call, parts, found, { add: [name] });
  }),
  actionRoute('removeSecurityGroup', 'os-security-groups:remove', async (call, parts, found) => {
    const { id, name } = await groupAsked(call, parts, found, 'removeSecurityGroup');
    if (!found.record.securityGroups.includes(name)) throw invalid(`Security group ${id} is not associated with the instance ${found.record.id}`);
    return change(call, parts, found, { drop: [name] });
  }),
];

type Serve = (call: Call, parts: ComputeParts, found: FoundServer) => Promise<Reply>;

function actionRoute(action: string, policy: 'os-security-groups:add' | 'os-security-groups:remove', serve: Serve) {
  const schema = members({ [action]: { type: 'object', properties: { name: text(1, NAME_MAX) }, required: ['name'], additionalProperties: false } }, [action]);
  return route({ method: 'POST', path: ACTION, action, policy, body: { breaks: [1], at: () => schema }, ok: 202, find: findServer, serve });
}

async function groupAsked(call: Call, parts: ComputeParts, { record }: FoundServer, action: string): Promise<SecurityGroup> {
  const body = call.body !== null && typeof call.body === 'object' ? Object.entries(call.body).find(([member]) => member === action)?.[1] : undefined;
  const name = body !== null && typeof body === 'object' && 'name' in body ? String(body.name).trim() : '';
  if (name === '') throw invalid('Security group name cannot be empty');
  const group = namedGroup(await securityGroupsOf(parts, record.projectId), name);
  if (group === undefined) throw notFound(`Security group ${name.slice(0, 100)} not found for project ${record.projectId}.`);
  return group;
}

async function change(call: Call, parts: ComputeParts, { record }: FoundServer, securityGroups: ListChange): Promise<Reply> {
  const changes = { securityGroups };
  await parts.actors.ask(instanceRef(record.id), { type: 'update', changes, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}

/** A group that was deleted meanwhile is none any more. */
async function serveGroups(_call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  if (record.securityGroups.length === 0) return { body: { security_groups: [] } };
  const groups = await securityGroupsOf(parts, record.projectId);
  return { body: { security_groups: groups.filter(({ name }) => record.securityGroups.includes(name)).map(groupView) } };
}
