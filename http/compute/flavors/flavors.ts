/** `/flavors`: the sizes on offer, and what administrators do with them. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { FlavorSortKey } from '../../../actors/conductor/messages/record.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { Call } from '../../kit/call.ts';
import { invalid, notFound } from '../../kit/errors.ts';
import { isFull, pageOf } from '../../kit/paging.ts';
import { parseBool } from '../../kit/query.ts';
import type { QueryTable } from '../../kit/query.ts';
import { LATEST } from '../../kit/route.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { BOOLEAN, integer, LONG_DESCRIPTION, members, NAME, toBoolean, toInteger } from '../parameter-types.ts';
import { flavorOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { briefFlavor, flavorView } from './view.ts';

const SORT_KEYS: { readonly [name: string]: FlavorSortKey | null } = {
  created_at: 'createdAt',
  flavorid: 'flavorId',
  id: 'id',
  name: 'name',
  memory_mb: 'memoryMiB',
  vcpus: 'vcpus',
  root_gb: 'rootGiB',
  is_public: 'isPublic',
  swap: 'swapMiB',
  ephemeral_gb: 'ephemeralGiB',
  description: null,
  disabled: null,
  rxtx_factor: null,
  updated_at: null,
  vcpu_weight: null,
};
const OLD_SORT_KEYS = ['rxtx_factor'];

const FLAVOR_QUERY: QueryTable = {
  strictFrom: SINCE.strictQueries,
  parameters: {
    limit: { kind: 'count' },
    marker: { kind: 'text' },
    is_public: { kind: 'text' },
    minRam: { kind: 'text' },
    minDisk: { kind: 'text' },
    sort_key: { kind: { oneOf: Object.keys(SORT_KEYS) } },
    sort_dir: { kind: { oneOf: ['asc', 'desc'] } },
    name: { kind: 'text', from: SINCE.leanFlavors },
  },
};
const NO_QUERY: QueryTable = { strictFrom: SINCE.leanFlavors, parameters: {} };

const CREATE: BodySchema = {
  breaks: [1, SINCE.flavorDescription, SINCE.leanFlavors],
  at: (version) =>
    members(
      {
        flavor: members(
          {
            name: NAME,
            id: { type: ['string', 'number', 'null'], minLength: 1, maxLength: 255, pattern: '^(?! )[a-zA-Z0-9. _\\-]+(?<! )$' },
            ram: integer(1),
            vcpus: integer(1),
            disk: integer(0),
            'OS-FLV-EXT-DATA:ephemeral': integer(0),
            swap: integer(0),
            'os-flavor-access:is_public': BOOLEAN,
            ...(version < SINCE.leanFlavors
              ? { rxtx_factor: { type: ['number', 'string'], pattern: '^[0-9]+(\\.[0-9]+)?$', minimum: 0, exclusiveMinimum: 0, maximum: 3.402_82e38 } }
              : {}),
            ...(version >= SINCE.flavorDescription ? { description: LONG_DESCRIPTION } : {}),
          },
          ['name', 'ram', 'vcpus', 'disk'],
        ),
      },
      ['flavor'],
    ),
};

const UPDATE: BodySchema = {
  breaks: [1],
  at: () => members({ flavor: members({ description: LONG_DESCRIPTION }, ['description']) }, ['flavor']),
};

export const FLAVOR_ROUTES = [
  route({
    method: 'GET',
    path: '/flavors',
    policy: null,
    query: FLAVOR_QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, (flavor) => briefFlavor(flavor, call)),
  }),
  route({
    method: 'GET',
    path: '/flavors/detail',
    policy: null,
    query: FLAVOR_QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, (flavor) => flavorView(flavor, call, parts)),
  }),
  route({ method: 'POST', path: '/flavors', policy: 'os-flavor-manage:create', body: CREATE, ok: 200, serve: serveCreate }),
  route({
    method: 'GET',
    path: '/flavors/:id',
    policy: null,
    query: NO_QUERY,
    ok: 200,
    find: findFlavor,
    serve: (call, parts, flavor) => ({ body: { flavor: flavorView(flavor, call, parts) } }),
  }),
  route({
    method: 'PUT',
    path: '/flavors/:id',
    versions: [SINCE.flavorDescription, LATEST],
    policy: 'os-flavor-manage:update',
    body: UPDATE,
    ok: 200,
    find: findFlavor,
    serve: serveUpdate,
  }),
  route({ method: 'DELETE', path: '/flavors/:id', policy: 'os-flavor-manage:delete', ok: 202, find: findFlavor, serve: serveDelete }),
];

/** For `find` of every route whose path names a flavor as `:id`. */
export async function findFlavor(call: Call, parts: ComputeParts): Promise<Flavor> {
  const flavorId = call.param('id');
  const flavor = await flavorOf(parts, call, flavorId);
  if (flavor === null) throw notFound(`Flavor ${flavorId.slice(0, 100)} could not be found.`);
  return flavor;
}

async function serveList(call: Call, parts: ComputeParts, view: (flavor: Flavor) => object): Promise<Reply> {
  const { query } = call;
  const page = pageOf(query, parts.settings.pageMax);
  const sortName = query.one('sort_key') ?? 'flavorid';
  if (call.version >= SINCE.leanFlavors && OLD_SORT_KEYS.includes(sortName)) throw invalid(`Invalid input for query parameters sort_key. Value: ${sortName}.`);
  if (page.limit === 0) return { body: { flavors: [] } };
  const flavors = await parts.actors.ask(CONDUCTOR, {
    type: 'listFlavors',
    ...visibility(call),
    minMemoryMiB: leastOf(call, 'minRam'),
    minRootGiB: leastOf(call, 'minDisk'),
    name: call.version >= SINCE.leanFlavors ? (query.one('name') ?? null) : null,
    sort: { key: SORT_KEYS[sortName] ?? 'flavorId', descending: query.one('sort_dir') === 'desc' },
    marker: page.marker,
    limit: page.limit,
  });
  const last = flavors.at(-1);
  const links = last !== undefined && isFull(flavors.length, page) ? { flavors_links: call.links.next(call.path, query, last.flavorId) } : {};
  return { body: { flavors: flavors.map(view), ...links } };
}

/** Users see public flavors and those they were given; administrators may ask for private ones or for all. */
function visibility(call: Call): { projectId: string | null; isPublic: boolean | null } {
  const own = { projectId: call.caller.projectId, isPublic: null };
  const asked = call.query.one('is_public');
  if (!call.caller.isAdmin || asked === undefined) return own;
  if (/^none$/i.test(asked)) return { projectId: null, isPublic: null };
  const isPublic = parseBool(asked);
  if (isPublic === undefined) throw invalid(`Invalid is_public filter [${asked.slice(0, 60)}]`);
  return isPublic ? own : { projectId: null, isPublic: false };
}

function leastOf(call: Call, name: 'minRam' | 'minDisk'): number | null {
  const text = call.query.one(name);
  if (text === undefined) return null;
  if (!/^-?\d{1,15}$/.test(text)) throw invalid(`Invalid ${name} filter [${text.slice(0, 60)}]`);
  return Number(text);
}

async function serveCreate(call: Call, parts: ComputeParts): Promise<Reply> {
  const asked = flavorMembers(call.body);
  const given = asked['id'];
  const flavorId = given === undefined || given === null || given === 'auto' ? parts.random.uuid() : String(given).trim();
  const flavor: Flavor = {
    flavorId,
    name: String(asked['name']).trim(),
    vcpus: toInteger(asked['vcpus']),
    memoryMiB: toInteger(asked['ram']),
    rootGiB: toInteger(asked['disk']),
    ephemeralGiB: toInteger(asked['OS-FLV-EXT-DATA:ephemeral'] ?? 0),
    swapMiB: toInteger(asked['swap'] ?? 0),
    rxtxFactor: Number(asked['rxtx_factor'] ?? 1),
    isPublic: asked['os-flavor-access:is_public'] === undefined || toBoolean(asked['os-flavor-access:is_public']),
    disabled: false,
    description: call.version >= SINCE.flavorDescription && typeof asked['description'] === 'string' ? asked['description'] : null,
    extraSpecs: {},
  };
  if (!(flavor.rxtxFactor > 0)) throw invalid('rxtx_factor must be greater than 0');
  const made = await parts.actors.ask(CONDUCTOR, { type: 'createFlavor', flavor }, { commandId: call.requestId });
  parts.caches.flavors.clear();
  return { body: { flavor: flavorView(made, call, parts) } };
}

function flavorMembers(body: unknown): { readonly [name: string]: unknown } {
  const flavor = body !== null && typeof body === 'object' && 'flavor' in body ? body.flavor : undefined;
  return flavor !== null && typeof flavor === 'object' ? Object.fromEntries(Object.entries(flavor)) : {};
}

async function serveUpdate(call: Call, parts: ComputeParts, { flavorId }: Flavor): Promise<Reply> {
  const { description } = flavorMembers(call.body);
  const flavor = await parts.actors.ask(CONDUCTOR, { type: 'updateFlavor', flavorId, description: typeof description === 'string' ? description : null });
  parts.caches.flavors.clear();
  return { body: { flavor: flavorView(flavor, call, parts) } };
}

async function serveDelete(_call: Call, parts: ComputeParts, { flavorId }: Flavor): Promise<Reply> {
  await parts.actors.ask(CONDUCTOR, { type: 'deleteFlavor', flavorId });
  parts.caches.flavors.clear();
  return {};
}
