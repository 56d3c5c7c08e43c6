/**
 * This node among the others: its mesh, its row and beats, its share of the shards, and the way to everybody else.
 * A node that reaches the store shares the shards; one that does not lives through others: the tables it is given ask
 * them. Knows no word of what the actors are for; where actors of a node kind live is looked up by who joins the rooms.
 */
import type { Actors } from '../actor/ask.ts';
import type { Address } from '../actor/address.ts';
import type { Owners } from '../actor/locate.ts';
import type { ActorSystem } from '../actor/system.ts';
import type { Store } from '../actor/store.ts';
import type { Clock } from '../base/clock.ts';
import { must } from '../base/check.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import type { NodeKey, NodeRow, NodeTable } from '../database/node-table.ts';
import type { ShardTable } from '../database/shard-table.ts';
import { Pulse } from '../membership/pulse.ts';
import { MembershipView } from '../membership/view.ts';
import { fingerprint, type CurveKeyPair } from '../mesh/curve.ts';
import type { Mesh, PeerKey } from '../mesh/mesh.ts';
import type { ZeromqMeshOptions } from '../mesh/zeromq.ts';
import { Directory, rendezvousOrder, type DirectoryParts } from '../shard/directory.ts';
import { Leases, type LeaseSettings } from '../shard/leases.ts';
import type { Shards } from '../shard/shards.ts';
import { Takeover } from '../shard/takeover.ts';
import { Remote, type RemoteParts } from './remote.ts';

export type MemberParts = {
  readonly name: string;
  readonly boot: BootId;
  readonly roles: readonly string[];
  /** Nodes with this role share the shards; the others live through them. */
  readonly sharingRole: string;
  /** Whether this node links to nodes of these roles. */
  readonly reaches: (roles: readonly string[]) => boolean;
  /** Whether its row goes when it stops. One that says more than who shares the shards stays. */
  readonly leaves: boolean;
  readonly bind: string;
  readonly port: number;
  /** The host that peers reach us under. */
  readonly advertisedHost: string;
  readonly system: ActorSystem;
  /** Who may say what: a Fault refuses a message of another node. */
  readonly mayTell: RemoteParts['mayTell'];
  readonly urgent: RemoteParts['urgent'];
  /** ZeroMQ in a product, a seeded network in a simulation. */
  readonly openMesh: (options: ZeromqMeshOptions) => Promise<Mesh>;
  readonly clock: Clock;
  readonly log: Log;
};

/** What must be known before anybody can be spoken to. */
export type Acquaintance = {
  readonly cluster: string;
  readonly keys: CurveKeyPair;
  /** Nodes that are known before the table is. */
  readonly seeds: readonly PeerKey[];
};

export type JoinParts = {
  readonly nodes: NodeTable;
  /** Keys that may come in although their nodes have no row yet. */
  readonly keys: () => Promise<readonly NodeKey[]>;
  readonly owners: DirectoryParts['owners'];
  readonly lease: LeaseSettings;
  /** On nodes that share the shards. */
  readonly sharing?: {
    readonly table: ShardTable;
    readonly store: Store;
    readonly shards: Shards;
    readonly actors: Actors;
    readonly standing?: readonly Address[];
  };
  readonly nodeKinds: DirectoryParts['nodeKinds'];
  readonly refresh: DirectoryParts['refresh'];
  /** Nodes came, went, or started anew. */
  readonly onMembers: () => void;
  readonly signal: AbortSignal;
};

export class Member {
  readonly #parts: MemberParts;
  #known: Acquaintance | undefined;
  #mesh: Mesh | undefined;
  #view: MembershipView | undefined;
  #directory: Directory | undefined;
  #leases: Leases | undefined;
  #pulse: Pulse | undefined;
  #keys: readonly NodeKey[] = [];

  constructor(parts: MemberParts) {
    this.#parts = parts;
  }

  /** Binds the mesh. Only seeds are let in before `join`. */
  async openMesh(known: Acquaintance): Promise<() => Promise<void>> {
    const { name, boot, roles, bind, port, advertisedHost, system, mayTell, urgent, openMesh, clock, log } = this.#parts;
    this.#known = known;
    const mesh = await openMesh({
      self: name as NodeName,
      boot,
      roles,
      bind: `tcp://${bind.includes(':') ? `[${bind}]` : bind}:${port}`,
      advertisedHost,
      cluster: known.cluster,
      keys: known.keys,
      // Membership makes nodes known: whoever may write its row, or has a key that was let in, is one of us.
      isAllowed: (publicKey) => this.#allowed().get(publicKey),
      clock,
      log,
    });
    this.#mesh = mesh;
    mesh.setPeers(this.#links());
    const locate = {
      nodeOf: (address: string, attempt: number) => this.#directory?.nodeOf(address, attempt) ?? this.#seedFor(address, attempt),
      hint: () => this.#directory?.hint(),
    };
    system.plug({ remote: new Remote({ mesh, locate, system, clock, log, mayTell, urgent }) });
    return () => mesh.close();
  }

  /** Enters the table and, where it shares them, takes its share of the shards and takes up what is open there. */
  async join(parts: JoinParts): Promise<() => Promise<void>> {
    const { name, clock, log } = this.#parts;
    const view = new MembershipView({ self: name, nodes: parts.nodes, clock, settings: parts.lease });
    this.#view = view;
    view.onChange((alive) => {
      this.#changed();
      log.info('members', { alive: alive.map((row) => row.name) });
      parts.onMembers();
    });
    this.#directory = new Directory({
      owners: parts.owners,
      nodeKinds: parts.nodeKinds,
      refresh: async () => {
        await this.#readKeys(parts.keys);
        await parts.refresh();
      },
      clock,
      log,
    });
    const leave = parts.sharing ? await this.#share(parts, parts.sharing) : await this.#live(parts);
    await this.#directory.open();
    return async () => {
      this.#directory?.close();
      await leave();
    };
  }

  /** The epoch under which this node may run a shard now. */
  epochOf(shard: number): number | undefined {
    return this.#leases?.epochOf(shard);
  }

  /** Milliseconds for which what hangs on this node's beat still stands. */
  get leftMs(): number {
    return this.#leases?.leftMs ?? this.#pulse?.leftMs ?? 0;
  }

  /** Names of the living nodes that share the shards; this one is always among them when it does. */
  sharers(): string[] {
    const { name, sharingRole, roles } = this.#parts;
    const names = this.alive((row) => row.roles.includes(sharingRole));
    return names.includes(name) || !roles.includes(sharingRole) ? names : [...names, name];
  }

  /** Names of living nodes. */
  alive(wanted: (row: NodeRow) => boolean): string[] {
    return (this.#view?.alive() ?? []).filter(wanted).map((row) => row.name);
  }

  /** Every node in the table, as last seen. */
  rows(): NodeRow[] {
    return this.#view?.all() ?? [];
  }

  /** Somebody has just entered: look now, so that it can be answered. */
  async look(): Promise<void> {
    await this.#view?.look();
    this.#changed();
  }

  owners(known: string | null): Owners | null {
    return this.#directory?.owners(known) ?? null;
  }

  /** Nodes that share the shards and can be spoken to now, in an order of this node's own; else those it has heard of. */
  sharersToAsk(): readonly string[] {
    const { name, sharingRole } = this.#parts;
    const peers = [...this.#allowed().values()].filter((peer) => peer.roles.includes(sharingRole)).map((peer) => peer.node as string);
    const connected = new Set((this.#mesh?.peers() ?? []).filter((peer) => peer.connected).map((peer) => peer.node as string));
    const near = peers.filter((peer) => connected.has(peer));
    return rendezvousOrder(name, near.length > 0 ? near : peers);
  }

  health(): { readonly well: boolean; readonly owned: number; readonly peers: number } {
    const connected = this.#mesh?.peers().filter((peer) => peer.connected).length ?? 0;
    return { well: this.leftMs > 0, owned: this.#leases?.ownedCount ?? 0, peers: connected };
  }

  async #share(parts: JoinParts, { table, store, shards, actors, standing = [] }: NonNullable<JoinParts['sharing']>): Promise<() => Promise<void>> {
    const { name, boot, sharingRole, clock, log } = this.#parts;
    const takeover = new Takeover({ store, actors, clock, log, standing });
    this.#leases = new Leases({
      node: name,
      boot,
      nodes: parts.nodes,
      shards: table,
      view: must(this.#view, 'the view is there'),
      role: sharingRole,
      clock,
      log,
      settings: parts.lease,
      enter: () => parts.nodes.enter(this.#row()),
      onTaken: (owned, taken) => takeover.taken(owned, taken),
      onLost: (lost, left) => {
        takeover.lost(left);
        shards.drop(lost);
      },
    });
    await parts.nodes.enter(this.#row());
    await this.#leases.open();
    return async () => {
      takeover.close();
      await this.#leases?.close();
      // Others need not wait for its lease to end: it shares no more. After its shards, which nobody could take from a
      // node that is not in the table.
      const roles = this.#parts.roles.filter((role) => role !== sharingRole);
      if (this.#parts.leaves) await parts.nodes.leave(name, boot);
      else await parts.nodes.enter({ ...this.#row(), roles });
    };
  }

  async #live({ nodes, lease, signal }: JoinParts): Promise<() => Promise<void>> {
    const { clock, log } = this.#parts;
    this.#pulse = new Pulse({ row: this.#row(), nodes, view: must(this.#view, 'the view is there'), clock, log, settings: lease });
    await this.#pulse.open(signal);
    return async () => this.#pulse?.close();
  }

  #row(): Omit<NodeRow, 'beat'> {
    const { name, boot, roles } = this.#parts;
    return { name, boot, endpoint: this.#mesh?.self.endpoint ?? '', publicKey: this.#known?.keys.publicKey ?? '', roles };
  }

  async #readKeys(read: JoinParts['keys']): Promise<void> {
    const keys = await read();
    const shape = (list: readonly NodeKey[]): string => list.map((key) => `${key.name} ${key.publicKey} ${key.roles.join()}`).join('\n');
    if (shape(keys) === shape(this.#keys)) return;
    this.#parts.log.info('node keys', { keys: keys.map((key) => ({ name: key.name, key: fingerprint(key.publicKey), roles: key.roles })) });
    this.#keys = keys;
    this.#changed();
  }

  #changed(): void {
    this.#cache = undefined;
    this.#mesh?.setPeers(this.#links());
  }

  #cache: ReadonlyMap<string, PeerKey> | undefined;
  /** By public key. Asked at every message that comes in. */
  #allowed(): ReadonlyMap<string, PeerKey> {
    if (this.#cache) return this.#cache;
    const allowed = new Map<string, PeerKey>();
    for (const { name, publicKey, roles } of this.#keys) allowed.set(publicKey, { node: name as NodeName, endpoint: '', publicKey, roles });
    for (const seed of this.#known?.seeds ?? []) allowed.set(seed.publicKey, seed);
    for (const { name, endpoint, publicKey, roles } of this.rows()) allowed.set(publicKey, { node: name as NodeName, endpoint, publicKey, roles });
    for (const [key, peer] of allowed) if (peer.node === this.#parts.name) allowed.delete(key);
    this.#cache = allowed;
    return allowed;
  }

  #links(): PeerKey[] {
    return [...this.#allowed().values()].filter((peer) => peer.endpoint !== '' && this.#parts.reaches(peer.roles));
  }

  /** Before the directory is there, everything is asked of those that are known from the start. */
  #seedFor(address: string, attempt: number): NodeName | undefined {
    if (this.#directory || !address.endsWith('/any')) return undefined;
    const seeds = this.sharersToAsk();
    return seeds[attempt % Math.max(1, seeds.length)] as NodeName | undefined;
  }
}
