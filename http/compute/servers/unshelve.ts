/** `POST /servers/{id}/action` with shelveOffload and unshelve, and where the server is to come back. */
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { ANYTHING, members, NAME, TEXT } from '../parameter-types.ts';
import { hostsNow, route, zonesNow } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';

const OFFLOAD: BodySchema = { breaks: [1], at: () => members({ shelveOffload: ANYTHING }, ['shelveOffload']) };
const NULL = { type: 'null' } as const;
const UNSHELVE: BodySchema = {
  breaks: [1, SINCE.unshelveZone, SINCE.unshelveHost],
  at(version) {
    const zone = members({ availability_zone: NAME }, ['availability_zone']);
    const place = members({ availability_zone: { type: ['string', 'null'] }, host: TEXT });
    const argument = version < SINCE.unshelveZone ? ANYTHING : { anyOf: [version < SINCE.unshelveHost ? zone : place, NULL] };
    return members({ unshelve: argument }, ['unshelve']);
  },
};

const COMMON = { method: 'POST', path: '/servers/:id/action', ok: 202, find: findServer } as const;

export const UNSHELVE_ROUTES = [
  route({ ...COMMON, action: 'shelveOffload', policy: 'os-shelve:shelve_offload', body: OFFLOAD, serve: serveOffload }),
  route({ ...COMMON, action: 'unshelve', policy: 'os-shelve:unshelve', body: UNSHELVE, serve: serveUnshelve }),
];

async function serveOffload(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  refuseIllegal('shelveOffload', 'shelveOffload', record, call);
  return act(call, parts, record, { name: 'shelveOffload' });
}

async function serveUnshelve(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const wish = wishOf(call);
  if (wish.host !== null) parts.policy.enforce('os-shelve:unshelve_to_host', call.caller);
  refuseIllegal('unshelve', 'unshelve', record, call);
  if ((wish.zone !== undefined || wish.host !== null) && record.vmState !== 'shelved_offloaded') {
    const message = `Specifying an availability zone or a host when unshelving server ${record.id} with status ${record.vmState.toUpperCase()} is not supported. The server status must be SHELVED_OFFLOADED.`;
    throw conflict(message, 'state');
  }
  await refuseUnknown(parts, wish);
  await refuseOutside(parts, record, wish);
  return act(call, parts, record, { name: 'unshelve', host: wish.host, ...(wish.zone !== undefined && { zone: wish.zone }) });
}

/** `zone` null: it is pinned to none any more; undefined: as before. */
type Wish = { readonly zone: string | null | undefined; readonly host: string | null };

function wishOf(call: Call): Wish {
  const outer = call.body !== null && typeof call.body === 'object' ? Object.fromEntries(Object.entries(call.body)) : {};
  const given: { [name: string]: unknown } = call.version >= SINCE.unshelveZone ? Object.fromEntries(Object.entries(outer['unshelve'] ?? {})) : {};
  const { availability_zone: zone, host } = given;
  return { zone: typeof zone === 'string' || zone === null ? zone : undefined, host: typeof host === 'string' ? host : null };
}

async function refuseUnknown(parts: ComputeParts, { zone, host }: Wish): Promise<void> {
  if (typeof zone === 'string' && !(await zonesNow(parts)).some((one) => one.name === zone)) throw invalid('The requested availability zone is not available');
  if (host !== null && !(await hostsNow(parts)).some((one) => one.host === host)) throw invalid(`Compute host ${host.slice(0, 100)} could not be found.`);
}

/** The host is of the zone that is named with it, or that the server is pinned to. */
async function refuseOutside(parts: ComputeParts, record: InstanceRecord, { zone, host }: Wish): Promise<void> {
  const wanted = zone === undefined ? record.requestedZone : zone;
  if (host === null || wanted === null) return;
  const found = (await zonesNow(parts)).find((one) => one.name === wanted);
  if (!found?.hosts.includes(host)) throw conflict(`Host "${host.slice(0, 100)}" is not in the availability zone "${wanted.slice(0, 100)}".`, 'zone');
}

async function act(call: Call, parts: ComputeParts, { id }: InstanceRecord, verb: Verb): Promise<Reply> {
  await parts.actors.ask(instanceRef(id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  return {};
}
