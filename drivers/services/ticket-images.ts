/**
 * Image bytes for a host, from any Image v2 service: by a ticket that somebody with credentials gives (this node may
 * have none), at the first of its addresses that answers. The bytes are judged by whoever keeps them.
 */
import type { Readable } from 'node:stream';
import { request } from 'undici';
import { Fault } from '../../runtime/base/fault.ts';
import type { ImageSource } from '../driver.ts';

export type Ticket = { readonly urls: readonly string[]; readonly token: string };
/** `again`: the last one was refused where it led to. */
export type AskTicket = (imageId: string, again: boolean, signal: AbortSignal) => Promise<Ticket>;

/** An image service may take so long to begin; the bytes themselves have the verb's own limit. */
const HEADERS_MS = 30_000;
const ADDRESSES_MAX = 8;

export function ticketImages(ask: AskTicket): ImageSource {
  return {
    async open(imageId, signal) {
      const first = await tryAll(await ask(imageId, false, signal), imageId, signal);
      const opened = first === 'refused' ? await tryAll(await ask(imageId, true, signal), imageId, signal) : first;
      if (opened !== 'refused') return opened;
      throw new Fault('unavailable', 'image.refused', 'The image service does not accept the tickets that it was asked with.');
    },
  };
}

/** Addresses in order; the fault of the last one when none has the bytes. */
async function tryAll({ urls, token }: Ticket, imageId: string, signal: AbortSignal): Promise<Readable | 'refused'> {
  let failed = new Fault('unavailable', 'image.noEndpoint', 'No image service is known.');
  for (const url of urls.slice(0, ADDRESSES_MAX)) {
    try {
      return await openOne(url, token, imageId, signal);
    } catch (error) {
      if (!Fault.is(error) || error.code === 'cancelled') throw error;
      failed = error;
    }
  }
  if (failed.code === 'unauthorized') return 'refused';
  throw failed;
}

async function openOne(url: string, token: string, imageId: string, signal: AbortSignal): Promise<Readable> {
  const answer = await request(url, { headers: { 'x-auth-token': token }, headersTimeout: HEADERS_MS, signal }).catch((error: unknown) => {
    if (signal.aborted) throw Fault.is(signal.reason) ? signal.reason : new Fault('cancelled', 'image.cancelled', 'The download was called off.');
    throw new Fault('unavailable', 'image.away', 'The image service does not answer.', { cause: error });
  });
  if (answer.statusCode === 200) return answer.body;
  await answer.body.dump();
  throw faultOf(answer.statusCode, imageId);
}

function faultOf(status: number, imageId: string): Fault {
  if (status === 401) return new Fault('unauthorized', 'image.refused', 'The image service does not accept the ticket.');
  if (status === 404) return new Fault('notFound', 'image.unknown', `Image ${imageId} could not be found.`);
  if (status === 204) return new Fault('invalid', 'image.empty', `Image ${imageId} has no data.`);
  if (status === 403) return new Fault('forbidden', 'image.forbidden', `Image ${imageId} may not be read.`);
  return new Fault('unavailable', 'image.failed', `The image service answered ${status}.`);
}
