/**
 * Images that are made of servers, at any Image v2 service: in the name of the cloud's own account, which may make images
 * for other projects. Asked again, each verb finds what it did; what the service says is parsed, not believed.
 */
import { request } from 'undici';
import { z } from 'zod';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy } from '../driver.ts';
import { glanceWay, imageServiceUrl } from './glance.ts';
import type { ServiceSession } from './keystone.ts';

const ANSWER_MS = 10_000;
const BACKUPS_MAX = 1_000;
const PATCH_TYPE = 'application/openstack-images-v2.1-json-patch';

type Draft = {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly minDiskGiB: number;
  readonly minMemoryMiB: number;
  readonly properties: { readonly [key: string]: string };
};
type Asked = { readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'; readonly json?: unknown; readonly type?: string };
type Answer = { readonly status: number; readonly body: unknown };

const imageShape = z.looseObject({
  id: z.string(),
  name: z.string().nullish(),
  status: z.string(),
  disk_format: z.string().nullish(),
  container_format: z.string().nullish(),
  size: z.number().nullish(),
  min_disk: z.number().default(0),
  min_ram: z.number().default(0),
  checksum: z.string().nullish(),
  os_hash_algo: z.string().nullish(),
  os_hash_value: z.string().nullish(),
});
const listShape = z.object({ images: z.array(z.looseObject({ id: z.string() })) });

/** Members of the service itself; every other text is a property. */
const OWN = new Set([
  ...Object.keys(imageShape.shape),
  'visibility',
  'owner',
  'protected',
  'tags',
  'self',
  'file',
  'schema',
  'locations',
  'direct_url',
  'virtual_size',
  'os_hidden',
  'stores',
  'created_at',
  'updated_at',
]);

/** `configured`: the service's address, when it is not to be found in the catalog. */
export function glanceDesk(session: () => ServiceSession, configured: string | undefined) {
  const ask = async (path: string, asked: Asked): Promise<Answer> => {
    const first = await askOnce(session(), configured, path, asked);
    if (first.status !== 401) return first;
    session().forget();
    return askOnce(session(), configured, path, asked);
  };
  const one = (id: string): string => `images/${encodeURIComponent(id)}`;
  return {
    async make({ id, name, owner, minDiskGiB, minMemoryMiB, properties }: Draft): Promise<void> {
      const json = { ...properties, id, name, owner, visibility: 'private', min_disk: minDiskGiB, min_ram: minMemoryMiB };
      const answer = await ask('images', { method: 'POST', json });
      if (answer.status !== 409) expectDone(answer);
    },
    async describe(imageId: string, { diskFormat }: DiskCopy): Promise<void> {
      const set = (path: string, value: string) => ({ op: 'replace', path, value });
      const json = [set('/disk_format', diskFormat), set('/container_format', 'bare')];
      expectDone(await ask(one(imageId), { method: 'PATCH', json, type: PATCH_TYPE }));
    },
    async show(imageId: string) {
      const answer = await ask(one(imageId), { method: 'GET' });
      if (answer.status === 404) return null;
      expectDone(answer);
      const image = imageShape.safeParse(answer.body);
      if (!image.success) throw new Fault('unavailable', 'image.failed', 'The image service answered what no image is.');
      if (image.data.status === 'deleted' || image.data.status === 'pending_delete') return null;
      return { image: toRef(image.data), hasBytes: image.data.status === 'active' || image.data.status === 'deactivated' };
    },
    write: (imageId: string, again: boolean) => glanceWay(session(), imageId, { url: configured, again }),
    async backups(instanceId: string, backupType: string): Promise<readonly string[]> {
      const query = {
        instance_uuid: instanceId,
        image_type: 'backup',
        backup_type: backupType,
        status: 'active',
        sort: 'created_at:desc',
        limit: String(BACKUPS_MAX),
      };
      const answer = await ask(`images?${new URLSearchParams(query).toString()}`, { method: 'GET' });
      expectDone(answer);
      const list = listShape.safeParse(answer.body);
      if (!list.success) throw new Fault('unavailable', 'image.failed', 'The image service answered what no list is.');
      return list.data.images.map(({ id }) => id);
    },
    async drop(imageId: string): Promise<void> {
      const answer = await ask(one(imageId), { method: 'DELETE' });
      if (answer.status !== 404) expectDone(answer);
    },
  };
}

async function askOnce(
  session: ServiceSession,
  configured: string | undefined,
  path: string,
  { method, json, type = 'application/json' }: Asked,
): Promise<Answer> {
  const base = await imageServiceUrl(session, configured);
  const { token } = await session.token();
  const answer = await request(`${base}/v2/${path}`, {
    method,
    headers: { 'x-auth-token': token, accept: 'application/json', ...(json === undefined ? {} : { 'content-type': type }) },
    body: json === undefined ? null : JSON.stringify(json),
    signal: AbortSignal.timeout(ANSWER_MS),
  }).catch((error: unknown) => {
    throw new Fault('unavailable', 'image.away', 'The image service does not answer.', { cause: error });
  });
  const text = await answer.body.text().catch(() => '');
  return { status: answer.statusCode, body: parsed(text) };
}

function expectDone({ status }: Answer): void {
  if (status < 300) return;
  if (status === 404) throw new Fault('notFound', 'image.none', 'The image of the server was deleted.');
  if (status === 403) throw new Fault('forbidden', 'image.forbidden', 'The image service lets no image be made for this project.');
  if (status === 409) throw new Fault('conflict', 'image.inUse', 'The image is in use.');
  if (status === 400 || status === 413) throw new Fault('invalid', 'image.invalid', 'The image service does not take the image.');
  throw new Fault('unavailable', 'image.failed', `The image service answered ${status}.`);
}

function toRef(image: z.output<typeof imageShape>) {
  const { os_hash_algo: algorithm, os_hash_value: hex, checksum } = image;
  const properties = Object.fromEntries(Object.entries(image).filter((entry): entry is [string, string] => !OWN.has(entry[0]) && typeof entry[1] === 'string'));
  const strong =
    (algorithm === 'sha512' || algorithm === 'sha256') && typeof hex === 'string'
      ? ({ algorithm, hex } as { algorithm: 'sha512' | 'sha256'; hex: string })
      : null;
  return {
    id: image.id,
    name: image.name ?? '',
    diskFormat: image.disk_format ?? '',
    containerFormat: image.container_format ?? '',
    sizeBytes: image.size ?? 0,
    hash: strong ?? (typeof checksum === 'string' ? { algorithm: 'md5' as const, hex: checksum } : null),
    minDiskGiB: image.min_disk,
    minMemoryMiB: image.min_ram,
    properties,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
