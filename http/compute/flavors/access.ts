/** Which projects may use a private flavor. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { Call } from '../../kit/call.ts';
import { conflict, notFound } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { members, text } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { findFlavor } from './flavors.ts';

const ACTION = '/flavors/:id/action';

function accessBody(action: string) {
  return { breaks: [1], at: () => members({ [action]: members({ tenant: text(1, 255) }, ['tenant']) }, [action]) };
}

export const FLAVOR_ACCESS_ROUTES = [
  route({ method: 'GET', path: '/flavors/:id/os-flavor-access', policy: 'os-flavor-access', ok: 200, find: findFlavor, serve: serveList }),
  route({
    method: 'POST',
    path: ACTION,
    action: 'addTenantAccess',
    policy: 'os-flavor-access:add_tenant_access',
    body: accessBody('addTenantAccess'),
    ok: 200,
    find: findFlavor,
    serve: serveAdd,
  }),
  route({
    method: 'POST',
    path: ACTION,
    action: 'removeTenantAccess',
    policy: 'os-flavor-access:remove_tenant_access',
    body: accessBody('removeTenantAccess'),
    ok: 200,
    find: findFlavor,
    serve: serveRemove,
  }),
];

function accessView(flavorId: string, projects: readonly string[]): Reply {
  return { body: { flavor_access: projects.map((tenant_id) => ({ flavor_id: flavorId, tenant_id })) } };
}

async function serveList(_call: Call, parts: ComputeParts, flavor: Flavor): Promise<Reply> {
  if (flavor.isPublic) throw notFound('Access list not available for public flavors.');
  return accessView(flavor.flavorId, await parts.actors.ask(CONDUCTOR, { type: 'listFlavorAccess', flavorId: flavor.flavorId }));
}

function tenantOf(call: Call): string {
  const argument: unknown = call.body !== null && typeof call.body === 'object' ? Object.values(call.body)[0] : undefined;
  return argument !== null && typeof argument === 'object' && 'tenant' in argument ? String(argument.tenant) : '';
}

async function serveAdd(call: Call, parts: ComputeParts, { flavorId, isPublic }: Flavor): Promise<Reply> {
  if (isPublic && call.version >= SINCE.publicFlavorAccessConflict) throw conflict('Can not add access to a public flavor.');
  const projects = await parts.actors.ask(CONDUCTOR, { type: 'addFlavorAccess', flavorId, projectId: tenantOf(call) });
  parts.caches.flavors.clear();
  return accessView(flavorId, projects);
}

async function serveRemove(call: Call, parts: ComputeParts, { flavorId }: Flavor): Promise<Reply> {
  const projects = await parts.actors.ask(CONDUCTOR, { type: 'removeFlavorAccess', flavorId, projectId: tenantOf(call) });
  parts.caches.flavors.clear();
  return accessView(flavorId, projects);
}
