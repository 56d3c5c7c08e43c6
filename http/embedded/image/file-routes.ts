/**
 * The bytes of an image: upload once, download whole or a part, both as streams of bounded number.
 *
 * queued → saving (one uploader wins) → active, when file and record are both on disk. A broken upload leaves no file
 * and the image queued. If it can't be known whether the last commit happened, the file stays for the next sweep to
 * judge by the records. Bytes that lie at another node are passed on from there.
 */
import type { FileHandle } from 'node:fs/promises';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call, Route } from '../wire.ts';
import type { ImageService } from './parts.ts';
import type { Draft } from './blobs.ts';
import { imageIdOf, callerOf, ownImage, visibleImage, type ImageCaller } from './caller.ts';
import { about, invalid, refuse } from './error.ts';
import { openAtPeer, verified } from './peers.ts';

const UPLOADS_MAX = 32;
const DOWNLOADS_MAX = 256;
const READ_BYTES = 262_144;

export function fileRoutes(service: ImageService): Route[] {
  const uploads = gate(UPLOADS_MAX);
  const downloads = gate(DOWNLOADS_MAX);
  return [
    ['PUT', '/v2/images/:id/file', (call) => uploads(call, () => upload(service, call))],
    ['GET', '/v2/images/:id/file', (call) => downloads(call, () => download(service, call))],
    ['HEAD', '/v2/images/:id/file', (call) => describe(service, call)],
  ];
}

/** So many at once, counted until the answer has ended. */
function gate(max: number): (call: Call, run: () => Promise<void>) => Promise<void> {
  let open = 0;
  return async ({ ctx }, run) => {
    if (open >= max) throw new Fault('overloaded', 'image.streams', 'Too many image transfers at once.');
    open++;
    ctx.res.once('close', () => void open--);
    await run();
  };
}

async function upload(service: ImageService, call: Call): Promise<void> {
  const { actors, blobs, uploads, clock, random, settings, log } = service;
  const { ctx } = call;
  const type = ctx.get('content-type').split(';')[0]?.trim();
  if (type !== 'application/octet-stream')
    throw new Fault('invalid', 'mediaType', `Unsupported Content-Type: ${type ?? ''}; image data is application/octet-stream.`);
  const image = await writable(service, call);
  const { id } = image;
  const missing = [...(image.containerFormat === null ? ['container_format'] : []), ...(image.diskFormat === null ? ['disk_format'] : [])];
  if (missing.length > 0) throw invalid(`Properties ${missing.join(', ')} must be set prior to saving data.`);
  if (Number(ctx.get('content-length') || 0) > settings.sizeMaxBytes)
    throw new Fault('tooLarge', 'image.size', `The image is larger than ${settings.sizeMaxBytes} bytes.`);
  const uploadId = random.uuid();
  uploads.add(uploadId);
  try {
    await about(id, begin(service, image, uploadId));
    try {
      const draft = await blobs.write(ctx.req, settings.sizeMaxBytes);
      try {
        await blobs.alone(draft.hash, () => finish(service, image, uploadId, draft));
      } finally {
        await draft.discard();
      }
    } catch (error) {
      await actors.ask(CONDUCTOR, { type: 'imageAbortUpload', id, uploadId, nowMs: clock.wallMs() }).catch((second: unknown) => {
        log.warn('an upload could not be taken back; the next round does', { image: id, error: second });
      });
      throw error;
    }
  } finally {
    uploads.delete(uploadId);
  }
  ctx.status = 204;
}

/** For who may change it, and for the bearer of a ticket that is for its bytes. */
async function writable(service: ImageService, call: Call): Promise<ImageRecord> {
  if (service.tickets.check(call.ctx.get('x-auth-token'), imageIdOf(call)) === 'write') return visibleImage(call, service, BEARER);
  return (await ownImage(call, service, 'upload data to')).image;
}

async function begin({ actors, clock, node }: ImageService, image: ImageRecord, uploadId: string): Promise<void> {
  try {
    await actors.ask(CONDUCTOR, { type: 'imageBeginUpload', id: image.id, uploadId, node, nowMs: clock.wallMs() });
  } catch (error) {
    throw Fault.is(error, 'conflict') ? inTheWay(image) : error;
  }
}

async function finish({ actors, copies, clock, node }: ImageService, { id }: ImageRecord, uploadId: string, draft: Draft): Promise<void> {
  const { sizeBytes, checksum, hash } = draft;
  await draft.keep();
  try {
    await actors.ask(CONDUCTOR, { type: 'imageEndUpload', id, uploadId, node, sizeBytes, checksum, hash, nowMs: clock.wallMs() });
  } catch (error) {
    const refused = Fault.is(error, 'conflict') || Fault.is(error, 'notFound');
    if (!refused) throw error;
    await copies.dropUnused(hash);
    throw new Fault('notFound', 'image.none', `Image ${id} could not be found after upload. The image may have been deleted during the upload.`);
  }
}

function inTheWay({ id, status }: ImageRecord): Fault {
  return new Fault('conflict', 'image.status', `Image ${id} has its data already, or is getting it (status ${status}).`);
}

async function download(service: ImageService, call: Call): Promise<void> {
  const { ctx } = call;
  const found = await readable(service, call);
  if (found === undefined) return;
  const { image, isPeer } = found;
  const range = wantedRange(call, image);
  const file = await service.blobs.open(image.hash ?? '');
  if (!file && isPeer) throw new Fault('notFound', 'image.file', `The data of image ${image.id} is not here.`);
  ctx.body = file ? streamOf(file, range) : await passedOn(service, call, image, range);
  headers(call, image, range);
}

/** From a node that holds it. The whole of it is checked on its way; who asks for parts checks them together. */
async function passedOn(service: ImageService, { signal }: Call, image: ImageRecord, range: Range): Promise<NodeJS.ReadableStream> {
  const bytes = { id: image.id, hash: image.hash ?? '', sizeBytes: image.sizeBytes ?? 0 };
  const { body, holders } = await openAtPeer(service, bytes, signal, range.part ? range : undefined);
  service.copies.want(bytes, holders);
  return range.part ? body : verified(body, bytes);
}

async function describe(service: ImageService, call: Call): Promise<void> {
  const found = await readable(service, call);
  if (found) headers(call, found.image, wantedRange(call, found.image));
}

/** undefined: answered already, with 204, since there are no bytes. `isPeer`: another image service asks. */
async function readable(service: ImageService, call: Call): Promise<{ image: ImageRecord; isPeer: boolean } | undefined> {
  const use = service.tickets.check(call.ctx.get('x-auth-token'), imageIdOf(call));
  const caller = use === undefined || use === 'write' ? await callerOf(call, service) : BEARER;
  const image = await visibleImage(call, service, caller);
  if (image.status === 'deactivated' && !caller.admin) throw refuse('The requested image has been deactivated. Image data download is forbidden.');
  if (image.sizeBytes !== null && image.sizeBytes > 0) return { image, isPeer: use === 'copy' };
  call.ctx.status = 204;
  return undefined;
}

/** Whoever gave the ticket has looked at the rights to that image. */
const BEARER: ImageCaller = { projectId: null, admin: true, writer: false };

type Range = { readonly first: number; readonly last: number; readonly part: boolean };

function headers({ ctx }: Call, { checksum, sizeBytes }: ImageRecord, { first, last, part }: Range): void {
  ctx.status = part ? 206 : 200;
  ctx.type = 'application/octet-stream';
  ctx.set('Accept-Ranges', 'bytes');
  ctx.set('Content-Length', String(last - first + 1));
  if (part) ctx.set('Content-Range', `bytes ${first}-${last}/${sizeBytes ?? 0}`);
  else if (checksum !== null) ctx.set('Content-MD5', checksum);
}

function streamOf(file: FileHandle, { first, last }: Range): NodeJS.ReadableStream {
  return file.createReadStream({ start: first, end: last, autoClose: true, highWaterMark: READ_BYTES });
}

function wantedRange({ ctx }: Call, { sizeBytes }: ImageRecord): Range {
  try {
    return rangeOf(ctx.get('range'), sizeBytes ?? 0);
  } catch (error) {
    ctx.set('Content-Range', `bytes */${sizeBytes ?? 0}`);
    throw error;
  }
}

/** One range; what is no range of bytes is ignored, as HTTP has it. */
function rangeOf(header: string, size: number): Range {
  const [, from, to] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header.trim()) ?? [];
  if (from === undefined || to === undefined || from + to === '') return { first: 0, last: size - 1, part: false };
  const first = from === '' ? Math.max(0, size - Number(to)) : Number(from);
  const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
  if (first > last || first >= size) throw new Fault('invalid', 'range', 'The requested range is outside of the image.');
  return { first, last, part: true };
}
