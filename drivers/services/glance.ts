/** Image bytes from any Image v2 service, as a stream, with the cloud's own service account. */
import type { Readable } from 'node:stream';
import { request } from 'undici';
import { Fault } from '../../runtime/base/fault.ts';
import type { ImageSource } from '../driver.ts';
import type { ServiceSession } from './keystone.ts';

/** The image service may take so long to begin; the bytes themselves have the verb's own limit. */
const HEADERS_MS = 30_000;

/** `url`: where the image service is; without it the catalog says. */
export function glanceImages(session: ServiceSession, options: { url?: string } = {}): ImageSource {
  return {
    async open(imageId: string, signal: AbortSignal): Promise<Readable> {
      const { token, endpoint } = await session.token();
      const base = (options.url ?? endpoint('image'))?.replace(/\/+$/, '').replace(/\/v2$/, '');
      if (base === undefined) throw new Fault('unavailable', 'image.noEndpoint', 'The catalog names no image service.');
      const answer = await request(`${base}/v2/images/${encodeURIComponent(imageId)}/file`, {
        headers: { 'x-auth-token': token },
        headersTimeout: HEADERS_MS,
        signal,
      }).catch((error: unknown) => {
        if (signal.aborted) throw Fault.is(signal.reason) ? signal.reason : new Fault('cancelled', 'image.cancelled', 'The download was called off.');
        throw new Fault('unavailable', 'image.away', 'The image service does not answer.', { cause: error });
      });
      if (answer.statusCode === 200) return answer.body;
      await answer.body.dump();
      if (answer.statusCode === 401) session.forget();
      throw faultOf(answer.statusCode, imageId);
    },
  };
}

function faultOf(status: number, imageId: string): Fault {
  if (status === 404) return new Fault('notFound', 'image.unknown', `Image ${imageId} could not be found.`);
  if (status === 204) return new Fault('invalid', 'image.empty', `Image ${imageId} has no data.`);
  if (status === 403) return new Fault('forbidden', 'image.forbidden', `Image ${imageId} may not be read.`);
  return new Fault('unavailable', 'image.failed', `The image service answered ${status}.`);
}
