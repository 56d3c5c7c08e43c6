/** Port: which node answers for an address. Filled by the shards' owner table and by the rows of node kinds. */
import type { NodeName } from '../base/ids.ts';
import type { Address } from './address.ts';

/** Who owns which shard, small: `shards[n]` is a place in `names`, or −1. `version` tells one such table from another. */
export type Owners = { readonly version: string; readonly names: readonly string[]; readonly shards: readonly number[] };

export interface Locate {
  /** The node, or undefined when nobody is known to answer now. Where several could answer, another `attempt` is for another. */
  nodeOf(address: Address, attempt: number): NodeName | undefined;
  /** The last guess was wrong, or there was none: look soon. */
  hint(): void;
}
