/** What a checker is: one promise, looked at after each change or at the end. Each answers with what is broken. */
import type { CommitItem } from '../../../actors/conductor/write/item.ts';
import type { FrameSender } from '../../../runtime/mesh/mesh.ts';
import type { LetIn } from '../node.ts';
import type { World } from '../world.ts';

export type Checker = {
  readonly promise: string;
  /** A batch was applied just now; these of its commits were done. */
  readonly atCommit?: (world: World, commits: readonly CommitItem[]) => readonly string[];
  /** A hypervisor's disk changed just now. */
  readonly atGuest?: (world: World) => readonly string[];
  /** A shard has changed hands just now; undefined: nobody owns it. */
  readonly atShard?: (world: World, shard: number, owner: string | undefined) => readonly string[];
  /** A node let a message of another node in just now. */
  readonly atLetIn?: (world: World, from: FrameSender, message: LetIn) => readonly string[];
  /** Every second. */
  readonly atSample?: (world: World) => readonly string[];
  /** After the quiet time. */
  readonly atEnd?: (world: World) => readonly string[] | Promise<readonly string[]>;
};
