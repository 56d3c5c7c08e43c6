/**
 * Who asks, and what they may do to an image. What they may not see does not exist for them (404); what they may see
 * but not change is 403. Administrators may all; changing needs the role `member`.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageRecord, ImageViewer } from '../../../actors/conductor/messages/image.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call } from '../wire.ts';
import { noImage, refuse } from './error.ts';
import type { ImageService } from './parts.ts';

export type ImageCaller = ImageViewer & { readonly writer: boolean };

const WRITERS: readonly string[] = ['admin', 'manager', 'member'];

export async function callerOf({ ctx, signal }: Call, { tokens }: ImageService): Promise<ImageCaller> {
  const token = ctx.get('x-auth-token');
  const owner = token === '' ? null : await tokens(token, signal);
  if (!owner) throw new Fault('unauthorized', 'image.auth', 'This server could not verify that you are authorized to access the document you requested.');
  return { projectId: owner.projectId, admin: owner.roles.includes('admin'), writer: owner.roles.some((role) => WRITERS.includes(role)) };
}

export async function writerOf(call: Call, service: ImageService): Promise<ImageCaller> {
  const caller = await callerOf(call, service);
  if (!caller.writer) throw refuse('You are not authorized to complete this action.');
  return caller;
}

/** Fault `notFound` also for an image that the caller may not see. */
export async function visibleImage(call: Call, { actors }: ImageService, caller: ImageCaller): Promise<ImageRecord> {
  const id = imageIdOf(call);
  const { projectId, admin } = caller;
  const image = await actors.ask(CONDUCTOR, { type: 'imageShow', id, viewer: { projectId, admin } });
  if (!image) throw noImage(id);
  return image;
}

/** The image, for somebody who may change it. */
export async function ownImage(call: Call, service: ImageService, what: string): Promise<{ image: ImageRecord; caller: ImageCaller }> {
  const caller = await callerOf(call, service);
  const image = await visibleImage(call, service, caller);
  if (!mayChange(caller, image)) throw refuse(`You are not permitted to ${what} this image.`);
  return { image, caller };
}

export function mayChange({ admin, writer, projectId }: ImageCaller, { owner }: ImageRecord): boolean {
  return admin || (writer && owner !== null && owner === projectId);
}

/** Ids become file names, so nothing else than a uuid gets past here. */
export function imageIdOf({ params }: Call): string {
  const id = (params['id'] ?? '').toLowerCase();
  if (!isUuid(id)) throw noImage(params['id'] ?? '');
  return id;
}
