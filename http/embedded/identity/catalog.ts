/**
 * The catalog of a token: enabled services with their enabled endpoints, the project's id put into their addresses.
 *
 * The endpoints that a start makes say `{compute}/v2.1`: the address of the node that is asked stands for the braces, so
 * that a client stays with the node that it began with. What administrators write is shown as it is, by every node.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { IdentityEndpoint, IdentityService } from '../../../actors/conductor/messages/identity.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';

const CATALOG_MAX = 1_000;

export type Catalog = { readonly services: readonly IdentityService[]; readonly endpoints: readonly IdentityEndpoint[] };

/** Addresses of this node's services, by type. */
export type Addresses = { readonly [type: string]: string };

export async function loadCatalog(actors: Actors, addresses: Addresses): Promise<Catalog> {
  const [services, endpoints] = await Promise.all([
    actors.ask(CONDUCTOR, { type: 'identityListService', filter: { enabled: true }, limit: CATALOG_MAX }),
    actors.ask(CONDUCTOR, { type: 'identityListEndpoint', filter: { enabled: true }, limit: CATALOG_MAX }),
  ]);
  return { services, endpoints: endpoints.map((endpoint) => atThisNode(endpoint, addresses)).filter(({ url }) => !url.startsWith('{')) };
}

/** As it is when it names no service of this node. */
export function atThisNode(endpoint: IdentityEndpoint, addresses: Addresses): IdentityEndpoint {
  const [, type = '', path = ''] = /^\{(\w+)\}(.*)$/.exec(endpoint.url) ?? [];
  const address = Object.hasOwn(addresses, type) ? addresses[type] : undefined;
  return address === undefined ? endpoint : { ...endpoint, url: `${address}${path}` };
}

/** An address that wants a project is left out when the token has none. */
export function renderCatalog({ services, endpoints }: Catalog, projectId: string | null): object[] {
  return services.map(({ id, type, name }) => ({
    id,
    type,
    name,
    endpoints: endpoints.flatMap((endpoint) => {
      if (endpoint.serviceId !== id) return [];
      const url = filled(endpoint.url, projectId);
      return url === undefined ? [] : [{ id: endpoint.id, interface: endpoint.interface, region: endpoint.regionId, region_id: endpoint.regionId, url }];
    }),
  }));
}

function filled(url: string, projectId: string | null): string | undefined {
  const wants = /[$%]\((?:project_id|tenant_id)\)s/g;
  if (!url.match(wants)) return url;
  return projectId === null ? undefined : url.replaceAll(wants, () => projectId);
}
