/**
 * A server that is between two places or sizes. It then holds two claims: the active one, under which its guest may run,
 * and beside it a standby one, under which a guest may lie and must not run. Before the swap the standby claim is where
 * the server is to go, afterwards it is where it came from. One commit swaps them: at no moment may both run (P3).
 */
import type { Flavor } from './flavor.ts';
import type { Progress } from './migration.ts';

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
