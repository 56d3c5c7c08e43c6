/** Which shard an address belongs to: a hash of its text, the same on every node for ever. */
import type { Address } from '../actor/address.ts';

export const SHARD_COUNT = 1_024;

/** FNV-1a over UTF-16 units, folded to the shard count. */
export function shardOf(address: Address): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < address.length; i++) {
    hash ^= address.charCodeAt(i);
    hash = Math.imul(hash, 0x01000193);
  }
  hash ^= hash >>> 15;
  return (hash >>> 0) % SHARD_COUNT;
}
