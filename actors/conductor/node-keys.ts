/**
 * Keys of nodes that hold no credentials of the store, for the operator: let one in, list them, take one back. Works on
 * the database itself, whether or not a node runs.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { NodeName } from '../../runtime/base/ids.ts';
import { nodeTable, type NodeKey, type NodeRow, type StoredNodeTable } from '../../runtime/database/node-table.ts';
import { Session } from '../../runtime/database/open.ts';

type Place = { readonly url: string; readonly clock: Clock; readonly log: Log };
/** What a new node must be told of the cluster; its keys are the caller's to make. */
export type Entry = { readonly cluster: string; readonly seeds: readonly { node: NodeName; endpoint: string; publicKey: string; roles: readonly string[] }[] };

const SEED_ROLE = 'control';

/** Faults: `conflict` (the key is another node's), `unavailable` (no node has run yet: there is nobody to speak to). */
export function addNodeKey(place: Place, key: NodeKey): Promise<Entry> {
  return within(place, async (nodes, session) => {
    const rows = await nodes.all();
    const seeds = rows
      .filter((row) => row.roles.includes(SEED_ROLE) && row.endpoint !== '')
      .map(({ name, endpoint, publicKey, roles }) => ({ node: name as NodeName, endpoint, publicKey, roles }));
    if (seeds.length === 0) throw new Fault('unavailable', 'node.noSeeds', 'No node of role control has run on this database yet: start one first.');
    if (rows.some((row) => row.name === key.name && row.roles.includes(SEED_ROLE))) {
      throw new Fault('conflict', 'node.control', `${key.name} is a node of role control: it needs no key of this kind.`);
    }
    if (!(await nodes.addKey(key))) throw new Fault('conflict', 'node.key', 'This key stands for another node already.');
    const { rows: cells } = await session.run<{ cluster: string }>('cluster', 'select cluster from cell', []);
    return { cluster: cells[0]?.cluster ?? '', seeds };
  });
}

/** Keys and rows of all nodes, by name. */
export function listNodes(place: Place): Promise<{ readonly keys: readonly NodeKey[]; readonly rows: readonly NodeRow[] }> {
  return within(place, async (nodes) => ({ keys: await nodes.keys(), rows: await nodes.all() }));
}

/** False when there was no such key. The node is turned away from within a second or two. */
export function removeNodeKey(place: Place, name: string): Promise<boolean> {
  return within(place, (nodes) => nodes.removeKey(name));
}

async function within<T>({ url, clock, log }: Place, work: (nodes: StoredNodeTable, session: Session) => Promise<T>): Promise<T> {
  const session = new Session({ url, name: 'nodes', clock, log });
  try {
    return await work(nodeTable(session), session);
  } finally {
    await session.close();
  }
}
