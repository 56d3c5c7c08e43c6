/**
 * The twin of the PostgreSQL store: fills CellStore from tables in memory with the same checks and refusals, and the
 * same write batch before it. It passes the same contract suite (test/contract/store.ts).
 *
 * A test may script its misfortune: a batch that is slow, that fails before or after it was applied without a word
 * (`unknown`), or that is refused because the database is away. The tables outlive the store.
 */
import type { Address } from '../../runtime/actor/address.ts';
import { parseAddress } from '../../runtime/actor/address.ts';
import type { Commit, CommitAnswer, Loaded } from '../../runtime/actor/store.ts';
import { check } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { OutcomeUnknown, WriteBatch } from '../../runtime/database/batch.ts';
import { hostTaken, type CellStore } from '../../actors/conductor/store.ts';
import type { OrderAnswer, WriteAnswer, WriteItem } from '../../actors/conductor/write/item.ts';
import { packBatch, unpackBatch } from '../../actors/conductor/write/pack.ts';
import type { HostStart } from '../../actors/host/messages.ts';
import type { InstanceParts } from '../../actors/model/commit.ts';
import type { EventBatch } from '../../actors/model/event.ts';
import type { InstanceRecord } from '../../actors/model/instance.ts';
import type { Claim } from '../../actors/model/placement.ts';
import { NOTHING } from '../../actors/model/resources.ts';
import { QUOTA_DEFAULTS, type QuotaLimits } from '../../actors/model/quota.ts';
import { groupPlaces } from './memory-groups.ts';
import { openFlight, type FlightOptions } from './memory-flight.ts';
import { memoryStandings } from './memory-standings.ts';
import { memoryTables, placeOf, type HostRow, type MemoryTables, type StoredInstance } from './memory-tables.ts';
import { memoryWrite } from './memory-write.ts';

const BATCH_MAX_ROWS = 200;
const WAITING_MAX_ITEMS = 4_000;

export type MemoryStoreOptions = FlightOptions & {
  readonly tables?: MemoryTables;
  readonly quotas?: QuotaLimits;
  /** Told of each batch in the moment in which it is applied. */
  readonly onApplied?: (items: readonly WriteItem[], answers: readonly WriteAnswer[]) => void;
};

export type MemoryStore = CellStore & { readonly tables: MemoryTables };

export function openMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { tables = memoryTables(), quotas = QUOTA_DEFAULTS } = options;
  const listeners: ((batch: EventBatch) => void)[] = [];
  const flight = openFlight(options);
  const wallMs = (): number => options.clock?.wallMs() ?? 0;
  const standings = memoryStandings(tables, wallMs);

  const batch = new WriteBatch<WriteItem, WriteAnswer>({
    maxSize: BATCH_MAX_ROWS,
    maxWaiting: WAITING_MAX_ITEMS,
    sizeOf: (item) => (item.is === 'commit' ? 1 : item.order.instances.length),
    onPoison: () => {},
    run: (items) =>
      flight(
        'write',
        () => {
          const { answers, written } = unpackBatch(items, memoryWrite(tables, packBatch(items), quotas));
          options.onApplied?.(items, answers);
          if (written.events.length > 0) for (const listener of listeners) listener(written);
          return answers;
        },
        true,
      ),
  });

  async function commit(request: Parameters<CellStore['commit']>[0]): Promise<CommitAnswer> {
    const { shard, epoch, version } = request;
    const { parts, open, dueAtMs } = request.commit as Commit & { parts: InstanceParts };
    try {
      const answer = await batch.write({ is: 'commit', shard, epoch, version, record: request.record as InstanceRecord, parts, open, dueAtMs });
      check(answer.is === 'done' || answer.is === 'refused', 'a commit is done or refused');
      return answer;
    } catch (error) {
      if (error instanceof OutcomeUnknown || error instanceof Fault) return { is: 'unknown' };
      return { is: 'broken', why: error instanceof Error ? error.message : String(error) };
    }
  }

  async function accept(order: Parameters<CellStore['accept']>[0]): Promise<OrderAnswer> {
    for (;;) {
      const answer = await batch.write({ is: 'order', order });
      if (answer.is === 'again') continue;
      check(answer.is !== 'done' && answer.is !== 'refused', 'an order is not a commit');
      return answer;
    }
  }

  function load(address: Address): Loaded | undefined {
    const { kind, id } = parseAddress(address);
    if (kind === 'network') {
      const network = tables.networks.get(id);
      const taken = [...tables.fixedIps.values()].filter((fixed) => fixed.networkId === id).map((fixed) => fixed.address);
      return network && { record: { network, taken }, version: 1, revision: 0 };
    }
    if (kind === 'recovery') return undefined;
    check(kind === 'instance', `no rows of kind ${kind}`);
    const row = tables.instances.get(id);
    return row && toLoaded(row);
  }

  function hostClaims(host: string, instanceId: string | null): Claim[] {
    return [...tables.claims.values()].filter((claim) => claim.host === host && (instanceId === null || claim.instanceId === instanceId));
  }

  function hostStart(start: Parameters<CellStore['hostStart']>[0], alive: readonly string[] = []): HostStart {
    const before = tables.hosts.get(start.host);
    if (before && before.node !== start.node && (before.claims > 0 || alive.includes(before.node))) throw hostTaken(start.host);
    const fresh = { name: start.host, node: start.node, epoch: 0, disabled: false, zone: start.zone, used: NOTHING, claims: 0, beats: 0 };
    const row: HostRow = { ...(before ?? fresh), capacity: start.capacity, ...(before && before.claims > 0 ? {} : { zone: start.zone }) };
    const { selfFence: _, proof: __, ...begun } = row;
    const epoch = row.epoch + 1;
    const watched = start.selfFenceMs === null ? {} : { selfFence: { ms: start.selfFenceMs, epoch } };
    const raised: HostRow = { ...begun, ...watched, node: start.node, epoch, beats: row.beats + 1, beatMs: wallMs() };
    tables.hosts.set(start.host, raised);
    return { ...toHostStart(raised, tables), claims: hostClaims(start.host, null) };
  }

  function hostConfirmGone(name: string, instanceId: string, generation: number): void {
    const key = `${instanceId}/${generation}`;
    const claim = tables.claims.get(key);
    const host = tables.hosts.get(name);
    if (!host || claim?.host !== name || claim.role !== 'doomed') return;
    const { vcpus, memoryMiB, diskGiB } = host.used;
    const used = { vcpus: vcpus - claim.need.vcpus, memoryMiB: memoryMiB - claim.need.memoryMiB, diskGiB: diskGiB - claim.need.diskGiB };
    tables.claims.delete(key);
    tables.hosts.set(name, { ...host, used, claims: host.claims - 1 });
    for (const [uuid, one] of tables.migrations) {
      if (one.instanceId === instanceId && one.source === name && one.type === 'evacuation' && one.status === 'done')
        tables.migrations.set(uuid, { ...one, status: 'completed' });
    }
    if ([...tables.claims.values()].some((other) => other.instanceId === instanceId && other.role === 'doomed')) return;
    const kept = tables.instances.get(instanceId)?.row.addresses ?? [];
    for (const [place, fixed] of tables.fixedIps) if (fixed.instanceId === instanceId && !kept.includes(fixed.address)) tables.fixedIps.delete(place);
  }

  function hostRow(host: string): Omit<HostStart, 'claims'> {
    const row = tables.hosts.get(host);
    if (!row) throw new Fault('notFound', 'host.unknown', `Host ${host} is not known.`);
    return toHostStart(row, tables);
  }

  function strays(guests: readonly { instanceId: string; generation: number }[]): Awaited<ReturnType<CellStore['hostStrays']>> {
    return guests.map(({ instanceId, generation }) => {
      const row = tables.instances.get(instanceId)?.row;
      return { instanceId, generation, recordedGone: row !== undefined && (row.deleted || row.generation > generation) };
    });
  }

  const rowsOf = (shards: readonly number[]): StoredInstance[] => {
    const wanted = new Set(shards);
    return [...tables.instances.values()].filter((row) => wanted.has(row.shard));
  };

  function open(shards: readonly number[], limit: number, after: Address | null): Address[] {
    const from = after === null ? '' : parseAddress(after).id;
    const ids = rowsOf(shards).flatMap((row) => (row.open && row.id > from ? [row.id] : []));
    return ids
      .sort()
      .slice(0, limit)
      .map((id) => `instance/${id}`);
  }

  function due(shards: readonly number[], nowMs: number, limit: number): Address[] {
    const rows = rowsOf(shards).filter((row) => row.dueAtMs !== null && row.dueAtMs <= nowMs);
    rows.sort((a, b) => (a.dueAtMs ?? 0) - (b.dueAtMs ?? 0));
    return rows.slice(0, limit).map((row) => `instance/${row.id}`);
  }

  return {
    tables,
    commit,
    accept,
    load: (address) => flight('load', () => load(address)),
    hostStart: (start, alive) => flight('hostStart', () => hostStart(start, alive)),
    hostClaims: (host, instanceId) => flight('hostClaims', () => hostClaims(host, instanceId)),
    hostRow: (host) => flight('hostRow', () => hostRow(host)),
    hostConfirmGone: (host, instanceId, generation) => flight('hostConfirmGone', () => hostConfirmGone(host, instanceId, generation)),
    hostStrays: (guests) => flight('hostStrays', () => strays(guests)),
    groupPlaces: (group, instance) =>
      flight('groupPlaces', () => {
        const places = groupPlaces(tables, group, instance);
        const hosts = Object.fromEntries([...(places?.here ?? [])].map(([host, members]) => [host, members.size]));
        return places && { policy: places.policy, perHost: places.perHost, hosts };
      }),
    hostNodes: () => flight('hostNodes', () => [...tables.hosts].map(([host, row]) => ({ host, node: row.node }))),
    hostBeats: (beats) => flight('hostBeats', () => standings.hostBeats(beats)),
    hostLeave: (host, epoch) => flight('hostLeave', () => standings.hostLeave(host, epoch)),
    hostStandings: () => flight('hostStandings', () => standings.hostStandings()),
    hostStanding: (host) => flight('hostStanding', () => standings.hostStanding(host)),
    hostProve: (prove) => flight('hostProve', () => standings.hostProve(prove)),
    serversOn: (host, limit) => flight('serversOn', () => standings.serversOn(host, limit)),
    open: (shards, limit, after) => flight('open', () => open(shards, limit, after)),
    due: (shards, nowMs, limit) => flight('due', () => due(shards, nowMs, limit)),
    onWritten: (listener) => void listeners.push(listener),
    close: () => batch.close(),
  };
}

/** These shards change hands: their epochs grow, and commits under the old ones are refused. */
export function takeShards(tables: MemoryTables, shards: Iterable<number> = tables.shards.keys()): Map<number, number> {
  const taken = new Map<number, number>();
  for (const shard of shards) taken.set(shard, (tables.shards.get(shard) ?? 0) + 1);
  for (const [shard, epoch] of taken) tables.shards.set(shard, epoch);
  return taken;
}

export function toLoaded(row: StoredInstance): Loaded & { record: InstanceRecord } {
  const record = JSON.parse(row.text) as InstanceRecord; // our own text
  return { record: record.number === row.number ? record : { ...record, number: row.number }, version: row.version, revision: row.revision };
}

function toHostStart(row: HostRow, tables: MemoryTables): Omit<HostStart, 'claims'> {
  return { epoch: row.epoch, enabled: !row.disabled && !row.forcedDown, ...placeOf(tables, row), wantsImages: false };
}
