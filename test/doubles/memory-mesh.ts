/**
 * A mesh network in memory for simulations: every delay is a timer of the given clock and every chance a draw of the
 * given random source, so virtual time drives it and a seed replays it. It promises what the ZeroMQ mesh promises
 * (same outboxes, same wire text, same contract suite): at most once, in order per sender. Frames that wait for a peer
 * meet its next boot; what is in flight to a process that ends, or over a link that is cut, is lost.
 */
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import type { Random } from '../../runtime/base/random.ts';
import { encodeMessage, parseMessage } from '../../runtime/mesh/frame.ts';
import type { Frame } from '../../runtime/mesh/frame.ts';
import { MESH_LIMITS } from '../../runtime/mesh/limits.ts';
import type { MeshLimits } from '../../runtime/mesh/limits.ts';
import { zeroCounters } from '../../runtime/mesh/mesh.ts';
import type { FrameSender, Mesh, MeshCounters, PeerKey, PeerView, Receive } from '../../runtime/mesh/mesh.ts';
import { Outbox } from '../../runtime/mesh/outbox.ts';

/**
 * What may happen to each message (a batch of frames) of a link. `againChance`: an ask is sent a second time at once, in
 * order, as one whose answer is waited for in vain, under an id that nobody waits for.
 */
export type Weather = { readonly lossChance: number; readonly minDelayMs: number; readonly maxDelayMs: number; readonly againChance?: number };
export type MemorySelf = {
  readonly node: NodeName;
  readonly boot: BootId;
  /** As the receivers are told, when they don't look it up by the key. */
  readonly roles?: readonly string[];
  readonly limits?: Partial<MeshLimits>;
  readonly publicKey?: string;
  /** Which node (and roles) a key stands for; asked for each message. Without it everybody is let in. */
  readonly isAllowed?: (publicKey: string) => PeerKey | undefined;
};

const CALM: Weather = { lossChance: 0, minDelayMs: 0.1, maxDelayMs: 1 };
const BEAT = '{"kind":"beat"}';
/** Ids of asks that are sent again: nobody waits for them. */
const AGAIN_ID = 2 ** 40;

export class MemoryNetwork {
  readonly clock: Clock;
  readonly #random: Random;
  readonly #open = new Map<NodeName, MemoryMesh>();
  readonly #links = new Map<string, Link>();
  #everywhere: Weather;
  /** Messages that were lost so far, beats too. */
  lost = 0;

  constructor(options: { readonly clock: Clock; readonly random: Random; readonly weather?: Weather }) {
    this.clock = options.clock;
    this.#random = options.random;
    this.#everywhere = options.weather ?? CALM;
  }

  /** A node that is already open ends at once, as if killed: one process has the name. */
  open(self: MemorySelf): Mesh {
    this.crash(self.node);
    const mesh = new MemoryMesh(this, self);
    this.#open.set(self.node, mesh);
    this.#wake();
    return mesh;
  }

  /** Ends the node without a goodbye; what waited in its outboxes is gone. */
  crash(node: NodeName): void {
    const mesh = this.#open.get(node);
    this.#open.delete(node);
    mesh?.end();
  }

  /** Cuts both directions. What is in flight is lost, also when the link heals before it would have arrived. */
  cut(one: NodeName, other: NodeName): void {
    this.cutOneWay(one, other);
    this.cutOneWay(other, one);
  }

  cutOneWay(from: NodeName, to: NodeName): void {
    const link = this.#link(from, to);
    link.isCut = true;
    for (const message of link.inFlight) message.isLost = true;
  }

  /** Cuts a node from all nodes that are open now. */
  isolate(node: NodeName): void {
    for (const other of this.#open.keys()) if (other !== node) this.cut(node, other);
  }

  heal(one: NodeName, other: NodeName): void {
    this.#link(one, other).isCut = false;
    this.#link(other, one).isCut = false;
    this.#wake();
  }

  healAll(): void {
    for (const link of this.#links.values()) link.isCut = false;
    this.#wake();
  }

  /** For all links, or for one direction of one. */
  setWeather(weather: Weather, from?: NodeName, to?: NodeName): void {
    if (from !== undefined && to !== undefined) this.#link(from, to).weather = weather;
    else this.#everywhere = weather;
  }

  /** The process that a message would reach now. */
  reach(from: NodeName, to: NodeName): MemoryMesh | undefined {
    return this.#link(from, to).isCut ? undefined : this.#open.get(to);
  }

  /** Carries one message; `landed` is called when it is no longer in flight, whatever became of it. */
  carry(from: MemoryMesh, to: MemoryMesh, text: string, landed: () => void): void {
    const link = this.#link(from.self.node, to.self.node);
    const { lossChance, minDelayMs, maxDelayMs } = link.weather ?? this.#everywhere;
    const isLost = lossChance > 0 && this.#random.next() < lossChance;
    const spreadMs = maxDelayMs - minDelayMs;
    const delayMs = minDelayMs + (spreadMs > 0 ? this.#random.next() * spreadMs : 0);
    const nowMs = this.clock.monotonicMs();
    link.arrivalMs = Math.max(nowMs + delayMs, link.arrivalMs);
    link.inFlight.push({ from, to, text, landed, isLost });
    // One timer per message, and each delivers the oldest: order per sender holds whatever the delays are.
    this.clock.after(link.arrivalMs - nowMs, () => {
      const message = link.inFlight.shift();
      if (message) this.#land(message);
    });
  }

  /** Draws whether an ask is sent again. */
  isSentAgain(from: NodeName, to: NodeName): boolean {
    const { againChance = 0 } = this.#link(from, to).weather ?? this.#everywhere;
    return againChance > 0 && this.#random.next() < againChance;
  }

  #land({ from, to, text, landed, isLost }: InFlight): void {
    if (isLost) this.lost++;
    if (!isLost && this.#open.get(to.self.node) === to) to.arrive(from.sender, text, from.publicKey);
    landed();
  }

  #link(from: NodeName, to: NodeName): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (!link) this.#links.set(name, (link = { isCut: false, weather: undefined, arrivalMs: 0, inFlight: [] }));
    return link;
  }

  #wake(): void {
    for (const mesh of this.#open.values()) mesh.flushAll();
  }
}

type InFlight = { readonly from: MemoryMesh; readonly to: MemoryMesh; readonly text: string; readonly landed: () => void; isLost: boolean };
type Link = { isCut: boolean; weather: Weather | undefined; arrivalMs: number; readonly inFlight: InFlight[] };
type Peer = { readonly node: NodeName; readonly outbox: Outbox; inFlight: number; isFlushing: boolean };

class MemoryMesh implements Mesh {
  readonly self: Mesh['self'];
  readonly #network: MemoryNetwork;
  readonly #limits: MeshLimits;
  readonly sender: FrameSender;
  readonly publicKey: string;
  readonly #isAllowed: MemorySelf['isAllowed'];
  readonly #peers = new Map<NodeName, Peer>();
  readonly #heard = new Map<NodeName, { readonly boot: BootId; readonly atMs: number }>();
  readonly #counters: MeshCounters = zeroCounters();
  #receive: Receive | undefined;
  #isOpen = true;
  #beat: Timer;

  constructor(network: MemoryNetwork, { node, boot, roles, limits, publicKey, isAllowed }: MemorySelf) {
    this.self = { node, boot, endpoint: `memory://${node}` };
    this.#network = network;
    this.#limits = { ...MESH_LIMITS, ...limits };
    this.sender = { node, boot, roles: roles ?? [] };
    this.publicKey = publicKey ?? '';
    this.#isAllowed = isAllowed;
    this.#beat = this.#nextBeat();
  }

  send(to: NodeName, frame: Frame): boolean {
    const peer = this.#peers.get(to);
    const taken = peer !== undefined && peer.outbox.push(frame, this.#nowMs()) === 'queued';
    if (!taken) this.#counters.refused++;
    else {
      this.#flushSoon(peer);
      if (frame.kind === 'ask' && this.#network.isSentAgain(this.self.node, to)) peer.outbox.push({ ...frame, id: AGAIN_ID + frame.id }, this.#nowMs());
    }
    return taken;
  }

  onFrame(receive: Receive): void {
    this.#receive = receive;
  }

  setPeers(peers: readonly PeerKey[]): void {
    if (!this.#isOpen) return;
    const wanted = new Set(peers.map((peer) => peer.node).filter((node) => node !== this.self.node));
    for (const node of this.#peers.keys()) {
      if (wanted.has(node)) continue;
      this.#peers.delete(node);
      this.#heard.delete(node);
    }
    for (const node of wanted) {
      if (this.#peers.has(node)) continue;
      const peer: Peer = { node, outbox: new Outbox(this.#limits), inFlight: 0, isFlushing: false };
      this.#peers.set(node, peer);
      this.#sendBeat(peer);
    }
  }

  peers(): readonly PeerView[] {
    return Array.from(this.#peers.values(), ({ node, outbox }) => {
      const heard = this.#heard.get(node);
      const connected = this.#network.reach(this.self.node, node) !== undefined;
      return { node, boot: heard?.boot, connected, lastHeardMonotonicMs: heard?.atMs, queued: outbox.queued, dropped: outbox.aged };
    });
  }

  counters(): Readonly<MeshCounters> {
    return { ...this.#counters };
  }

  close(): Promise<void> {
    if (this.#isOpen) {
      for (const peer of this.#peers.values()) while (this.#carryNext(peer));
      this.#network.crash(this.self.node);
    }
    return Promise.resolve();
  }

  /** For the network: the process is no more. */
  end(): void {
    this.#isOpen = false;
    this.#beat.cancel();
    this.#peers.clear();
  }

  /** For the network: a message has come. */
  arrive(claimed: FrameSender, text: string, publicKey: string): void {
    const peer = this.#isAllowed?.(publicKey);
    if (this.#isAllowed && (peer === undefined || peer.node !== claimed.node)) return void this.#counters.untrusted++;
    const from = peer ? { ...claimed, roles: peer.roles } : claimed;
    const message = parseMessage(Buffer.from(text));
    this.#counters.messagesIn++;
    this.#heard.set(from.node, { boot: from.boot, atMs: this.#nowMs() });
    for (const frame of message?.frames ?? []) if (frame.kind !== 'beat' && frame.kind !== 'hello') this.#deliver(from, frame);
  }

  flushAll(): void {
    for (const peer of this.#peers.values()) this.#flushSoon(peer);
  }

  #deliver(from: FrameSender, frame: Frame): void {
    if (frame.forBoot !== undefined && frame.forBoot !== this.self.boot) {
      this.#counters.staleBoot++;
      return;
    }
    this.#counters.framesIn++;
    try {
      this.#receive?.(from, frame);
    } catch {
      // As the port says: what a receiver throws ends nothing.
    }
  }

  /** As the real sender loop: what one turn sends travels together. */
  #flushSoon(peer: Peer): void {
    if (peer.isFlushing) return;
    peer.isFlushing = true;
    this.#network.clock.after(0, () => {
      peer.isFlushing = false;
      while (peer.inFlight < this.#limits.highWaterMark && this.#peers.get(peer.node) === peer && this.#carryNext(peer));
    });
  }

  #carryNext(peer: Peer): boolean {
    const target = this.#network.reach(this.self.node, peer.node);
    const texts = target ? peer.outbox.take(this.#nowMs()) : [];
    if (!target || texts.length === 0) return false;
    peer.inFlight++;
    this.#counters.messagesOut++;
    this.#counters.framesOut += texts.length;
    this.#network.carry(this, target, encodeMessage(texts), () => {
      peer.inFlight--;
      if (peer.outbox.queued > 0) this.#flushSoon(peer);
    });
    return true;
  }

  #sendBeat(peer: Peer): void {
    const target = this.#network.reach(this.self.node, peer.node);
    if (target) this.#network.carry(this, target, encodeMessage([BEAT]), () => undefined);
  }

  #nextBeat(): Timer {
    return this.#network.clock.after(this.#limits.beatMs, () => {
      for (const peer of this.#peers.values()) {
        peer.outbox.dropOld(this.#nowMs());
        this.#sendBeat(peer);
        if (peer.outbox.queued > 0) this.#flushSoon(peer); // a peer that has come back
      }
      this.#beat = this.#nextBeat();
    });
  }

  #nowMs(): number {
    return this.#network.clock.monotonicMs();
  }
}
