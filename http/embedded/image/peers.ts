/**
 * Bytes that lie at another image service of the same cloud: asked of its holders in turn, with a ticket of our own,
 * as a stream that is pulled as fast as it is read and never kept as a whole.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { request } from 'undici';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Log } from '../../../runtime/base/log.ts';
import type { Actors } from '../../../runtime/actor/ask.ts';
import type { Tickets } from './ticket.ts';

/** A holder that does not begin, or stops, for so long is given up. */
const HEADERS_MS = 10_000;
const IDLE_MS = 30_000;

export type PeerParts = { readonly actors: Actors; readonly node: string; readonly tickets: Tickets; readonly log: Log };
export type WantedBytes = { readonly id: string; readonly hash: string; readonly sizeBytes: number };

/** `holders`: other nodes that hold the bytes. Fault `unavailable` when none gives them. `part`: first and last byte. */
export async function openAtPeer(
  { actors, node, tickets, log }: PeerParts,
  image: WantedBytes,
  signal: AbortSignal,
  part?: { readonly first: number; readonly last: number },
): Promise<{ readonly body: Readable; readonly holders: number }> {
  const doors = await actors.ask(CONDUCTOR, { type: 'imageDoors', hash: image.hash, except: node }, { signal });
  const holders = doors.filter(({ holds }) => holds);
  for (const holder of holders) {
    try {
      const answer = await request(`${holder.url}/v2/images/${image.id}/file`, {
        headers: { 'x-auth-token': tickets.issue('copy', image.id).token, ...(part ? { range: `bytes=${part.first}-${part.last}` } : {}) },
        headersTimeout: HEADERS_MS,
        bodyTimeout: IDLE_MS,
        signal,
      });
      if (answer.statusCode === (part ? 206 : 200)) return { body: answer.body, holders: holders.length };
      await answer.body.dump();
      log.warn('a holder of an image does not give it', { image: image.id, holder: holder.node, status: answer.statusCode });
    } catch (error) {
      signal.throwIfAborted();
      log.info('a holder of an image does not answer', { image: image.id, holder: holder.node, error });
    }
  }
  throw new Fault('unavailable', 'image.holders', `The data of image ${image.id} cannot be had now: no node that holds it answers.`);
}

/**
 * The same bytes, all but the last piece as they come; that one only when hash and size are right, so that nobody
 * takes wrong bytes for whole ones: the stream breaks instead.
 */
export function verified(from: Readable, { id, hash, sizeBytes }: WantedBytes): Readable {
  async function* checked(): AsyncGenerator<Buffer> {
    const sha512 = createHash('sha512');
    let size = 0;
    let last: Buffer | undefined;
    for await (const chunk of from) {
      const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      if (last !== undefined) yield last;
      last = bytes;
      size += bytes.length;
      sha512.update(bytes);
    }
    if (size !== sizeBytes || sha512.digest('hex') !== hash) throw new Fault('unavailable', 'image.wrongBytes', `The data of image ${id} came damaged.`);
    if (last !== undefined) yield last;
  }
  return Readable.from(checked(), { objectMode: false });
}
