/** What a checker is: one promise, looked at after each change or at the end. Each answers with what is broken. */
import type { CommitItem } from '../../../actors/conductor/write/item.ts';
import type { World } from '../world.ts';

export type Checker = {
  readonly promise: string;
  /** A batch was applied just now; these of its commits were done. */
  readonly atCommit?: (world: World, commits: readonly CommitItem[]) => readonly string[];
  /** A hypervisor's disk changed just now. */
  readonly atGuest?: (world: World) => readonly string[];
  /** After the quiet time. */
  readonly atEnd?: (world: World) => readonly string[] | Promise<readonly string[]>;
};
