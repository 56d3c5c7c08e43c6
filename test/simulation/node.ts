/**
 * One node of the simulated cluster: the real runtime and the real actors of every room, on a store and a network in
 * memory, simulated hypervisors and virtual time. It is put together as index.ts does it, without doors for users.
 */
import { openFeed, type Feed } from '../../actors/conductor/feed.ts';
import { KnownHosts, placesOf } from '../../actors/conductor/host-places.ts';
import { conductorElsewhere, conductorKind } from '../../actors/conductor/kind.ts';
import { clusterClient, type ClusterClient } from '../../actors/conductor/node-client.ts';
import type { CellStore } from '../../actors/conductor/store.ts';
import { doorOf, URGENT } from '../../actors/doors.ts';
import { hostKind } from '../../actors/host/kind.ts';
import { HostLease } from '../../actors/host/lease.ts';
import { hostRef } from '../../actors/host/messages.ts';
import { instanceKind } from '../../actors/instance/kind.ts';
import { networkKind } from '../../actors/network/kind.ts';
import { recoveryKind } from '../../actors/recovery/kind.ts';
import { RECOVERY } from '../../actors/recovery/messages.ts';
import type { RecoverySettings } from '../../actors/recovery/settings.ts';
import { schedulerKind } from '../../actors/scheduler/kind.ts';
import { schedulerRef } from '../../actors/scheduler/messages.ts';
import { LeftImages, snapshotServe, type ImageDesk } from '../../actors/conductor/snapshot-images.ts';
import type { SnapshotRows } from '../../actors/conductor/snapshot-rows.ts';
import type { HypervisorDriver, ImageSink } from '../../drivers/driver.ts';
import { openSimulatedDriver } from '../../drivers/simulated/driver.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { ActorKind } from '../../runtime/actor/kind.ts';
import { NodeRoom } from '../../runtime/actor/room.ts';
import { ActorSystem } from '../../runtime/actor/system.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { StoredNodeTable } from '../../runtime/database/node-table.ts';
import type { ShardTable } from '../../runtime/database/shard-table.ts';
import type { FrameSender, Mesh, PeerKey } from '../../runtime/mesh/mesh.ts';
import type { Frame } from '../../runtime/mesh/frame.ts';
import type { ZeromqMeshOptions } from '../../runtime/mesh/zeromq.ts';
import { Member, type JoinParts } from '../../runtime/node/member.ts';
import { ownersOf, rendezvous } from '../../runtime/shard/directory.ts';
import { Shards } from '../../runtime/shard/shards.ts';
import type { MemoryNetwork } from '../doubles/memory-mesh.ts';
import { simulatedReads, type HistoryReads } from './reads.ts';
import type { Life } from './life.ts';
import type { Roads } from './roads.ts';
import { CONTROL_MESH, driverLatency, HOST_LEASE_MS, hostSettings, INSTANCE_SETTINGS, LEASE, sliceOf } from './settings.ts';
import type { SimHost } from './machine.ts';

export type NodeParts = {
  readonly life: Life;
  readonly name: string;
  readonly boot: BootId;
  readonly roles: readonly string[];
  /** Of the hypervisors: a verb goes on when the node that asked for it is dead. */
  readonly worldClock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: MemoryNetwork;
  readonly store: CellStore & HistoryReads & ImageLine & { readonly nodes: StoredNodeTable; readonly shards: ShardTable };
  /** Known before the table is: where a node without a database asks first. */
  readonly seeds: readonly PeerKey[];
  /** A message of another node was let in. */
  readonly onLetIn: (from: FrameSender, message: LetIn) => void;
  readonly slices: number;
  readonly shelvedOffloadMs: number;
  readonly reclaimAfterMs: number;
  readonly hosts: readonly SimHost[];
  readonly roads: Roads;
  /** Of the watch over silent hosts; undefined: there is none. */
  readonly recovery: RecoverySettings | undefined;
};

/** The way of this life to images. */
export type ImageLine = {
  readonly snapshots: { readonly rows: SnapshotRows; readonly desk: ImageDesk };
  readonly sinkOf: (host: string, actors: Actors, clock: Clock) => ImageSink;
};

/** Roles whose nodes listen to changes, and speak with each other. */
const SPEAKING = ['control', 'api'];
const isHostsOnly = (roles: readonly string[]): boolean => !roles.some((role) => SPEAKING.includes(role));
const HOSTS_AT_START_MS = 15_000;

/** A message with the address that it was for. */
export type LetIn = { readonly to: string; readonly type: string };

export class SimNode {
  readonly life: Life;
  readonly name: string;
  readonly actors: Actors;
  readonly feed: Feed;
  /** It is up: doors are open here. */
  isUp = false;
  readonly #parts: NodeParts;
  readonly #store: NodeParts['store'];
  readonly #system: ActorSystem;
  readonly #shards: Shards;
  readonly #room: NodeRoom;
  readonly #member: Member;
  readonly #schedulers: ActorKind;
  readonly #ends: (() => unknown)[] = [];
  readonly #others: ClusterClient | undefined;
  readonly #hosts = new KnownHosts((known) => this.#readHosts(known));
  readonly #stopping = new AbortController();
  readonly #leases = new Map<string, HostLease>();
  #mesh: Mesh | undefined;

  constructor(parts: NodeParts) {
    const { life, random, log, name, boot, roles } = parts;
    const { clock } = life;
    this.#parts = parts;
    this.life = life;
    this.name = name;
    this.#store = throughLife(parts.store, life);
    this.#system = new ActorSystem({ clock, random, log, node: name });
    this.actors = life.within(this.#system);
    const activation = { clock, random, log, turns: life.turns, actors: this.actors, failpoint: life.reach };
    this.#room = new NodeRoom(activation);
    this.#shards = new Shards({ ...activation, store: this.#store }, (shard) => this.#member.epochOf(shard));
    this.#system.plug({ room: this.#room, shards: this.#shards });
    const door = doorOf((host) => this.#hosts.nodeOf(host));
    this.#member = new Member({
      name,
      boot,
      roles,
      clock,
      log,
      sharingRole: 'control',
      reaches: (others) => !isHostsOnly(roles) || !isHostsOnly(others),
      leaves: !roles.includes('compute'),
      bind: name,
      port: 0,
      advertisedHost: name,
      system: this.#system,
      mayTell: (from, to, message) => {
        const refused = door(from, to, message);
        if (!refused) parts.onLetIn(from, { to, ...message });
        return refused;
      },
      urgent: URGENT,
      openMesh: async (options) => (this.#mesh = this.#openMesh(options)),
    });
    const listeners = (): string[] => this.#member.alive((row) => row.name !== name && row.roles.some((role) => SPEAKING.includes(role)));
    this.feed = openFeed({ store: this.isControl ? this.#store : undefined, actors: this.actors, others: listeners });
    this.#others = this.isControl ? undefined : clusterClient(this.actors, isHostsOnly(roles) ? SPEAKING : null, LEASE.leaseMs);
    this.#schedulers = schedulerKind();
    this.#register();
  }

  /** Whether this node reaches the store by itself and shares the shards. */
  get isControl(): boolean {
    return this.#parts.roles.includes('control');
  }

  /** Everything comes up as in a product: mesh, actors, then hosts and shards. Never resolves when the life ends meanwhile. */
  async start(): Promise<void> {
    const { name, life, seeds } = this.#parts;
    this.#ends.push(await this.#member.openMesh({ cluster: 'novact', keys: { publicKey: keyOf(name), secretKey: '' }, seeds }));
    if (this.isControl) this.#startSlices();
    this.#ends.push(async () => {
      this.#shards.close();
      this.#room.close();
      this.#system.close();
      await this.#store.close();
      life.turns.close();
    });
    if (this.isControl) await this.#openHosts();
    this.#ends.push(await this.#member.join({ ...this.#tables(), ...this.#joinParts() }));
    if (!this.isControl) await this.#openHosts();
    this.isUp = true;
  }

  /** A clean stop, in reverse order. */
  async stop(): Promise<void> {
    this.isUp = false;
    this.#stopping.abort();
    for (const end of this.#ends.reverse()) await end();
  }

  /** The epoch under which this node would run a shard now. */
  epochOf(shard: number): number | undefined {
    return this.#member.epochOf(shard);
  }

  get leftMs(): number {
    return this.#member.leftMs;
  }

  get activations(): readonly { readonly address: string; readonly inbox: number }[] {
    return [...this.#shards.views(Number.POSITIVE_INFINITY), ...this.#room.views()];
  }

  /** Says something to another node past its own actors, as a node in the wrong hands might. */
  forge(to: string, frame: Frame): boolean {
    return this.#mesh?.send(to as NodeName, frame) ?? false;
  }

  /** Frames that wait for each of the others. */
  get queued(): readonly number[] {
    return (this.#mesh?.peers() ?? []).map((peer) => peer.queued);
  }

  mailboxMax(kind: string): number {
    return this.#system.kind(kind)?.mailboxMax ?? 0;
  }

  #register(): void {
    const here = this.isControl;
    const view = {
      nodes: this.#store.nodes,
      look: () => this.#member.look(),
      alive: () => this.#member.alive(() => true),
      rows: () => this.#member.rows(),
      owners: (known: string | null) => this.#member.owners(known),
      hostPlaces: (known: string | null) => this.#hosts.list(known),
      hostBegan: (host: string, node: string) => this.#hosts.began(host, node),
      secrets: () => ({}) as never, // of embedded services, which nobody here asks for
    };
    this.#system.register(this.feed.kind);
    const { log: ownLog, life: ownLife } = this.#parts;
    const images = { ...this.#store.snapshots, log: ownLog };
    if (here) new LeftImages({ ...images, clock: ownLife.clock });
    const records = { ...simulatedReads(this.#store), ...snapshotServe(images) };
    this.#system.register(here ? conductorKind(this.#store, records, view) : conductorElsewhere(), here);
    this.#system.register(
      instanceKind({
        ...INSTANCE_SETTINGS,
        schedulerSlices: this.#parts.slices,
        shelvedOffloadMs: this.#parts.shelvedOffloadMs,
        reclaimAfterMs: this.#parts.reclaimAfterMs,
      }),
      here,
    );
    this.#system.register(networkKind(), here);
    const { recovery, life, log } = this.#parts;
    if (recovery) this.#system.register(recoveryKind({ actors: this.actors, clock: life.clock, log }, recovery), here);
    this.#system.register(this.#schedulers, here);
  }

  /** The tables of the cluster: of the store where it is reached, else asked of others. */
  #tables(): Pick<JoinParts, 'nodes' | 'keys' | 'owners' | 'sharing'> {
    const store = this.#store;
    if (this.#others) return { ...this.#others, keys: async () => [] };
    return {
      nodes: store.nodes,
      keys: () => store.nodes.keys(),
      owners: async (known) => {
        const owners = ownersOf(await store.shards.owners());
        return owners.version === known ? null : owners;
      },
      sharing: { table: store.shards, store, shards: this.#shards, actors: this.actors, standing: this.#parts.recovery ? [RECOVERY] : [] },
    };
  }

  #joinParts(): Pick<JoinParts, 'lease' | 'nodeKinds' | 'refresh' | 'onMembers' | 'signal'> {
    return {
      signal: this.#stopping.signal,
      lease: LEASE,
      nodeKinds: {
        host: (host) => this.#hosts.nodeOf(host),
        scheduler: (slice) => rendezvous(schedulerRef(Number(slice)), this.#member.sharers()),
        feed: (node) => node,
        conductor: (id, attempt) => {
          if (id !== 'any') return id;
          const sharers = this.#member.sharersToAsk();
          return sharers[attempt % Math.max(1, sharers.length)];
        },
      },
      refresh: async () => {
        const fresh = await this.#hosts.refresh();
        if (this.isControl) for (const host of fresh) void this.#introduce(host);
      },
      onMembers: () => this.isControl && this.#startSlices(),
    };
  }

  async #readHosts(known: string | null): ReturnType<ClusterClient['hostPlaces']> {
    if (this.isControl) return placesOf(await this.#store.hostNodes(), known);
    return isHostsOnly(this.#parts.roles) ? null : ((await this.#others?.hostPlaces(known)) ?? null);
  }

  /** Slices of the schedulers are shared among the living nodes. */
  #startSlices(): void {
    const { slices, name } = this.#parts;
    for (let slice = 0; slice < slices; slice++) {
      const address = schedulerRef(slice);
      const isOurs = rendezvous(address, this.#member.sharers()) === name;
      if (isOurs && !this.#room.has(address)) {
        this.#room.start(this.#schedulers, address);
        for (const host of this.#hosts.names()) if (sliceOf(host, slices) === slice) void this.#introduce(host);
      }
      if (!isOurs && this.#room.has(address)) this.#room.stop(address);
    }
  }

  /** A slice is told at once of hosts that are new to it, and not only by their next report. */
  async #introduce(host: string): Promise<void> {
    const address = schedulerRef(sliceOf(host, this.#parts.slices));
    if (!this.#room.has(address)) return;
    const report = await this.actors.ask(hostRef(host), { type: 'report' }, { timeoutMs: 2_000 }).catch(() => undefined);
    if (report) this.actors.tell(address, { type: 'report', report, granted: null });
  }

  async #openHosts(): Promise<void> {
    const { hosts, life } = this.#parts;
    const drivers: HypervisorDriver[] = [];
    for (const host of hosts) drivers.push(await this.#openHost(host));
    this.#ends.push(async () => {
      for (const host of hosts) this.#room.stop(hostRef(host.name));
      for (const { name, guard } of hosts) {
        if (!guard) continue;
        await this.#leases.get(name)?.leave();
        guard.goodbye();
      }
      await Promise.all(drivers.map((driver) => driver.close()));
    });
    const { clock } = life;
    const endMs = clock.monotonicMs() + HOSTS_AT_START_MS;
    const missing = new Set(hosts.map((host) => host.name));
    while (missing.size > 0 && clock.monotonicMs() < endMs) {
      for (const host of missing) if ((await this.actors.ask(hostRef(host), { type: 'report' }).catch(() => undefined))?.up) missing.delete(host);
      if (missing.size > 0) await clock.sleep(100);
    }
  }

  async #openHost({ name: host, disk, script, capacity, guard }: SimHost): Promise<HypervisorDriver> {
    const { life, random, log, worldClock, slices, name: node } = this.#parts;
    const open = () => openSimulatedDriver({ host, directory: '', clock: worldClock, random, disk, faults: script, capacity, latency: driverLatency() });
    const driver = await (guard ? guard.over(open) : open());
    const lease = new HostLease({ host, leaseMs: HOST_LEASE_MS, clock: life.clock, actors: this.actors, ...(guard && { guard: guard.forLease }) });
    this.#leases.set(host, lease);
    const kind = hostKind(
      {
        driver: throughLife(driver, life),
        actors: this.actors,
        images: this.#store.sinkOf(host, this.actors, life.clock),
        log,
        failpoint: life.reach,
        lease,
        disks: this.#parts.roads.of(life),
      },
      hostSettings(node, slices),
    );
    this.#system.register(kind);
    const address = hostRef(host);
    this.#room.start(kind, address);
    // What a hypervisor reports by itself is a hint like any other.
    driver.watch((event) => life.whenAwake(() => this.actors.tell(address, { type: 'guestChanged', event })));
    this.#system.tell(address, { type: 'tick' });
    return driver;
  }

  /** Frames come in only while the life is awake; they wait in order while it is paused. */
  #openMesh({ self, boot, roles, keys, isAllowed }: ZeromqMeshOptions): Mesh {
    const { network, life } = this.#parts;
    const mesh = network.open({ node: self, boot, roles, publicKey: keys.publicKey, isAllowed, limits: CONTROL_MESH });
    return {
      self: mesh.self,
      send: (to, frame) => life.alive && mesh.send(to, frame),
      onFrame: (receive) => mesh.onFrame((from, frame) => life.whenAwake(() => receive(from, frame))),
      setPeers: (peers: readonly PeerKey[]) => mesh.setPeers(peers),
      peers: () => mesh.peers(),
      counters: () => mesh.counters(),
      close: () => mesh.close(),
    };
  }
}

export function keyOf(node: NodeName | string): string {
  return `key of ${node}`;
}

/** Ports within ports. */
const PORTS: ReadonlySet<string> = new Set(['nodes', 'shards', 'snapshots', 'rows', 'desk', 'moves', 'live']);
const LISTENERS: ReadonlySet<string> = new Set(['onWritten', 'watch', 'sinkOf', 'hurry']);

/** Every verb of a port through the life: it may end before and after each. Of a port within a port, too. */
function throughLife<T extends object>(port: T, life: Life, prefix = ''): T {
  const wrapped: Record<string, unknown> = {};
  for (const [verb, run] of Object.entries(port) as [string, unknown][]) {
    if (typeof run === 'function' && !LISTENERS.has(verb)) {
      wrapped[verb] = (...args: unknown[]) => life.through(`${prefix}${verb}${whom(args)}`, () => run.apply(port, args) as Promise<unknown>);
    } else wrapped[verb] = PORTS.has(verb) ? throughLife(run as object, life, `${verb}.`) : run;
  }
  return wrapped as T;
}

/** Whom a verb is about, for people who read a trace. */
function whom([first]: readonly unknown[]): string {
  if (typeof first !== 'object' || first === null) return '';
  const { instanceId, generation, record } = first as { instanceId?: string; generation?: number; record?: { id?: string; taskState?: string | null } };
  if (instanceId !== undefined) return ` ${instanceId.slice(0, 8)}/${generation}`;
  return record?.id === undefined ? '' : ` ${record.id.slice(0, 8)} ${record.taskState}`;
}
