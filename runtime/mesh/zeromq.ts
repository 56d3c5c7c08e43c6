/**
 * The mesh over ZeroMQ: a gate where peers come in (one ROUTER), a link out to each of them (one DEALER each), all in
 * one context, CURVE always. Promises what mesh.ts promises; the way of a frame is drawn in README.md.
 * Must never: block or throw out of `send`, believe a name that is not proved, keep frames without a bound.
 */
import { Context } from 'zeromq';
import type { Clock, Timer } from '../base/clock.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { Complaints } from './complaint.ts';
import { fingerprint, sharedSecret } from './curve.ts';
import type { CurveKeyPair } from './curve.ts';
import type { Frame } from './frame.ts';
import { Gate } from './gate.ts';
import { MESH_LIMITS } from './limits.ts';
import type { MeshLimits } from './limits.ts';
import { zeroCounters } from './mesh.ts';
import type { Mesh, MeshCounters, PeerKey, PeerView, Receive } from './mesh.ts';
import { PeerLink } from './peer-link.ts';
import type { MeshWorld } from './peer-link.ts';

export type ZeromqMeshOptions = {
  readonly self: NodeName;
  /** New at each start. */
  readonly boot: BootId;
  /** Only for the log: what a node may do is decided by those who know its key. */
  readonly roles: readonly string[];
  /** `tcp://127.0.0.1:*`, `tcp://10.0.0.5:7310`, `tcp://[::1]:*` */
  readonly bind: string;
  /** The host that peers reach us under, when `bind` is a wildcard. */
  readonly advertisedHost?: string;
  /** Nodes of another cluster are turned away, whatever their key. */
  readonly cluster: string;
  readonly keys: CurveKeyPair;
  /** Which node (and roles) a key stands for; asked again for each message, so taking a key back works at once. */
  readonly isAllowed: (publicKey: string) => PeerKey | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<MeshLimits>;
};

/** Derived secrets kept: twice the most nodes a mesh may have; past it they are derived anew (50 µs each). */
const SECRETS_MAX = 2 * MESH_LIMITS.peersMax;

/** Opens the mesh; rejects with Fault `unavailable` when `bind` cannot be had. */
export async function openZeromqMesh(options: ZeromqMeshOptions): Promise<Mesh> {
  const limits = { ...MESH_LIMITS, ...options.limits };
  const log = options.log.with({ node: options.self });
  const state: MeshState = { heard: new Map(), secrets: new Map() };
  const world: MeshWorld = {
    // A context of its own: the ZAP name exists once per context. Each peer takes up to five sockets (two of them
    // while a lost one closes), with their monitors.
    context: new Context({ blocky: false, maxSockets: limits.peersMax * 6 + 64 }),
    keys: options.keys,
    speaker: { node: options.self, boot: options.boot, cluster: options.cluster },
    limits,
    clock: options.clock,
    complaints: new Complaints(options.clock, log),
    counters: zeroCounters(),
    secretWith: (publicKey) => secretWith(state, options.keys, publicKey),
    heard: (node, boot) => state.heard.set(node, { boot, atMs: options.clock.monotonicMs() }),
  };
  const gate = await Gate.open(world, log, options.isAllowed, options.bind);
  const endpoint = endpointOf(gate, options.advertisedHost);
  log.info('mesh.open', { boot: options.boot, endpoint, roles: options.roles, key: fingerprint(options.keys.publicKey) });
  return new ZeromqMesh(world, state, gate, endpoint);
}

type MeshState = {
  readonly heard: Map<NodeName, { readonly boot: BootId; readonly atMs: number }>;
  /** Derived once per allowed key. */
  readonly secrets: Map<string, Buffer>;
};

class ZeromqMesh implements Mesh {
  readonly self: Mesh['self'];
  readonly #world: MeshWorld;
  readonly #state: MeshState;
  readonly #gate: Gate;
  readonly #links = new Map<NodeName, PeerLink>();
  #beat: Timer;
  #closing: Promise<void> | undefined;

  constructor(world: MeshWorld, state: MeshState, gate: Gate, endpoint: string) {
    this.self = { node: world.speaker.node, boot: world.speaker.boot, endpoint };
    this.#world = world;
    this.#state = state;
    this.#gate = gate;
    this.#beat = this.#nextBeat();
  }

  send(to: NodeName, frame: Frame): boolean {
    const taken = this.#closing === undefined && (this.#links.get(to)?.send(frame) ?? false);
    if (!taken) this.#world.counters.refused++;
    return taken;
  }

  onFrame(receive: Receive): void {
    this.#gate.onFrame(receive);
  }

  setPeers(peers: readonly PeerKey[]): void {
    if (this.#closing) return;
    const wanted = this.#wanted(peers);
    for (const [node, link] of this.#links) {
      const peer = wanted.get(node);
      if (peer?.endpoint === link.peer.endpoint && peer.publicKey === link.peer.publicKey) continue;
      link.close();
      this.#links.delete(node);
      if (!peer) this.#state.heard.delete(node);
    }
    for (const [node, peer] of wanted) if (!this.#links.has(node)) this.#links.set(node, new PeerLink(peer, this.#world));
  }

  peers(): readonly PeerView[] {
    return Array.from(this.#links.values(), (link) => {
      const heard = this.#state.heard.get(link.peer.node);
      const { isOpen: connected, queued, dropped } = link;
      return { node: link.peer.node, boot: heard?.boot, connected, lastHeardMonotonicMs: heard?.atMs, queued, dropped };
    });
  }

  counters(): Readonly<MeshCounters> {
    return { ...this.#world.counters };
  }

  close(): Promise<void> {
    this.#closing ??= this.#shut();
    return this.#closing;
  }

  async #shut(): Promise<void> {
    const { clock, limits } = this.#world;
    this.#beat.cancel();
    const endMs = clock.monotonicMs() + limits.closeMaxMs;
    while (this.#hasUnsent() && clock.monotonicMs() < endMs) await clock.sleep(5);
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    await this.#gate.close();
  }

  #hasUnsent(): boolean {
    return Array.from(this.#links.values()).some((link) => link.isOpen && !link.isIdle);
  }

  #wanted(peers: readonly PeerKey[]): Map<NodeName, PeerKey> {
    const wanted = new Map<NodeName, PeerKey>();
    for (const peer of peers) {
      if (peer.node === this.self.node) continue;
      if (wanted.size >= this.#world.limits.peersMax) {
        this.#world.complaints.warn('mesh.peers.tooMany', { peers: peers.length, peersMax: this.#world.limits.peersMax });
        break;
      }
      wanted.set(peer.node, peer);
    }
    return wanted;
  }

  #nextBeat(): Timer {
    return this.#world.clock.after(this.#world.limits.beatMs, () => {
      this.#gate.tick();
      for (const link of this.#links.values()) link.tick();
      this.#beat = this.#nextBeat();
    });
  }
}

function secretWith(state: MeshState, own: CurveKeyPair, publicKey: string): Buffer | undefined {
  const known = state.secrets.get(publicKey);
  if (known) return known;
  if (state.secrets.size >= SECRETS_MAX) state.secrets.clear(); // keys that came and went over the years
  const made = sharedSecret(own, publicKey);
  if (made) state.secrets.set(publicKey, made);
  return made;
}

function endpointOf(gate: Gate, advertisedHost: string | undefined): string {
  if (advertisedHost === undefined) return gate.endpoint;
  return `tcp://${advertisedHost}:${gate.endpoint.slice(gate.endpoint.lastIndexOf(':') + 1)}`;
}
