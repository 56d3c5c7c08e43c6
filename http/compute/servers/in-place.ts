/**
 * Actions on a server where it is: pause, suspend, rescue and their ways back, locks, the end of a soft delete, and what
 * administrators say about its state. When each is legal stands in actors/model/server-state.ts.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { instanceRef, type RescueBoot, type Verb } from '../../../actors/instance/messages.ts';
import { COUNTED, quotaNeed } from '../../../actors/model/quota.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden, invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { ANYTHING, members, TEXT, text, UUID } from '../parameter-types.ts';
import { route, type ComputeParts } from '../parts.ts';
import { actionBody, argumentOf, PATH, verbRoute } from './actions.ts';
import { actorCaller, findServer, refuseIllegal, type FoundServer } from './find.ts';
import { password as newPassword } from './names.ts';
import { bootImage, imageRef, readableImage } from './order.ts';

const LOCK_BODY: BodySchema = {
  breaks: [1, SINCE.lockedReason],
  at: (version) => {
    const reason = { ...members({ locked_reason: text(1, 255) }), type: ['object', 'null'] };
    return members({ lock: version >= SINCE.lockedReason ? reason : ANYTHING }, ['lock']);
  },
};
const RESCUE = { ...members({ adminPass: TEXT, rescue_image_ref: UUID }), type: ['object', 'null'] };
const action = { method: 'POST', path: PATH, find: findServer } as const;

export const IN_PLACE_ROUTES = [
  verbRoute('pause', 'os-pause-server:pause', ANYTHING, () => ({ name: 'pause' })),
  verbRoute('unpause', 'os-pause-server:unpause', ANYTHING, () => ({ name: 'unpause' })),
  verbRoute('suspend', 'os-suspend-server:suspend', ANYTHING, () => ({ name: 'suspend' })),
  verbRoute('resume', 'os-suspend-server:resume', ANYTHING, () => ({ name: 'resume' })),
  verbRoute('unrescue', 'os-unrescue', ANYTHING, () => ({ name: 'unrescue' })),
  verbRoute('forceDelete', 'os-deferred-delete:force', ANYTHING, () => ({ name: 'forceDelete' })),
  verbRoute('os-resetState', 'os-admin-actions:reset_state', members({ state: { type: 'string', enum: ['active', 'error'] } }, ['state']), (argument) => ({
    name: 'resetState',
    to: memberOf(argument, 'state') === 'active' ? 'active' : 'error',
  })),
  route({ ...action, action: 'lock', policy: 'os-lock-server:lock', body: LOCK_BODY, ok: 202, serve: serveLock }),
  route({ ...action, action: 'unlock', policy: 'os-lock-server:unlock', body: actionBody('unlock', ANYTHING), ok: 202, serve: serveUnlock }),
  route({ ...action, action: 'rescue', policy: 'os-rescue', body: actionBody('rescue', RESCUE), ok: 200, serve: serveRescue }),
  route({ ...action, action: 'restore', policy: 'os-deferred-delete:restore', body: actionBody('restore', ANYTHING), ok: 202, serve: serveRestore }),
  networkRoute('injectNetworkInfo', 'os-admin-actions:inject_network_info'),
];

/** Of clouds whose guests had an agent for it. No hypervisor here has one: there is nothing to do, and so it is done. */
function networkRoute(name: string, policy: 'os-admin-actions:inject_network_info') {
  return route({
    ...action,
    action: name,
    policy,
    body: actionBody(name, ANYTHING),
    ok: 202,
    serve(call: Call, _parts: ComputeParts, { record }: FoundServer): Reply {
      refuseIllegal('network', name, record, call);
      return {};
    },
  });
}

async function serveLock(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const reason = call.version >= SINCE.lockedReason ? argumentOf(call, 'lock')['locked_reason'] : undefined;
  return act(call, parts, record, { name: 'lock', reason: typeof reason === 'string' ? reason : null });
}

/** The lock of the other side, project or administrator, is undone by those who may. */
async function serveUnlock(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const own = record.projectId === call.caller.projectId ? 'owner' : 'admin';
  const isOthers = record.locked && (record.lockedBy ?? null) !== null && record.lockedBy !== own;
  if (isOthers) parts.policy.enforce('os-lock-server:unlock:unlock_override', call.caller);
  return act(call, parts, record, { name: 'unlock', override: parts.policy.allows('os-lock-server:unlock:unlock_override', call.caller) });
}

async function serveRescue(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const { adminPass, rescue_image_ref: imageId } = argumentOf(call, 'rescue');
  refuseIllegal('rescue', 'rescue', record, call);
  const boot = typeof imageId === 'string' ? await rescueBoot(call, parts, imageId) : null;
  await act(call, parts, record, { name: 'rescue', boot });
  return { body: { adminPass: typeof adminPass === 'string' ? adminPass : newPassword(parts.random) } };
}

async function rescueBoot(call: Call, parts: ComputeParts, imageId: string): Promise<RescueBoot> {
  const image = await readableImage(call, parts, imageId);
  if (image === null || image.status !== 'active') throw invalid(`Requested rescue image '${imageId}' is not supported`, 'rescueImage');
  const [kernel, ramdisk] = await Promise.all([bootImage(call, parts, image, 'kernel_id'), bootImage(call, parts, image, 'ramdisk_id')]);
  return { image: imageRef(image), kernel, ramdisk };
}

async function serveRestore(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  refuseIllegal('restore', 'restore', record, call);
  try {
    return await act(call, parts, record, { name: 'restore' });
  } catch (error) {
    throw Fault.is(error, 'overQuota') ? await overQuota(parts, record) : error;
  }
}

/** What is missing, as it is a moment after the refusal. */
async function overQuota(parts: ComputeParts, { projectId, userId, flavor }: InstanceRecord): Promise<Fault> {
  const need = quotaNeed(1, flavor);
  const { limits, used } = await parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId: null });
  const own = await parts.actors.ask(CONDUCTOR, { type: 'showQuota', projectId, userId });
  const over = COUNTED.flatMap((name) => {
    const state = [own, { limits, used }].find((one) => one.limits[name] >= 0 && one.used[name] + need[name] > one.limits[name]);
    return state === undefined ? [] : [{ name, requested: need[name], used: state.used[name], limit: state.limits[name] }];
  });
  const list = (of: (one: (typeof over)[number]) => unknown): string => over.map(of).join(', ');
  const names = list(({ name }) => name) || 'instances';
  const figures = `Requested ${list(({ requested }) => requested)}, but already used ${list((one) => one.used)} of ${list(({ limit }) => limit)} ${names}`;
  return forbidden(`Quota exceeded for ${names}: ${figures}`, 'quota.exceeded');
}

async function act(call: Call, parts: ComputeParts, record: InstanceRecord, verb: Verb): Promise<Reply> {
  await parts.actors.ask(instanceRef(record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}

function memberOf(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' ? Reflect.get(value, name) : undefined;
}
