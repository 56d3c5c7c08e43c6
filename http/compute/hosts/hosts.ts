/** `/os-hosts` (..2.42): services by host, what a host has and who uses it, and taking it out of use. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { HostView } from '../../../actors/conductor/messages/read.ts';
import type { Resources } from '../../../actors/model/resources.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../../kit/call.ts';
import { notFound } from '../../kit/errors.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema, JsonSchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { members } from '../parameter-types.ts';
import { hostsNow, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { allServices, updateService } from './services.ts';

const versions = [1, SINCE.noHosts - 1] as const;
const QUERY: QueryTable = { strictFrom: SINCE.strictQueries, parameters: { zone: { kind: 'text' }, service: { kind: 'text' } } };
const SWITCH: JsonSchema = { type: 'string', enum: ['enable', 'disable', 'Enable', 'Disable', 'ENABLE', 'DISABLE'] };
const UPDATE: BodySchema = { breaks: [1], at: () => ({ ...members({ status: SWITCH, maintenance_mode: SWITCH }), minProperties: 1 }) };

export const HOST_ROUTES = [
  route({ method: 'GET', path: '/os-hosts', versions, policy: 'os-hosts:list', query: QUERY, ok: 200, serve: serveList }),
  route({ method: 'GET', path: '/os-hosts/:id', versions, policy: 'os-hosts:show', ok: 200, find: findHost, serve: serveShow }),
  route({ method: 'PUT', path: '/os-hosts/:id', versions, policy: 'os-hosts:update', body: UPDATE, ok: 200, find: findHost, serve: serveUpdate }),
  route({ method: 'GET', path: '/os-hosts/:id/startup', versions, policy: 'os-hosts:start', ok: 200, find: findHost, serve: refusePower }),
  route({ method: 'GET', path: '/os-hosts/:id/shutdown', versions, policy: 'os-hosts:shutdown', ok: 200, find: findHost, serve: refusePower }),
  route({ method: 'GET', path: '/os-hosts/:id/reboot', versions, policy: 'os-hosts:reboot', ok: 200, find: findHost, serve: refusePower }),
];

async function findHost(call: Call, parts: ComputeParts): Promise<HostView> {
  const name = call.param('id');
  const host = (await hostsNow(parts)).find((one) => one.host === name);
  if (host === undefined) throw notFound(`Compute host ${name.slice(0, 255)} could not be found.`);
  return host;
}

/** The part of a service's name that clients know here: `compute`, `conductor`. */
function shortName(binary: string): string {
  return binary.replace(/^nova-/, '');
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const zone = call.query.one('zone');
  const wanted = call.query.one('service');
  const services = (await allServices(parts)).filter(
    (one) => ((zone ?? '') === '' || one.zone === zone) && ((wanted ?? '') === '' || shortName(one.binary) === wanted),
  );
  return { body: { hosts: services.map(({ host, binary, zone: place }) => ({ host_name: host, service: shortName(binary), zone: place })) } };
}

function resource(host: string, project: string, { vcpus, memoryMiB, diskGiB }: Resources): object {
  return { resource: { host, project, cpu: vcpus, memory_mb: memoryMiB, disk_gb: diskGiB } };
}

/** What is there, what is given out, the most that the servers may use, and each project's part of that. */
async function serveShow(_call: Call, parts: ComputeParts, { host, total, used }: HostView): Promise<Reply> {
  const projects = await parts.actors.ask(CONDUCTOR, { type: 'hostUse', host });
  const most = { vcpus: 0, memoryMiB: 0, diskGiB: 0 };
  for (const { promised } of projects) {
    most.vcpus += promised.vcpus;
    most.memoryMiB += promised.memoryMiB;
    most.diskGiB += promised.diskGiB;
  }
  const rows = [resource(host, '(total)', total), resource(host, '(used_now)', used), resource(host, '(used_max)', most)];
  return { body: { host: [...rows, ...projects.map(({ projectId, promised }) => resource(host, projectId, promised))] } };
}

async function serveUpdate(call: Call, parts: ComputeParts, host: HostView): Promise<Reply> {
  const { status, maintenance_mode: maintenance } = Object.fromEntries(Object.entries(call.body ?? {}));
  if (maintenance !== undefined) throw unsupported('a maintenance mode of hosts');
  const enabled = String(status).toLowerCase() === 'enable';
  await updateService(parts, host, { enabled, disabledReason: null });
  return { body: { host: host.host, status: enabled ? 'enabled' : 'disabled' } };
}

function refusePower(): never {
  throw unsupported('power of hosts');
}

/** No driver here switches its own machine, as those of the reference do not. */
function unsupported(what: string): Fault {
  return new Fault('unsupported', 'host.power', `Virt driver does not implement ${what}.`);
}
