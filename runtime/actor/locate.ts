/** Port: which node answers for an address. Filled by the shards' owner table and by the rows of node kinds. */
import type { NodeName } from '../base/ids.ts';
import type { Address } from './address.ts';

export interface Locate {
  /** The node, or undefined when nobody is known to answer now. */
  nodeOf(address: Address): NodeName | undefined;
  /** The last guess was wrong, or there was none: look soon. */
  hint(): void;
}
