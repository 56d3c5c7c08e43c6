/**
 * Bytes of a host to any Image v2 service: by a ticket that somebody with credentials gives (this node may have none), at
 * the first of its addresses that takes them. Whether the image has them already is known by who gives the ticket.
 */
import { request } from 'undici';
import { Fault } from '../../runtime/base/fault.ts';
import type { ImageSink, OpenCopy } from '../driver.ts';
import type { Ticket } from './ticket-images.ts';

export type Upload = { readonly is: 'done' } | ({ readonly is: 'open' } & Ticket);
/** `again`: the last one was refused where it led to. */
export type AskUpload = (image: { readonly imageId: string; readonly instanceId: string }, again: boolean, signal: AbortSignal) => Promise<Upload>;

const ADDRESSES_MAX = 8;

export function ticketUpload(ask: AskUpload): ImageSink {
  return {
    async store(image, open, signal) {
      for (const again of [false, true]) {
        const ticket = await ask(image, again, signal);
        if (ticket.is === 'done') return;
        if ((await tryAll(ticket, open, signal)) === 'taken') return;
      }
      throw new Fault('unavailable', 'image.refused', 'The image service does not accept the tickets that it was asked with.');
    },
  };
}

/** Addresses in order; the fault of the last one when none takes the bytes. */
async function tryAll({ urls, token }: Ticket, open: () => Promise<OpenCopy>, signal: AbortSignal): Promise<'taken' | 'refused'> {
  let failed = new Fault('unavailable', 'image.noEndpoint', 'No image service is known.');
  for (const url of urls.slice(0, ADDRESSES_MAX)) {
    const copy = await open();
    try {
      const status = await put(url, token, copy, signal);
      if (status === 204 || status === 200) return 'taken';
      failed = faultOf(status);
      if (failed.code === 'unauthorized') return 'refused';
      if (!failed.retryable) throw failed;
    } catch (error) {
      if (!Fault.is(error) || !error.retryable) throw error;
      failed = error;
    } finally {
      copy.body.destroy();
    }
  }
  throw failed;
}

async function put(url: string, token: string, { body, sizeBytes }: OpenCopy, signal: AbortSignal): Promise<number> {
  const headers = { 'x-auth-token': token, 'content-type': 'application/octet-stream', 'content-length': String(sizeBytes) };
  try {
    // Until the last byte is there no answer comes; the verb has its own limit.
    const answer = await request(url, { method: 'PUT', headers, body, headersTimeout: 0, bodyTimeout: 0, signal });
    await answer.body.dump();
    return answer.statusCode;
  } catch (error) {
    if (signal.aborted) throw Fault.is(signal.reason) ? signal.reason : new Fault('cancelled', 'image.cancelled', 'The upload was called off.');
    if (Fault.is(error)) throw error;
    throw new Fault('unavailable', 'image.away', 'The image service does not answer.', { cause: error });
  }
}

/** 409: somebody brings the bytes already, or has; the next ticket tells which. */
function faultOf(status: number): Fault {
  if (status === 401) return new Fault('unauthorized', 'image.refused', 'The image service does not accept the ticket.');
  if (status === 404 || status === 410) return new Fault('notFound', 'image.none', 'The image was deleted.');
  if (status === 403) return new Fault('forbidden', 'image.forbidden', 'The image may not be written.');
  if (status === 413) return new Fault('tooLarge', 'image.size', 'The image is too large for the image service.');
  if (status === 400 || status === 415) return new Fault('invalid', 'image.invalid', 'The image service does not take the image.');
  return new Fault('unavailable', 'image.failed', `The image service answered ${status}.`);
}
