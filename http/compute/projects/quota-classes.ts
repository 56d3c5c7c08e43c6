/** `/os-quota-class-sets`: named sets of limits. Only `default` has an effect: it is what projects get. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { QuotaName } from '../../../actors/model/quota.ts';
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { integer, members, toInteger } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { classQuotasIn, isQuotaName, quotasIn } from './quota-names.ts';

const PATH = '/os-quota-class-sets/:id';
const NAME_FORM = /^[\p{L}\p{N}\p{P}\p{S} ]{1,255}$/u;

const UPDATE: BodySchema = {
  breaks: [1, SINCE.classServerGroups, SINCE.noPersonality],
  at: (version) => {
    // Server groups may be set before they are shown.
    const names = new Set([...classQuotasIn(version), 'server_groups', 'server_group_members']);
    const limits: [string, JsonSchema][] = [...names].map((name) => [name, integer(-1)]);
    return members({ quota_class_set: members(Object.fromEntries(limits)) }, ['quota_class_set']);
  },
};

export const QUOTA_CLASS_ROUTES = [
  route({ method: 'GET', path: PATH, policy: 'os-quota-class-sets:show', ok: 200, serve: serveShow }),
  route({ method: 'PUT', path: PATH, policy: 'os-quota-class-sets:update', body: UPDATE, ok: 200, serve: serveUpdate }),
];

async function limitsView(call: Call, parts: ComputeParts): Promise<{ [name: string]: number }> {
  const changed = await parts.actors.ask(CONDUCTOR, { type: 'showQuotaClass', name: call.param('id') });
  return Object.fromEntries(classQuotasIn(call.version).map((name) => [name, changed[name] ?? parts.settings.quotas[name]]));
}

async function serveShow(call: Call, parts: ComputeParts): Promise<Reply> {
  return { body: { quota_class_set: { id: call.param('id'), ...(await limitsView(call, parts)) } } };
}

async function serveUpdate(call: Call, parts: ComputeParts): Promise<Reply> {
  const name = call.param('id');
  if (!NAME_FORM.test(name)) throw invalid('The name of a quota class has 1 to 255 printable characters.');
  const set = call.body !== null && typeof call.body === 'object' && 'quota_class_set' in call.body ? call.body.quota_class_set : {};
  const limits: { [quota in QuotaName]?: number } = {};
  for (const [quota, value] of Object.entries(set ?? {})) {
    if (isQuotaName(quota) && (classQuotasIn(call.version).includes(quota) || quotasIn(call.version).includes(quota))) limits[quota] = toInteger(value);
  }
  await parts.actors.ask(CONDUCTOR, { type: 'setQuotaClass', name, limits }, { commandId: call.requestId });
  parts.caches.limits.clear();
  return { body: { quota_class_set: await limitsView(call, parts) } };
}
