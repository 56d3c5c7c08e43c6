/** What the store's suite needs of an implementation, and the usual orders and commits of its cases. */
import type { CellStore } from '../../actors/conductor/store.ts';
import type { CreateOrder } from '../../actors/conductor/messages/write.ts';
import type { OrderAnswer } from '../../actors/conductor/write/item.ts';
import type { InstanceParts } from '../../actors/model/commit.ts';
import { eventOf } from '../../actors/model/events-of.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import type { NetworkRecord } from '../../actors/model/addressing.ts';
import type { Operation } from '../../actors/model/operation.ts';
import type { Claim } from '../../actors/model/placement.ts';
import { quotaHeld } from '../../actors/model/between.ts';
import { COUNTED, quotaNeed, type QuotaNeed } from '../../actors/model/quota.ts';
import { needOf, type Resources } from '../../actors/model/resources.ts';
import type { ServerGroup } from '../../actors/model/server-group.ts';
import type { CommitAnswer } from '../../runtime/actor/store.ts';
import { shardOf } from '../../runtime/shard/ring.ts';
import { instanceRecord, uuidOf } from '../actors/conductor/rows.ts';

/** The whole content of a cell, sorted, fit for comparison. */
export type CellDump = {
  readonly revision: number;
  readonly lastNumber: number;
  readonly instances: readonly {
    id: string;
    number: number;
    version: number;
    revision: number;
    open: boolean;
    dueAtMs: number | null;
    deleted: boolean;
    generation: number;
    host: string | null;
    record: InstanceRecord;
  }[];
  readonly hosts: readonly { name: string; epoch: number; used: Resources; claims: number }[];
  readonly claims: readonly Claim[];
  readonly quota: readonly ({ project: string; user: string } & QuotaNeed)[];
  readonly fixedIps: readonly { networkId: string; address: string; instanceId: string; mac: string }[];
  readonly events: readonly { revision: number; ord: number; id: string; projectId: string; body: object }[];
  readonly idempotency: readonly { project: string; key: string; bodyHash: string; instances: readonly string[] }[];
  readonly migrations: readonly { uuid: string; instanceId: string; type: string; status: string; source: string; dest: string | null }[];
};

export type StoreRig = {
  /** A store with a writing session of its own on the rig's one cell; project quota 10 instances, 20 cores, 51,200 MiB. */
  open(): Promise<CellStore>;
  /** Every shard changes hands: the epoch grows. Answers with the new one. */
  take(): Promise<number>;
  addNetwork(network: NetworkRecord): Promise<void>;
  /** Of hosts that have begun; ids come in rising order. */
  addAggregate(aggregate: { id: number; metadata: { readonly [key: string]: string }; hosts: readonly string[] }): Promise<void>;
  setLimit(project: string, user: string, limits: Partial<QuotaNeed & { server_group_members: number; fixed_ips: number }>): Promise<void>;
  addGroup(group: ServerGroup): Promise<void>;
  addSecurityGroup(project: string, name: string): Promise<void>;
  setDefaultClass(limits: Partial<QuotaNeed>): Promise<void>;
  dump(): Promise<CellDump>;
  close(): Promise<void>;
};

export const NETWORK: NetworkRecord = { id: uuidOf(800_000), label: 'private', cidr: '10.20.0.0/24', gateway: '10.20.0.1', projectId: null };
export const CAPACITY: Resources = { vcpus: 8, memoryMiB: 4_096, diskGiB: 100 };
const INVENTORY = {
  vcpus: 8,
  memoryMiB: 4_096,
  diskGiB: 100,
  hypervisorType: 'simulated',
  hypervisorVersion: 1,
  hostIp: '127.0.0.1',
  cpu: { arch: 'x86_64', model: 'm', vendor: 'v', topology: { sockets: 1, cores: 8, threads: 1 }, features: [] },
};
export const NO_CHANGES: Omit<InstanceParts, 'event'> = { claims: [], takeAddresses: [], dropAddresses: false, quota: null };

export function startHost(
  store: CellStore,
  host: string,
  capacity: Resources = CAPACITY,
  selfFenceMs: number | null = null,
  zone = 'nova',
): ReturnType<CellStore['hostStart']> {
  return store.hostStart({ host, node: 'n1', driver: 'simulated', inventory: INVENTORY, capacity, zone, selfFenceMs });
}

const CREATING: Operation = {
  name: 'create',
  id: uuidOf(700_000),
  step: 'place',
  args: {},
  requestId: 'req-1',
  startedAt: '2026-01-01T00:00:00.000Z',
  stepDueMs: 60_000,
  attempt: 0,
  excludedHosts: [],
};

/** A new server, not placed, with its create open. `nth` names it. */
export function building(nth: number, more: Partial<InstanceRecord> = {}): InstanceRecord {
  return instanceRecord(nth, {
    vmState: 'building',
    taskState: 'scheduling',
    powerState: 'pending',
    host: null,
    zone: null,
    generation: 0,
    launchedAt: null,
    operation: CREATING,
    ...more,
  });
}

export function orderOf(instances: readonly InstanceRecord[], more: Partial<CreateOrder> = {}): CreateOrder {
  const [first] = instances;
  const { projectId = 'blue', userId = 'ann', flavor } = first ?? {};
  return {
    projectId,
    userId,
    instances,
    minCount: instances.length,
    needEach: quotaNeed(1, flavor ?? { vcpus: 1, memoryMiB: 512 }),
    idempotency: null,
    ...more,
  };
}

/** Accepts servers of these numbers and answers with them as they are stored. */
export async function create(store: CellStore, nths: readonly number[], more: Partial<InstanceRecord> = {}): Promise<Stored<InstanceRecord>[]> {
  const answer = await store.accept(orderOf(nths.map((nth) => building(nth, more))));
  if (answer.is !== 'accepted') throw new Error(`the order was not accepted: ${answer.is}`);
  return [...answer.instances];
}

export type Change = { readonly record?: Partial<InstanceRecord>; readonly parts?: Partial<InstanceParts>; readonly epoch?: number; readonly version?: number };

/** Commits a change of a server under epoch 1, as its actor would. */
export function commit(store: CellStore, before: Stored<InstanceRecord>, change: Change): Promise<CommitAnswer> {
  const address = `instance/${before.record.id}`;
  const record = { ...before.record, ...change.record };
  const parts: InstanceParts = { ...NO_CHANGES, event: eventOf(before.record, record), ...change.parts };
  const open = record.operation !== null;
  return store.commit({
    address,
    shard: shardOf(address),
    epoch: change.epoch ?? 1,
    version: change.version ?? before.version,
    record,
    commit: { parts, open, dueAtMs: open ? (record.operation?.stepDueMs ?? null) : null },
  });
}

/** The change that places a server on a host. */
export function placedOn(server: Stored<InstanceRecord>, host: string, hostEpoch: number, address?: string): Change {
  const generation = server.record.generation + 1;
  const takeAddresses = address === undefined ? [] : [{ networkId: NETWORK.id, address, mac: macFor(address) }];
  return { record: { host, generation }, parts: { claims: [{ op: 'add', generation, host, hostEpoch, need: needOf(server.record.flavor) }], takeAddresses } };
}

/** The change that ends a server. */
export function deletion(server: Stored<InstanceRecord>, op: 'drop' | 'doom' = 'drop'): Change {
  const { record } = server;
  const need = quotaNeed(1, record.flavor);
  return {
    record: { vmState: 'deleted', taskState: null, deleted: true, operation: null, host: null, nics: [] },
    parts: {
      claims: record.host === null ? [] : [{ op, generation: record.generation }],
      dropAddresses: true,
      quota: { projectId: record.projectId, userId: record.userId, instances: -need.instances, cores: -need.cores, ram: -need.ram },
    },
  };
}

/** The server after a commit that was done. */
export function after(before: Stored<InstanceRecord>, change: Change, answer: CommitAnswer): Stored<InstanceRecord> {
  if (answer.is !== 'done') throw new Error(`the commit was not done: ${JSON.stringify(answer)}`);
  return { record: { ...before.record, ...change.record }, version: answer.version, revision: answer.revision };
}

export function macFor(address: string): string {
  return `fa:16:${address
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;
}

export function accepted(answers: readonly OrderAnswer[]): number {
  return answers.filter((answer) => answer.is === 'accepted').length;
}

/** What must hold in every cell at every moment (P4, P5). */
export function broken(dump: CellDump): string[] {
  const problems: string[] = [];
  const expectSame = (what: string, found: unknown, wanted: unknown): void => {
    if (JSON.stringify(found) !== JSON.stringify(wanted)) problems.push(`${what}: ${JSON.stringify(found)}, should be ${JSON.stringify(wanted)}`);
  };
  for (const host of dump.hosts) {
    const own = dump.claims.filter((claim) => claim.host === host.name);
    const sum = (key: keyof Resources): number => own.reduce((total, claim) => total + claim.need[key], 0);
    expectSame(
      `used of ${host.name}`,
      { ...host.used, claims: host.claims },
      { vcpus: sum('vcpus'), memoryMiB: sum('memoryMiB'), diskGiB: sum('diskGiB'), claims: own.length },
    );
  }
  for (const use of dump.quota) {
    const own = dump.instances.filter(
      ({ deleted, record }) =>
        !deleted && (record.reclaimAtMs ?? null) === null && record.projectId === use.project && (use.user === '' || use.user === record.userId),
    );
    const needs = own.map(({ record }) => quotaHeld(record));
    for (const name of COUNTED)
      expectSame(
        `${name} of ${use.project}/${use.user}`,
        use[name],
        needs.reduce((total, need) => total + need[name], 0),
      );
  }
  expectSame(
    'addresses of the deleted whose guests are gone',
    dump.fixedIps.filter(
      ({ instanceId }) =>
        dump.instances.some(({ id, deleted }) => id === instanceId && deleted) &&
        !dump.claims.some((claim) => claim.instanceId === instanceId && claim.role === 'doomed'),
    ),
    [],
  );
  const revisions = [...new Set(dump.events.map((event) => event.revision))];
  expectSame(
    'revisions with events',
    revisions,
    Array.from({ length: dump.revision }, (_, i) => i + 1),
  );
  const pairs = dump.events.map((event) => `${event.revision}/${event.id}`);
  expectSame('events of one object in one revision', pairs.length, new Set(pairs).size);
  return problems;
}
