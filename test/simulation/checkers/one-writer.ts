/**
 * P1: only the newest owner of a shard commits for its actors, and each of its commits has seen the last one. Of all
 * nodes at most one believes, at any moment of the world's time, that it may run a shard.
 */
import { SHARD_COUNT } from '../../../runtime/shard/ring.ts';
import type { World } from '../world.ts';
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
  atShard(world, shard, owner) {
    const running = believers(world, shard).filter((name) => name !== owner);
    return running.length === 0 ? [] : [`shard ${shard} goes to ${owner ?? 'nobody'} while ${running.join(' and ')} runs it`];
  },
  atSample(world) {
    if (world.nodes.filter((node) => node.leftMs > 0).length < 2) return [];
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const running = believers(world, shard);
      if (running.length > 1) return [`shard ${shard} is run by ${running.join(' and ')}`];
    }
    return [];
  },
  atEnd(world) {
    const events = new Map<string, number>();
    for (const { id } of world.tables.events) events.set(id, (events.get(id) ?? 0) + 1);
    return [...world.tables.instances.values()]
      .filter((row) => row.version !== events.get(row.id))
      .map((row) => `${row.id} is at version ${row.version} after ${events.get(row.id) ?? 0} events`);
  },
};

function believers(world: World, shard: number): string[] {
  const names: string[] = [];
  for (const { node } of world.machines) if (node?.life.alive && node.epochOf(shard) !== undefined) names.push(node.name);
  return names;
}
