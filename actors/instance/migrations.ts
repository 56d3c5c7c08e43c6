/** What the record of a migration says at this moment: written in the commit of the step that makes it so. Pure. */
import type { Facts } from '../../runtime/actor/kind.ts';
import { toIso } from '../../runtime/base/clock.ts';
import type { MigrationStatus, MigrationWrite } from '../model/migration.ts';
import type { Move } from '../model/move.ts';
import type { Working } from './state.ts';

/** Of a server that is between two places. */
export function migrationOf(move: Move, status: MigrationStatus, facts: Facts): MigrationWrite {
  const { migrationId, kind, source, dest, oldFlavor, newFlavor, userId, projectId, createdAt, progress } = move;
  return {
    uuid: migrationId,
    type: kind,
    status,
    source,
    dest,
    oldFlavorId: oldFlavor.flavorId,
    newFlavorId: newFlavor.flavorId,
    userId,
    projectId,
    createdAt,
    updatedAt: toIso(facts.nowMs),
    progress,
  };
}

/** An evacuation is its operation: it has its id, and the host that it left stands among its arguments. */
export function evacuationOf({ record }: Working, status: MigrationStatus, dest: string | null, facts: Facts): MigrationWrite | null {
  const { id, args, startedAt, requestId } = record.operation;
  const { source } = args;
  if (typeof source !== 'string') return null;
  const by = record.actions.find((action) => action.requestId === requestId);
  const { flavorId } = record.flavor;
  return {
    uuid: id,
    type: 'evacuation',
    status,
    source,
    dest,
    oldFlavorId: flavorId,
    newFlavorId: flavorId,
    userId: by?.userId ?? record.userId,
    projectId: by?.projectId ?? record.projectId,
    createdAt: startedAt,
    updatedAt: toIso(facts.nowMs),
    progress: null,
  };
}
