/**
 * This node among the others: its mesh, its row and beats, its share of the shards, and the way to everybody else.
 * Knows no word of what the actors are for; where actors of a node kind live is looked up by who joins the rooms.
 */
import type { Actors } from '../actor/ask.ts';
import type { ActorSystem } from '../actor/system.ts';
import type { Store } from '../actor/store.ts';
import type { Clock } from '../base/clock.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { nodeTable } from '../database/node-table.ts';
import { Session, type SessionTimeouts } from '../database/open.ts';
import { shardTable } from '../database/shard-table.ts';
import { MembershipView } from '../membership/view.ts';
import { loadKeyPair, type CurveKeyPair } from '../mesh/curve.ts';
import type { Mesh, PeerKey } from '../mesh/mesh.ts';
import { openZeromqMesh } from '../mesh/zeromq.ts';
import { Directory, type DirectoryParts } from '../shard/directory.ts';
import { Leases, type LeaseSettings } from '../shard/leases.ts';
import type { Shards } from '../shard/shards.ts';
import { Takeover } from '../shard/takeover.ts';
import { Remote } from './remote.ts';

export type MemberParts = {
  readonly name: string;
  readonly boot: BootId;
  readonly roles: readonly string[];
  /** Nodes with this role share the shards. */
  readonly sharingRole: string;
  readonly bind: string;
  readonly port: number;
  /** The host that peers reach us under. */
  readonly advertisedHost: string;
  /** Where the node's key pair is kept. */
  readonly keyFile: string;
  readonly system: ActorSystem;
  readonly clock: Clock;
  readonly log: Log;
};

export type JoinParts = {
  readonly url: string;
  readonly timeouts: SessionTimeouts;
  readonly lease: LeaseSettings;
  readonly store: Store;
  readonly shards: Shards;
  readonly actors: Actors;
  readonly nodeKinds: DirectoryParts['nodeKinds'];
  readonly refresh: DirectoryParts['refresh'];
  /** Nodes came, went, or started anew. */
  readonly onMembers: () => void;
};

export class Member {
  readonly #parts: MemberParts;
  #keys: CurveKeyPair | undefined;
  #mesh: Mesh | undefined;
  #view: MembershipView | undefined;
  #directory: Directory | undefined;
  #leases: Leases | undefined;

  constructor(parts: MemberParts) {
    this.#parts = parts;
  }

  /** Binds the mesh. Nobody is let in before `join`. */
  async openMesh(): Promise<() => Promise<void>> {
    const { name, boot, roles, bind, port, advertisedHost, keyFile, system, clock, log } = this.#parts;
    this.#keys = await loadKeyPair(keyFile);
    const mesh = await openZeromqMesh({
      self: name as NodeName,
      boot,
      roles,
      bind: `tcp://${bind}:${port}`,
      advertisedHost,
      cluster: 'novact',
      keys: this.#keys,
      // Membership makes nodes known: whoever may write its row is one of us.
      isAllowed: (publicKey) => this.#peers().find((peer) => peer.publicKey === publicKey),
      clock,
      log,
    });
    this.#mesh = mesh;
    const locate = { nodeOf: (address: string) => this.#directory?.nodeOf(address), hint: () => this.#directory?.hint() };
    system.plug({ remote: new Remote({ mesh, locate, system, clock }) });
    return () => mesh.close();
  }

  /** Enters the table, takes a share of the shards and takes up what is open there. */
  async join(parts: JoinParts): Promise<() => Promise<void>> {
    const { name, boot, roles, sharingRole, clock, log } = this.#parts;
    const { url, timeouts, lease, store, shards, actors } = parts;
    // A connection of its own: a beat never waits behind a commit.
    const session = new Session({ url, name: 'beats', clock, log, timeouts });
    const nodes = nodeTable(session);
    const table = shardTable(session);
    const takeover = new Takeover({ store, actors, clock, log });
    const view = new MembershipView({ self: name, nodes, clock, settings: lease });
    this.#view = view;
    this.#directory = new Directory({ owners: () => table.owners(), nodeKinds: parts.nodeKinds, refresh: parts.refresh, clock, log });
    view.onChange((alive) => {
      this.#mesh?.setPeers(this.#peers());
      log.info('members', { alive: alive.map((row) => row.name) });
      parts.onMembers();
    });
    this.#leases = new Leases({
      node: name,
      boot,
      nodes,
      shards: table,
      view,
      role: sharingRole,
      clock,
      log,
      settings: lease,
      onTaken: (owned, taken) => takeover.taken(owned, taken),
      onLost: (lost, left) => {
        takeover.lost(left);
        shards.drop(lost);
      },
    });
    await nodes.enter({ name, boot, endpoint: this.#mesh?.self.endpoint ?? '', publicKey: this.#keys?.publicKey ?? '', roles });
    await this.#leases.open();
    await this.#directory.open();
    return async () => {
      takeover.close();
      this.#directory?.close();
      await this.#leases?.close();
      await session.close();
    };
  }

  /** The epoch under which this node may run a shard now. */
  epochOf(shard: number): number | undefined {
    return this.#leases?.epochOf(shard);
  }

  /** Names of the living nodes that share the shards; this one is always among them. */
  sharers(): string[] {
    const { name, sharingRole } = this.#parts;
    const names = (this.#view?.alive() ?? []).filter((row) => row.roles.includes(sharingRole)).map((row) => row.name);
    return names.includes(name) ? names : [...names, name];
  }

  health(): { readonly well: boolean; readonly owned: number; readonly peers: number } {
    const connected = this.#mesh?.peers().filter((peer) => peer.connected).length ?? 0;
    return { well: (this.#leases?.leftMs ?? 0) > 0, owned: this.#leases?.ownedCount ?? 0, peers: connected };
  }

  #peers(): PeerKey[] {
    const others = (this.#view?.all() ?? []).filter((row) => row.name !== this.#parts.name);
    return others.map(({ name, endpoint, publicKey, roles }) => ({ node: name as NodeName, endpoint, publicKey, roles }));
  }
}
