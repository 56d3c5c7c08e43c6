/**
 * Request bodies: bounded, read once, JSON or nothing. A body that is longer than the limit is never held in memory.
 */
import type { IncomingMessage } from 'node:http';
import { Fault } from '../../runtime/base/fault.ts';
import { parseJson } from './json.ts';

/** As the Compute API has it: longer is 413. */
export const BODY_MAX = 114_688;

const JSON_TYPES = new Set(['application/json', 'application/vnd.openstack.compute+json', 'text/plain']);

/** The parsed body; null for an empty one. Faults: `tooLarge`, `invalid`, and 415 for another content type. */
export async function readJsonBody(request: IncomingMessage, limit = BODY_MAX): Promise<unknown> {
  refuseOtherTypes(request.headers['content-type']);
  const bytes = await readBody(request, limit);
  return bytes.length === 0 ? null : parseJson(bytes);
}

function refuseOtherTypes(header: string | undefined): void {
  if (header === undefined || header === 'application/json') return;
  const type = header.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (type !== '' && !JSON_TYPES.has(type)) {
    throw new Fault('invalid', 'http.mediaType', `Unsupported Content-Type: ${type.slice(0, 100)}`);
  }
}

/** All bytes of the body. Faults: `tooLarge`; `cancelled` when the client went away. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > limit) return Promise.reject(tooLarge(limit));
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    request.on('data', (chunk: Buffer) => {
      length += chunk.length;
      if (length > limit) {
        request.removeAllListeners('data');
        request.resume();
        reject(tooLarge(limit));
        return;
      }
      chunks.push(chunk);
    });
    const gone = (): void => reject(new Fault('cancelled', 'http.gone', 'The client closed the connection.'));
    request.once('end', () => {
      request.off('close', gone); // it comes after every request, answered or not
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    });
    request.once('error', gone);
    request.once('close', gone);
  });
}

function tooLarge(limit: number): Fault {
  return new Fault('tooLarge', 'http.body', `Request is too large: at most ${limit} bytes are taken.`);
}
