/**
 * Actions that reach into the guest and are answered when it has answered: a new password, a crash dump. The server's
 * history tells how they ended, so that a request that was sent twice hears of the one end.
 */
import { instanceRef, type Verb } from '../../../actors/instance/messages.ts';
import type { ActionEvent } from '../../../actors/model/operation.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid } from '../../kit/errors.ts';
import { LATEST, type Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { members, TEXT } from '../parameter-types.ts';
import { hostsNow, route, type ComputeParts } from '../parts.ts';
import { actionBody, argumentOf, PATH } from './actions.ts';
import { actorCaller, findServer, refuseIllegal, type FoundServer } from './find.ts';

/** Who waits longer is answered that it was accepted. */
const WAIT_MS = 50_000;
const LOOK_EVERY_MS = 250;

export const GUEST_ROUTES = [
  route({
    method: 'POST',
    path: PATH,
    action: 'changePassword',
    policy: 'os-admin-password',
    body: actionBody('changePassword', members({ adminPass: TEXT }, ['adminPass'])),
    ok: 202,
    find: findServer,
    serve: servePassword,
  }),
  route({
    method: 'POST',
    path: PATH,
    action: 'trigger_crash_dump',
    versions: [SINCE.crashDump, LATEST],
    policy: 'servers:trigger_crash_dump',
    body: actionBody('trigger_crash_dump', { type: 'null' }),
    ok: 202,
    find: findServer,
    serve: serveCrashDump,
  }),
];

async function servePassword(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  refuseIllegal('changePassword', 'changePassword', record, call);
  const fault = await endOf(call, parts, record, { name: 'changePassword', password: String(argumentOf(call, 'changePassword')['adminPass']) });
  if (fault === null) return {};
  if (fault.code === 'unsupported') throw new Fault('unsupported', 'guest.password', 'Unable to set password on instance');
  throw conflict(`Failed to set admin password on ${record.id}: ${fault.message}`, 'guest.password');
}

async function serveCrashDump(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  refuseIllegal('crashDump', 'trigger_crash_dump', record, call);
  const host = (await hostsNow(parts)).find((one) => one.host === record.host);
  if (host?.up !== true) throw conflict('Service is unavailable at this time.', 'hostDown');
  const fault = await endOf(call, parts, record, { name: 'crashDump' });
  if (fault === null) return {};
  throw fault.code === 'unsupported' ? invalid('Triggering crash dump is not supported', 'guest.crashDump') : conflict(fault.message, 'guest.crashDump');
}

/** What kept it from its goal; null when nothing did, or when it is still under way after all that time. */
async function endOf(call: Call, parts: ComputeParts, { id }: InstanceRecord, verb: Verb): Promise<FaultRecord | null> {
  const { clock, actors } = parts;
  const overMs = clock.monotonicMs() + WAIT_MS;
  const how = { commandId: call.requestId, timeoutMs: WAIT_MS, signal: call.signal };
  let { record } = await actors.ask(instanceRef(id), { type: 'act', verb, caller: actorCaller(call) }, how);
  for (;;) {
    const event = eventOf(record, call.requestId);
    if (event === undefined || event.finishedAt !== null) return event?.fault ?? null;
    if (clock.monotonicMs() >= overMs) return null;
    await clock.sleep(LOOK_EVERY_MS, call.signal);
    record = (await actors.ask(instanceRef(id), { type: 'get' }))?.record ?? record;
  }
}

function eventOf({ actions }: InstanceRecord, requestId: string): ActionEvent | undefined {
  return actions.findLast((action) => action.requestId === requestId)?.events.at(-1);
}
