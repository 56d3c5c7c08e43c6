/** P5: every change is an event, once and in order: no revision is missing, and each status follows from the last one. */
import type { StatusEvent } from '../../../actors/model/event.ts';
import { statusOf } from '../../../actors/model/server-state.ts';
import { toLoaded } from '../../doubles/memory-store.ts';
import type { Checker } from './checker.ts';

export const EVENTS: Checker = {
  promise: 'P5',
  atEnd(world) {
    const { events, cell, instances } = world.tables;
    const problems: string[] = [];
    const last = new Map<string, StatusEvent>();
    let revision = 0;
    for (const { revision: at, id, body } of events) {
      const event = { ...(body as Omit<StatusEvent, 'revision'>), revision: at };
      if (at !== revision && at !== revision + 1) problems.push(`revision ${at} follows ${revision}`);
      revision = at;
      const before = last.get(id);
      if (before?.revision === at) problems.push(`${id} changed twice in revision ${at}`);
      if ((before === undefined) !== (event.change === 'created'))
        problems.push(`${id}: ${event.change} in revision ${at}, ${before ? 'not the first' : 'the first'} event`);
      if (before?.change === 'deleted') problems.push(`${id} changed in revision ${at} after its end`);
      if (event.was !== (before?.status ?? null)) problems.push(`${id}: revision ${at} says it was ${event.was}, it was ${before?.status}`);
      last.set(id, event);
    }
    if (revision !== cell.revision) problems.push(`the last event is of revision ${revision}, the cell is at ${cell.revision}`);
    for (const row of instances.values()) {
      const status = statusOf(toLoaded(row).record);
      if (last.get(row.id)?.status !== status) problems.push(`${row.id} is ${status}, its last event says ${last.get(row.id)?.status}`);
    }
    return problems;
  },
};
