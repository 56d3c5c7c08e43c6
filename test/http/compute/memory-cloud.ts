/**
 * A cloud in memory for tests of the door alone: answers what the Compute API asks of conductor, instances and hosts.
 * It keeps the contracts of the messages as far as the door can see them, and decides nothing else.
 */
import { randomUUID } from 'node:crypto';
import type { Actors } from '../../../runtime/actor/ask.ts';
import { parseAddress } from '../../../runtime/actor/address.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import type { CreateOrder } from '../../../actors/conductor/messages/write.ts';
import type { HostView, ServerFilter, ServerSort } from '../../../actors/conductor/messages/read.ts';
import type { HostUptime } from '../../../drivers/driver.ts';
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { HostStanding } from '../../../actors/model/host-standing.ts';
import type { Migration, MigrationFilter } from '../../../actors/model/migration.ts';
import type { Move } from '../../../actors/model/move.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import type { KeyPair } from '../../../actors/model/key-pair.ts';
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import type { QuotaName } from '../../../actors/model/quota.ts';
import type { ActionRecord } from '../../../actors/model/operation.ts';
import type { SecurityGroup, SecurityRule } from '../../../actors/model/security-group.ts';
import type { ServerGroup } from '../../../actors/model/server-group.ts';
import { ALLOWED, refusal, refusalText, type Verb as LegalVerb } from '../../../actors/model/server-state.ts';
import { applyChanges } from '../../../actors/instance/changes.ts';
import type { Caller, InstanceChanges, Verb } from '../../../actors/instance/messages.ts';
import { rebuilt } from '../../../actors/instance/operations/rebuild.ts';
import { MemoryAggregates } from './memory-aggregates.ts';

type Message = { readonly type: string; readonly [member: string]: unknown };

export const NETWORK_ID = '11111111-1111-4111-8111-111111111111';
export const HOST_ID = '22222222-2222-4222-8222-222222222222';

const COUNTS = { octets: 10, packets: 1, errors: 0, drops: 0 };
const DIAGNOSTICS = {
  power: 'running',
  uptimeS: 46_664,
  cpus: [{ id: 0, timeNs: 17_300_000_000, utilisation: 15 }],
  disks: [{ name: 'vda', readBytes: 262_144, readRequests: 112, writeBytes: 5_778_432, writeRequests: 488, errors: 1 }],
  nics: [{ name: 'vnet0', mac: null, rx: COUNTS, tx: COUNTS }],
  memory: { maximumMiB: 512, usedMiB: 256 },
};

export class MemoryCloud implements Actors {
  readonly servers = new Map<string, Stored<InstanceRecord>>();
  readonly flavors = new Map<string, Flavor>();
  readonly flavorAccess = new Map<string, Set<string>>();
  readonly keyPairs = new Map<string, KeyPair>();
  readonly serverGroups = new Map<string, ServerGroup>();
  readonly securityGroups = new Map<string, Omit<SecurityGroup, 'rules'>>();
  readonly securityRules = new Map<string, SecurityRule>();
  readonly limits = new Map<string, { [name in QuotaName]?: number }>();
  readonly classLimits = new Map<string, { [name in QuotaName]?: number }>();
  readonly orders = new Map<string, { bodyHash: string; ids: string[] }>();
  readonly asked: { to: string; type: string }[] = [];
  readonly told: { to: string; type: string }[] = [];
  readonly madeImages: string[] = [];
  /** Verbs that were accepted. */
  readonly verbs: { id: string; verb: Verb }[] = [];
  /** No quota is left for a server to be restored. */
  full = false;
  /** What the guest answers to what its callers wait for. */
  guestFault: FaultRecord | null = null;
  console = 'one\ntwo\nthree\n';
  /** Set: every ask is refused with it. */
  down: Fault | undefined;
  hosts: HostView[] = [hostView('host1', 1)];
  /** Newest first. */
  migrations: Migration[] = [];
  readonly aggregates = new MemoryAggregates(() => this.hosts.map(({ host }) => host));
  uptime: HostUptime | null = { upMs: 93_784_000, load: [0.2, 0.12, 0.14] };
  /** What was last counted. */
  period: { beginMs: number; endMs: number } | undefined;
  #revision = 0;
  /** Of hosts that are asked for by name. */
  readonly standings = new Map<string, HostStanding & { readonly silentMs: number }>();
  #number = 0;
  /** What lists of servers were asked for. */
  readonly listed: { readonly filter: ServerFilter; readonly sort: readonly ServerSort[]; readonly marker: string | null; readonly limit: number }[] = [];

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
    const locked = (rule: LegalVerb): void => {
      if (ALLOWED[rule].lock && found.record.locked && !caller.isAdmin) throw new Fault('conflict', 'server.locked', `Instance ${id} is locked`);
    };
    if (m.type === 'update') {
      locked((m['changes'] as InstanceChanges).tags ? 'tags' : 'update');
      const changed = applyChanges(found.record, m['changes'] as InstanceChanges);
      if (changed instanceof Fault) throw changed;
      return this.change(id, changed);
    }
    const verb = m['verb'] as Verb;
    const rule = verb.name === 'reboot' ? (verb.kind === 'hard' ? 'rebootHard' : 'rebootSoft') : verb.name;
    locked(rule);
    const why = refusal(rule, found.record);
    if (why) throw new Fault('conflict', 'server.state', refusalText(verb.name, id, why));
    this.verbs.push({ id, verb });
    return this.change(id, this.#done(verb, found.record, m['caller'] as Caller));
  }

  /** What the server is at once when its actor accepts the verb, or after it where callers wait for the end. */
  #done(verb: Verb, record: InstanceRecord, caller: Caller): Partial<InstanceRecord> {
    switch (verb.name) {
      case 'delete':
      case 'forceDelete':
        return { deleted: true, vmState: 'deleted', terminatedAt: '2026-11-22T11:00:00.000Z' };
      case 'resize':
        return { vmState: 'resized', flavor: verb.flavor, move: moveOf(record, 'resize', { newFlavor: verb.flavor }) };
      case 'migrate':
        return { vmState: 'resized', move: moveOf(record, 'migration') };
      case 'live-migration':
        return { taskState: 'migrating', move: moveOf(record, 'live-migration', { hasSwapped: false }) };
      case 'confirmResize':
      case 'revertResize':
        return { vmState: 'active', move: null };
      case 'abortMigration':
        return { taskState: null, move: null };
      case 'forceMigration':
        return {};
      case 'evacuate':
        return { taskState: 'rebuilding' };
      case 'stop':
        return { vmState: 'stopped', powerState: 'shutdown' };
      case 'start':
        return { vmState: 'active', powerState: 'running' };
      case 'reboot':
        return { taskState: verb.kind === 'hard' ? 'rebooting_hard' : 'rebooting' };
      case 'createImage':
      case 'createBackup':
      case 'shelve':
        return { taskState: verb.name === 'createImage' ? 'image_snapshot_pending' : verb.name === 'shelve' ? 'shelving' : 'image_backup' };
      case 'shelveOffload':
      case 'unshelve':
        return { taskState: verb.name === 'unshelve' ? 'unshelving' : 'shelving_offloading' };
      case 'rebuild':
        return { ...rebuilt(verb), taskState: 'rebuilding' };
      case 'lock':
        return { locked: true, lockedReason: verb.reason, lockedBy: record.projectId === caller.projectId ? 'owner' : 'admin' };
      case 'unlock':
        return { locked: false, lockedReason: null, lockedBy: null };
      case 'resetState':
        return { vmState: verb.to, taskState: null };
      case 'restore':
        if (this.full) throw new Fault('overQuota', 'quota.exceeded', 'Quota exceeded for the resources of the server.');
        return { taskState: 'restoring' };
      case 'changePassword':
      case 'crashDump':
        return { actions: [ended(verb.name, caller, this.guestFault)] };
      default:
        return { taskState: TASKS[verb.name] };
    }
  }

  #host(m: Message): unknown {
    if (m.type === 'hostUptime') return this.uptime;
    if (m.type === 'diagnostics') return DIAGNOSTICS;
    if (m.type !== 'consoleOutput') throw new Fault('internal', 'double', m.type);
    return { base64: Buffer.from(this.console).toString('base64') };
  }

  #conductor(m: Message): unknown {
    switch (m.type) {
      case 'accept':
        return this.#accept(m['order'] as CreateOrder);
      case 'listServers':
        this.listed.push(m as never);
        return this.#list(m as never);
      case 'showServer':
        return this.servers.get(String(m['id'])) ?? null;
      case 'snapshotImage':
        this.madeImages.push(String(m['imageId']));
        return undefined;
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
      case 'listServerUse': {
        const { projectId, fromMs, toMs, marker, limit } = m as never as {
          projectId: string | null;
          fromMs: number;
          toMs: number;
          marker: string | null;
          limit: number;
        };
        const ran = [...this.servers.values()]
          .map(({ record }) => record)
          .filter((one) => (projectId === null || one.projectId === projectId) && one.launchedAt !== null && Date.parse(one.launchedAt) < toMs)
          .filter(({ terminatedAt }) => terminatedAt === null || Date.parse(terminatedAt) > fromMs)
          .sort((a, b) => (`${a.projectId} ${a.id}` < `${b.projectId} ${b.id}` ? -1 : 1));
        const start = marker === null ? 0 : ran.findIndex(({ id }) => id === marker) + 1;
        if (marker !== null && start === 0) throw new Fault('invalid', 'marker', `marker [${marker}] not found`);
        return ran.slice(start, start + limit).map(({ id, projectId: project, name, vmState, flavor, launchedAt, terminatedAt }) => ({
          id,
          projectId: project,
          name,
          vmState,
          flavorName: flavor.name,
          vcpus: flavor.vcpus,
          memoryMiB: flavor.memoryMiB,
          diskGiB: flavor.rootGiB + flavor.ephemeralGiB,
          launchedAt,
          terminatedAt,
        }));
      }
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
      case 'hostUse':
        return [{ projectId: 'blue', promised: { vcpus: 1, memoryMiB: 512, diskGiB: 1 } }];
      case 'serversInPeriod':
        this.period = m as never;
        return this.hosts.slice(0, 1).map(({ host }) => ({ host, servers: 3 }));
      default:
        if (/Aggregate|wantImages/.test(m.type)) return this.aggregates.ask(m);
        if (m.type.includes('ServerGroup')) return this.#serverGroup(m);
        if (m.type.includes('Security')) return this.#securityGroup(m);
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
    const own = (all: Iterable<{ projectId: string }>): number => [...all].filter((one) => one.projectId === projectId).length;
    const ofUsers: { [name: string]: number } = {};
    for (const [key, set] of this.limits) {
      if (!key.startsWith(`${projectId}/`) || key === `${projectId}/`) continue;
      for (const [name, value] of Object.entries(set)) ofUsers[name] = (ofUsers[name] ?? 0) + Math.max(0, value);
    }
    const counts = {
      fixedIps: sum(live, (one) => one.nics.length),
      serverGroups: own(this.serverGroups.values()),
      securityGroups: own(this.securityGroups.values()),
    };
    return { limits, used, keyPairs: this.keyPairs.size, ...counts, ofUsers };
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

  #serverGroup(m: Message): unknown {
    const view = (group: ServerGroup) => ({
      ...group,
      members: [...this.servers.values()].filter(({ record }) => record.group?.id === group.id && !record.deleted).map(({ record }) => record.id),
    });
    const id = String(m['id']);
    switch (m.type) {
      case 'listServerGroups': {
        const { projectId, offset, limit } = m as never as { projectId: string | null; offset: number; limit: number };
        const own = [...this.serverGroups.values()].filter((one) => projectId === null || one.projectId === projectId);
        return own.slice(offset, offset + limit).map(view);
      }
      case 'showServerGroup': {
        const group = this.serverGroups.get(id);
        return group === undefined ? null : view(group);
      }
      case 'createServerGroup': {
        const group = m['group'] as ServerGroup;
        const { limits, serverGroups } = this.#quota(group.projectId, group.userId);
        if (limits.server_groups >= 0 && serverGroups >= limits.server_groups)
          throw new Fault('overQuota', 'quota.server_groups', 'Quota exceeded, too many server groups.');
        this.serverGroups.set(group.id, group);
        return group;
      }
      default:
        this.serverGroups.delete(id);
        return undefined;
    }
  }

  #securityGroup(m: Message): unknown {
    const view = (group: Omit<SecurityGroup, 'rules'>): SecurityGroup => ({
      ...group,
      rules: [...this.securityRules.values()].filter(({ parentGroupId }) => parentGroupId === group.id),
    });
    const id = String(m['id']);
    switch (m.type) {
      case 'listSecurityGroups': {
        const { projectId, offset, limit } = m as never as { projectId: string | null; offset: number; limit: number };
        const own = () => [...this.securityGroups.values()].filter((one) => projectId === null || one.projectId === projectId);
        if (projectId !== null && own().length === 0) {
          const made = randomUUID();
          this.securityGroups.set(made, { id: made, projectId, name: 'default', description: 'default' });
        }
        return own()
          .slice(offset, offset + limit)
          .map(view);
      }
      case 'showSecurityGroup': {
        const group = this.securityGroups.get(id);
        return group === undefined ? null : view(group);
      }
      case 'createSecurityGroup': {
        const { userId: _, ...group } = m['group'] as SecurityGroup & { userId: string };
        this.securityGroups.set(group.id, group);
        return view(group);
      }
      case 'updateSecurityGroup': {
        const group = this.securityGroups.get(id);
        if (group === undefined) throw new Fault('notFound', 'securityGroup', `Security group ${id} not found.`);
        const changed = { ...group, name: String(m['name']), description: String(m['description']) };
        this.securityGroups.set(id, changed);
        return view(changed);
      }
      case 'deleteSecurityGroup':
        this.securityGroups.delete(id);
        return undefined;
      case 'createSecurityRule': {
        const { userId: _, sourceGroupId, ...rule } = m['rule'] as Omit<SecurityRule, 'group'> & { userId: string; sourceGroupId: string | null };
        const source = sourceGroupId === null ? undefined : this.securityGroups.get(sourceGroupId);
        const made = { ...rule, group: source === undefined ? null : { name: source.name, projectId: source.projectId } };
        this.securityRules.set(made.id, made);
        return made;
      }
      case 'showSecurityRule': {
        const rule = this.securityRules.get(id);
        const group = this.securityGroups.get(rule?.parentGroupId ?? '');
        return rule === undefined || group === undefined ? null : { ...rule, projectId: group.projectId };
      }
      default:
        this.securityRules.delete(id);
        return undefined;
    }
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
        const { key_pairs: max } = this.#quota(String(m['projectId']), pair.userId).limits;
        if (max >= 0 && count >= max) throw new Fault('overQuota', 'quota.key_pairs', 'too many');
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
    equal(filter.deleted, record.deleted || (filter.softDeleted === 'asDeleted' && record.vmState === 'soft-delete')) &&
    (filter.softDeleted !== 'hidden' || record.vmState !== 'soft-delete') &&
    (filter.ids === null || filter.ids.includes(record.id)) &&
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

const TASKS = {
  pause: 'pausing',
  unpause: 'unpausing',
  suspend: 'suspending',
  resume: 'resuming',
  rescue: 'rescuing',
  unrescue: 'unrescuing',
} as const;

function ended(action: string, { requestId, userId, projectId }: Caller, fault: FaultRecord | null): ActionRecord {
  const at = '2026-11-22T10:00:00.000Z';
  const event = { event: 'any', startedAt: at, finishedAt: at, result: fault ? ('Error' as const) : ('Success' as const), host: 'host1', fault };
  return { requestId, action, userId, projectId, startedAt: at, updatedAt: at, message: fault ? 'Error' : null, events: [event] };
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
