/** P6: what was acknowledged is not lost, and what was asked twice with one key or command id is done once. */
import { toLoaded } from '../../doubles/memory-store.ts';
import type { Checker } from './checker.ts';

export const KEPT: Checker = {
  promise: 'P6',
  atEnd(world) {
    const { instances } = world.tables;
    const problems: string[] = [];
    for (const { key, ids, least } of world.acks.created) {
      if (ids.length < least) problems.push(`${key} was answered with ${ids.length} servers, at least ${least} were wanted`);
      for (const id of ids) if (!instances.has(id)) problems.push(`server ${id} of ${key} was acknowledged and is not there`);
      const made = [...instances.values()].filter((row) => toLoaded(row).record.reservationId === key);
      if (made.length !== ids.length) problems.push(`${key} was answered with ${ids.length} servers and made ${made.length}`);
    }
    const changed = new Set(world.tables.events.map(({ revision, id }) => `${id} ${revision}`));
    for (const { id, version, revision } of world.acks.shown) {
      if ((instances.get(id)?.version ?? 0) < version) problems.push(`${id} was shown at version ${version}, it is at ${instances.get(id)?.version}`);
      if (!changed.has(`${id} ${revision}`)) problems.push(`${id} was shown at revision ${revision}, which did not change it`);
    }
    for (const { id, requestId, verb } of world.acks.done) {
      const row = instances.get(id);
      const record = row && toLoaded(row).record;
      if (!record) continue;
      if (verb === 'delete' || verb === 'forceDelete') {
        const isRestored = verb === 'delete' && record.actions.some((action) => action.action === 'restore');
        // Noted by a clock that ran ahead, its time to be restored is longer than was meant.
        const isWaiting = verb === 'delete' && record.vmState === 'soft-delete' && (record.reclaimAtMs ?? 0) > world.time.clock.wallMs();
        if (!record.deleted && !isRestored && !isWaiting) problems.push(`${id}: ${verb} was acknowledged, it is not deleted`);
        // A lock of what is locked changes nothing, and is not told.
      } else if (!record.actions.some((action) => action.requestId === requestId || (verb === 'lock' && action.action === 'lock')))
        problems.push(`${id}: ${verb} ${requestId} was acknowledged and is not in its history`);
    }
    for (const row of instances.values()) {
      const requests = toLoaded(row).record.actions.map((action) => action.requestId);
      const twice = requests.filter((request, i) => requests.indexOf(request) !== i);
      if (twice.length > 0) problems.push(`${row.id} did ${twice.join()} twice`);
    }
    return problems;
  },
};
