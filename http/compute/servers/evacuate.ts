/**
 * `POST /servers/{id}/action {"evacuate": …}`: a server goes elsewhere, since its host is dead. Being down is not
 * enough: something must prove that its guests do not run there any more, and the answer says what would.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid, notFound } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { BOOLEAN, HOST_NAME, members, TEXT, toBoolean } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { password as newPassword } from './names.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';

const BODY: BodySchema = {
  breaks: [1, SINCE.noSharedStorage, SINCE.forcedEvacuation, SINCE.noForce],
  at(version) {
    const hasForce = version >= SINCE.forcedEvacuation && version < SINCE.noForce;
    const old = version < SINCE.noSharedStorage;
    const argument = members(
      { host: HOST_NAME, adminPass: TEXT, ...(old ? { onSharedStorage: BOOLEAN } : {}), ...(hasForce ? { force: BOOLEAN } : {}) },
      old ? ['onSharedStorage'] : [],
    );
    return members({ evacuate: argument }, ['evacuate']);
  },
};

export const EVACUATE_ROUTE = route({
  method: 'POST',
  path: '/servers/:id/action',
  action: 'evacuate',
  policy: 'os-evacuate',
  body: BODY,
  ok: 200,
  find: findServer,
  serve,
});

type Wish = { readonly host: string | null; readonly password: string | null; readonly onSharedStorage: boolean; readonly force: boolean };

function wishOf(body: unknown): Wish {
  const outer = body !== null && typeof body === 'object' ? Object.fromEntries(Object.entries(body)) : {};
  const given: { [name: string]: unknown } = Object.fromEntries(Object.entries(outer['evacuate'] ?? {}));
  return {
    host: typeof given['host'] === 'string' ? given['host'] : null,
    password: typeof given['adminPass'] === 'string' ? given['adminPass'] : null,
    onSharedStorage: toBoolean(given['onSharedStorage'] ?? false),
    force: toBoolean(given['force'] ?? false),
  };
}

async function serve(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const { host: target, password, onSharedStorage, force } = wishOf(call.body);
  if (force && target === null) throw invalid("Can't force to a non-provided destination");
  if (onSharedStorage && password !== null) throw invalid("admin password can't be changed on existing disk");
  if (target !== null) await refuseUnknown(parts, target);
  if (target !== null && target === record.host) throw invalid("The target host can't be the same one.");
  refuseIllegal('evacuate', 'evacuate', record, call);
  if (record.host !== null) await refuseUnproved(parts, record.host);
  const verb = { name: 'evacuate' as const, target, force, stopped: call.version >= SINCE.evacuatedStopped };
  await parts.actors.ask(instanceRef(record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  if (call.version >= SINCE.noSharedStorage) return {};
  return { body: { adminPass: onSharedStorage ? null : (password ?? newPassword(parts.random)) } };
}

async function refuseUnknown(parts: ComputeParts, host: string): Promise<void> {
  if ((await parts.actors.ask(CONDUCTOR, { type: 'hostStanding', host })) === null) throw notFound(`Compute host ${host} not found.`);
}

/** What the store will check again when the server is placed elsewhere. */
async function refuseUnproved(parts: ComputeParts, host: string): Promise<void> {
  const standing = await parts.actors.ask(CONDUCTOR, { type: 'hostStanding', host });
  if (standing === null || standing.proof !== null) return;
  if (!standing.forcedDown && standing.silentMs < parts.settings.hostDownMs) throw invalid(`Compute service of ${host} is still in use.`);
  throw conflict(`${why(host, standing)} ${WHAT_PROVES}`, 'notProved');
}

const WHAT_PROVES =
  'What proves it: the service is forced down (os-services, forced_down) by somebody who knows that the host is off; a fence command ' +
  '(recovery.fence) that confirms it; or a guard on the host that stops its servers in time (selfFence).';

function why(host: string, { forcedDown, selfFenceMs }: { forcedDown: boolean; selfFenceMs: number | null }): string {
  if (forcedDown) return `Compute service of ${host} has started again since it was forced down: nothing proves that its servers do not run there.`;
  if (selfFenceMs !== null) return `Compute service of ${host} is down, but its guard has until the end of its lease to stop the servers there.`;
  return `Compute service of ${host} is down, but nothing proves that its servers do not run there.`;
}
