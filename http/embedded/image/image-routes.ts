/** Images as records: create, list, show, patch, delete, tags, deactivate. The bytes are in `file-routes.ts`. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call, Route } from '../wire.ts';
import { ownUrl } from '../wire.ts';
import type { ImageService } from './parts.ts';
import type { ImageCaller } from './caller.ts';
import { callerOf, ownImage, visibleImage, writerOf } from './caller.ts';
import { about, invalid, refuse } from './error.ts';
import { applyPatch, parsePatch, PATCH_TYPES } from './patch.ts';
import { parseImageQuery } from './query.ts';
import { BASE, checkQuotas, idOf, propertyOf, refuseFixed, tagOf, TAGS_MAX } from './schema.ts';
import { renderImage } from './view.ts';

/** Two who patch the same image at once: the later one looks again, so often. */
const PATCH_TRIES = 5;

export function imageRoutes(service: ImageService): Route[] {
  return [
    ['POST', '/v2/images', (call) => create(service, call)],
    ['GET', '/v2/images', (call) => list(service, call)],
    ['GET', '/v2/images/:id', (call) => show(service, call)],
    ['PATCH', '/v2/images/:id', (call) => patch(service, call)],
    ['DELETE', '/v2/images/:id', (call) => remove(service, call)],
    ['PUT', '/v2/images/:id/tags/:tag', (call) => addTag(service, call)],
    ['DELETE', '/v2/images/:id/tags/:tag', (call) => removeTag(service, call)],
    ['POST', '/v2/images/:id/actions/:action', (call) => act(service, call)],
  ];
}

async function create(service: ImageService, call: Call): Promise<void> {
  const { actors, clock, random, settings } = service;
  const caller = await writerOf(call, service);
  const body = await call.json();
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw invalid('Request body must be a JSON object.');
  const { id, ...members } = Object.fromEntries<unknown>(Object.entries(body));
  const nowMs = clock.wallMs();
  const fresh: ImageRecord = {
    id: id === undefined ? random.uuid() : idOf(id),
    name: null,
    status: 'queued',
    visibility: 'shared',
    owner: caller.projectId,
    protected: false,
    hidden: false,
    diskFormat: null,
    containerFormat: null,
    minDiskGiB: 0,
    minMemoryMiB: 0,
    sizeBytes: null,
    virtualSizeBytes: null,
    checksum: null,
    hash: null,
    tags: [],
    properties: {},
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    version: 1,
  };
  const record = Object.entries(members).reduce(withMember, fresh);
  checkQuotas(record);
  checkOwnership(caller, fresh, record);
  try {
    await actors.ask(CONDUCTOR, { type: 'imageCreate', record });
  } catch (error) {
    if (Fault.is(error, 'conflict')) throw new Fault('conflict', 'image.id', `Image ID ${record.id} already exists!`);
    throw error;
  }
  call.ctx.status = 201;
  call.ctx.set('Location', `${ownUrl(call.ctx, settings.publicUrl)}/v2/images/${record.id}`);
  call.ctx.body = renderImage(record);
}

function withMember(record: ImageRecord, [name, value]: [string, unknown]): ImageRecord {
  refuseFixed(name);
  const base = Object.hasOwn(BASE, name) ? BASE[name] : undefined;
  if (base) return { ...record, ...base(value) };
  return { ...record, properties: { ...record.properties, [name]: propertyOf(name, value) } };
}

/** Publishing, and giving an image to another project, is for administrators. */
function checkOwnership({ admin }: ImageCaller, before: ImageRecord, after: ImageRecord): void {
  if (admin) return;
  if (after.visibility !== before.visibility && after.visibility === 'public') throw refuse('You are not authorized to complete publicize_image action.');
  if (after.owner !== before.owner) throw refuse(`You are not permitted to create images owned by '${after.owner ?? ''}'.`);
}

async function list({ actors, ...service }: ImageService, call: Call): Promise<void> {
  const { projectId, admin } = await callerOf(call, { actors, ...service });
  const { filter, sort, marker, limit } = parseImageQuery(call.query);
  const images = await actors.ask(CONDUCTOR, { type: 'imageList', viewer: { projectId, admin }, filter, sort, marker, limit });
  const last = images.at(-1);
  const without = new URLSearchParams(call.query);
  without.delete('marker');
  const next = new URLSearchParams(without);
  if (last) next.set('marker', last.id);
  const address = (query: URLSearchParams): string => (query.size === 0 ? '/v2/images' : `/v2/images?${query.toString()}`);
  call.ctx.body = {
    images: images.map(renderImage),
    first: address(without),
    ...(last && images.length === limit ? { next: address(next) } : {}),
    schema: '/v2/schemas/images',
  };
}

async function show(service: ImageService, call: Call): Promise<void> {
  call.ctx.body = renderImage(await visibleImage(call, service, await callerOf(call, service)));
}

async function patch(service: ImageService, call: Call): Promise<void> {
  const type = call.ctx.get('content-type').split(';')[0]?.trim().toLowerCase() ?? '';
  const minor = Object.hasOwn(PATCH_TYPES, type) ? PATCH_TYPES[type] : undefined;
  if (minor === undefined) {
    call.ctx.set('Accept-Patch', Object.keys(PATCH_TYPES).join(', '));
    throw new Fault('invalid', 'mediaType', `The media type ${type} is not supported: ${Object.keys(PATCH_TYPES).join(', ')} are.`);
  }
  const changes = parsePatch(await call.json(), minor);
  for (let tries = PATCH_TRIES; ; tries--) {
    const { image, caller } = await ownImage(call, service, 'modify');
    const changed = { ...applyPatch(image, changes), updatedAtMs: service.clock.wallMs() };
    checkOwnership(caller, image, changed);
    try {
      call.ctx.body = renderImage(await about(image.id, service.actors.ask(CONDUCTOR, { type: 'imageReplace', record: changed })));
      return;
    } catch (error) {
      if (tries === 1 || !Fault.is(error, 'conflict')) throw error;
    }
  }
}

/** The file goes after the record, at once here and with the next sweep elsewhere. An upload in flight finds its record gone. */
async function remove(service: ImageService, call: Call): Promise<void> {
  const { actors, blobs, copies, log } = service;
  const { image } = await ownImage(call, service, 'delete');
  const { id, hash } = image;
  try {
    await about(id, actors.ask(CONDUCTOR, { type: 'imageDelete', id }));
  } catch (error) {
    if (Fault.is(error, 'conflict')) throw refuse(`Image ${id} is protected and cannot be deleted.`);
    throw error;
  }
  if (hash !== null) {
    await blobs.alone(hash, () => copies.dropUnused(hash)).catch((error: unknown) => log.info('bytes of a deleted image go later', { image: id, error }));
  }
  call.ctx.status = 204;
}

async function addTag(service: ImageService, call: Call): Promise<void> {
  const { image } = await ownImage(call, service, 'modify');
  const tag = tagOf(call.params['tag']);
  await about(image.id, service.actors.ask(CONDUCTOR, { type: 'imageAddTag', id: image.id, tag, max: TAGS_MAX, nowMs: service.clock.wallMs() }));
  call.ctx.status = 204;
}

async function removeTag(service: ImageService, call: Call): Promise<void> {
  const { image } = await ownImage(call, service, 'modify');
  const tag = call.params['tag'] ?? '';
  try {
    await service.actors.ask(CONDUCTOR, { type: 'imageRemoveTag', id: image.id, tag, nowMs: service.clock.wallMs() });
  } catch (error) {
    if (Fault.is(error, 'notFound')) throw new Fault('notFound', 'image.tag', `Image ${image.id} has no tag ${tag}.`);
    throw error;
  }
  call.ctx.status = 204;
}

/** Only administrators: a deactivated image is one that an operator distrusts. */
async function act(service: ImageService, call: Call): Promise<void> {
  const caller = await callerOf(call, service);
  const { action = '' } = call.params;
  if (action !== 'deactivate' && action !== 'reactivate') throw new Fault('notFound', 'route', 'The resource could not be found.');
  const image = await visibleImage(call, service, caller);
  if (!caller.admin) throw refuse('You are not authorized to complete this action.');
  const to = action === 'deactivate' ? 'deactivated' : 'active';
  try {
    await service.actors.ask(CONDUCTOR, { type: 'imageSetStatus', id: image.id, from: ['active', 'deactivated'], to, nowMs: service.clock.wallMs() });
  } catch (error) {
    if (Fault.is(error, 'conflict')) throw refuse(`Not allowed to ${action} image in status '${image.status}'`);
    throw error;
  }
  call.ctx.status = 204;
}
