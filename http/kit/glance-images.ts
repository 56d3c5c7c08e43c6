/**
 * The image catalog of an Image v2 service, asked with the caller's own token: what the caller may not see there does
 * not exist here. What it says is parsed, not believed; free properties are those that v2 lays beside its own members.
 */
import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { Fault } from '../../runtime/base/fault.ts';
import type { CatalogImage, ImageCatalog, ImageQuery } from './image-catalog.ts';
import type { OutsideAnswer } from './outside-json.ts';
import { askOutside, serviceDown } from './outside-json.ts';

export type GlanceOptions = {
  /** Without version: `http://127.0.0.1:9292`; or where to find it at each call (a catalog may change). */
  readonly url: string | (() => Promise<string>);
  readonly timeoutMs?: number;
  readonly dispatcher?: Dispatcher;
};

const TIMEOUT_MS = 5_000;
const PATCH_TYPE = 'application/openstack-images-v2.1-json-patch';
const STATUSES = ['queued', 'saving', 'uploading', 'importing', 'active', 'deactivated', 'killed', 'deleted', 'pending_delete'] as const;
const VISIBILITIES = ['public', 'private', 'shared', 'community'] as const;

const imageShape = z.looseObject({
  id: z.string(),
  name: z.string().nullable().default(null),
  status: z.enum(STATUSES),
  visibility: z.enum(VISIBILITIES).default('private'),
  owner: z.string().nullable().default(null),
  protected: z.boolean().default(false),
  disk_format: z.string().nullable().default(null),
  container_format: z.string().nullable().default(null),
  size: z.number().nullable().default(null),
  min_disk: z.number().default(0),
  min_ram: z.number().default(0),
  os_hash_algo: z.string().nullable().default(null),
  os_hash_value: z.string().nullable().default(null),
  checksum: z.string().nullable().default(null),
  created_at: z.string(),
  updated_at: z.string(),
});
const listShape = z.object({ images: z.array(imageShape) });

/** Members of the service itself; everything else of type text is a property. */
const OWN_MEMBERS = new Set([
  ...Object.keys(imageShape.shape),
  'tags',
  'self',
  'file',
  'schema',
  'locations',
  'direct_url',
  'virtual_size',
  'os_hidden',
  'stores',
  'validation_data',
]);

export function openGlanceImages(options: GlanceOptions): ImageCatalog {
  const ask = async (
    path: string,
    token: string,
    signal: AbortSignal,
    more: { readonly method?: 'GET' | 'PATCH' | 'DELETE'; readonly json?: unknown; readonly type?: string } = {},
  ): Promise<OutsideAnswer> => {
    const { dispatcher } = options;
    const base = typeof options.url === 'string' ? options.url : await options.url();
    const { method = 'GET', json, type } = more;
    return askOutside({
      service: 'image',
      url: `${base}/v2/${path}`,
      method,
      headers: { 'X-Auth-Token': token, Accept: 'application/json', ...(type === undefined ? {} : { 'content-type': type }) },
      signal,
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
      ...(json === undefined ? {} : { json }),
      ...(dispatcher === undefined ? {} : { dispatcher }),
    });
  };
  return {
    async show(imageId, token, signal) {
      if (!isImageId(imageId)) return null;
      const answer = await ask(`images/${imageId}`, token, signal);
      if (answer.status === 404 || answer.status === 403) return null;
      return parseImage(expectOk(answer));
    },
    async list(query, token, signal) {
      const answer = await ask(`images?${listQuery(query)}`, token, signal);
      if (answer.status === 400) throw new Fault('invalid', 'marker', 'The marker or a filter is not valid.');
      const parsed = listShape.safeParse(expectOk(answer));
      if (!parsed.success) throw serviceDown('image', 'list not understood');
      return parsed.data.images.map(imageOf);
    },
    async remove(imageId, token, signal) {
      refuse(await ask(`images/${known(imageId)}`, token, signal, { method: 'DELETE' }));
    },
    async change(imageId, { set, drop }, token, signal) {
      const patch = [
        ...Object.entries(set).map(([key, value]) => ({ op: 'add', path: pointer(key), value })),
        ...drop.map((key) => ({ op: 'remove', path: pointer(key) })),
      ];
      const answer = await ask(`images/${known(imageId)}`, token, signal, { method: 'PATCH', json: patch, type: PATCH_TYPE });
      refuse(answer);
      return parseImage(answer.body);
    },
  };
}

/** What can stand in a path as it is: neither dots that climb nor anything that ends the segment. */
function isImageId(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,255}$/.test(text);
}

function known(imageId: string): string {
  if (!isImageId(imageId)) throw new Fault('notFound', 'image', 'Image not found.');
  return imageId;
}

function listQuery(query: ImageQuery): string {
  const parameters = new URLSearchParams({ limit: String(query.limit) });
  if (query.marker !== null) parameters.set('marker', query.marker);
  if (query.name !== null) parameters.set('name', query.name);
  if (query.status !== null) parameters.set('status', query.status);
  return parameters.toString();
}

function pointer(key: string): string {
  return `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function expectOk(answer: OutsideAnswer): unknown {
  if (answer.status === 401) throw new Fault('unauthorized', 'image.token', 'The image service does not accept the token.');
  if (answer.status !== 200) throw serviceDown('image', `status ${answer.status}`);
  return answer.body;
}

function refuse(answer: OutsideAnswer): void {
  if (answer.status < 300) return;
  if (answer.status === 404) throw new Fault('notFound', 'image', 'Image not found.');
  if (answer.status === 403) throw new Fault('forbidden', 'image', 'You are not allowed to change this image.');
  if (answer.status === 409) throw new Fault('conflict', 'image', 'The image is in use.');
  if (answer.status === 400 || answer.status === 413) throw new Fault('invalid', 'image', 'The image service refuses the change.');
  expectOk(answer);
}

function parseImage(body: unknown): CatalogImage {
  const parsed = imageShape.safeParse(body);
  if (!parsed.success) throw serviceDown('image', 'image not understood');
  return imageOf(parsed.data);
}

function imageOf(image: z.output<typeof imageShape>): CatalogImage {
  const properties = Object.fromEntries(
    Object.entries(image).filter((entry): entry is [string, string] => !OWN_MEMBERS.has(entry[0]) && typeof entry[1] === 'string'),
  );
  return {
    id: image.id,
    name: image.name ?? '',
    diskFormat: image.disk_format ?? '',
    containerFormat: image.container_format ?? '',
    sizeBytes: image.size ?? 0,
    hash: hashOf(image),
    minDiskGiB: image.min_disk,
    minMemoryMiB: image.min_ram,
    properties,
    status: image.status,
    visibility: image.visibility,
    owner: image.owner,
    isProtected: image.protected,
    createdAt: image.created_at,
    updatedAt: image.updated_at,
  };
}

/** The strongest that is known; a checksum of old is MD5. */
function hashOf(image: z.output<typeof imageShape>): CatalogImage['hash'] {
  const { os_hash_algo: algorithm, os_hash_value: hex, checksum } = image;
  if ((algorithm === 'sha512' || algorithm === 'sha256') && hex !== null) return { algorithm, hex };
  return checksum === null ? null : { algorithm: 'md5', hex: checksum };
}
