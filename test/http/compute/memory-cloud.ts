/**
 * A cloud in memory for tests of the door alone: answers what the Compute API asks of conductor, instances and hosts.
 * It keeps the contracts of the messages as far as the door can see them, and decides nothing else.
 */
import { randomUUID } from 'node:crypto';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { parseAddress } from '../../../runtime/actor/address.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { CreateOrder } from '../../../actors/conductor/messages/write.ts';
import type { HostView, ServerFilter } from '../../../actors/conductor/messages/read.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { HostStanding } from '../../../actors/model/host-standing.ts';
import type { Migration, MigrationFilter } from '../../../actors/model/migration.ts';
import type { Move } from '../../../actors/model/move.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import type { KeyPair } from '../../../actors/model/key-pair.ts';
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import type { QuotaName } from '../../../actors/model/quota.ts';
import { refusal, refusalText } from '../../../actors/model/server-state.ts';
import { applyChanges } from '../../../actors/instance/changes.ts';
import type { InstanceChanges, Verb } from '../../../actors/instance/messages.ts';

type Message = { readonly type: string; readonly [member: string]: unknown };

export const NETWORK_ID = '11111111-1111-4111-8111-111111111111';
export const HOST_ID = '22222222-2222-4222-8222-222222222222';

export class MemoryCloud implements Actors {
  readonly servers = new Map<string, Stored<InstanceRecord>>();
  readonly flavors = new Map<string, Flavor>();
  readonly flavorAccess = new Map<string, Set<string>>();
  readonly keyPairs = new Map<string, KeyPair>();
  readonly limits = new Map<string, { [name in QuotaName]?: number }>();
  readonly classLimits = new Map<string, { [name in QuotaName]?: number }>();
  readonly orders = new Map<string, { bodyHash: string; ids: string[] }>();
  readonly asked: { to: string; type: string }[] = [];
  readonly told: { to: string; type: string }[] = [];
  console = 'one\ntwo\nthree\n';
  /** Set: every ask is refused with it. */
  down: Fault | undefined;
  hosts: HostView[] = [hostView('host1', 1)];
  /** Newest first. */
  migrations: Migration[] = [];
  #revision = 0;
  /** Of hosts that are asked for by name. */
  readonly standings = new Map<string, HostStanding & { readonly silentMs: number }>();
  #number = 0;

  constructor() {
    this.addFlavor({ flavorId: '1', name: 'm1.tiny', memoryMiB: 512, rootGiB: 1 });
    this.addFlavor({ flavorId: '2', name: 'm1.small', memoryMiB: 2_048, rootGiB: 20 });
  }

  addFlavor(some: Partial<Flavor> & { flavorId: string }): Flavor {
    const flavor: Flavor = {
      name: some.flavorId,
      vcpus: 1,
      memoryMiB: 512,
      rootGiB: 1,
      ephemeralGiB: 0,
      swapMiB: 0,
      rxtxFactor: 1,
      isPublic: true,
      disabled: false,
      description: null,
      extraSpecs: {},
      ...some,
    };
    this.flavors.set(flavor.flavorId, flavor);
    return flavor;
  }

  /** Changes a record as its actor would. */
  change(id: string, changes: Partial<InstanceRecord>): Stored<InstanceRecord> {
    const before = this.servers.get(id);
    if (before === undefined) throw new Error(`no server ${id}`);
    const after = { record: { ...before.record, ...changes }, version: before.version + 1, revision: ++this.#revision };
    this.servers.set(id, after);
    return after;
  }

  /** What a create ends in. */
  activate(id: string): void {
    const { record } = this.servers.get(id) ?? {};
    this.change(id, {
      vmState: 'active',
      taskState: null,
      powerState: 'running',
      host: 'host1',
      zone: 'nova',
      generation: 1,
      operation: null,
      launchedAt: '2026-11-22T10:00:00.123Z',
      wantedNetworks: [],
      nics: (record?.wantedNetworks ?? []).map(({ networkId, address }) => ({
        networkId,
        label: 'private',
        address: address ?? '10.20.0.5',
        prefix: 16,
        gateway: '10.20.0.1',
        mac: 'fa:16:3e:00:00:05',
      })),
    });
  }

  tell(to: string, message: { readonly type: string }): void {
    this.told.push({ to, type: message.type });
  }

  async ask(to: string, message: { readonly type: string }): Promise<never> {
    this.asked.push({ to, type: message.type });
    if (this.down !== undefined) throw this.down;
    const { kind, id } = parseAddress(to);
    const m = message as Message;
    // The reply's type is the protocol's; this double is trusted to keep it.
    if (kind === 'conductor') return (await this.#conductor(m)) as never;
    if (kind === 'instance') return this.#instance(id, m) as never;
    if (kind === 'host') return this.#host(m) as never;
    throw new Fault('unavailable', 'double', `nobody is ${to}`);
  }

  #instance(id: string, m: Message): unknown {
    const found = this.servers.get(id);
    if (m.type === 'get') return found ?? null;
    if (found === undefined || found.record.deleted) throw new Fault('notFound', 'server.unknown', `Instance ${id} could not be found.`);
    const caller = m['caller'] as { isAdmin: boolean };
    if (found.record.locked && !caller.isAdmin) throw new Fault('conflict', 'server.locked', `Instance ${id} is locked`);
    if (m.type === 'update') {
      const changed = applyChanges(found.record, m['changes'] as InstanceChanges);
      if (changed instanceof Fault) throw changed;
      return this.change(id, changed);
    }
    const verb = m['verb'] as Verb;
    const why = refusal(verb.name === 'reboot' ? (verb.kind === 'hard' ? 'rebootHard' : 'rebootSoft') : verb.name, found.record);
    if (why) throw new Fault('conflict', 'server.state', refusalText(verb.name, id, why));
    if (verb.name === 'delete') return this.change(id, { deleted: true, vmState: 'deleted', terminatedAt: '2026-11-22T11:00:00.000Z' });
    if (verb.name === 'resize')
      return this.change(id, { vmState: 'resized', flavor: verb.flavor, move: moveOf(found.record, 'resize', { newFlavor: verb.flavor }) });
    if (verb.name === 'migrate') return this.change(id, { vmState: 'resized', move: moveOf(found.record, 'migration') });
    if (verb.name === 'live-migration') return this.change(id, { taskState: 'migrating', move: moveOf(found.record, 'live-migration', { hasSwapped: false }) });
    if (verb.name === 'confirmResize' || verb.name === 'revertResize') return this.change(id, { vmState: 'active', move: null });
    if (verb.name === 'abortMigration' || verb.name === 'forceMigration')
      return this.change(id, verb.name === 'abortMigration' ? { taskState: null, move: null } : {});
    if (verb.name === 'evacuate') return this.change(id, { taskState: 'rebuilding' });
    if (verb.name === 'stop') return this.change(id, { vmState: 'stopped', powerState: 'shutdown' });
    if (verb.name === 'start') return this.change(id, { vmState: 'active', powerState: 'running' });
    return this.change(id, { taskState: verb.kind === 'hard' ? 'rebooting_hard' : 'rebooting' });
  }

  #host(m: Message): unknown {
    if (m.type !== 'consoleOutput') throw new Fault('internal', 'double', m.type);
    return { base64: Buffer.from(this.console).toString('base64') };
  }

  #conductor(m: Message): unknown {
    switch (m.type) {
      case 'accept':
        return this.#accept(m['order'] as CreateOrder);
      case 'listServers':
        return this.#list(m as never);
      case 'showServer':
        return this.servers.get(String(m['id'])) ?? null;
      case 'listHosts':
        return this.hosts;
      case 'hostStanding':
        return this.standings.get((m as unknown as { host: string }).host) ?? null;
      case 'listMigrations':
        return this.#migrations(m as never);
      case 'listNodeServices':
        return [{ ...serviceView('nova-conductor', 'node1', 7), zone: 'internal' }];
      case 'listZones':
        return [{ name: 'nova', available: true, hosts: this.hosts.map((host) => host.host) }];
      case 'listServersOfHosts':
        return [...this.servers.values()]
          .filter(({ record }) => !record.deleted && (m['hosts'] as string[]).includes(record.host ?? ''))
          .map(({ record }) => ({ host: record.host, id: record.id, name: record.name }));
      case 'listNetworks':
        return [{ id: NETWORK_ID, label: 'private', cidr: '10.20.0.0/16', gateway: '10.20.0.1', projectId: null }];
      case 'showQuota':
        return this.#quota(String(m['projectId']), m['userId'] as string | null);
      case 'showQuotaClass':
        return this.classLimits.get(String(m['name'])) ?? {};
      case 'setQuotaClass':
        this.classLimits.set(String(m['name']), { ...this.classLimits.get(String(m['name'])), ...(m['limits'] as object) });
        return undefined;
      case 'setQuotaLimits':
        this.limits.set(quotaKey(m), { ...this.limits.get(quotaKey(m)), ...(m['limits'] as object) });
        return undefined;
      case 'resetQuotaLimits':
        this.limits.delete(quotaKey(m));
        return undefined;
      case 'updateService':
        this.hosts = this.hosts.map((host) => (host.uuid === m['uuid'] ? { ...host, ...pickService(m) } : host));
        return { host: m['host'] };
      case 'deleteService':
        this.hosts = this.hosts.filter((host) => host.uuid !== m['uuid']);
        return undefined;
      default:
        return m.type.includes('KeyPair') ? this.#keyPair(m) : this.#flavor(m);
    }
  }

  #migrations({ filter, marker, limit }: { filter: MigrationFilter; marker: string | null; limit: number }): readonly Migration[] {
    const is = (wanted: unknown, value: unknown): boolean => wanted === undefined || wanted === value;
    const found = this.migrations
      .filter((one) => is(filter.instanceId, one.instanceId) && is(filter.number, one.id) && is(filter.type, one.type) && is(filter.status, one.status))
      .filter(
        (one) => is(filter.source, one.source) && is(filter.userId, one.userId) && is(filter.projectId, one.projectId) && is(filter.ofProject, one.projectId),
      )
      .filter((one) => filter.host === undefined || one.source === filter.host || one.dest === filter.host)
      .filter((one) => Date.parse(one.updatedAt) >= (filter.changedSinceMs ?? 0) && Date.parse(one.updatedAt) <= (filter.changedBeforeMs ?? Infinity));
    const start = marker === null ? 0 : found.findIndex(({ uuid }) => uuid === marker) + 1;
    if (marker !== null && start === 0) throw new Fault('invalid', 'marker', `Marker ${marker} could not be found.`);
    return found.slice(start, start + limit);
  }

  #quota(projectId: string, userId: string | null) {
    const live = [...this.servers.values()].map(({ record }) => record).filter((record) => record.projectId === projectId && !record.deleted);
    const used = { instances: live.length, cores: sum(live, (one) => one.flavor.vcpus), ram: sum(live, (one) => one.flavor.memoryMiB) };
    const limits = {
      ...QUOTA_DEFAULTS,
      ...this.classLimits.get('default'),
      ...this.limits.get(`${projectId}/`),
      ...(userId === null ? {} : this.limits.get(`${projectId}/${userId}`)),
    };
    return { limits, used, keyPairs: this.keyPairs.size };
  }

  #accept(order: CreateOrder) {
    const before = order.idempotency === null ? undefined : this.orders.get(order.idempotency.key);
    if (before !== undefined) {
      if (before.bodyHash !== order.idempotency?.bodyHash)
        throw new Fault('unprocessable', 'idempotency.reused', 'This Idempotency-Key was used before with another request body.');
      return { instances: before.ids.map((id) => this.servers.get(id)), replayed: true };
    }
    const { limits, used } = this.#quota(order.projectId, order.userId);
    let count = order.instances.length;
    for (const name of ['instances', 'cores', 'ram'] as const) {
      if (limits[name] >= 0) count = Math.min(count, Math.floor((limits[name] - used[name]) / order.needEach[name]));
    }
    if (count < order.minCount) throw new Fault('overQuota', 'quota.instances', 'Quota exceeded for instances: Requested 1, but already used 0 of 0 instances');
    const instances = order.instances.slice(0, count).map((record) => {
      const stored = { record: { ...record, number: ++this.#number }, version: 1, revision: ++this.#revision };
      this.servers.set(record.id, stored);
      return stored;
    });
    if (order.idempotency !== null)
      this.orders.set(order.idempotency.key, { bodyHash: order.idempotency.bodyHash, ids: instances.map(({ record }) => record.id) });
    return { instances, replayed: false };
  }

  #list({ filter, marker, limit }: { filter: ServerFilter; marker: string | null; limit: number }) {
    const found = [...this.servers.values()].reverse().filter(({ record }) => matches(record, filter));
    let start = 0;
    if (marker !== null) {
      start = found.findIndex(({ record }) => record.id === marker) + 1;
      if (start === 0) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
    }
    return { servers: found.slice(start, start + limit), revision: this.#revision };
  }

  #keyPair(m: Message): unknown {
    const { userId } = m as never as { userId: string };
    const own = [...this.keyPairs.values()].filter((pair) => pair.userId === userId).sort((a, b) => (a.name < b.name ? -1 : 1));
    switch (m.type) {
      case 'listKeyPairs': {
        const start = m['marker'] === null ? 0 : own.findIndex(({ name }) => name === m['marker']) + 1;
        return own.slice(start, m['limit'] === null ? undefined : start + Number(m['limit']));
      }
      case 'showKeyPair':
        return own.find(({ name }) => name === m['name']) ?? null;
      case 'createKeyPair': {
        const pair = m['keyPair'] as KeyPair;
        const key = `${pair.userId}/${pair.name}`;
        const count = [...this.keyPairs.values()].filter((one) => one.userId === pair.userId).length;
        if (this.keyPairs.has(key)) throw new Fault('conflict', 'keyPair.name', 'used');
        if (count >= Number(m['max'])) throw new Fault('overQuota', 'quota.key_pairs', 'too many');
        const made = { ...pair, id: this.keyPairs.size + 1, createdAt: '2026-11-22T10:00:00.000Z' };
        this.keyPairs.set(key, made);
        return made;
      }
      default:
        this.keyPairs.delete(`${userId}/${String(m['name'])}`);
        return undefined;
    }
  }

  #flavor(m: Message): unknown {
    const id = String(m['flavorId']);
    const sees = (flavor: Flavor): boolean =>
      m['projectId'] === null || flavor.isPublic || this.flavorAccess.get(flavor.flavorId)?.has(String(m['projectId'])) === true;
    switch (m.type) {
      case 'showFlavor': {
        const flavor = this.flavors.get(id);
        return flavor !== undefined && sees(flavor) ? flavor : null;
      }
      case 'listFlavors': {
        const { isPublic, minMemoryMiB, minRootGiB, marker, limit, name } = m as never as {
          isPublic: boolean | null;
          minMemoryMiB: number | null;
          minRootGiB: number | null;
          marker: string | null;
          limit: number;
          name: string | null;
        };
        const found = [...this.flavors.values()]
          .filter(
            (one) =>
              sees(one) &&
              (isPublic === null || one.isPublic === isPublic) &&
              one.memoryMiB >= (minMemoryMiB ?? 0) &&
              one.rootGiB >= (minRootGiB ?? 0) &&
              (name === null || one.name.includes(name)),
          )
          .sort((a, b) => (a.flavorId < b.flavorId ? -1 : 1));
        const start = marker === null ? 0 : found.findIndex((one) => one.flavorId === marker) + 1;
        if (marker !== null && start === 0) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
        return found.slice(start, start + limit);
      }
      case 'createFlavor': {
        const flavor = m['flavor'] as Flavor;
        if (this.flavors.has(flavor.flavorId) || [...this.flavors.values()].some((one) => one.name === flavor.name))
          throw new Fault('conflict', 'flavor', `Flavor ${flavor.name} already exists.`);
        return this.addFlavor(flavor);
      }
      case 'updateFlavor':
        return this.addFlavor({ ...this.flavors.get(id), flavorId: id, description: m['description'] as string | null });
      case 'deleteFlavor':
        this.flavors.delete(id);
        return undefined;
      case 'setFlavorSpecs':
        return this.addFlavor({ ...this.flavors.get(id), flavorId: id, extraSpecs: { ...this.flavors.get(id)?.extraSpecs, ...(m['specs'] as object) } });
      case 'deleteFlavorSpec': {
        const kept = Object.entries(this.flavors.get(id)?.extraSpecs ?? {}).filter(([key]) => key !== m['key']);
        return this.addFlavor({ ...this.flavors.get(id), flavorId: id, extraSpecs: Object.fromEntries(kept) });
      }
      case 'listFlavorAccess':
        return [...(this.flavorAccess.get(id) ?? [])];
      case 'addFlavorAccess': {
        const projects = this.flavorAccess.get(id) ?? new Set();
        if (projects.has(String(m['projectId']))) throw new Fault('conflict', 'flavorAccess', 'Flavor access already exists.');
        this.flavorAccess.set(id, projects.add(String(m['projectId'])));
        return [...projects];
      }
      case 'removeFlavorAccess': {
        const projects = this.flavorAccess.get(id) ?? new Set();
        if (!projects.delete(String(m['projectId']))) throw new Fault('notFound', 'flavorAccess', 'Flavor access not found.');
        return [...projects];
      }
      default:
        throw new Fault('internal', 'double', `the double does not know ${m.type}`);
    }
  }
}

/** What a server has that was moved, or moves. */
export function moveOf({ flavor, host }: InstanceRecord, kind: Move['kind'], more: Partial<Move> = {}): Move {
  return {
    migrationId: randomUUID(),
    kind,
    userId: 'u',
    projectId: 'p',
    createdAt: '2026-11-22T10:00:00.000Z',
    standby: { host: host ?? '', zone: 'nova', generation: 2 },
    hasSwapped: true,
    source: host ?? '',
    dest: 'host2',
    oldFlavor: flavor,
    newFlavor: flavor,
    was: 'active',
    confirmDueMs: null,
    progress: null,
    ...more,
  };
}

export function migrationView(instanceId: string, some: Partial<Migration> = {}): Migration {
  return {
    id: 1,
    uuid: randomUUID(),
    instanceId,
    type: 'resize',
    status: 'finished',
    source: 'host1',
    dest: 'host2',
    oldFlavorId: '1',
    newFlavorId: '2',
    oldFlavorNumber: 1,
    newFlavorNumber: 2,
    userId: 'u',
    projectId: 'p',
    createdAt: '2026-11-22T10:00:00.000Z',
    updatedAt: '2026-11-22T10:00:00.000Z',
    progress: null,
    ...some,
  };
}

function quotaKey(m: Message): string {
  return `${String(m['projectId'])}/${m['userId'] === null ? '' : String(m['userId'])}`;
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function pickService(m: Message): Partial<HostView> {
  return Object.fromEntries(['enabled', 'disabledReason', 'forcedDown'].filter((name) => m[name] !== undefined).map((name) => [name, m[name]]));
}

function matches(record: InstanceRecord, filter: ServerFilter): boolean {
  const equal = (wanted: unknown, value: unknown): boolean => wanted === null || wanted === value;
  return (
    equal(filter.projectId, record.projectId) &&
    equal(filter.deleted, record.deleted) &&
    equal(filter.vmState, record.vmState) &&
    equal(filter.taskState, record.taskState) &&
    equal(filter.powerState, record.powerState) &&
    equal(filter.imageId, record.image.id) &&
    equal(filter.flavorId, record.flavor.flavorId) &&
    equal(filter.userId, record.userId) &&
    equal(filter.host, record.host) &&
    equal(filter.locked, record.locked) &&
    (filter.name === null || record.name.includes(filter.name.replace(/^\^|\$$/g, ''))) &&
    (filter.states === null ||
      filter.states.some((state) => state.vmState === record.vmState && (state.taskStates === null || state.taskStates.includes(record.taskState ?? '')))) &&
    (filter.tags === null || filter.tags.every((tag) => record.tags.includes(tag)))
  );
}

function serviceView(binary: string, host: string, id: number) {
  return {
    id,
    uuid: randomUUID(),
    binary,
    host,
    zone: 'nova',
    enabled: true,
    up: true,
    updatedAt: '2026-11-22T10:00:00.000Z',
    disabledReason: null,
    forcedDown: false,
  };
}

export function hostView(host: string, id: number): HostView {
  return {
    ...serviceView('nova-compute', host, id),
    hypervisorId: id,
    hypervisorUuid: id === 1 ? HOST_ID : randomUUID(),
    driver: 'simulated',
    hypervisorType: 'simulated',
    hypervisorVersion: 1_000_000,
    hostIp: '127.0.0.1',
    cpu: { arch: 'x86_64', model: 'any', vendor: 'any', topology: { sockets: 1, cores: 4, threads: 1 }, features: [] },
    total: { vcpus: 64, memoryMiB: 262_144, diskGiB: 4_096 },
    used: { vcpus: 1, memoryMiB: 512, diskGiB: 1 },
    instances: 1,
  };
}
