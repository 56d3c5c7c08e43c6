/** `/os-availability-zone`: where servers can be asked for; administrators see which services are in each zone. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ServiceView } from '../../../actors/conductor/messages/read.ts';
import type { Reply } from '../../kit/route.ts';
import { hostsNow, route, zonesNow } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { microTime } from '../servers/view.ts';

export const INTERNAL_ZONE = 'internal';

export const ZONE_ROUTES = [
  route({ method: 'GET', path: '/os-availability-zone', policy: 'os-availability-zone:list', ok: 200, serve: (_call, parts) => serveNames(parts) }),
  route({ method: 'GET', path: '/os-availability-zone/detail', policy: 'os-availability-zone:detail', ok: 200, serve: (_call, parts) => serveDetail(parts) }),
];

async function serveNames(parts: ComputeParts): Promise<Reply> {
  const zones = await zonesNow(parts);
  return { body: { availabilityZoneInfo: zones.map(({ name, available }) => ({ zoneName: name, zoneState: { available }, hosts: null })) } };
}

async function serveDetail(parts: ComputeParts): Promise<Reply> {
  const [zones, hosts, others] = await Promise.all([zonesNow(parts), hostsNow(parts), parts.actors.ask(CONDUCTOR, { type: 'listNodeServices' })]);
  const views = zones.map(({ name, available }) => ({
    zoneName: name,
    zoneState: { available },
    hosts: servicesByHost(hosts.filter((host) => host.zone === name)),
  }));
  if (others.length > 0) views.push({ zoneName: INTERNAL_ZONE, zoneState: { available: true }, hosts: servicesByHost(others) });
  return { body: { availabilityZoneInfo: views } };
}

type ServiceState = { readonly active: boolean; readonly available: boolean; readonly updated_at: string | null };

function servicesByHost(services: readonly ServiceView[]): { [host: string]: { [binary: string]: ServiceState } } {
  const byHost: { [host: string]: { [binary: string]: ServiceState } } = Object.create(null);
  for (const service of services) {
    const ofHost = (byHost[service.host] ??= Object.create(null));
    ofHost[service.binary] = { active: service.enabled, available: service.up, updated_at: microTime(service.updatedAt) };
  }
  return byHost;
}
