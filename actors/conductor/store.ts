/**
 * The store of a cell on PostgreSQL: fills the runtime's Store port and keeps what hosts and orders need. All state
 * writes go through one write batch; reads go to the pool and take no lock. Its memory twin in test/doubles passes
 * the same contract suite (test/contract/store.ts).
 */
import type pg from 'pg';
import { Fault } from '../../runtime/base/fault.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import { check } from '../../runtime/base/check.ts';
import { parseAddress, type Address } from '../../runtime/actor/address.ts';
import type { Commit, CommitAnswer, Loaded, Store } from '../../runtime/actor/store.ts';
import { OutcomeUnknown, WriteBatch } from '../../runtime/database/batch.ts';
import type { Session } from '../../runtime/database/open.ts';
import type { HostStart } from '../host/messages.ts';
import type { InstanceParts } from '../model/commit.ts';
import type { EventBatch } from '../model/event.ts';
import type { InstanceRecord, Stored } from '../model/instance.ts';
import type { NetworkRecord } from '../model/addressing.ts';
import type { Claim } from '../model/placement.ts';
import type { GroupPlaces } from '../model/server-group.ts';
import type { QuotaLimits } from '../model/quota.ts';
import type { HostDoorProtocol } from './messages/host.ts';
import type { CreateOrder } from './messages/write.ts';
import { aggregatesOf, zoneOf } from './tables/aggregates.ts';
import { hostStandings, type HostStandings } from './standings.ts';
import type { OrderAnswer, WriteAnswer, WriteItem } from './write/item.ts';
import { packBatch, unpackBatch, writeValues, type WriteReply } from './write/pack.ts';

/** Rows per batch: instances, not items. More makes one long transaction that others wait for. */
const BATCH_MAX_ROWS = 200;
const WAITING_MAX_ITEMS = 4_000;

/** What a network actor loads: its row and the addresses in use. */
export type NetworkRow = { readonly network: NetworkRecord; readonly taken: readonly string[] };

export interface CellStore extends Store, HostStandings {
  accept(order: CreateOrder): Promise<OrderAnswer>;
  /** `alive`: nodes that live. A host that another of them drives, or that has claims under another node's name, stays theirs. Faults: `conflict`. */
  hostStart(start: HostDoorProtocol['hostStart']['body'], alive?: readonly string[]): Promise<HostStart>;
  hostClaims(host: string, instanceId: string | null): Promise<Claim[]>;
  hostRow(host: string): Promise<Omit<HostStart, 'claims'>>;
  /** Removes a doomed claim and gives back its share and the addresses that were kept for it; harmless when there is none. */
  hostConfirmGone(host: string, instanceId: string, generation: number): Promise<void>;
  /** Ids among these that the store records as deleted, or placed anew under a higher generation. */
  hostStrays(guests: readonly { instanceId: string; generation: number }[]): Promise<{ instanceId: string; generation: number; recordedGone: boolean }[]>;
  /** Where the other members of a server's group are; null: there is no such group any more. */
  groupPlaces(groupId: string, instanceId: string): Promise<GroupPlaces | null>;
  /** Which node drives which host, for finding the way. */
  hostNodes(): Promise<{ host: string; node: string }[]>;
  /** Called after each commit that made something visible, in revision order. */
  onWritten(listener: (batch: EventBatch) => void): void;
  close(): Promise<void>;
}

export type PgStoreOptions = {
  readonly pool: pg.Pool;
  readonly writer: Session;
  readonly clock: Clock;
  readonly log: Log;
  readonly quotas: QuotaLimits;
  /** Named points where a test may end the process; see runtime/base/failpoint.ts. */
  readonly failpoint: (name: string) => void;
};

const WRITE = 'select novact_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) as reply';

export function openPgStore(options: PgStoreOptions): CellStore {
  const { pool, writer, log, failpoint } = options;
  const listeners: ((batch: EventBatch) => void)[] = [];
  const defaults = JSON.stringify(options.quotas);

  const batch = new WriteBatch<WriteItem, WriteAnswer>({
    maxSize: BATCH_MAX_ROWS,
    maxWaiting: WAITING_MAX_ITEMS,
    sizeOf: (item) => (item.is === 'commit' ? 1 : item.order.instances.length),
    onPoison: (item, error) => log.error('a change cannot be stored', { item: item.is, id: idOf(item), error }),
    async run(items) {
      failpoint('commit.before');
      const { rows } = await writer.run<{ reply: WriteReply }>('write', WRITE, writeValues(packBatch(items), defaults));
      failpoint('commit.after');
      const [row] = rows;
      check(row, 'novact_write answers one row');
      const { answers, written } = unpackBatch(items, row.reply);
      if (written.events.length > 0) tell(written);
      return answers;
    },
  });

  /** The batch is committed: a listener that fails must not make it look as if it were not. */
  function tell(written: EventBatch): void {
    for (const listener of listeners) {
      try {
        listener(written);
      } catch (error) {
        log.error('a listener of the store failed', { error });
      }
    }
  }

  async function commit(request: Parameters<Store['commit']>[0]): Promise<CommitAnswer> {
    const { shard, epoch, version } = request;
    const { parts, open, dueAtMs } = request.commit as Commit & { parts: InstanceParts };
    try {
      const answer = await batch.write({ is: 'commit', shard, epoch, version, record: request.record as InstanceRecord, parts, open, dueAtMs });
      check(answer.is === 'done' || answer.is === 'refused', 'a commit is done or refused');
      return answer;
    } catch (error) {
      return commitFailed(error);
    }
  }

  async function accept(order: CreateOrder): Promise<OrderAnswer> {
    for (;;) {
      const answer = await batch.write({ is: 'order', order });
      if (answer.is === 'again') continue; // the same key was in the same batch: the next one knows its answer
      check(answer.is !== 'done' && answer.is !== 'refused', 'an order is not a commit');
      return answer;
    }
  }

  async function load(address: Address): Promise<Loaded | undefined> {
    const { kind, id } = parseAddress(address);
    if (kind === 'network') return loadNetwork(id);
    if (kind === 'recovery') return undefined; // its memory is the rows of hosts
    check(kind === 'instance', `no rows of kind ${kind}`);
    const row = await one<InstanceRowRead>('load-instance', 'select record, number, version, revision from instance where id = $1', [id]);
    return row && toStored(row);
  }

  async function loadNetwork(id: string): Promise<Loaded | undefined> {
    const network = await one<NetworkRecord>(
      'load-network',
      `select id, label, cidr::text as cidr, host(gateway) as gateway, project_id as "projectId" from network where id = $1`,
      [id],
    );
    if (!network) return undefined;
    const taken = await many<{ address: string }>('load-addresses', 'select host(address) as address from fixed_ip where network_id = $1', [id]);
    const record: NetworkRow = { network, taken: taken.map((row) => row.address) };
    return { record, version: 1, revision: 0 };
  }

  async function hostStart(start: HostDoorProtocol['hostStart']['body'], alive: readonly string[] = []): Promise<HostStart> {
    const { vcpus, memoryMiB, diskGiB } = start.capacity;
    const values = [start.host, start.node, start.driver, start.zone, JSON.stringify(start.inventory), vcpus, memoryMiB, diskGiB, alive, start.selfFenceMs];
    const row = await one<HostRowRead>('host-start', HOST_START, values);
    if (!row) throw hostTaken(start.host);
    const claims = await hostClaims(start.host, null);
    return { ...toHostRow(row), claims };
  }

  async function hostClaims(host: string, instanceId: string | null): Promise<Claim[]> {
    return many<Claim>('host-claims', HOST_CLAIMS, [host, instanceId]);
  }

  async function hostRow(host: string): Promise<Omit<HostStart, 'claims'>> {
    const row = await one<HostRowRead>('host-row', HOST_ROW, [host]);
    if (!row) throw new Fault('notFound', 'host.unknown', `Host ${host} is not known.`);
    return toHostRow(row);
  }

  async function hostConfirmGone(host: string, instanceId: string, generation: number): Promise<void> {
    await many('host-confirm-gone', HOST_CONFIRM_GONE, [host, instanceId, generation]);
  }

  async function hostStrays(guests: readonly { instanceId: string; generation: number }[]): ReturnType<CellStore['hostStrays']> {
    return many('host-strays', HOST_STRAYS, [guests.map((guest) => guest.instanceId), guests.map((guest) => guest.generation)]);
  }

  async function groupPlaces(groupId: string, instanceId: string): Promise<GroupPlaces | null> {
    return (await one<{ places: GroupPlaces }>('group-places', GROUP_PLACES, [groupId, instanceId]))?.places ?? null;
  }

  async function addressesOf(name: string, text: string, values: unknown[]): Promise<Address[]> {
    const rows = await many<{ id: string }>(name, text, values);
    return rows.map((row) => `instance/${row.id}`);
  }

  async function many<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    try {
      return (await pool.query<Row>({ name, text, values })).rows;
    } catch (error) {
      throw new Fault('unavailable', 'store.read', 'The database does not answer.', { cause: error, detail: String(error) });
    }
  }

  async function one<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row | undefined> {
    return (await many<Row>(name, text, values))[0];
  }

  return {
    load,
    commit,
    accept,
    hostStart,
    hostClaims,
    hostRow,
    hostConfirmGone,
    hostStrays,
    groupPlaces,
    hostNodes: () => many('host-nodes', 'select name as host, node from host where not deleted', []),
    ...hostStandings(many),
    open: (shards, limit, after) => addressesOf('open-operations', OPEN, [shards, limit, after === null ? null : parseAddress(after).id]),
    due: (shards, nowMs, limit) => addressesOf('due-operations', DUE, [shards, nowMs, limit]),
    onWritten: (listener) => void listeners.push(listener),
    close: () => batch.close(),
  };
}

type InstanceRowRead = { record: InstanceRecord; number: string; version: string; revision: string };
type HostRowRead = { epoch: string; disabled: boolean; forcedDown: boolean; zone: string; aggregates: HostStart['aggregates']; wantsImages: boolean };

/** A row as the actor knows it; the number stands in its own column since the store gives it. */
export function toStored(row: InstanceRowRead): Stored<InstanceRecord> {
  const number = Number(row.number);
  const record = row.record.number === number ? row.record : { ...row.record, number };
  return { record, version: Number(row.version), revision: Number(row.revision) };
}

function toHostRow(row: HostRowRead): Omit<HostStart, 'claims'> {
  return { epoch: Number(row.epoch), enabled: !row.disabled && !row.forcedDown, zone: row.zone, aggregates: row.aggregates, wantsImages: row.wantsImages };
}

export function hostTaken(host: string): Fault {
  const text = `Host ${host} belongs to another node, which lives or has servers there. Give this node's hosts names of their own (hosts[].name).`;
  return new Fault('conflict', 'host.taken', text);
}

function commitFailed(error: unknown): CommitAnswer {
  // Nothing happened, or nobody knows: either way the row tells.
  if (error instanceof OutcomeUnknown || error instanceof Fault) return { is: 'unknown' };
  return { is: 'broken', why: error instanceof Error ? error.message : String(error) };
}

function idOf(item: WriteItem): string | null {
  return item.is === 'commit' ? item.record.id : (item.order.instances[0]?.id ?? null);
}

const OPEN = `select id from instance where shard = any($1) and open and ($3::uuid is null or id > $3) order by id limit $2`;
const DUE = `select id from instance where shard = any($1) and due_at_ms <= $2 order by due_at_ms limit $3`;
/** What hosts and schedulers know of a row `h`. */
const HOST_ROW_MEMBERS = `h.epoch, h.disabled, h.forced_down as "forcedDown", ${zoneOf('h.name', 'h.zone')} as zone, ${aggregatesOf('h.name')} as aggregates,
  exists (select from image_wanted w where w.host = h.name) as "wantsImages"`;
const HOST_ROW = `select ${HOST_ROW_MEMBERS} from host h where name = $1`;
const HOST_CLAIMS = `select instance_id as "instanceId", generation, host, role,
  json_build_object('vcpus', vcpus, 'memoryMiB', memory_mib, 'diskGiB', disk_gib) as need
  from claim where host = $1 and ($2::uuid is null or instance_id = $2)`;
/**
 * Raises the epoch, so that promises of the host's former life are refused by the commit, and what was proved of that
 * life is over.
 */
const HOST_START = `with cell_row as (select revision from cell for update),
  begun as (
    insert into host as h (name, node, driver, zone, inventory, vcpus, memory_mib, disk_gib, epoch, self_fence_ms, self_fence_epoch)
    select $1, $2, $3, $4, $5::json, $6, $7, $8, 1, $10::integer, 1 from cell_row
    on conflict (name) do update set node = excluded.node, driver = excluded.driver, inventory = excluded.inventory,
      zone = case when h.claims = 0 then excluded.zone else h.zone end, vcpus = excluded.vcpus, memory_mib = excluded.memory_mib, disk_gib = excluded.disk_gib, epoch = h.epoch + 1,
      self_fence_ms = excluded.self_fence_ms, self_fence_epoch = h.epoch + 1, proof = null, proof_epoch = null,
      deleted = false, beat_at = clock_timestamp(), updated_at = clock_timestamp()
    where h.node = excluded.node or h.deleted or (h.claims = 0 and not h.node = any($9::text[]))
    returning name, epoch, disabled, forced_down, zone),
  beating as (
    insert into host_beat as b (name, epoch) select name, epoch from begun
    on conflict (name) do update set epoch = excluded.epoch, beat = b.beat + 1, beat_at = clock_timestamp())
  select ${HOST_ROW_MEMBERS} from begun h`;
const HOST_CONFIRM_GONE = `with cell_row as (select revision from cell for update),
  gone as (delete from claim using cell_row where host = $1 and instance_id = $2 and generation = $3 and role = 'doomed'
    returning vcpus, memory_mib, disk_gib),
  cleaned as (update migration set status = 'completed', updated_at = clock_timestamp() from gone
    where instance_id = $2 and source = $1 and type = 'evacuation' and status = 'done'),
  freed as (delete from fixed_ip f using gone, instance i
    where f.instance_id = $2 and i.id = $2 and not host(f.address) = any(i.addresses)
      and not exists (select from claim c where c.instance_id = $2 and c.role = 'doomed' and c.generation <> $3))
  update host set used_vcpus = used_vcpus - gone.vcpus, used_memory_mib = used_memory_mib - gone.memory_mib,
    used_disk_gib = used_disk_gib - gone.disk_gib, claims = claims - 1
  from gone where name = $1`;
/** As the write batch counts: every claim for anti-affinity, active ones on hosts that are not proved dead for the rest. */
const GROUP_PLACES = `select json_build_object('policy', g.policy, 'perHost', case when g.policy = 'anti-affinity' then coalesce(g.per_host, 1) else 0 end,
  'hosts', coalesce((select json_object_agg(x.host, x.n) from (
    select c.host, count(distinct i.id) as n from instance i join claim c on c.instance_id = i.id join host h on h.name = c.host
    where i.group_id = g.id and i.id <> $2 and (g.policy = 'anti-affinity' or c.role = 'active')
      and (g.policy <> 'affinity' or (h.proof is not null and h.proof_epoch = h.epoch) is not true)
    group by c.host) x), '{}'::json)) as places from server_group g where g.id = $1`;
const HOST_STRAYS = `select g.id as "instanceId", g.generation, coalesce(i.deleted or (i.generation > g.generation and g.generation <= coalesce(r.generation, g.generation)), false) as "recordedGone"
  from unnest($1::uuid[], $2::integer[]) as g(id, generation) left join instance i on i.id = g.id left join restored r on r.instance_id = g.id`;
