/** P4: a server that was asked into a zone is on a host of that zone, from its placement to its end. */
import { placeOf } from '../../doubles/memory-tables.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

function wrong(world: World, id: string, host: string | null, wanted: string | null): string[] {
  const row = host === null || wanted === null ? undefined : world.tables.hosts.get(host);
  if (!row) return [];
  const { zone } = placeOf(world.tables, row);
  return zone === wanted ? [] : [`${id} was asked into ${wanted} and is on ${host}, which is in ${zone}`];
}

export const ZONES: Checker = {
  promise: 'P4',
  atCommit: (world, commits) => commits.flatMap(({ record }) => (record.deleted ? [] : wrong(world, record.id, record.host, record.requestedZone))),
  atSample: (world) => {
    if (world.tables.aggregates.length === 0) return [];
    return [...world.tables.instances.values()].flatMap(({ row }) => (row.deleted ? [] : wrong(world, row.id, row.record.host, row.record.requestedZone)));
  },
};
