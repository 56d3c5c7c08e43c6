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
  atCommit: (world, commits) =>
    commits.flatMap((commit) => commit.parts.claims.flatMap((claim) => (claim.op === 'add' ? misplaced(world, commit, claim.host) : []))),
};

function misplaced({ tables }: World, { record }: CommitItem, host: string): string[] {
  const { id, group } = record;
  const places = group ? groupPlaces(tables, group.id, id) : null;
  if (places === null) return [];
  const others = [...places.here].map(([name, members]) => `${members.size} on ${name}`).join(', ');
  if (places.policy === 'affinity' && [...places.here.keys()].some((name) => name !== host))
    return [`${id} is placed on ${host}, others of its group ${others}`];
  if (places.policy === 'anti-affinity' && (places.here.get(host)?.size ?? 0) >= places.perHost) return [`${id} shares ${host}: ${others}`];
  return [];
}
