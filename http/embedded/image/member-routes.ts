/**
 * Sharing: the owner of a `shared` image names projects, each of them accepts or rejects for itself. A project that is
 * a member sees the image; its lists show it once accepted. Who may not know of a membership gets 404.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ImageMember, ImageMemberStatus, ImageRecord } from '../../../actors/conductor/messages/image.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Call, Route } from '../wire.ts';
import type { ImageService } from './parts.ts';
import type { ImageCaller } from './caller.ts';
import { callerOf, mayChange, visibleImage } from './caller.ts';
import { about, invalid, refuse } from './error.ts';
import { MEMBERS_MAX } from './schema.ts';
import { renderMember } from './view.ts';

const PROJECT_ID_MAX = 255;
const STATUSES: readonly ImageMemberStatus[] = ['pending', 'accepted', 'rejected'];

export function memberRoutes(service: ImageService): Route[] {
  return [
    ['GET', '/v2/images/:id/members', (call) => list(service, call)],
    ['POST', '/v2/images/:id/members', (call) => add(service, call)],
    ['GET', '/v2/images/:id/members/:member', (call) => show(service, call)],
    ['PUT', '/v2/images/:id/members/:member', (call) => answer(service, call)],
    ['DELETE', '/v2/images/:id/members/:member', (call) => remove(service, call)],
  ];
}

async function list(service: ImageService, call: Call): Promise<void> {
  const { members } = await membersFor(service, call);
  call.ctx.body = { members: members.map(renderMember), schema: '/v2/schemas/members' };
}

async function show(service: ImageService, call: Call): Promise<void> {
  const { members, image } = await membersFor(service, call);
  const member = members.find(({ projectId }) => projectId === call.params['member']);
  if (!member) throw noMember(image, call);
  call.ctx.body = renderMember(member);
}

async function add(service: ImageService, call: Call): Promise<void> {
  const { actors, clock } = service;
  const { image } = await ownShared(service, call);
  const body: unknown = await call.json();
  const projectId: unknown = typeof body === 'object' && body !== null && 'member' in body ? body.member : undefined;
  if (typeof projectId !== 'string' || projectId === '' || projectId.length > PROJECT_ID_MAX) throw invalid('Member to be added not specified');
  const nowMs = clock.wallMs();
  const member: ImageMember = { imageId: image.id, projectId, status: 'pending', createdAtMs: nowMs, updatedAtMs: nowMs };
  try {
    call.ctx.body = renderMember(await about(image.id, actors.ask(CONDUCTOR, { type: 'imageAddMember', member, max: MEMBERS_MAX })));
  } catch (error) {
    if (Fault.is(error, 'conflict')) throw new Fault('conflict', 'image.member', `Member ${projectId} is duplicated for image ${image.id}`);
    throw error;
  }
}

/** Only the member itself answers; its owner can't accept for others. */
async function answer(service: ImageService, call: Call): Promise<void> {
  const { actors, clock } = service;
  const { members, image, caller } = await membersFor(service, call);
  const projectId = call.params['member'] ?? '';
  if (!members.some((member) => member.projectId === projectId)) throw noMember(image, call);
  if (!caller.admin && !(caller.writer && caller.projectId === projectId)) throw refuse('You are not permitted to modify status on this image member.');
  const body: unknown = await call.json();
  const wanted: unknown = typeof body === 'object' && body !== null && 'status' in body ? body.status : undefined;
  const status = STATUSES.find((each) => each === wanted);
  if (status === undefined) throw invalid(`Status must be one of ${STATUSES.join(', ')}.`);
  call.ctx.body = renderMember(await actors.ask(CONDUCTOR, { type: 'imageSetMember', imageId: image.id, projectId, status, nowMs: clock.wallMs() }));
}

async function remove(service: ImageService, call: Call): Promise<void> {
  const { image } = await ownShared(service, call);
  const projectId = call.params['member'] ?? '';
  try {
    await service.actors.ask(CONDUCTOR, { type: 'imageRemoveMember', imageId: image.id, projectId });
  } catch (error) {
    if (Fault.is(error, 'notFound')) throw noMember(image, call);
    throw error;
  }
  call.ctx.status = 204;
}

async function ownShared(service: ImageService, call: Call): Promise<{ image: ImageRecord }> {
  const caller = await callerOf(call, service);
  const image = await visibleImage(call, service, caller);
  if (!mayChange(caller, image)) throw refuse('You are not permitted to change the members of this image.');
  if (image.visibility !== 'shared') throw refuse('Only shared images have members.');
  return { image };
}

/** All members for the owner; for a member, itself alone. */
async function membersFor(service: ImageService, call: Call): Promise<{ members: readonly ImageMember[]; image: ImageRecord; caller: ImageCaller }> {
  const caller = await callerOf(call, service);
  const image = await visibleImage(call, service, caller);
  if (image.visibility !== 'shared') throw new Fault('forbidden', 'image.policy', 'Only shared images have members.');
  const members = await service.actors.ask(CONDUCTOR, { type: 'imageListMembers', imageId: image.id });
  if (caller.admin || (image.owner !== null && image.owner === caller.projectId)) return { members, image, caller };
  return { members: members.filter(({ projectId }) => projectId === caller.projectId), image, caller };
}

function noMember({ id }: ImageRecord, { params }: Call): Fault {
  return new Fault('notFound', 'image.member', `${params['member'] ?? ''} not found in the member list of the image ${id}.`);
}
