/** What follows from a record of a server that is between two places or sizes: its next generation, its use. Pure. */
import type { QuotaChange } from './commit.ts';
import type { InstanceRecord } from './instance.ts';
import type { Place } from './move.ts';
import { quotaNeed, type QuotaNeed } from './quota.ts';

/** The generation of the next placement: none is ever given twice. */
export function nextGeneration({ generation, generationTop, move }: InstanceRecord): number {
  return Math.max(generation, generationTop ?? 0, move?.standby?.generation ?? 0) + 1;
}

/** What of a record is over with its move. */
export function withoutMove(record: InstanceRecord): Pick<InstanceRecord, 'move' | 'generationTop'> {
  return { move: null, generationTop: nextGeneration(record) - 1 };
}

/** What a server counts for: while it is between two sizes, the larger of both. */
export function quotaHeld({ flavor, move }: InstanceRecord): QuotaNeed {
  const now = quotaNeed(1, flavor);
  if (!move) return now;
  const [before, after] = [quotaNeed(1, move.oldFlavor), quotaNeed(1, move.newFlavor)];
  return { instances: 1, cores: Math.max(before.cores, after.cores), ram: Math.max(before.ram, after.ram) };
}

/** The change of use when the record becomes another; null when there is none. */
export function quotaDelta(before: InstanceRecord, after: InstanceRecord): QuotaChange | null {
  const [had, has] = [quotaHeld(before), quotaHeld(after)];
  if (had.cores === has.cores && had.ram === has.ram) return null;
  return { projectId: after.projectId, userId: after.userId, instances: 0, cores: has.cores - had.cores, ram: has.ram - had.ram };
}

/** The place under the active claim. */
export function placeOf({ host, zone, generation }: InstanceRecord): Place {
  if (host === null) throw new Error('a server that moves has a host');
  return { host, zone, generation };
}
