/** What may be said to a network: it proposes addresses; the row written with the instance decides (P4). */
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { NetworkRecord, Nic } from '../model/addressing.ts';

export type NetworkProtocol = {
  /** A free address and a hardware address for one instance. Faults: `notFound`, `conflict` (no address left). */
  propose: { body: { instanceId: string; wanted: string | null }; reply: Nic };
  /** The proposal was not used, or the instance is gone: the address may be proposed again. */
  free: { body: { instanceId: string; address: string }; reply: undefined };
  get: { body: object; reply: NetworkRecord | null };
};

export function networkRef(id: string): Ref<NetworkProtocol> {
  return refTo('network', id);
}
