/**
 * The tables of a cell in memory, as the twin of the PostgreSQL store keeps them, and a journal that takes back what
 * a failed batch has changed. They outlive the store that is opened on them, as a database outlives its clients.
 */
import type { InstanceRow } from '../../actors/conductor/tables/instance-row.ts';
import type { NetworkRecord } from '../../actors/model/addressing.ts';
import type { MigrationWrite } from '../../actors/model/migration.ts';
import type { HostProof } from '../../actors/model/host-standing.ts';
import type { Claim } from '../../actors/model/placement.ts';
import type { CountedQuota } from '../../actors/model/quota.ts';
import type { Resources } from '../../actors/model/resources.ts';
import type { ServerGroup } from '../../actors/model/server-group.ts';
import type { NodeKey, NodeRow } from '../../runtime/database/node-table.ts';
import { SHARD_COUNT } from '../../runtime/shard/ring.ts';

export type StoredInstance = {
  readonly id: string;
  readonly number: number;
  readonly shard: number;
  readonly version: number;
  readonly revision: number;
  readonly open: boolean;
  readonly dueAtMs: number | null;
  readonly row: InstanceRow;
  /** The record as text, so that nobody shares memory with the store. */
  readonly text: string;
};

export type HostRow = {
  readonly name: string;
  readonly node: string;
  readonly epoch: number;
  readonly disabled: boolean;
  readonly zone: string;
  readonly capacity: Resources;
  readonly used: Resources;
  readonly claims: number;
  readonly beats: number;
  readonly beatMs?: number;
  readonly forcedDown?: boolean;
  readonly selfFence?: { readonly ms: number; readonly epoch: number };
  readonly proof?: { readonly by: HostProof; readonly epoch: number };
};

export type AggregateRow = { readonly id: number; readonly metadata: { readonly [key: string]: string }; readonly hosts: readonly string[] };

/** What a host is told of its aggregates, and the zone that comes of it: as `zoneOf` and `aggregatesOf` of actors/conductor/tables/aggregates.ts. */
export function placeOf({ aggregates: all }: MemoryTables, row: HostRow): { zone: string; aggregates: { id: number; metadata: AggregateRow['metadata'] }[] } {
  const aggregates = all.filter(({ hosts }) => hosts.includes(row.name)).map(({ id, metadata }) => ({ id, metadata }));
  return { zone: aggregates.map(({ metadata }) => metadata['availability_zone']).find((name) => name !== undefined) ?? row.zone, aggregates };
}

/** What proves the guests of a host dead now. */
export function provedBy({ epoch, proof }: HostRow): HostProof | null {
  return proof?.epoch === epoch ? proof.by : null;
}

export type QuotaUse = { [name in CountedQuota]: number };
/** Limits beside those of what is counted: servers in a group, addresses of a project. */
export type Members = { server_group_members: number; fixed_ips: number };
export type FixedIp = { readonly networkId: string; readonly address: string; readonly instanceId: string; readonly mac: string };
export type EventRow = { readonly revision: number; readonly ord: number; readonly id: string; readonly projectId: string; readonly body: object };

/** Who runs a shard. */
export type ShardHolder = { readonly owner: string; readonly boot: string };

export type MemoryTables = {
  readonly cell: { revision: number; lastNumber: number };
  /** Epoch by shard. */
  readonly shards: Map<number, number>;
  /** By shard; those that nobody owns are left out. Changed by memory-lease.ts alone. */
  readonly owners: Map<number, ShardHolder>;
  readonly nodes: Map<string, NodeRow>;
  readonly nodeKeys: Map<string, NodeKey>;
  readonly instances: Map<string, StoredInstance>;
  readonly hosts: Map<string, HostRow>;
  /** In order of their ids. */
  readonly aggregates: AggregateRow[];
  /** By `<instance id>/<generation>`. */
  readonly claims: Map<string, Claim>;
  /** By `quotaKey`; the project's total under user ''. */
  readonly quotaUse: Map<string, QuotaUse>;
  readonly quotaLimits: Map<string, Partial<QuotaUse & Members>>;
  readonly quotaClass: Partial<QuotaUse & Members>;
  readonly serverGroups: Map<string, ServerGroup>;
  /** Names by `quotaKey` of project and name. */
  readonly securityGroups: Set<string>;
  readonly networks: Map<string, NetworkRecord>;
  readonly fixedIps: Map<string, FixedIp>;
  readonly idempotency: Map<string, { readonly bodyHash: string; readonly instances: readonly string[] }>;
  /** By uuid. */
  readonly migrations: Map<string, MigrationWrite & { readonly id: number; readonly instanceId: string }>;
  readonly events: EventRow[];
  /** Images that are made of servers, by id: whose, and since when. */
  readonly snapshotImages: Map<string, { readonly instanceId: string; readonly madeMs: number }>;
};

export function memoryTables(): MemoryTables {
  return {
    cell: { revision: 0, lastNumber: 0 },
    shards: new Map(Array.from({ length: SHARD_COUNT }, (_, shard) => [shard, 0])),
    owners: new Map(),
    nodes: new Map(),
    nodeKeys: new Map(),
    instances: new Map(),
    hosts: new Map(),
    aggregates: [],
    claims: new Map(),
    quotaUse: new Map(),
    quotaLimits: new Map(),
    quotaClass: {},
    serverGroups: new Map(),
    securityGroups: new Set(),
    networks: new Map(),
    fixedIps: new Map(),
    idempotency: new Map(),
    migrations: new Map(),
    events: [],
    snapshotImages: new Map(),
  };
}

export function quotaKey(project: string, user: string): string {
  return `${project} ${user}`;
}

/** Changes that can be taken back, newest first. */
export class Journal {
  readonly #undo: (() => void)[] = [];

  set<K, V>(map: Map<K, V>, key: K, value: V): void {
    const before = map.get(key);
    const had = map.has(key);
    this.#undo.push(() => (had ? map.set(key, before as V) : map.delete(key)));
    map.set(key, value);
  }

  delete<K, V>(map: Map<K, V>, key: K): void {
    if (!map.has(key)) return;
    const before = map.get(key) as V;
    this.#undo.push(() => map.set(key, before));
    map.delete(key);
  }

  push<T>(list: T[], item: T): void {
    this.#undo.push(() => list.pop());
    list.push(item);
  }

  assign<T extends object>(target: T, changes: Partial<T>): void {
    const before = { ...target };
    this.#undo.push(() => Object.assign(target, before));
    Object.assign(target, changes);
  }

  undo(): void {
    for (const step of this.#undo.reverse()) step();
  }
}
