/**
 * The twin of `novact_write` (actors/conductor/write/function.ts) on tables in memory: the same parameters, the same
 * checks in the same order, the same answer. A broken constraint throws, and then nothing of the batch has happened.
 * What the function does by statements, this does by the same statements in the same order; keep them side by side.
 */
import type { WriteParameters, WriteReply } from '../../actors/conductor/write/pack.ts';
import type { InstanceRow } from '../../actors/conductor/tables/instance-row.ts';
import type { MigrationWrite } from '../../actors/model/migration.ts';
import { COUNTED } from '../../actors/model/quota.ts';
import { VM_STATES } from '../../actors/model/server-state.ts';
import { must } from '../../runtime/base/check.ts';
import { groupPlaces, groupMembers } from './memory-groups.ts';
import { Journal, provedBy, quotaKey, type HostRow, type Members, type MemoryTables, type QuotaUse } from './memory-tables.ts';

type Limits = { readonly instances: number; readonly cores: number; readonly ram: number };
type CommitRow = InstanceRow & {
  ord: number;
  shard: number;
  epoch: number;
  version: number;
  open: boolean;
  due_at_ms: number | null;
  drop_addresses: boolean;
  event: { id: string } | null;
};
type ClaimRow = {
  ord: number;
  op: 'add' | 'drop' | 'doom' | 'evacuate' | 'activate';
  role?: 'active' | 'standby';
  instance_id: string;
  generation: number;
  host: string;
  host_epoch: number;
  vcpus: number;
  memory_mib: number;
  disk_gib: number;
  group_id?: string;
};
type TakeRow = { ord: number; network_id: string; address: string; instance_id: string; mac: string };
type UseRow = { ord: number; project_id: string; user_id: string; instance_id?: string; migration?: MigrationWrite } & Limits;
type OrderRow = {
  ord: number;
  first: string | null;
  project_id: string;
  user_id: string;
  count: number;
  min_count: number;
  key: string | null;
  body_hash: string | null;
  group_id?: string;
  secured?: readonly string[];
} & Limits;
type NewRow = InstanceRow & { ord: number; idx: number; shard: number; open: boolean; due_at_ms: number | null; event: { id: string } };
type Batch = { commits: CommitRow[]; claims: ClaimRow[]; takes: TakeRow[]; uses: UseRow[]; orders: OrderRow[]; rows: NewRow[] };

const NO_LIMIT = 2_147_483_647;
const UNLIMITED: Limits = { instances: -1, cores: -1, ram: -1 };

/** `packed` as `packBatch` makes it. Throws when a constraint is broken: nothing was changed. */
export function memoryWrite(tables: MemoryTables, packed: WriteParameters, defaults: Limits & Partial<Members>): WriteReply {
  const batch = unpacked(packed);
  const journal = new Journal();
  try {
    return new Write(tables, journal, batch, defaults).run();
  } catch (error) {
    journal.undo();
    throw error;
  }
}

/** Each commit and row with what stands in lists of its own: state, event, whether addresses are given back. */
function unpacked(packed: WriteParameters): Batch {
  const listOf = <Row>(text: string | null): Row[] => (text === null ? [] : JSON.parse(text));
  const byPlace = <Row extends { ord: number; idx?: number }>(rows: Row[]): Map<string, Row> => new Map(rows.map((row) => [`${row.ord}/${row.idx ?? 0}`, row]));
  const events = byPlace(listOf<{ ord: number; idx: number; event: { id: string } }>(packed.events));
  const states = byPlace(listOf<CommitRow>(packed.states));
  const drops = byPlace(listOf<{ ord: number }>(packed.drops));
  const commits = listOf<CommitRow>(packed.commits).map((commit): CommitRow => {
    const place = `${commit.ord}/0`;
    return { ...must(states.get(place), 'a commit has its state'), ...commit, drop_addresses: drops.has(place), event: events.get(place)?.event ?? null };
  });
  const rows = listOf<NewRow>(packed.rows).map((row) => ({ ...row, event: must(events.get(`${row.ord}/${row.idx}`), 'a row has its event').event }));
  return { commits, claims: listOf(packed.claims), takes: listOf(packed.takes), uses: listOf(packed.uses), orders: listOf(packed.orders), rows };
}

class Write {
  readonly #tables: MemoryTables;
  readonly #journal: Journal;
  readonly #batch: Batch;
  readonly #defaults: Limits & Partial<Members>;
  readonly #refused: (string | null)[];
  readonly #granted: (number | null)[];
  readonly #seen: (readonly string[] | null)[];
  readonly #over: unknown[];
  readonly #numbers: Record<string, number> = {};
  readonly #revision: number;
  #changed = false;

  constructor(tables: MemoryTables, journal: Journal, batch: Batch, defaults: Limits & Partial<Members>) {
    this.#tables = tables;
    this.#journal = journal;
    this.#batch = batch;
    this.#defaults = defaults;
    const items = Math.max(0, ...batch.commits.map((c) => c.ord), ...batch.orders.map((o) => o.ord));
    const empty = <T>(): (T | null)[] => Array.from({ length: items }, () => null);
    this.#refused = empty();
    this.#granted = empty();
    this.#seen = empty();
    this.#over = empty();
    this.#revision = tables.cell.revision + 1;
  }

  run(): WriteReply {
    this.#checkFences();
    this.#checkClaims();
    this.#checkActivations();
    this.#checkGroups();
    this.#checkAddresses();
    this.#checkAddressQuota();
    this.#checkOrders();
    this.#checkKeys();
    this.#checkSecurityGroups();
    this.#checkQuota();
    this.#writeCommits();
    this.#writeClaims();
    this.#writeAddresses();
    this.#writeOrders();
    this.#writeQuota();
    this.#writeMigrations();
    this.#writeEvents();
    const over = this.#over as WriteReply['over'];
    const revision = this.#changed ? this.#revision : this.#revision - 1;
    return { revision, refused: this.#refused, granted: this.#granted, numbers: this.#numbers, seen: this.#seen, over };
  }

  #isRefused(ord: number): boolean {
    return this.#refused[ord - 1] !== null;
  }

  #refuse(ord: number, why: string): void {
    this.#refused[ord - 1] = why;
  }

  #checkFences(): void {
    const spoken = new Set<string>();
    for (const { ord, id, shard, epoch, version } of this.#batch.commits) {
      if (this.#tables.shards.get(shard) !== epoch) this.#refuse(ord, 'epoch');
      else if (this.#tables.instances.get(id)?.version !== version || spoken.has(id)) this.#refuse(ord, 'version');
      else spoken.add(id);
    }
  }

  #checkClaims(): void {
    const run = new Map<string, { v: number; m: number; d: number }>();
    const wanted = this.#batch.claims.filter((claim) => (claim.op === 'add' || claim.op === 'evacuate') && !this.#isRefused(claim.ord));
    for (const claim of wanted.sort((a, b) => compare(a.host, b.host) || a.ord - b.ord)) {
      const host = this.#tables.hosts.get(claim.host);
      if (claim.op === 'evacuate') {
        if (!host || provedBy(host) === null) this.#refuse(claim.ord, 'hostNotProved');
        continue;
      }
      const sum = run.get(claim.host) ?? { v: 0, m: 0, d: 0 };
      run.set(claim.host, sum);
      if (!host) this.#refuse(claim.ord, 'hostGone');
      else if (host.epoch !== claim.host_epoch) this.#refuse(claim.ord, 'hostEpoch');
      else if (isFull(host, claim, sum)) this.#refuse(claim.ord, 'hostFull');
      else {
        sum.v += claim.vcpus;
        sum.m += claim.memory_mib;
        sum.d += claim.disk_gib;
      }
    }
  }

  #checkActivations(): void {
    for (const { ord, op, instance_id, generation, host } of this.#batch.claims) {
      if (op !== 'activate' || this.#isRefused(ord)) continue;
      const held = this.#tables.claims.get(`${instance_id}/${generation}`);
      if (held?.role !== 'standby' || held.host !== host) this.#refuse(ord, 'claimGone');
    }
  }

  #checkGroups(): void {
    const placed: { group: string; host: string; instance: string }[] = [];
    const wanted = this.#batch.claims.filter((claim) => claim.op === 'add' && claim.group_id !== undefined && !this.#isRefused(claim.ord));
    for (const claim of wanted.sort((a, b) => a.ord - b.ord)) {
      const { group_id: group = '', instance_id: instance, host } = claim;
      const places = groupPlaces(this.#tables, group, instance);
      if (places === null || places.policy.startsWith('soft-')) continue;
      const others = placed.filter((one) => one.group === group && one.instance !== instance);
      const here = new Set([...(places.here.get(host) ?? []), ...others.filter((one) => one.host === host).map((one) => one.instance)]);
      const isElsewhere = [...places.here.keys(), ...others.map((one) => one.host)].some((one) => one !== host);
      if (places.policy === 'affinity' ? isElsewhere : here.size >= places.perHost) this.#refuse(claim.ord, 'groupPolicy');
      else placed.push({ group, host, instance });
    }
  }

  #checkAddresses(): void {
    const wanted = this.#batch.takes.filter((take) => !this.#isRefused(take.ord));
    const spoken = new Set<string>();
    for (const take of wanted) {
      const key = `${take.network_id} ${take.address}`;
      if (spoken.has(key) || this.#tables.fixedIps.has(key)) this.#refuse(take.ord, 'addressTaken');
      spoken.add(key);
    }
  }

  #checkAddressQuota(): void {
    const { quotaLimits, quotaClass, instances, fixedIps } = this.#tables;
    const projectOf = (id: string): string => instances.get(id)?.row.project_id ?? '';
    const rooms = new Map<string, number>();
    const wanted = new Map<number, TakeRow[]>();
    for (const take of this.#batch.takes) if (!this.#isRefused(take.ord)) wanted.set(take.ord, [...(wanted.get(take.ord) ?? []), take]);
    for (const [ord, takes] of [...wanted].sort(([a], [b]) => a - b)) {
      const project = projectOf(takes[0]?.instance_id ?? '');
      const max = { ...this.#defaults, ...quotaClass, ...quotaLimits.get(quotaKey(project, '')) }.fixed_ips ?? -1;
      if (max < 0) continue;
      const room = rooms.get(project) ?? max - [...fixedIps.values()].filter(({ instanceId }) => projectOf(instanceId) === project).length;
      if (takes.length > room) this.#refuse(ord, 'quota');
      rooms.set(project, takes.length > room ? room : room - takes.length);
    }
  }

  #checkOrders(): void {
    const spoken = new Set<string>();
    for (const { ord, first, project_id } of this.#batch.orders) {
      if (first === null) continue;
      if (this.#tables.instances.get(first)?.row.project_id === project_id) {
        this.#refuse(ord, 'seen');
        this.#seen[ord - 1] = this.#batch.rows.filter((row) => row.ord === ord && this.#tables.instances.has(row.id)).map((row) => row.id);
      } else if (spoken.has(first)) this.#refuse(ord, 'again');
      spoken.add(first);
    }
  }

  #checkKeys(): void {
    const spoken = new Set<string>();
    for (const { ord, project_id, key, body_hash } of this.#batch.orders) {
      if (key === null || this.#isRefused(ord)) continue;
      const name = `${project_id} ${key}`;
      const before = this.#tables.idempotency.get(name);
      if (before) {
        this.#refuse(ord, before.bodyHash === body_hash ? 'seen' : 'keyReused');
        this.#seen[ord - 1] = before.instances;
      } else if (spoken.has(name)) this.#refuse(ord, 'again');
      spoken.add(name);
    }
  }

  #checkSecurityGroups(): void {
    for (const { ord, project_id, secured = [] } of this.#batch.orders) {
      if (this.#isRefused(ord)) continue;
      if (secured.some((name) => !this.#tables.securityGroups.has(quotaKey(project_id, name)))) this.#refuse(ord, 'securityGroupGone');
    }
  }

  #checkQuota(): void {
    const run = new Map<string, QuotaUse>();
    const usedBy = (project: string, user: string): QuotaUse => {
      const key = quotaKey(project, user);
      const sum = run.get(key) ?? { ...(this.#tables.quotaUse.get(key) ?? { instances: 0, cores: 0, ram: 0 }) };
      run.set(key, sum);
      return sum;
    };
    const grown = this.#batch.uses.flatMap((use) => (Math.max(use.instances, use.cores, use.ram) > 0 ? [grows(use)] : []));
    const wanted = [...this.#batch.orders, ...grown].filter((order) => !this.#isRefused(order.ord)).sort(byProjectUserOrd);
    const joined = new Map<string, number>();
    for (const order of wanted) {
      const project = { used: usedBy(order.project_id, ''), limit: this.#limits(order.project_id, '', this.#defaults) };
      const user = { used: usedBy(order.project_id, order.user_id), limit: this.#limits(order.project_id, order.user_id, null) };
      const rooms = [project, user].flatMap(({ used, limit }) => COUNTED.map((name) => room(limit[name], used[name], order[name])));
      const take = Math.min(order.count, ...rooms);
      if (take < order.min_count) {
        this.#refuse(order.ord, 'quota');
        this.#over[order.ord - 1] = { project: figures(project), user: figures(user) };
        continue;
      }
      if (order.group_id !== undefined && !this.#joins(order, order.group_id, take, joined)) continue;
      if ('key' in order) this.#granted[order.ord - 1] = take;
      for (const { used } of [project, user]) addTo(used, order, take);
    }
  }

  #joins(order: Pick<OrderRow, 'ord' | 'project_id' | 'user_id'>, group: string, take: number, joined: Map<string, number>): boolean {
    const { quotaLimits, quotaClass, serverGroups } = this.#tables;
    if (serverGroups.get(group)?.projectId !== order.project_id) {
      this.#refuse(order.ord, 'groupGone');
      return false;
    }
    const set = {
      ...this.#defaults,
      ...quotaClass,
      ...quotaLimits.get(quotaKey(order.project_id, '')),
      ...quotaLimits.get(quotaKey(order.project_id, order.user_id)),
    };
    const max = set.server_group_members ?? -1;
    const key = `${group} ${order.user_id}`;
    const before = groupMembers(this.#tables, group, order.user_id).length + (joined.get(key) ?? 0);
    if (max >= 0 && before + take > max) {
      this.#refuse(order.ord, 'groupFull');
      return false;
    }
    joined.set(key, (joined.get(key) ?? 0) + take);
    return true;
  }

  #limits(project: string, user: string, defaults: Limits | null): Limits {
    const own = this.#tables.quotaLimits.get(quotaKey(project, user)) ?? {};
    const usual = defaults === null ? UNLIMITED : { ...defaults, ...this.#tables.quotaClass };
    return { ...usual, ...own };
  }

  #writeCommits(): void {
    for (const commit of this.#batch.commits) {
      if (this.#isRefused(commit.ord)) continue;
      const before = must(this.#tables.instances.get(commit.id), 'a commit that passed has its row');
      checkRow(commit);
      this.#journal.set(this.#tables.instances, commit.id, {
        ...before,
        version: before.version + 1,
        revision: this.#revision,
        open: commit.open,
        dueAtMs: commit.due_at_ms,
        row: commit,
        text: JSON.stringify(commit.record),
      });
      this.#changed = true;
    }
  }

  #writeClaims(): void {
    const wanted = this.#batch.claims.filter((claim) => !this.#isRefused(claim.ord));
    const { claims } = this.#tables;
    for (const { op, instance_id, generation, host: leftHost } of wanted) {
      const key = `${instance_id}/${generation}`;
      const held = claims.get(key);
      if (op === 'add' || op === 'activate' || !held) continue;
      if (op === 'evacuate' && held.host !== leftHost) continue;
      if (op === 'doom' || op === 'evacuate') this.#journal.set(claims, key, { ...held, role: 'doomed' as const });
      else {
        this.#journal.delete(claims, key);
        this.#countHost(held.host, held.need, -1);
      }
    }
    for (const { op, instance_id: instanceId, generation } of wanted) {
      if (op !== 'activate') continue;
      const key = `${instanceId}/${generation}`;
      for (const [other, held] of claims) {
        if (held.instanceId === instanceId && held.role === 'active') this.#journal.set(claims, other, { ...held, role: 'standby' as const });
      }
      this.#journal.set(claims, key, { ...must(claims.get(key), 'a claim that passed is there'), role: 'active' as const });
    }
    for (const { op, instance_id: instanceId, generation, host, role = 'active', vcpus, memory_mib, disk_gib } of wanted) {
      if (op !== 'add') continue;
      const key = `${instanceId}/${generation}`;
      rule(generation > 0, 'claim_generation_check');
      rule(!claims.has(key), 'claim_pkey');
      const isTwice = role === 'active' && [...claims.values()].some((claim) => claim.instanceId === instanceId && claim.role === 'active');
      rule(!isTwice, 'claim_active');
      const need = { vcpus, memoryMiB: memory_mib, diskGiB: disk_gib };
      this.#journal.set(claims, key, { instanceId, generation, host, role, need });
      this.#countHost(host, need, 1);
    }
    for (const host of this.#tables.hosts.values()) {
      rule(Math.min(host.used.vcpus, host.used.memoryMiB, host.used.diskGiB, host.claims) >= 0, 'host_used_check');
    }
  }

  #countHost(name: string, need: HostRow['used'], sign: 1 | -1): void {
    const host = must(this.#tables.hosts.get(name), 'a claim has its host');
    const { vcpus, memoryMiB, diskGiB } = host.used;
    const used = { vcpus: vcpus + sign * need.vcpus, memoryMiB: memoryMiB + sign * need.memoryMiB, diskGiB: diskGiB + sign * need.diskGiB };
    this.#journal.set(this.#tables.hosts, name, { ...host, used, claims: host.claims + sign });
  }

  #writeAddresses(): void {
    const { fixedIps, networks } = this.#tables;
    for (const commit of this.#batch.commits) {
      if (!commit.drop_addresses || this.#isRefused(commit.ord)) continue;
      if ([...this.#tables.claims.values()].some((claim) => claim.instanceId === commit.id && claim.role === 'doomed')) continue;
      for (const [key, fixed] of fixedIps) if (fixed.instanceId === commit.id) this.#journal.delete(fixedIps, key);
    }
    for (const { ord, network_id: networkId, address, instance_id: instanceId, mac } of this.#batch.takes) {
      if (this.#isRefused(ord)) continue;
      rule(networks.has(networkId), 'fixed_ip_network_id_fkey');
      rule(![...fixedIps.values()].some((fixed) => fixed.networkId === networkId && fixed.mac === mac), 'fixed_ip_network_id_mac_key');
      this.#journal.set(fixedIps, `${networkId} ${address}`, { networkId, address, instanceId, mac });
    }
  }

  #writeOrders(): void {
    const { instances, idempotency, cell } = this.#tables;
    const made = this.#batch.rows.filter((row) => row.idx < (this.#granted[row.ord - 1] ?? 0));
    let number = cell.lastNumber;
    for (const row of made) {
      rule(!instances.has(row.id), 'instance_pkey');
      checkRow(row);
      number += 1;
      this.#numbers[row.id] = number;
      this.#journal.set(instances, row.id, {
        id: row.id,
        number,
        shard: row.shard,
        version: 1,
        revision: this.#revision,
        open: row.open,
        dueAtMs: row.due_at_ms,
        row,
        text: JSON.stringify(row.record),
      });
      this.#changed = true;
    }
    this.#journal.assign(cell, { lastNumber: number });
    for (const { ord, project_id, key, body_hash } of this.#batch.orders) {
      const granted = this.#granted[ord - 1] ?? 0;
      if (key === null || granted === 0) continue;
      const ids = made.filter((row) => row.ord === ord).map((row) => row.id);
      this.#journal.set(idempotency, `${project_id} ${key}`, { bodyHash: body_hash ?? '', instances: ids });
    }
  }

  #writeQuota(): void {
    const { quotaUse } = this.#tables;
    const changes = new Map<string, QuotaUse>();
    const count = (row: { project_id: string; user_id: string } & Limits, times: number): void => {
      for (const user of ['', row.user_id]) {
        const key = quotaKey(row.project_id, user);
        const sum = changes.get(key) ?? { instances: 0, cores: 0, ram: 0 };
        addTo(sum, row, times);
        changes.set(key, sum);
      }
    };
    for (const order of this.#batch.orders) {
      const granted = this.#granted[order.ord - 1] ?? 0;
      if (granted === 0) continue;
      count(order, granted);
      for (const key of [quotaKey(order.project_id, ''), quotaKey(order.project_id, order.user_id)]) {
        if (!quotaUse.has(key)) this.#journal.set(quotaUse, key, { instances: 0, cores: 0, ram: 0 });
      }
    }
    for (const use of this.#batch.uses) if (!this.#isRefused(use.ord)) count(use, 1);
    for (const [key, change] of changes) {
      const before = quotaUse.get(key);
      if (!before) continue;
      const after = { ...before };
      addTo(after, change, 1);
      rule(Math.min(after.instances, after.cores, after.ram) >= 0, 'quota_use_check');
      this.#journal.set(quotaUse, key, after);
    }
  }

  #writeMigrations(): void {
    const { migrations } = this.#tables;
    for (const { ord, instance_id: instanceId, migration } of this.#batch.uses) {
      if (!migration || instanceId === undefined || this.#isRefused(ord)) continue;
      const before = migrations.get(migration.uuid);
      const { status, dest, updatedAt, progress } = migration;
      const after = before ? { ...before, status, dest, updatedAt, progress } : { ...migration, id: migrations.size + 1, instanceId };
      this.#journal.set(migrations, migration.uuid, after);
    }
  }

  #writeEvents(): void {
    if (!this.#changed) return;
    const commits = this.#batch.commits.filter(({ ord, event }) => !this.#isRefused(ord) && event !== null).map((commit) => ({ ...commit, idx: 0 }));
    const rows = this.#batch.rows.filter((row) => row.idx < (this.#granted[row.ord - 1] ?? 0));
    const told = [...commits, ...rows].sort((a, b) => a.ord - b.ord || a.idx - b.idx);
    for (const [i, { id, project_id, event }] of told.entries()) {
      this.#journal.push(this.#tables.events, { revision: this.#revision, ord: i + 1, id, projectId: project_id, body: event as object });
    }
    this.#journal.assign(this.#tables.cell, { revision: this.#revision });
  }
}

function isFull(host: HostRow, claim: ClaimRow, sum: { v: number; m: number; d: number }): boolean {
  const { capacity, used } = host;
  return (
    sum.v + claim.vcpus > capacity.vcpus - used.vcpus ||
    sum.m + claim.memory_mib > capacity.memoryMiB - used.memoryMiB ||
    sum.d + claim.disk_gib > capacity.diskGiB - used.diskGiB
  );
}

function room(allowed: number, used: number, each: number): number {
  return allowed < 0 || each === 0 ? NO_LIMIT : Math.max(0, Math.trunc((allowed - used) / each));
}

function addTo(sum: QuotaUse, each: Limits, times: number): void {
  for (const name of COUNTED) sum[name] += each[name] * times;
}

function figures({ used, limit }: { used: Limits; limit: Limits }): { limit: number[]; used: number[] } {
  return { limit: COUNTED.map((name) => limit[name]), used: COUNTED.map((name) => used[name]) };
}

type Wanted = Limits & {
  readonly ord: number;
  readonly project_id: string;
  readonly user_id: string;
  readonly count: number;
  readonly min_count: number;
  readonly group_id?: string;
};

/** A server that grows: what it gives back at the same time makes no room for others in this batch. */
function grows({ ord, project_id, user_id, instances, cores, ram }: UseRow): Wanted {
  return { ord, project_id, user_id, count: 1, min_count: 1, instances: Math.max(0, instances), cores: Math.max(0, cores), ram: Math.max(0, ram) };
}

function byProjectUserOrd(a: Wanted, b: Wanted): number {
  return compare(a.project_id, b.project_id) || compare(a.user_id, b.user_id) || a.ord - b.ord;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The checks of table `instance`. */
function checkRow(row: InstanceRow & { open: boolean }): void {
  rule((VM_STATES as readonly string[]).includes(row.vm_state), 'instance_vm_state_check');
  rule(row.generation >= 0, 'instance_generation_check');
  rule(!row.deleted || row.vm_state === 'deleted', 'instance_check');
  rule(!row.deleted || !row.open, 'instance_check1');
  rule(![row.name, row.hostname].some((text) => text.includes('\u0000')), 'text without a zero');
}

function rule(holds: boolean, constraint: string): void {
  if (!holds) throw new Error(`a constraint is broken: ${constraint}`);
}
