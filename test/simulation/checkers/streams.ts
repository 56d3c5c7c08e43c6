/** P5: whoever listens, at whichever node and with whatever interruptions, got every event once and in order. */
import type { Checker } from './checker.ts';

export const STREAMS: Checker = {
  promise: 'P5',
  atEnd(world) {
    const wanted = world.tables.events.map(({ revision, id }) => `${revision} ${id}`);
    return world.readers.flatMap(({ name, got }) => {
      const at = wanted.findIndex((event, i) => got[i] !== event);
      if (at < 0 && got.length === wanted.length) return [];
      const place = at < 0 ? wanted.length : at;
      return [`the reader at ${name} got ${got[place] ?? 'nothing'} instead of ${wanted[place] ?? 'nothing'}, its event ${place} of ${wanted.length}`];
    });
  },
};
