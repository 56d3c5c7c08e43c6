/** `/images` (..2.35) and their metadata (..2.38): the image service in the words of the Compute API of old. */
import type { Call } from '../../kit/call.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { forbidden, invalid, notFound } from '../../kit/errors.ts';
import type { CatalogImage, ImageStatus } from '../../kit/image-catalog.ts';
import { isFull, pageOf } from '../../kit/paging.ts';
import { parseTime } from '../../kit/query.ts';
import type { QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { imageOf, limitsOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { META_BODY, METADATA_BODY } from '../servers/schema.ts';
import { shortTime } from '../servers/view.ts';

const PROXY = [1, SINCE.noProxies - 1] as const;
const METADATA = [1, SINCE.noImageMetadata - 1] as const;
const CATALOG_ASK_MS = 10_000;

const QUERY: QueryTable = {
  strictFrom: Infinity,
  parameters: {
    name: { kind: 'text' },
    status: { kind: 'text' },
    server: { kind: 'text' },
    type: { kind: 'text' },
    minRam: { kind: 'text' },
    minDisk: { kind: 'text' },
    marker: { kind: 'text' },
    'changes-since': { kind: 'text' },
    limit: { kind: 'positive' },
    page_size: { kind: 'positive' },
    offset: { kind: 'positive' },
  },
};

export const IMAGE_ROUTES = [
  route({ method: 'GET', path: '/images', versions: PROXY, policy: null, query: QUERY, ok: 200, serve: (call, parts) => serveList(call, parts, briefView) }),
  route({
    method: 'GET',
    path: '/images/detail',
    versions: PROXY,
    policy: null,
    query: QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, fullView),
  }),
  route({
    method: 'GET',
    path: '/images/:id',
    versions: PROXY,
    policy: null,
    ok: 200,
    find: findImage,
    serve: (call, parts, image) => ({ body: { image: fullView(image, call, parts) } }),
  }),
  route({ method: 'DELETE', path: '/images/:id', versions: PROXY, policy: null, ok: 204, find: findImage, serve: serveDelete }),
  route({
    method: 'GET',
    path: '/images/:id/metadata',
    versions: METADATA,
    policy: null,
    ok: 200,
    find: findImage,
    serve: (_call, _parts, image) => ({ body: { metadata: image.properties } }),
  }),
  route({
    method: 'POST',
    path: '/images/:id/metadata',
    versions: METADATA,
    policy: null,
    body: METADATA_BODY,
    ok: 200,
    find: findImage,
    serve: (call, parts, image) => serveMany(call, parts, image, false),
  }),
  route({
    method: 'PUT',
    path: '/images/:id/metadata',
    versions: METADATA,
    policy: null,
    body: METADATA_BODY,
    ok: 200,
    find: findImage,
    serve: (call, parts, image) => serveMany(call, parts, image, true),
  }),
  route({
    method: 'GET',
    path: '/images/:id/metadata/:key',
    versions: METADATA,
    policy: null,
    ok: 200,
    find: findImage,
    serve: (call, _parts, image) => ({ body: { meta: { [call.param('key')]: valueOf(call, image) } } }),
  }),
  route({ method: 'PUT', path: '/images/:id/metadata/:key', versions: METADATA, policy: null, body: META_BODY, ok: 200, find: findImage, serve: serveSet }),
  route({ method: 'DELETE', path: '/images/:id/metadata/:key', versions: METADATA, policy: null, ok: 204, find: findImage, serve: serveDrop }),
];

async function findImage(call: Call, parts: ComputeParts): Promise<CatalogImage> {
  const image = await imageOf(parts, call, call.param('id'));
  if (image === null) throw notFound('Image not found.');
  return image;
}

/** Words of the image service → words of this API. */
function statusWord(status: ImageStatus): string {
  if (status === 'active') return 'ACTIVE';
  if (status === 'killed') return 'ERROR';
  if (status === 'deleted' || status === 'pending_delete') return 'DELETED';
  return status === 'deactivated' ? 'UNKNOWN' : 'SAVING';
}

const PROGRESS: { readonly [status: string]: number } = { queued: 25, saving: 50, active: 100 };

/** Statuses as clients filter by them, in the image service's words. */
const STATUS_FILTER: { readonly [word: string]: string } = { active: 'active', saving: 'saving', error: 'killed', deleted: 'deleted' };

function linksOf(image: CatalogImage, call: Call, parts: ComputeParts): object {
  const alternate = { rel: 'alternate', type: 'application/vnd.openstack.image', href: `${parts.settings.imageUrl}/images/${image.id}` };
  return [...call.links.of('images', image.id), alternate];
}

function briefView(image: CatalogImage, call: Call, parts: ComputeParts): object {
  return { id: image.id, name: image.name, links: linksOf(image, call, parts) };
}

function fullView(image: CatalogImage, call: Call, parts: ComputeParts): object {
  const { properties } = image;
  const autoDisk = properties['auto_disk_config'];
  const server = properties['instance_uuid'];
  return {
    ...briefView(image, call, parts),
    status: statusWord(image.status),
    progress: PROGRESS[image.status] ?? 0,
    minDisk: image.minDiskGiB,
    minRam: image.minMemoryMiB,
    metadata: properties,
    created: shortTime(image.createdAt),
    updated: shortTime(image.updatedAt),
    'OS-EXT-IMG-SIZE:size': image.sizeBytes,
    ...(autoDisk === undefined ? {} : { 'OS-DCF:diskConfig': /^true$/i.test(autoDisk) ? 'AUTO' : 'MANUAL' }),
    ...(server === undefined ? {} : { server: { id: server, links: call.links.of('servers', server) } }),
  };
}

type View = (image: CatalogImage, call: Call, parts: ComputeParts) => object;

async function serveList(call: Call, parts: ComputeParts, view: View): Promise<Reply> {
  const { query } = call;
  const page = pageOf(query, parts.settings.pageMax);
  const status = query.one('status');
  const images = await parts.images.list(
    {
      limit: page.limit,
      marker: page.marker,
      name: query.one('name') ?? null,
      status: status === undefined ? null : (STATUS_FILTER[status.toLowerCase()] ?? status.toLowerCase()),
    },
    call.token,
    AbortSignal.any([call.signal, AbortSignal.timeout(CATALOG_ASK_MS)]),
  );
  const last = images.at(-1);
  const links = query.has('limit') && last !== undefined && isFull(images.length, page) ? { images_links: call.links.next(call.path, query, last.id) } : {};
  return { body: { images: images.filter((image) => matches(image, call)).map((image) => view(image, call, parts)), ...links } };
}

/** Filters that the image service is not asked for. */
function matches(image: CatalogImage, call: Call): boolean {
  const { query } = call;
  const sinceMs = parseTime(query.one('changes-since') ?? '');
  if (sinceMs !== undefined && Date.parse(image.updatedAt) < sinceMs) return false;
  if (query.has('minRam') && image.minMemoryMiB < Number(query.one('minRam'))) return false;
  if (query.has('minDisk') && image.minDiskGiB < Number(query.one('minDisk'))) return false;
  const server = query.one('server');
  if (server !== undefined && image.properties['instance_uuid'] !== server.slice(server.lastIndexOf('/') + 1)) return false;
  const type = query.one('type');
  if (type !== undefined && (image.properties['image_type'] ?? 'base') !== type.toLowerCase()) return false;
  for (const name of query.names()) {
    if (name.startsWith('property-') && image.properties[name.slice('property-'.length)] !== query.one(name)) return false;
  }
  return true;
}

async function serveDelete(call: Call, parts: ComputeParts, image: CatalogImage): Promise<Reply> {
  refuseForeign(call, image);
  await parts.images.remove(image.id, call.token, AbortSignal.timeout(CATALOG_ASK_MS));
  parts.caches.images.clear();
  return {};
}

function refuseForeign(call: Call, image: CatalogImage): void {
  if (image.owner !== null && image.owner !== call.caller.projectId && !call.caller.isAdmin) throw forbidden('You are not allowed to change this image.');
}

async function change(call: Call, parts: ComputeParts, image: CatalogImage, set: { [key: string]: string }, drop: readonly string[]): Promise<CatalogImage> {
  refuseForeign(call, image);
  const { metadata_items: limit } = await limitsOf(parts, call.caller);
  const count = new Set([...Object.keys(image.properties), ...Object.keys(set)]).size - drop.length;
  if (limit >= 0 && count > limit) throw forbidden('Image metadata limit exceeded', 'quota.metadata_items');
  try {
    return await parts.images.change(image.id, { set, drop }, call.token, AbortSignal.timeout(CATALOG_ASK_MS));
  } catch (thrown) {
    if (Fault.is(thrown, 'notFound')) throw notFound('Image not found.');
    throw thrown;
  } finally {
    parts.caches.images.clear();
  }
}

function given(call: Call, member: 'metadata' | 'meta'): { [key: string]: string } {
  const value = call.body !== null && typeof call.body === 'object' ? Object.entries(call.body).find(([name]) => name === member)?.[1] : {};
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, item]) => [key, String(item)]));
}

async function serveMany(call: Call, parts: ComputeParts, image: CatalogImage, replace: boolean): Promise<Reply> {
  const set = given(call, 'metadata');
  const drop = replace ? Object.keys(image.properties).filter((key) => !(key in set)) : [];
  return { body: { metadata: (await change(call, parts, image, set, drop)).properties } };
}

function valueOf(call: Call, image: CatalogImage): string {
  const key = call.param('key');
  const value = Object.hasOwn(image.properties, key) ? image.properties[key] : undefined;
  if (value === undefined) throw notFound('Metadata item was not found');
  return value;
}

async function serveSet(call: Call, parts: ComputeParts, image: CatalogImage): Promise<Reply> {
  const key = call.param('key');
  const value = given(call, 'meta')[key];
  if (value === undefined) throw invalid('Request body and URI mismatch');
  await change(call, parts, image, { [key]: value }, []);
  return { body: { meta: { [key]: value } } };
}

async function serveDrop(call: Call, parts: ComputeParts, image: CatalogImage): Promise<Reply> {
  valueOf(call, image);
  await change(call, parts, image, {}, [call.param('key')]);
  return {};
}
