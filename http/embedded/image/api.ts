/**
 * The embedded Image v2 service (conventional port 9292): create, upload, list, show, change, download, share.
 * No import, tasks, metadata definitions or several stores.
 *
 * Records are reached through the conductor, bytes are files of `blobs`, a directory that this process must own
 * alone, or lie at other nodes' image services. The listener must not limit the length of a request in time
 * (`requestTimeout: 0`): silent clients are cut off here.
 */
import type Koa from 'koa';
import type { Route } from '../wire.ts';
import { ownUrl, wireApp } from '../wire.ts';
import { openBlobs } from './blobs.ts';
import { callerOf } from './caller.ts';
import { Copies } from './copies.ts';
import { renderImageError } from './error.ts';
import { fileRoutes } from './file-routes.ts';
import { imageRoutes } from './image-routes.ts';
import { memberRoutes } from './member-routes.ts';
import type { ImageParts, ImageService } from './parts.ts';
import { IMAGE_SCHEMA, IMAGES_SCHEMA, MEMBER_SCHEMA, MEMBERS_SCHEMA } from './view.ts';

export { IMAGE_SETTINGS } from './parts.ts';

/** Of JSON bodies: 128 properties of their full length do not fit, and need not. */
const BODY_MAX_BYTES = 1_048_576;

/** Resolves when the directory is in order and uploads that a former process left are open again. `close` ends what it does by the clock. */
export async function imageApi(parts: ImageParts): Promise<{ readonly app: Koa; readonly close: () => Promise<void> }> {
  const { clock, random, log, settings } = parts;
  const blobs = await openBlobs(parts.blobs, clock, random);
  const uploads = new Set<string>();
  const copies = new Copies({ ...parts, blobs, uploads });
  await copies.open();
  const service: ImageService = { ...parts, blobs, copies, uploads };
  const routes = [...plainRoutes(service), ...imageRoutes(service), ...fileRoutes(service), ...memberRoutes(service)];
  return { app: wireApp({ routes, clock, random, log, bodyMaxBytes: BODY_MAX_BYTES, renderError: renderImageError }), close: () => copies.close() };

  function plainRoutes(shared: ImageService): Route[] {
    const versions =
      (status: number): Route[2] =>
      ({ ctx }) => {
        ctx.status = status;
        ctx.body = {
          versions: VERSIONS.map((id, n) => ({
            id,
            status: n === 0 ? 'CURRENT' : 'SUPPORTED',
            links: [{ rel: 'self', href: `${ownUrl(ctx, settings.publicUrl)}/v2/` }],
          })),
        };
      };
    const known =
      (body: object): Route[2] =>
      async (call) => {
        await callerOf(call, shared);
        call.ctx.body = body;
      };
    return [
      ['GET', '/', versions(300)],
      ['GET', '/v2', versions(300)],
      ['GET', '/versions', versions(200)],
      ['GET', '/v2/schemas/image', known(IMAGE_SCHEMA)],
      ['GET', '/v2/schemas/images', known(IMAGES_SCHEMA)],
      ['GET', '/v2/schemas/member', known(MEMBER_SCHEMA)],
      ['GET', '/v2/schemas/members', known(MEMBERS_SCHEMA)],
      ['GET', '/v2/info/import', known({ 'import-methods': { description: 'Import methods available.', type: 'array', value: [] } })],
      ['GET', '/v2/info/stores', known({ stores: [{ id: 'file', description: 'Files of this service', default: 'true' }] })],
    ];
  }
}

/** Newest first. */
const VERSIONS = ['v2.9', 'v2.7', 'v2.6', 'v2.5', 'v2.4', 'v2.3', 'v2.2', 'v2.1', 'v2.0'] as const;
