/**
 * P4: no more members of an anti-affinity group have a share of a host than the group lets be, whatever its guests are
 * at; of an affinity group none is placed away from the others, as long as their host is not proved dead.
 */
import type { CommitItem } from '../../../actors/conductor/write/item.ts';
import { groupPlaces } from '../../doubles/memory-groups.ts';
import type { World } from '../world.ts';
import type { Checker } from './checker.ts';

export const GROUPS: Checker = {
  promise: 'P4',
  atCommit: (world, commits) => commits.filter(({ parts }) => parts.claims.some(({ op }) => op === 'add')).flatMap((commit) => misplaced(world, commit)),
};

function misplaced({ tables }: World, { record }: CommitItem): string[] {
  const { id, host, group } = record;
  const places = group && host !== null ? groupPlaces(tables, group.id, id) : null;
  if (places === null || host === null) return [];
  const others = [...places.here].map(([name, members]) => `${members.size} on ${name}`).join(', ');
  if (places.policy === 'affinity' && [...places.here.keys()].some((name) => name !== host))
    return [`${id} is placed on ${host}, others of its group ${others}`];
  if (places.policy === 'anti-affinity' && (places.here.get(host)?.size ?? 0) >= places.perHost) return [`${id} shares ${host}: ${others}`];
  return [];
}
