/**
 * `/os-security-groups` and `/os-security-group-rules` (..2.35): records of what may reach the servers of a project.
 * Hosts do not enforce them yet. Groups of other projects do not exist for callers that are no administrators.
 */
import { isIP } from 'node:net';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { SecurityGroup, SecurityRule } from '../../../actors/model/security-group.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import { sliceOf } from '../../kit/paging.ts';
import { parseBool, type QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { ANYTHING, text } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

const versions = [1, SINCE.noProxies - 1] as const;
const PATH = '/os-security-groups';
const ONE = '/os-security-groups/:id';
const RULES = '/os-security-group-rules';
const EVERYWHERE = '0.0.0.0/0';
const PORT_MAX = 65_535;
const ICMP_MAX = 255;

const QUERY: QueryTable = { strictFrom: SINCE.noProxies, parameters: { limit: { kind: 'count' }, offset: { kind: 'count' }, all_tenants: { kind: 'text' } } };
const more = (required: readonly string[], properties: JsonSchema): JsonSchema => ({ type: 'object', required, properties, additionalProperties: true });
const GROUP_BODY: BodySchema = {
  breaks: [1],
  at: () => more(['security_group'], { security_group: more(['name', 'description'], { name: text(0, 255), description: text(0, 255) }) }),
};
const RULE_BODY: BodySchema = {
  breaks: [1],
  at: () =>
    more(['security_group_rule'], {
      security_group_rule: more(['parent_group_id'], {
        group_id: { type: ['string', 'null'], format: 'uuid' },
        parent_group_id: { type: 'string', format: 'uuid' },
        from_port: ANYTHING,
        to_port: ANYTHING,
        ip_protocol: ANYTHING,
        cidr: ANYTHING,
      }),
    }),
};

export const SECURITY_GROUP_ROUTES = [
  route({ method: 'GET', path: PATH, versions, policy: 'os-security-groups:get', query: QUERY, ok: 200, serve: serveList }),
  route({ method: 'POST', path: PATH, versions, policy: 'os-security-groups:create', body: GROUP_BODY, ok: 200, serve: serveCreate }),
  route({
    method: 'GET',
    path: ONE,
    versions,
    policy: 'os-security-groups:show',
    ok: 200,
    find: findGroup,
    serve: (_call, _parts, group) => ({ body: { security_group: groupView(group) } }),
  }),
  route({ method: 'PUT', path: ONE, versions, policy: 'os-security-groups:update', body: GROUP_BODY, ok: 200, find: findGroup, serve: serveUpdate }),
  route({ method: 'DELETE', path: ONE, versions, policy: 'os-security-groups:delete', ok: 202, find: findGroup, serve: serveDelete }),
  route({ method: 'POST', path: RULES, versions, policy: 'os-security-groups:rule:create', body: RULE_BODY, ok: 200, serve: serveCreateRule }),
  route({ method: 'DELETE', path: `${RULES}/:id`, versions, policy: 'os-security-groups:rule:delete', ok: 202, find: findRule, serve: serveDeleteRule }),
];

async function groupOf(call: Call, parts: ComputeParts, id: string): Promise<SecurityGroup> {
  const group = await parts.actors.ask(CONDUCTOR, { type: 'showSecurityGroup', id });
  if (group === null || (group.projectId !== call.caller.projectId && !call.caller.isAdmin)) throw notFound(`Security group ${id} not found.`);
  return group;
}

function uuidIn(call: Call): string {
  const id = call.param('id');
  if (!isUuid(id)) throw invalid('Security group id should be uuid');
  return id;
}

function findGroup(call: Call, parts: ComputeParts): Promise<SecurityGroup> {
  return groupOf(call, parts, uuidIn(call));
}

async function findRule(call: Call, parts: ComputeParts): Promise<SecurityRule> {
  const id = uuidIn(call);
  const rule = await parts.actors.ask(CONDUCTOR, { type: 'showSecurityRule', id });
  if (rule === null || (rule.projectId !== call.caller.projectId && !call.caller.isAdmin)) throw notFound(`Security group rule ${id} not found.`);
  return rule;
}

function ruleView({ id, parentGroupId, protocol, fromPort, toPort, cidr, group }: SecurityRule): object {
  return {
    id,
    parent_group_id: parentGroupId,
    ip_protocol: protocol,
    from_port: fromPort,
    to_port: toPort,
    group: group === null ? {} : { name: group.name, tenant_id: group.projectId },
    ip_range: cidr === null ? {} : { cidr },
  };
}

export function groupView({ id, projectId, name, description, rules }: SecurityGroup): object {
  return { id, name, description, tenant_id: projectId, rules: rules.map(ruleView) };
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const isAll = call.caller.isAdmin && parseBool(call.query.one('all_tenants') ?? '') === true;
  const slice = sliceOf(call.query, parts.settings.pageMax);
  const groups = await parts.actors.ask(CONDUCTOR, { type: 'listSecurityGroups', projectId: isAll ? null : call.caller.projectId, ...slice });
  return { body: { security_groups: groups.map(groupView) } };
}

function membersOf(call: Call, member: string): { readonly [name: string]: unknown } {
  const body = call.body !== null && typeof call.body === 'object' ? Object.entries(call.body).find(([name]) => name === member)?.[1] : undefined;
  return body !== null && typeof body === 'object' ? Object.fromEntries(Object.entries(body)) : {};
}

function readGroup(call: Call): { name: string; description: string } {
  const { name, description } = membersOf(call, 'security_group');
  const read = (value: unknown, what: string): string => {
    const trimmed = String(value).trim();
    if (trimmed === '') throw invalid(`Security group ${what} cannot be empty.`);
    return trimmed;
  };
  return { name: read(name, 'name'), description: read(description, 'description') };
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const { projectId, userId } = call.caller;
  const group = { id: parts.random.uuid(), projectId, userId, ...readGroup(call) };
  const made = await parts.actors.ask(CONDUCTOR, { type: 'createSecurityGroup', group }, { commandId: call.requestId });
  return { body: { security_group: groupView(made) } };
}

async function serveUpdate(call: Call, parts: ComputeParts, { id }: SecurityGroup): Promise<Reply> {
  const changed = await parts.actors.ask(CONDUCTOR, { type: 'updateSecurityGroup', id, ...readGroup(call) }, { commandId: call.requestId });
  return { body: { security_group: groupView(changed) } };
}

async function serveDelete(_call: Call, parts: ComputeParts, { id }: SecurityGroup): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteSecurityGroup', id });
  return {};
}

async function serveCreateRule(call: Call, parts: ComputeParts): Promise<Reply> {
  const given = membersOf(call, 'security_group_rule');
  const parent = await groupOf(call, parts, String(given['parent_group_id']).toLowerCase());
  const sourceGroupId = typeof given['group_id'] === 'string' ? (await groupOf(call, parts, given['group_id'].toLowerCase())).id : null;
  const cidr = sourceGroupId === null ? cidrOf(given['cidr']) : null;
  const rule = {
    id: parts.random.uuid(),
    parentGroupId: parent.id,
    userId: call.caller.userId,
    sourceGroupId,
    cidr,
    ...portsOf(given, sourceGroupId !== null),
  };
  const made = await parts.actors.ask(CONDUCTOR, { type: 'createSecurityRule', rule }, { commandId: call.requestId });
  return { body: { security_group_rule: ruleView(made) } };
}

function cidrOf(given: unknown): string {
  if (given === undefined || given === null || given === '') return EVERYWHERE;
  const [address = '', bits, ...rest] = String(given).split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const isRange = family !== 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most));
  if (!isRange) throw new Fault('invalid', 'cidr', `${String(given).slice(0, 100)} is not a valid IP network.`);
  return `${address}/${bits ?? most}`;
}

type Ports = Pick<SecurityRule, 'protocol' | 'fromPort' | 'toPort'>;

/** From a group everything is let in when nothing is said; from addresses protocol and ports are needed. */
function portsOf(given: { readonly [name: string]: unknown }, fromGroup: boolean): Ports {
  const asked = given['ip_protocol'];
  const protocol = asked === undefined || asked === null || asked === '' ? null : String(asked).toLowerCase();
  const whole = fromGroup && isUnset(given['from_port']) && isUnset(given['to_port']);
  if (protocol !== null && !['tcp', 'udp', 'icmp'].includes(protocol)) throw invalid(`Invalid IP protocol ${String(asked).slice(0, 40)}.`);
  if (whole && protocol !== null) return protocol === 'icmp' ? { protocol, fromPort: -1, toPort: -1 } : { protocol, fromPort: 1, toPort: PORT_MAX };
  if (whole) return { protocol: null, fromPort: null, toPort: null };
  if (protocol === null || isUnset(given['from_port']) || isUnset(given['to_port'])) throw invalid('Not enough parameters to build a valid rule.');
  const fromPort = portOf(given['from_port'], protocol);
  const toPort = portOf(given['to_port'], protocol);
  const refuse = (why: string): never => {
    throw invalid(`Invalid port range ${fromPort}:${toPort}. ${why}`);
  };
  if (protocol === 'icmp') {
    if ([fromPort, toPort].some((port) => port < -1 || port > ICMP_MAX)) refuse('For ICMP, the type:code must be valid');
  } else if (fromPort > toPort) refuse('Former value cannot be greater than the later');
  else if (fromPort < 1 || toPort > PORT_MAX) refuse(`Valid ${protocol.toUpperCase()} ports should be between 1-${PORT_MAX}`);
  return { protocol, fromPort, toPort };
}

function isUnset(value: unknown): boolean {
  return value === undefined || value === null || value === '';
}

function portOf(value: unknown, protocol: string): number {
  const port = typeof value === 'number' || (typeof value === 'string' && /^-?\d{1,9}$/.test(value)) ? Number(value) : Number.NaN;
  if (Number.isInteger(port)) return port;
  throw invalid(protocol === 'icmp' ? 'Type and Code must be integers for ICMP protocol type' : 'To and From ports must be integers');
}

async function serveDeleteRule(_call: Call, parts: ComputeParts, { id }: SecurityRule): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteSecurityRule', id });
  return {};
}
