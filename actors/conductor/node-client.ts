/** The tables of the cluster as a node without a database reaches them: by asking a conductor. */
import type { Actors } from '../../runtime/actor/ask.ts';
import type { NodeTable } from '../../runtime/database/node-table.ts';
import type { Owners } from '../../runtime/actor/locate.ts';
import { CONDUCTOR } from './messages.ts';
import type { HostPlaces } from './messages/node.ts';

export type ClusterClient = {
  readonly nodes: NodeTable;
  readonly owners: (known: string | null) => Promise<Owners | null>;
  readonly hostPlaces: (known: string | null) => Promise<HostPlaces | null>;
};

/** `roles`: the nodes that this one has to know; null: all. `timeoutMs`: an answer that is later than a lease helps nobody. */
export function clusterClient(actors: Actors, roles: readonly string[] | null, timeoutMs: number): ClusterClient {
  const options = { timeoutMs };
  return {
    nodes: {
      async enter(row) {
        await actors.ask(CONDUCTOR, { type: 'nodeEnter', row }, options);
      },
      beat: (name, boot) => actors.ask(CONDUCTOR, { type: 'nodeBeat', name, boot }, options),
      all: async () => [...(await actors.ask(CONDUCTOR, { type: 'nodes', roles }, options))],
      leave: async () => undefined,
    },
    owners: (known) => actors.ask(CONDUCTOR, { type: 'owners', known }, options),
    hostPlaces: (known) => actors.ask(CONDUCTOR, { type: 'hostNodes', known }, options),
  };
}
