/** The disk of a guest from the host that it comes from (http/disks.ts there), at the first address that answers. */
import type { Readable } from 'node:stream';
import { request } from 'undici';
import { Fault } from '../../runtime/base/fault.ts';

export type Way = { readonly urls: readonly string[]; readonly token: string };

const HEADERS_MS = 30_000;
/** Between two pieces; a host that is gone without a word is noticed by it. */
const BODY_MS = 60_000;
const ADDRESSES_MAX = 8;

/** Faults: `unavailable` (it does not answer, or gives it no more), `cancelled`. */
export async function openGuestDisk({ urls, token }: Way, signal: AbortSignal): Promise<Readable> {
  for (const url of urls.slice(0, ADDRESSES_MAX)) {
    try {
      const answer = await request(url, { headers: { 'x-auth-token': token }, headersTimeout: HEADERS_MS, bodyTimeout: BODY_MS, signal });
      if (answer.statusCode === 200) return answer.body;
      await answer.body.dump();
    } catch (error) {
      if (signal.aborted)
        throw Fault.is(signal.reason) ? signal.reason : new Fault('cancelled', 'disk.cancelled', 'The transfer was called off.', { cause: error });
    }
  }
  throw new Fault('unavailable', 'disk.away', 'The other host does not give the disk of the server.');
}
