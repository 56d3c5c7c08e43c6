/** From the items of a batch to the parameters of `novact_write`, and from its answer back to each item's. Pure. */
import { shardOf } from '../../../runtime/shard/ring.ts';
import type { EventBatch, StatusEvent } from '../../model/event.ts';
import { eventOf } from '../../model/events-of.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import { DEFAULT_GROUP } from '../../model/security-group.ts';
import type { RefusedWhy } from '../../model/commit.ts';
import { toInstanceRow } from '../tables/instance-row.ts';
import type { CommitItem, OrderItem, QuotaState, WriteAnswer, WriteItem } from './item.ts';

/** How long a new server waits for its hint. */
const WAKE_HINT_MS = 1_000;

/** The parameters by name; all but `items` are lists. */
const LISTS = ['commits', 'states', 'claims', 'drops', 'takes', 'uses', 'orders', 'rows', 'events'] as const;
type Packed = { readonly [list in (typeof LISTS)[number]]: object[] };
export type WriteParameters = { readonly items: number } & { readonly [list in (typeof LISTS)[number]]: string | null };

/** What the function answers. Arrays are indexed by ord − 1. */
export type WriteReply = {
  readonly revision: number;
  readonly refused: readonly (string | null)[] | null;
  readonly granted: readonly (number | null)[] | null;
  readonly numbers: { readonly [instanceId: string]: number };
  readonly seen: readonly (readonly string[] | null)[] | null;
  readonly over: readonly (QuotaState | null)[] | null;
};

export function packBatch(items: readonly WriteItem[]): WriteParameters {
  const packed: Packed = { commits: [], states: [], claims: [], drops: [], takes: [], uses: [], orders: [], rows: [], events: [] };
  items.forEach((item, i) => (item.is === 'commit' ? packCommit(packed, item, i + 1) : packOrder(packed, item, i + 1)));
  const text = (list: object[]): string | null => (list.length === 0 ? null : JSON.stringify(list));
  const { commits, states, claims, drops, takes, uses, orders, rows, events } = packed;
  return {
    items: items.length,
    commits: text(commits),
    states: text(states),
    claims: text(claims),
    drops: text(drops),
    takes: text(takes),
    uses: text(uses),
    orders: text(orders),
    rows: text(rows),
    events: text(events),
  };
}

/** In the order of the function's parameters; the configured quotas come last. */
export function writeValues(parameters: WriteParameters, defaults: string): (string | number | null)[] {
  return [parameters.items, ...LISTS.map((list) => parameters[list]), defaults];
}

/** Each item's answer, and what the batch made visible. */
export function unpackBatch(items: readonly WriteItem[], reply: WriteReply): { answers: WriteAnswer[]; written: EventBatch } {
  const events: StatusEvent[] = [];
  const answers = items.map((item, i): WriteAnswer => {
    const refused = reply.refused?.[i] ?? null;
    if (item.is === 'order') return orderAnswer(item, refused, i, reply, events);
    if (refused !== null) return { is: 'refused', why: refused as RefusedWhy };
    if (item.parts.event) events.push({ ...item.parts.event, revision: reply.revision });
    return { is: 'done', version: item.version + 1, revision: reply.revision };
  });
  return { answers, written: { revision: reply.revision, events } };
}

function packCommit(packed: Packed, item: CommitItem, ord: number): void {
  const { record, parts } = item;
  packed.commits.push({ ord, id: record.id, shard: item.shard, epoch: item.epoch, version: item.version });
  packed.states.push({ ord, open: item.open, due_at_ms: item.dueAtMs, ...toInstanceRow(record) });
  if (parts.event) packed.events.push({ ord, idx: 0, id: record.id, project_id: record.projectId, event: parts.event });
  if (parts.dropAddresses) packed.drops.push({ ord, id: record.id });
  for (const claim of parts.claims) {
    const base = { ord, op: claim.op, instance_id: record.id, generation: claim.generation };
    if (claim.op === 'evacuate') packed.claims.push({ ...base, host: claim.host });
    else if (claim.op === 'activate') packed.claims.push({ ...base, host: claim.host });
    else if (claim.op !== 'add') packed.claims.push(base);
    else {
      const { vcpus, memoryMiB, diskGiB } = claim.need;
      packed.claims.push({
        ...base,
        host: claim.host,
        host_epoch: claim.hostEpoch,
        role: claim.standby ? 'standby' : 'active',
        vcpus,
        memory_mib: memoryMiB,
        disk_gib: diskGiB,
        ...memberOf(record),
      });
    }
  }
  for (const take of parts.takeAddresses) {
    packed.takes.push({ ord, network_id: take.networkId, address: take.address, instance_id: record.id, mac: take.mac });
  }
  if (parts.quota || parts.migration) {
    const { projectId, userId, instances, cores, ram } = parts.quota ?? { ...record, instances: 0, cores: 0, ram: 0 };
    const migration = parts.migration && { instance_id: record.id, migration: parts.migration };
    packed.uses.push({ ord, project_id: projectId, user_id: userId, instances, cores, ram, ...migration });
  }
}

function packOrder(packed: Packed, item: OrderItem, ord: number): void {
  const { order } = item;
  packed.orders.push({
    ord,
    first: order.instances[0]?.id ?? null,
    project_id: order.projectId,
    user_id: order.userId,
    count: order.instances.length,
    min_count: order.minCount,
    ...order.needEach,
    key: order.idempotency?.key ?? null,
    body_hash: order.idempotency?.bodyHash ?? null,
    ...memberOf(order.instances[0]),
    ...securedBy(order.instances[0]),
  });
  order.instances.forEach((record, idx) => {
    packed.rows.push({
      ord,
      idx,
      shard: shardOf(`instance/${record.id}`),
      open: record.operation !== null,
      due_at_ms: firstDueMs(record),
      ...toInstanceRow(record),
    });
    packed.events.push({ ord, idx, id: record.id, project_id: record.projectId, event: eventOf(undefined, record) });
  });
}

/** The hint that wakes a new server may be lost: the scan of due operations finds it a moment later, not at its limit. */
function firstDueMs({ operation, createdAt }: InstanceRecord): number | null {
  return operation && Math.min(operation.stepDueMs, Date.parse(createdAt) + WAKE_HINT_MS);
}

/** Left out when there is no group: the function looks whether any item names one. */
function memberOf(record: InstanceRecord | undefined): { group_id?: string } {
  return record?.group ? { group_id: record.group.id } : {};
}

/** Left out when there are no others than the one that every project has. */
function securedBy(record: InstanceRecord | undefined): { secured?: readonly string[] } {
  const names = record?.securityGroups.filter((name) => name !== DEFAULT_GROUP) ?? [];
  return names.length === 0 ? {} : { secured: names };
}

function orderAnswer(item: OrderItem, refused: string | null, i: number, reply: WriteReply, events: StatusEvent[]): WriteAnswer {
  if (refused === 'again') return { is: 'again' };
  if (refused === 'seen') return { is: 'seen', ids: reply.seen?.[i] ?? [] };
  if (refused === 'keyReused' || refused === 'groupGone' || refused === 'groupFull' || refused === 'securityGroupGone') return { is: refused };
  if (refused === 'quota') return { is: 'overQuota', over: reply.over?.[i] as QuotaState };
  const count = reply.granted?.[i] ?? 0;
  const instances = item.order.instances.slice(0, count).map((record: InstanceRecord) => {
    events.push({ ...eventOf(undefined, record), revision: reply.revision });
    return { record: { ...record, number: reply.numbers[record.id] ?? 0 }, version: 1, revision: reply.revision };
  });
  return { is: 'accepted', instances };
}
