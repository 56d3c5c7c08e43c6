/** P1: only the newest owner of a shard commits for its actors, and each of its commits has seen the last one. */
import type { Checker } from './checker.ts';

export const ONE_WRITER: Checker = {
  promise: 'P1',
  atCommit(world, commits) {
    const problems: string[] = [];
    for (const { shard, epoch, version, record } of commits) {
      const owner = world.tables.shards.get(shard) ?? 0;
      if (epoch !== owner) problems.push(`${record.id} was written under epoch ${epoch}, its shard has ${owner}`);
      const before = world.applied.get(record.id) ?? [];
      const last = before.at(-1);
      if (last && version !== last.version + 1) problems.push(`${record.id} was written at version ${version} after ${last.version}`);
      world.applied.set(record.id, [...before, { version, epoch }]);
    }
    return problems;
  },
  atEnd(world) {
    const events = new Map<string, number>();
    for (const { id } of world.tables.events) events.set(id, (events.get(id) ?? 0) + 1);
    return [...world.tables.instances.values()]
      .filter((row) => row.version !== events.get(row.id))
      .map((row) => `${row.id} is at version ${row.version} after ${events.get(row.id) ?? 0} events`);
  },
};
