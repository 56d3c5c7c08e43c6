/**
 * The twins of the node table and the shard table on tables in memory: the same compare-and-set, the same answers
 * (test/contract/lease.ts). Each call is one step that nothing can interrupt, as a statement is; whoever wants it slow,
 * lost or refused puts a flight around it.
 */
import type { NodeKey, NodeRow, StoredNodeTable } from '../../runtime/database/node-table.ts';
import type { FormerOwner, OwnedShard, ShardOwner, ShardTable } from '../../runtime/database/shard-table.ts';
import { openFlight, type Flight } from './memory-flight.ts';
import type { MemoryTables, ShardHolder } from './memory-tables.ts';

export function memoryNodeTable({ nodes, nodeKeys }: MemoryTables, flight: Flight = openFlight()): StoredNodeTable {
  function enter(row: Omit<NodeRow, 'beat'>): void {
    const before = nodes.get(row.name);
    nodes.set(row.name, { ...row, roles: [...row.roles], beat: before ? before.beat + 1 : 0 });
  }

  function beat(name: string, boot: string): boolean {
    const row = nodes.get(name);
    if (row?.boot !== boot) return false;
    nodes.set(name, { ...row, beat: row.beat + 1 });
    return true;
  }

  function leave(name: string, boot: string): void {
    if (nodes.get(name)?.boot === boot) nodes.delete(name);
  }

  function enterKnown(row: Omit<NodeRow, 'beat'>): boolean {
    const key = nodeKeys.get(row.name);
    if (key?.publicKey !== row.publicKey || !row.roles.every((role) => key.roles.includes(role))) return false;
    enter(row);
    return true;
  }

  function addKey(key: NodeKey): boolean {
    if ([...nodeKeys.values()].some((other) => other.publicKey === key.publicKey && other.name !== key.name)) return false;
    nodeKeys.set(key.name, key);
    return true;
  }

  function removeKey(name: string): boolean {
    if (!nodeKeys.delete(name)) return false;
    nodes.delete(name);
    return true;
  }

  return {
    enter: (row) => flight('node.enter', () => enter(row)),
    beat: (name, boot) => flight('node.beat', () => beat(name, boot)),
    all: () => flight('node.all', () => sorted(nodes.values())),
    leave: (name, boot) => flight('node.leave', () => leave(name, boot)),
    enterKnown: (row) => flight('node.enterKnown', () => enterKnown(row)),
    beatAll: (beats) => flight('node.beatAll', () => new Set(beats.flatMap(({ name, boot }) => (beat(name, boot) ? [name] : [])))),
    keys: () => flight('node.keys', () => sorted(nodeKeys.values())),
    addKey: (key) => flight('node.addKey', () => addKey(key)),
    removeKey: (name) => flight('node.removeKey', () => removeKey(name)),
  };
}

/** `onGiven` is told of each change of owner in the moment in which it is made; undefined: nobody has it now. */
export function memoryShardTable(
  tables: MemoryTables,
  flight: Flight = openFlight(),
  onGiven?: (shard: number, holder: ShardHolder | undefined) => void,
): ShardTable {
  const { owners, shards, nodes } = tables;

  /** Every change of owner raises the epoch. */
  function give(shard: number, holder: ShardHolder | undefined): OwnedShard {
    const epoch = (shards.get(shard) ?? 0) + 1;
    shards.set(shard, epoch);
    if (holder) owners.set(shard, holder);
    else owners.delete(shard);
    LISTS.delete(tables);
    onGiven?.(shard, holder);
    return { shard, epoch };
  }

  function held(by: (holder: ShardHolder) => boolean): number[] {
    const found: number[] = [];
    for (const [shard, holder] of owners) if (by(holder)) found.push(shard);
    return found.sort((a, b) => a - b);
  }

  function free(max: number): number[] {
    const found: number[] = [];
    for (const shard of shards.keys()) if (found.length < max && !owners.has(shard)) found.push(shard);
    return found;
  }

  function takeFrom(holder: ShardHolder, former: FormerOwner, max: number): OwnedShard[] {
    const row = nodes.get(former.name);
    if (row?.boot !== former.boot || row.beat !== former.beat) return [];
    const theirs = held(({ owner }) => owner === former.name);
    return theirs.slice(0, max).map((shard) => give(shard, holder));
  }

  function giveUp(owner: string, boot: string, only: readonly number[] | undefined): void {
    const named = only && new Set(only);
    for (const shard of held((holder) => holder.owner === owner && holder.boot === boot)) if (!named || named.has(shard)) give(shard, undefined);
  }

  return {
    takeBack: (owner, boot) =>
      flight('shard.takeBack', () => held((holder) => holder.owner === owner && holder.boot !== boot).map((shard) => give(shard, { owner, boot }))),
    takeFree: (owner, boot, max) => flight('shard.takeFree', () => free(max).map((shard) => give(shard, { owner, boot }))),
    takeFrom: (owner, boot, former, max) => flight('shard.takeFrom', () => takeFrom({ owner, boot }, former, max)),
    owned: (owner, boot) =>
      flight('shard.owned', () => held((holder) => holder.owner === owner && holder.boot === boot).map((shard) => ({ shard, epoch: shards.get(shard) ?? 0 }))),
    owners: () => flight('shard.owners', () => [...ownerList(tables)]),
    giveUp: (owner, boot, only) => flight('shard.giveUp', () => giveUp(owner, boot, only)),
  };
}

/** Read every second by every node, changed seldom. */
const LISTS = new WeakMap<MemoryTables, readonly ShardOwner[]>();

function ownerList(tables: MemoryTables): readonly ShardOwner[] {
  const known = LISTS.get(tables);
  if (known) return known;
  const list = [...tables.shards.keys()].map((shard) => ({ shard, owner: tables.owners.get(shard)?.owner ?? null }));
  LISTS.set(tables, list);
  return list;
}

function sorted<T extends { readonly name: string }>(rows: Iterable<T>): T[] {
  return [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
}
