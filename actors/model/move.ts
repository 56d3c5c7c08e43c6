/**
 * A server that is between two places or sizes. It then holds two claims: the active one, under which its guest may run,
 * and beside it a standby one, under which a guest may lie and must not run. Before the swap the standby claim is where
 * the server is to go, afterwards it is where it came from. One commit swaps them: at no moment may both run (P3).
 */
import type { Flavor } from './flavor.ts';
import type { InstanceRecord } from './instance.ts';
import type { Progress } from './migration.ts';
import { quotaNeed, type QuotaNeed } from './quota.ts';
import type { QuotaChange } from './commit.ts';

export type MoveKind = 'resize' | 'migration' | 'live-migration';

/** One placement of a server: claim and guest are named by it. */
export type Place = { readonly host: string; readonly zone: string | null; readonly generation: number };

export type Move = {
  /** Uuid of its migration record. */
  readonly migrationId: string;
  readonly kind: MoveKind;
  /** Of the caller who asked for it. */
  readonly userId: string;
  readonly projectId: string;
  readonly createdAt: string;
  /** The standby claim; null before the server has been placed. */
  readonly standby: Place | null;
  readonly hasSwapped: boolean;
  readonly source: string;
  /** Where it was to go; null before it has been placed. */
  readonly dest: string | null;
  readonly oldFlavor: Flavor;
  readonly newFlavor: Flavor;
  /** What the server was when it began, and is again when it ends. */
  readonly was: 'active' | 'stopped' | 'paused';
  /** Wall milliseconds at which a waiting resize is confirmed by itself; null: never. */
  readonly confirmDueMs: number | null;
  readonly progress: Progress | null;
};

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
