/** Joins the room's files. A network's row holds what it is and which addresses are in use; it commits nothing itself. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import type { NetworkRecord } from '../model/addressing.ts';
import { AddressPool } from './address-pool.ts';
import { decide, type NetworkState } from './decide.ts';
import type { NetworkProtocol } from './messages.ts';
import { parseNetworkMessage } from './parse.ts';

const MAILBOX_MAX = 4_096;
/** Long: a network that is used stays, its pool is dear to load. */
const PASSIVATE_AFTER_MS = 600_000;

export function networkKind(): ActorKind {
  return defineKind<NetworkProtocol, NetworkState, { network: NetworkRecord; taken: readonly string[] }>({
    kind: 'network',
    home: 'shard',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: PASSIVATE_AFTER_MS,
    parse: parseNetworkMessage,
    load: (id, row) => (row ? { id, network: row.network, pool: new AddressPool(row.network, row.taken) } : { id, network: undefined }),
    decide,
  });
}
