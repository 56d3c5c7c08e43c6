/**
 * `POST /servers/{id}/action {"rebuild": …}`: the same server from another image, where it is. All that it will need is
 * looked up here, once, as for a create.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { RebuildChanges, Verb } from '../../../actors/instance/messages.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden, invalid } from '../../kit/errors.ts';
import type { CatalogImage } from '../../kit/image-catalog.ts';
import type { Reply } from '../../kit/route.ts';
import { isBase64 } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { toBoolean } from '../parameter-types.ts';
import { limitsOf, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';
import { password as newPassword } from './names.ts';
import { bootImage, imageRef, readableImage, refuseLarge } from './order.ts';
import { REBUILD_BODY } from './schema.ts';
import { rebuiltView, sightOf } from './view.ts';

export const REBUILD_ROUTE = route({
  method: 'POST',
  path: '/servers/:id/action',
  action: 'rebuild',
  policy: 'servers:rebuild',
  body: REBUILD_BODY,
  ok: 202,
  find: findServer,
  serve,
});

type Members = { readonly [name: string]: unknown };
type Rebuild = Extract<Verb, { name: 'rebuild' }>;

async function serve(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  const wish = wishOf(call);
  refuseCertificates(call, wish);
  refuseIllegal('rebuild', 'rebuild', record, call);
  const image = await imageFor(call, parts, record, String(wish['imageRef']));
  await refuseOverLimits(call, parts, wish);
  const [kernel, ramdisk, changes] = await Promise.all([
    bootImage(call, parts, image, 'kernel_id'),
    bootImage(call, parts, image, 'ramdisk_id'),
    changesOf(parts, record, wish),
  ]);
  const preserveEphemeral = wish['preserve_ephemeral'] !== undefined && toBoolean(wish['preserve_ephemeral']);
  const verb: Rebuild = { name: 'rebuild', image: imageRef(image), kernel, ramdisk, changes, preserveEphemeral };
  const stored = await parts.actors.ask(instanceRef(record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
  const adminPass = typeof wish['adminPass'] === 'string' ? wish['adminPass'] : newPassword(parts.random);
  const view = rebuiltView(stored.record, await sightOf(call, parts));
  return { body: { server: { ...view, adminPass } }, headers: { Location: `${call.links.self}/servers/${record.id}` } };
}

function wishOf(call: Call): Members {
  const outer = call.body !== null && typeof call.body === 'object' ? Object.fromEntries(Object.entries(call.body)) : {};
  const given: { [name: string]: unknown } = Object.fromEntries(Object.entries(outer['rebuild'] ?? {}));
  // Legacy bodies may hold members of later versions; they mean nothing there.
  return Object.fromEntries(Object.entries(given).filter(([name]) => (LATER[name] ?? 1) <= call.version));
}

const LATER: { readonly [member: string]: number } = {
  description: SINCE.serverDescription,
  key_name: SINCE.rebuildKey,
  user_data: SINCE.noPersonality,
  trusted_image_certificates: SINCE.trustedCertificates,
  hostname: SINCE.hostname,
};

function refuseCertificates(call: Call, wish: Members): void {
  const given = wish['trusted_image_certificates'];
  if (call.version >= SINCE.trustedCertificates && Array.isArray(given) && given.length > 0) {
    throw invalid('Image signature verification is not enabled: trusted_image_certificates cannot be checked.');
  }
}

/** Fits the flavor that the server has, which does not change. */
async function imageFor(call: Call, parts: ComputeParts, { flavor }: InstanceRecord, imageId: string): Promise<CatalogImage> {
  const image = await readableImage(call, parts, imageId);
  if (image === null) throw invalid('Cannot find image for rebuild');
  if (image.status !== 'active') throw invalid(`Image ${image.id} is not active.`);
  if (flavor.memoryMiB < image.minMemoryMiB) throw invalid("Flavor's memory is too small for requested image.");
  if (flavor.rootGiB > 0) refuseLarge(flavor, image);
  return image;
}

async function changesOf(parts: ComputeParts, record: InstanceRecord, wish: Members): Promise<RebuildChanges> {
  const has = (name: string): boolean => wish[name] !== undefined;
  const textOrNull = (name: string): string | null => (typeof wish[name] === 'string' && wish[name] !== '' ? String(wish[name]) : null);
  return {
    ...(has('name') && { name: String(wish['name']).trim() }),
    ...(has('description') && { description: textOrNull('description') }),
    ...(has('hostname') && { hostname: String(wish['hostname']) }),
    ...(has('OS-DCF:diskConfig') && { diskConfig: wish['OS-DCF:diskConfig'] === 'MANUAL' ? ('MANUAL' as const) : ('AUTO' as const) }),
    ...(has('accessIPv4') && { accessIpV4: textOrNull('accessIPv4') }),
    ...(has('accessIPv6') && { accessIpV6: textOrNull('accessIPv6') }),
    ...(has('metadata') && { metadata: textsOf(wish['metadata']) }),
    ...(has('key_name') && { keyName: textOrNull('key_name'), publicKey: await keyFor(parts, record.userId, textOrNull('key_name')) }),
    ...(has('user_data') && { userData: textOrNull('user_data') }),
  };
}

async function keyFor(parts: ComputeParts, userId: string, name: string | null): Promise<string | null> {
  if (name === null) return null;
  const key = await parts.actors.ask(CONDUCTOR, { type: 'showKeyPair', userId, name });
  if (key === null) throw invalid('Invalid key_name provided.');
  return key.publicKey;
}

async function refuseOverLimits(call: Call, parts: ComputeParts, wish: Members): Promise<void> {
  const items = Object.keys(textsOf(wish['metadata'])).length;
  const files = Array.isArray(wish['personality']) ? wish['personality'] : [];
  if (items === 0 && files.length === 0) return;
  const limits = await limitsOf(parts, call.caller);
  const over = (limit: number, count: number): boolean => limit >= 0 && count > limit;
  if (over(limits.metadata_items, items)) throw forbidden(`Maximum number of metadata items exceeds ${limits.metadata_items}`, 'quota.metadata_items');
  if (over(limits.injected_files, files.length)) throw forbidden('Personality file limit exceeded', 'quota.injected_files');
  for (const file of files) {
    const { path, contents } = Object.fromEntries(Object.entries(file ?? {}));
    if (typeof path !== 'string' || path === '') throw invalid('Bad personality format: missing path');
    if (typeof contents !== 'string' || (!call.legacy && !isBase64(contents))) throw invalid(`Personality content for ${path.slice(0, 100)} cannot be decoded`);
  }
}

function textsOf(value: unknown): { [key: string]: string } {
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, item]) => [key, String(item)]));
}
