/**
 * The conductor's side for nodes without a database: their rows and beats, and what this node knows of the cluster.
 * Answers from memory where it can, so that a thousand nodes that ask every second cost no statements but their beats.
 */
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { NodeRow, StoredNodeTable } from '../../runtime/database/node-table.ts';
import type { Owners } from '../../runtime/actor/locate.ts';
import { Gathered } from './gathered.ts';
import type { DoorNodeProtocol, HostPlaces, NodeDoorProtocol } from './messages/node.ts';

/** What the answering node knows; filled by whoever joins the rooms. */
export type ClusterView = {
  readonly nodes: Pick<StoredNodeTable, 'enterKnown' | 'beatAll'>;
  /** Somebody entered: looks now, so that it can be answered. */
  readonly look: () => Promise<void>;
  readonly rows: () => readonly NodeRow[];
  /** Names of the nodes that live. */
  readonly alive: () => readonly string[];
  readonly owners: (known: string | null) => Owners | null;
  readonly hostPlaces: (known: string | null) => HostPlaces | null;
  /** A host has begun on a node. */
  readonly hostBegan: (host: string, node: string) => void;
  /** Of the embedded services. */
  readonly secrets: () => DoorNodeProtocol['secrets']['reply'];
};

export function nodeDoorServe(view: ClusterView): ServiceKind<NodeDoorProtocol & DoorNodeProtocol>['serve'] {
  const beats = new Gathered<{ name: string; boot: string }, ReadonlySet<string>>((waiting) => view.nodes.beatAll(waiting));
  return {
    async nodeEnter({ row }) {
      if (!(await view.nodes.enterKnown(row))) throw new Fault('forbidden', 'node.unknownKey', UNKNOWN_KEY);
      await view.look();
      return undefined;
    },
    nodeBeat: async ({ name, boot }) => (await beats.add({ name, boot })).has(name),
    nodes: async ({ roles }) => (roles === null ? view.rows() : view.rows().filter((row) => row.roles.some((role) => roles.includes(role)))),
    owners: async ({ known }) => view.owners(known),
    hostNodes: async ({ known }) => view.hostPlaces(known),
    secrets: async () => view.secrets(),
  };
}

const UNKNOWN_KEY = 'This node’s key is not known for its name and roles. Make one where the database is reached: novact node add NAME --roles LIST.';
