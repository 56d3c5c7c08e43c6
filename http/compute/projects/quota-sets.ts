/** `/os-quota-sets`: what a project, or one user of it, may use. −1 is unlimited. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { QuotaView } from '../../../actors/conductor/messages/read.ts';
import type { QuotaName } from '../../../actors/model/quota.ts';
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import type { Target } from '../../kit/policy.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { BOOLEAN, integer, members, toBoolean, toInteger } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { isQuotaName, quotasIn } from './quota-names.ts';

const PATH = '/os-quota-sets/:id';
const QUERY: QueryTable = { strictFrom: SINCE.strictQueries, parameters: { user_id: { kind: 'text' } } };

const UPDATE: BodySchema = {
  breaks: [1, SINCE.noProxies, SINCE.noPersonality],
  at: (version) => {
    const limits: [string, JsonSchema][] = quotasIn(version).map((name) => [name, integer(-1)]);
    return members({ quota_set: members({ ...Object.fromEntries(limits), force: BOOLEAN }) }, ['quota_set']);
  },
};

/** By default the quotas of a project are for its own tokens and for administrators. */
const target = (call: Call): Target => ({ projectId: call.param('id') });

export const QUOTA_ROUTES = [
  route({ method: 'GET', path: PATH, policy: 'os-quota-sets:show', target, query: QUERY, ok: 200, serve: serveShow }),
  route({ method: 'GET', path: `${PATH}/detail`, policy: 'os-quota-sets:detail', target, query: QUERY, ok: 200, serve: serveDetail }),
  route({ method: 'GET', path: `${PATH}/defaults`, policy: 'os-quota-sets:defaults', target, ok: 200, serve: serveDefaults }),
  route({ method: 'PUT', path: PATH, policy: 'os-quota-sets:update', target, query: QUERY, body: UPDATE, ok: 200, serve: serveUpdate }),
  route({ method: 'DELETE', path: PATH, policy: 'os-quota-sets:delete', target, query: QUERY, ok: 202, serve: serveDelete }),
];

/** Asked of the Identity service, as the caller: one that cannot be asked, or will not tell, refuses nobody. */
async function refuseUnknownProject(call: Call, parts: ComputeParts): Promise<string> {
  const projectId = call.param('id');
  if (projectId === call.caller.projectId) return projectId;
  if ((await parts.projects?.exists(projectId, call.token, call.signal)) === false)
    throw invalid(`Project ID ${projectId.slice(0, 255)} is not a valid project.`);
  return projectId;
}

function ask(call: Call, parts: ComputeParts, projectId: string): Promise<QuotaView> {
  return parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId: call.query.one('user_id') ?? null });
}

/** What is counted per project; the rest are limits per server, request or user. */
function usedOf(quota: QuotaView, name: QuotaName): number {
  if (name === 'instances' || name === 'cores' || name === 'ram') return quota.used[name];
  if (name === 'server_groups') return quota.serverGroups;
  if (name === 'fixed_ips') return quota.fixedIps;
  if (name === 'security_groups') return quota.securityGroups;
  return 0;
}

function limitsView(limits: { readonly [name in QuotaName]: number }, version: number): { [name: string]: number } {
  return Object.fromEntries(quotasIn(version).map((name) => [name, limits[name]]));
}

async function serveShow(call: Call, parts: ComputeParts): Promise<Reply> {
  const projectId = call.param('id');
  await refuseUnknownProject(call, parts);
  const { limits } = await ask(call, parts, projectId);
  return { body: { quota_set: { id: projectId, ...limitsView(limits, call.version) } } };
}

async function serveDetail(call: Call, parts: ComputeParts): Promise<Reply> {
  const projectId = call.param('id');
  await refuseUnknownProject(call, parts);
  const quota = await ask(call, parts, projectId);
  const sets = quotasIn(call.version).map((name) => [name, { limit: quota.limits[name], in_use: usedOf(quota, name), reserved: 0 }]);
  return { body: { quota_set: { id: projectId, ...Object.fromEntries(sets) } } };
}

async function serveDefaults(call: Call, parts: ComputeParts): Promise<Reply> {
  const projectId = await refuseUnknownProject(call, parts);
  const changed = await parts.actors.ask(CONDUCTOR, { type: 'showQuotaClass', name: 'default' });
  return { body: { quota_set: { id: projectId, ...limitsView({ ...parts.settings.quotas, ...changed }, call.version) } } };
}

async function serveUpdate(call: Call, parts: ComputeParts): Promise<Reply> {
  const projectId = await refuseUnknownProject(call, parts);
  const userId = call.query.one('user_id') ?? null;
  const { limits, force } = readUpdate(call);
  if (!force) await refuseImpossible(call, parts, { projectId, userId, limits });
  await parts.actors.ask(CONDUCTOR, { type: 'setQuotaLimits', projectId, userId, limits }, { commandId: call.requestId });
  parts.caches.limits.clear();
  const after = await ask(call, parts, projectId);
  return { body: { quota_set: limitsView(after.limits, call.version) } };
}

type Limits = { [name in QuotaName]?: number };

function readUpdate(call: Call): { limits: Limits; force: boolean } {
  const set = call.body !== null && typeof call.body === 'object' && 'quota_set' in call.body ? call.body.quota_set : {};
  const known = quotasIn(call.version);
  const limits: Limits = {};
  let force = false;
  for (const [name, value] of Object.entries(set ?? {})) {
    if (name === 'force') force = toBoolean(value);
    else if (isQuotaName(name) && known.includes(name)) limits[name] = toInteger(value);
  }
  return { limits, force };
}

/** A limit below what is used, or a user's above the project's, is a mistake unless it is forced. */
async function refuseImpossible(call: Call, parts: ComputeParts, asked: { projectId: string; userId: string | null; limits: Limits }): Promise<void> {
  const { projectId, userId, limits } = asked;
  const current = await ask(call, parts, projectId);
  const ofProject = userId === null ? null : await parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId: null });
  for (const [name, limit] of Object.entries(limits)) {
    if (!isQuotaName(name)) continue;
    const most = ofProject?.limits[name] ?? -1;
    if (most >= 0 && (limit < 0 || limit > most)) throw invalid(`Quota limit ${limit} for ${name} must be less than or equal to ${most}.`);
    const used = Math.max(usedOf(current, name), userId === null ? (current.ofUsers[name] ?? 0) : 0);
    if (limit >= 0 && limit < used) throw invalid(`Quota limit ${limit} for ${name} must be greater than or equal to already used and reserved ${used}.`);
  }
}

async function serveDelete(call: Call, parts: ComputeParts): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'resetQuotaLimits', projectId: call.param('id'), userId: call.query.one('user_id') ?? null });
  parts.caches.limits.clear();
  return {};
}
