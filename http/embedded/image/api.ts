/**
 * The embedded Image v2 service (conventional port 9292): create, upload, list, show, change, download, share.
 * No import, tasks, metadata definitions or several stores.
 *
 * Records are reached through the conductor, bytes are files of `blobs`, a directory that this process must own
 * alone: at start it removes there what no record claims. The listener must not limit the length of a request in
 * time (`requestTimeout: 0`): silent clients are cut off here.
 */
import type Koa from 'koa';
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Route } from '../wire.ts';
import { ownUrl, wireApp } from '../wire.ts';
import { openBlobs } from './blobs.ts';
import { callerOf } from './caller.ts';
import { renderImageError } from './error.ts';
import { fileRoutes } from './file-routes.ts';
import { imageRoutes } from './image-routes.ts';
import { memberRoutes } from './member-routes.ts';
import type { ImageParts, ImageService } from './parts.ts';
import { IMAGE_SCHEMA, IMAGES_SCHEMA, MEMBER_SCHEMA, MEMBERS_SCHEMA } from './view.ts';

export { IMAGE_SETTINGS } from './parts.ts';

/** Of JSON bodies: 128 properties of their full length do not fit, and need not. */
const BODY_MAX_BYTES = 1_048_576;

/** Resolves when the directory is in order and uploads that a former process left are open again. */
export async function imageApi(parts: ImageParts): Promise<Koa> {
  const { actors, clock, random, log, settings } = parts;
  const blobs = await openBlobs(parts.blobs, clock);
  const reset = await actors.ask(CONDUCTOR, { type: 'imageResetUploads', nowMs: clock.wallMs() });
  const swept = await blobs.sweep((ids) => actors.ask(CONDUCTOR, { type: 'imageWithBytes', ids }));
  if (reset + swept > 0) log.info('image leftovers removed', { uploads: reset, files: swept });
  const service: ImageService = { ...parts, blobs, busy: new Set() };
  const routes = [...plainRoutes(service), ...imageRoutes(service), ...fileRoutes(service), ...memberRoutes(service)];
  return wireApp({ routes, clock, random, log, bodyMaxBytes: BODY_MAX_BYTES, renderError: renderImageError });

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
