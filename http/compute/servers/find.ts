/**
 * A server by its id, as the caller may see it. Its actor answers from memory; when it does not answer in time, its
 * row does. Servers of other projects do not exist for callers that are not administrators.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Caller as ActorCaller } from '../../../actors/instance/messages.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import { ALLOWED, refusal, refusalText } from '../../../actors/model/server-state.ts';
import type { Verb } from '../../../actors/model/server-state.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, notFound } from '../../kit/errors.ts';
import type { ComputeParts } from '../parts.ts';

export type FoundServer = Stored<InstanceRecord>;

/** How long an actor may take before the row answers: a takeover is longer than this, a turn much shorter. */
const ACTOR_ANSWER_MS = 500;

/** For `find` of routes whose path names a server as `:id`. */
export async function findServer(call: Call, parts: ComputeParts): Promise<FoundServer> {
  const id = call.param('id');
  return visible(isUuid(id) ? await askServer(id, parts) : null, call, id);
}

/** The same, and servers that are deleted while their rows are kept. */
export async function findServerOrDeleted(call: Call, parts: ComputeParts): Promise<FoundServer> {
  const id = call.param('id');
  if (!isUuid(id)) throw noServer(id);
  const known = await askServer(id, parts);
  const found = known ?? (await parts.actors.ask(CONDUCTOR, { type: 'showServer', id }));
  return visible(found, call, id, true);
}

async function askServer(id: string, parts: ComputeParts): Promise<FoundServer | null> {
  try {
    return await parts.actors.ask(instanceRef(id), { type: 'get' }, { timeoutMs: ACTOR_ANSWER_MS });
  } catch (thrown) {
    if (!(thrown instanceof Fault) || !(thrown.retryable || thrown.code === 'internal')) throw thrown;
    return await parts.actors.ask(CONDUCTOR, { type: 'showServer', id });
  }
}

function visible(found: FoundServer | null, call: Call, id: string, deletedToo = false): FoundServer {
  if (found === null || (found.record.deleted && !deletedToo)) throw noServer(id);
  if (found.record.projectId !== call.caller.projectId && !call.caller.isAdmin) throw noServer(id);
  return found;
}

export function noServer(id: string): Fault {
  return notFound(`Instance ${id.slice(0, 64)} could not be found.`);
}

export function actorCaller(call: Call): ActorCaller {
  const { userId, projectId, isAdmin } = call.caller;
  return { userId, projectId, isAdmin, requestId: call.requestId };
}

/** Refuses early what the actor would refuse: the text names the action as clients know it. */
export function refuseIllegal(verb: Verb, action: string, record: InstanceRecord, call: Call): void {
  if (ALLOWED[verb].lock && record.locked && !call.caller.isAdmin) throw conflict(`Instance ${record.id} is locked`, 'locked');
  const why = refusal(verb, record);
  if (why !== null) throw conflict(refusalText(action, record.id, why), 'state');
}
