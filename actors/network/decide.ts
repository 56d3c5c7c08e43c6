/** What a network does with each message: it proposes addresses and takes them back. */
import { unreachable } from '../../runtime/base/check.ts';
import { Fault, type FaultCode } from '../../runtime/base/fault.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import type { NetworkRecord, Nic } from '../model/addressing.ts';
import { macOf, type AddressPool } from './address-pool.ts';
import type { NetworkProtocol } from './messages.ts';

/** undefined: there is no such network. The pool changes in place. */
export type NetworkState =
  | { readonly id: string; readonly network: NetworkRecord; readonly pool: AddressPool }
  | { readonly id: string; readonly network: undefined };

export function decide(state: NetworkState, message: MessageOf<NetworkProtocol>, facts: Facts): Next<NetworkState> {
  switch (message.type) {
    case 'get':
      return { state, effects: [{ do: 'reply', value: state.network ?? null }] };
    case 'free':
      if (state.network) state.pool.free(message.instanceId, message.address);
      return { state, effects: [{ do: 'reply', value: undefined }] };
    case 'propose':
      return propose(state, message, facts);
    default:
      return unreachable(message);
  }
}

function propose(state: NetworkState, { instanceId, wanted }: { instanceId: string; wanted: string | null }, facts: Facts): Next<NetworkState> {
  if (!state.network) return refuse(state, 'notFound', 'network.unknown', `Network ${state.id} could not be found.`);
  const { network, pool } = state;
  const address = wanted === null ? pool.propose(instanceId, facts.upMs) : pool.proposeThis(instanceId, wanted, facts.upMs) ? wanted : undefined;
  if (address === undefined) {
    const why = wanted === null ? `No address is left on network ${network.label}.` : `Address ${wanted} is not free on network ${network.label}.`;
    return refuse(state, 'conflict', 'network.noAddress', why);
  }
  const nic: Nic = { networkId: network.id, label: network.label, address, prefix: pool.prefix, gateway: network.gateway, mac: macOf(address) };
  return { state, effects: [{ do: 'reply', value: nic }] };
}

function refuse(state: NetworkState, code: FaultCode, reason: string, message: string): Next<NetworkState> {
  return { state, effects: [{ do: 'refuse', fault: new Fault(code, reason, message).toRecord() }] };
}
