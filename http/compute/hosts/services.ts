/**
 * `/os-services`: the parts of the control plane and the hosts, and taking hosts out of use. Up to 2.52 a service is
 * named by host and binary (or a number), from 2.53 on by its uuid.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { hostRef } from '../../../actors/host/messages.ts';
import type { ServiceView } from '../../../actors/conductor/messages/read.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, invalid, notFound } from '../../kit/errors.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { QueryTable } from '../../kit/query.ts';
import { LATEST } from '../../kit/route.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { BOOLEAN, HOST_NAME, members, text, toBoolean } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { microTime } from '../servers/view.ts';

const QUERY: QueryTable = { strictFrom: SINCE.strictQueries, parameters: { host: { kind: 'text' }, binary: { kind: 'text' } } };
const REASON: JsonSchema = { type: 'string', minLength: 1, maxLength: 255 };
const COMPUTE = 'nova-compute';

const OLD_UPDATE: BodySchema = {
  breaks: [1, SINCE.forcedDown],
  at: (version) =>
    members({ host: HOST_NAME, binary: text(1, 255), disabled_reason: REASON, ...(version >= SINCE.forcedDown ? { forced_down: BOOLEAN } : {}) }, [
      'host',
      'binary',
    ]),
};
const UPDATE: BodySchema = {
  breaks: [1],
  at: () => members({ status: { type: 'string', enum: ['enabled', 'disabled'] }, disabled_reason: REASON, forced_down: BOOLEAN }),
};

export const SERVICE_ROUTES = [
  route({ method: 'GET', path: '/os-services', policy: 'os-services:list', query: QUERY, ok: 200, serve: serveList }),
  route({
    method: 'PUT',
    path: '/os-services/:id',
    versions: [1, SINCE.uuidServices - 1],
    policy: 'os-services:update',
    body: OLD_UPDATE,
    ok: 200,
    serve: serveOldUpdate,
  }),
  route({
    method: 'PUT',
    path: '/os-services/:id',
    versions: [SINCE.uuidServices, LATEST],
    policy: 'os-services:update',
    body: UPDATE,
    ok: 200,
    serve: serveUpdate,
  }),
  route({ method: 'DELETE', path: '/os-services/:id', policy: 'os-services:delete', ok: 204, serve: serveDelete }),
];

export async function allServices(parts: ComputeParts): Promise<ServiceView[]> {
  const [hosts, others] = await Promise.all([parts.actors.ask(CONDUCTOR, { type: 'listHosts' }), parts.actors.ask(CONDUCTOR, { type: 'listNodeServices' })]);
  return [...others, ...hosts];
}

function serviceView(service: ServiceView, version: number): object {
  return {
    id: version >= SINCE.uuidServices ? service.uuid : service.id,
    binary: service.binary,
    host: service.host,
    zone: service.zone,
    status: service.enabled ? 'enabled' : 'disabled',
    state: service.up ? 'up' : 'down',
    updated_at: microTime(service.updatedAt),
    disabled_reason: service.disabledReason,
    ...(version >= SINCE.forcedDown ? { forced_down: service.forcedDown } : {}),
  };
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const host = call.query.one('host') ?? '';
  const binary = call.query.one('binary') ?? '';
  const services = (await allServices(parts)).filter((one) => (host === '' || one.host === host) && (binary === '' || one.binary === binary));
  return { body: { services: services.map((service) => serviceView(service, call.version)) } };
}

type OldUpdate = { readonly host: string; readonly binary: string; readonly reason: string | null; readonly forcedDown: unknown };

function oldUpdate(body: unknown): OldUpdate {
  const given: { [name: string]: unknown } = body !== null && typeof body === 'object' ? Object.fromEntries(Object.entries(body)) : {};
  return {
    host: String(given['host']),
    binary: String(given['binary']),
    reason: typeof given['disabled_reason'] === 'string' ? given['disabled_reason'] : null,
    forcedDown: given['forced_down'],
  };
}

/** The last segment is the verb. */
async function serveOldUpdate(call: Call, parts: ComputeParts): Promise<Reply> {
  const verb = call.param('id');
  const { host, binary, reason, forcedDown } = oldUpdate(call.body);
  if (verb === 'force-down' && call.version >= SINCE.forcedDown) {
    if (forcedDown === undefined) throw invalid('Missing forced_down field');
    await update(parts, host, binary, { forcedDown: toBoolean(forcedDown) });
    return { body: { service: { host, binary, forced_down: toBoolean(forcedDown) } } };
  }
  switch (verb) {
    case 'enable':
      await update(parts, host, binary, { enabled: true, disabledReason: null });
      return { body: { service: { host, binary, status: 'enabled' } } };
    case 'disable':
      await update(parts, host, binary, { enabled: false, disabledReason: null });
      return { body: { service: { host, binary, status: 'disabled' } } };
    case 'disable-log-reason':
      if (reason === null) throw invalid('Missing disabled reason field');
      await update(parts, host, binary, { enabled: false, disabledReason: reason });
      return { body: { service: { host, binary, status: 'disabled', disabled_reason: reason } } };
    default:
      throw notFound('Unknown action');
  }
}

type Changes = { enabled?: boolean; disabledReason?: string | null; forcedDown?: boolean };

async function update(parts: ComputeParts, host: string, binary: string, changes: Changes): Promise<void> {
  const service = (await allServices(parts)).find((one) => one.host === host && one.binary === binary);
  if (service === undefined) throw notFound(`Could not find binary ${binary} on host ${host}.`);
  await updateService(parts, service, changes);
}

export async function updateService(parts: ComputeParts, service: ServiceView, changes: Changes): Promise<void> {
  if (service.binary !== COMPUTE) throw invalid(`Updating a ${service.binary} service is not supported. Only ${COMPUTE} services can be updated.`);
  await parts.actors.ask(CONDUCTOR, { type: 'updateService', uuid: service.uuid, host: service.host, ...changes });
  // A hint: the host looks by itself too, but later.
  parts.actors.tell(hostRef(service.host), { type: 'rowChanged' });
  parts.caches.hosts.clear();
  parts.caches.zones.clear();
}

async function serveUpdate(call: Call, parts: ComputeParts): Promise<Reply> {
  const given: { [name: string]: unknown } = call.body !== null && typeof call.body === 'object' ? Object.fromEntries(Object.entries(call.body)) : {};
  const { status, disabled_reason: reason, forced_down: forcedDown } = given;
  if (status === undefined && forcedDown === undefined) {
    throw invalid(
      reason === undefined
        ? "No updates were requested. Fields 'status' or 'forced_down' should be specified."
        : "Specifying 'disabled_reason' without 'status' is not allowed.",
    );
  }
  if (reason !== undefined && status !== 'disabled') throw invalid("Specifying 'disabled_reason' when status is not 'disabled' is invalid.");
  const service = await serviceByUuid(call, parts);
  await updateService(parts, service, {
    ...(status === undefined ? {} : { enabled: status === 'enabled', disabledReason: typeof reason === 'string' ? reason : null }),
    ...(forcedDown === undefined ? {} : { forcedDown: toBoolean(forcedDown) }),
  });
  return { body: { service: serviceView(await serviceByUuid(call, parts), call.version) } };
}

async function serviceByUuid(call: Call, parts: ComputeParts): Promise<ServiceView> {
  const uuid = call.param('id');
  if (!isUuid(uuid)) throw invalid(`Invalid uuid ${uuid.slice(0, 64)}`);
  const service = (await allServices(parts)).find((one) => one.uuid === uuid);
  if (service === undefined) throw notFound(`Service ${uuid} could not be found.`);
  return service;
}

async function serveDelete(call: Call, parts: ComputeParts): Promise<Reply> {
  const service = call.version >= SINCE.uuidServices ? await serviceByUuid(call, parts) : await serviceByNumber(call, parts);
  if (service.binary === COMPUTE) {
    const servers = await parts.actors.ask(CONDUCTOR, { type: 'listServersOfHosts', hosts: [service.host] });
    if (servers.length > 0) throw conflict('Unable to delete compute service that is hosting instances. Migrate or delete the instances first.');
  }
  await parts.actors.ask(CONDUCTOR, { type: 'deleteService', uuid: service.uuid });
  parts.caches.hosts.clear();
  parts.caches.zones.clear();
  return {};
}

async function serviceByNumber(call: Call, parts: ComputeParts): Promise<ServiceView> {
  const text = call.param('id');
  if (!/^\d{1,9}$/.test(text)) throw invalid(`Service id must be an integer: ${text.slice(0, 64)}`);
  const service = (await allServices(parts)).find((one) => String(one.id) === text);
  if (service === undefined) throw notFound(`Service ${text} could not be found.`);
  return service;
}
