/**
 * P6 and P2 of images that are made of servers: one that was acknowledged and whose making succeeded is there with its
 * bytes, unless a backup's rotation took it; none is left without bytes, or that nobody knows of; a shelved server has the
 * image that it comes back from.
 */
import { toLoaded } from '../../doubles/memory-store.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

export const IMAGES: Checker = {
  promise: 'P6',
  atEnd: (world) => [...unfinished(world), ...lost(world), ...tooMany(world), ...shelved(world)],
};

/** A server that stays on a host that is lost for good may be in the middle of something. */
function isStuck(world: World, id: string): boolean {
  const row = world.tables.instances.get(id);
  const host = row && toLoaded(row).record.host;
  return typeof host === 'string' && world.isLost(host);
}

function unfinished(world: World): string[] {
  const { instances, snapshotImages } = world.tables;
  const problems: string[] = [];
  for (const [id, { draft, status }] of world.images) {
    const owner = draft.properties['instance_uuid'] ?? '';
    if (status !== 'active' && !isStuck(world, owner)) problems.push(`image ${id} of ${owner} is left in ${status}`);
  }
  for (const [id, { instanceId }] of snapshotImages) {
    const row = instances.get(instanceId);
    const isHeld = row && toLoaded(row).record.shelved?.image.id === id && !row.row.deleted;
    if (!isHeld && !isStuck(world, instanceId)) problems.push(`image ${id} of ${instanceId} is still looked after, and nobody needs it`);
  }
  return problems;
}

function lost(world: World): string[] {
  return world.acks.done.flatMap(({ id, requestId, verb, image }) => {
    const action = actionOf(world, id, requestId);
    if (image === undefined || verb !== 'createImage' || !action || action.message !== null || action.events.some(({ result }) => result !== 'Success'))
      return [];
    world.meet('image: made');
    return world.images.get(image)?.status === 'active' ? [] : [`image ${image} was made of ${id} (${requestId}) and is not there`];
  });
}

/** After the last backup of a server that succeeded. */
function tooMany(world: World): string[] {
  return [...world.tables.instances.values()].flatMap((row) => {
    const last = toLoaded(row)
      .record.actions.filter(({ action, message, events }) => action === 'createBackup' && message === null && events[0]?.result === 'Success')
      .at(-1);
    const rotation = world.acks.done.find((ack) => ack.requestId === last?.requestId)?.rotation;
    if (rotation === undefined) return [];
    const own = [...world.images.values()].filter(({ draft }) => draft.properties['backup_type'] !== undefined && draft.properties['instance_uuid'] === row.id);
    world.meet('backup: rotated');
    return own.length > rotation ? [`${row.id} has ${own.length} backups, ${rotation} are to be left`] : [];
  });
}

function shelved(world: World): string[] {
  return [...world.tables.instances.values()].flatMap((row) => {
    const { record } = toLoaded(row);
    if (record.deleted || !['shelved', 'shelved_offloaded'].includes(record.vmState)) return [];
    world.meet(`at the end: ${record.vmState}`);
    if (record.vmState === 'shelved_offloaded' && record.host !== null) return [`${row.id} left its host and is on ${record.host}`];
    const image = world.images.get(record.shelved?.image.id ?? '');
    return image?.status === 'active' ? [] : [`${row.id} is ${record.vmState}, and the image that it comes back from is ${image?.status ?? 'not there'}`];
  });
}

function actionOf(world: World, id: string, requestId: string) {
  const row = world.tables.instances.get(id);
  return row && toLoaded(row).record.actions.find((action) => action.requestId === requestId);
}
