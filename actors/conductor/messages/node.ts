/**
 * What a node without a database asks about the cluster: its own row and beats, who else is there, where shards and
 * hosts are. A node speaks for itself alone (actors/doors.ts).
 */
import type { NodeRow } from '../../../runtime/database/node-table.ts';
import type { Owners } from '../../../runtime/actor/locate.ts';

export type HostPlaces = { readonly version: string; readonly hosts: readonly { readonly host: string; readonly node: string }[] };

export type NodeDoorProtocol = {
  /** Makes the node's row, or takes it over with a new boot. Faults: `forbidden` (no such key, or not for these roles). */
  nodeEnter: { body: { row: Omit<NodeRow, 'beat'> }; reply: undefined };
  /** Raises the beat; false when another boot has the row, or nobody. Beats that wait go out in one statement. */
  nodeBeat: { body: { name: string; boot: string }; reply: boolean };
  /** Nodes that have one of these roles (null: all), as the answering node sees them. */
  nodes: { body: { roles: readonly string[] | null }; reply: readonly NodeRow[] };
  /** Who owns the shards; null: still the table of `known`. */
  owners: { body: { known: string | null }; reply: Owners | null };
  /** Which node drives which host; null: still the list of `known`. */
  hostNodes: { body: { known: string | null }; reply: HostPlaces | null };
};

/** What a node with doors for users needs besides: for no other. */
export type DoorNodeProtocol = {
  /** Of the embedded services: passwords of their first accounts, the key of image tickets. */
  secrets: { body: object; reply: { readonly [name: string]: string } };
};
