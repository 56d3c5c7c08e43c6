/**
 * The way out to one peer: an outbox, one DEALER at a time and one sender loop, since a ZeroMQ socket takes one send
 * at a time. Each send takes everything that waits, up to a batch. Nothing but the greeting is written until the peer
 * has accepted it, so frames wait here, where they are bounded and age, and not in ZeroMQ. A lost connection gets a
 * new socket with a new routing id: libzmq ignores a second connection under an id it still holds (handover is off).
 */
import { Dealer } from 'zeromq';
import type { Context } from 'zeromq';
import type { Clock, Timer } from '../base/clock.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import { systemRandom } from '../base/random.ts';
import type { Complaints } from './complaint.ts';
import { fingerprint } from './curve.ts';
import type { CurveKeyPair } from './curve.ts';
import { encodeFrame, encodeMessage, parseMessage } from './frame.ts';
import type { Frame, HelloFrame } from './frame.ts';
import { greet } from './greeting.ts';
import type { Speaker } from './greeting.ts';
import { messageBytesMax } from './limits.ts';
import type { MeshLimits } from './limits.ts';
import type { MeshCounters, PeerKey } from './mesh.ts';
import { Outbox } from './outbox.ts';

/** What all links and the gate of one mesh share. */
export type MeshWorld = {
  readonly context: Context;
  readonly keys: CurveKeyPair;
  readonly speaker: Speaker;
  readonly limits: MeshLimits;
  readonly clock: Clock;
  readonly complaints: Complaints;
  readonly counters: MeshCounters;
  readonly secretWith: (publicKey: string) => Buffer | undefined;
  /** A proved sign of life. */
  readonly heard: (node: NodeName, boot: BootId) => void;
};

type Message = { readonly text: string; readonly frames: number };
const BEAT = '{"kind":"beat"}';

export class PeerLink {
  readonly peer: PeerKey;
  readonly #world: MeshWorld;
  readonly #outbox: Outbox;
  #state: 'connecting' | 'greeting' | 'open' | 'closed' = 'connecting';
  #dealer: Dealer | undefined;
  #pumping: Dealer | undefined;
  #routingId = '';
  #greetingSinceMs = 0;
  #answeredMs = 0;
  #helloDue = false;
  #beatDue = false;
  #retry: Timer | undefined;
  #retryMs: number;
  #lost = 0;

  constructor(peer: PeerKey, world: MeshWorld) {
    this.peer = peer;
    this.#world = world;
    this.#outbox = new Outbox(world.limits);
    this.#retryMs = world.limits.reconnectMs;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }
  get queued(): number {
    return this.#outbox.queued;
  }
  get dropped(): number {
    return this.#outbox.aged + this.#lost;
  }
  /** Nothing waits and nothing is being written. */
  get isIdle(): boolean {
    return this.#outbox.queued === 0 && this.#pumping === undefined;
  }

  send(frame: Frame): boolean {
    const pushed = this.#outbox.push(frame, this.#world.clock.monotonicMs());
    if (pushed === 'tooLarge') this.#world.complaints.warn('mesh.frame.tooLarge', { to: this.peer.node, kind: frame.kind });
    if (pushed === 'queued') this.#flush();
    return pushed === 'queued';
  }

  /** Once per beat: shows that this event loop turns, repeats a greeting, forgets what is too old. */
  tick(): void {
    const nowMs = this.#world.clock.monotonicMs();
    this.#outbox.dropOld(nowMs);
    if (this.#state === 'greeting' && nowMs - this.#greetingSinceMs > this.#world.limits.greetMaxMs) return this.#reconnect();
    if (this.#state === 'open' && nowMs - this.#answeredMs > this.#world.limits.silenceMs) return this.#reconnect();
    this.#helloDue = this.#state === 'greeting';
    this.#beatDue = this.#state === 'open';
    this.#flush();
  }

  close(): void {
    this.#state = 'closed';
    this.#retry?.cancel();
    this.#dealer?.close();
    this.#dealer = undefined;
  }

  #connect(): void {
    this.#state = 'connecting';
    try {
      this.#routingId = systemRandom.bytes(16).toString('hex');
      const dealer = openDealer(this.#world, this.peer, this.#routingId);
      this.#dealer = dealer;
      dealer.events.on('handshake', () => this.#onHandshake(dealer));
      dealer.events.on('disconnect', () => this.#onDisconnect(dealer));
      dealer.events.on('handshake:error:auth', () => this.#complain('mesh.peer.turnsUsAway'));
      dealer.connect(this.peer.endpoint);
      void this.#listen(dealer);
    } catch (error) {
      this.#complain('mesh.peer.cannotConnect', { error });
      this.#reconnect();
    }
  }

  #onHandshake(dealer: Dealer): void {
    if (dealer !== this.#dealer) return;
    this.#startGreeting();
  }

  #onDisconnect(dealer: Dealer): void {
    if (dealer === this.#dealer) this.#reconnect();
  }

  #startGreeting(): void {
    this.#state = 'greeting';
    this.#greetingSinceMs = this.#world.clock.monotonicMs();
    this.#helloDue = true;
    this.#flush();
  }

  /** Leaves the socket as it is and opens another one a little later. What libzmq still held is lost. */
  #reconnect(): void {
    this.#dealer?.close();
    this.#dealer = undefined;
    this.#state = 'connecting';
    this.#retry?.cancel();
    this.#retry = this.#world.clock.after(this.#retryMs, () => this.#connect());
    this.#retryMs = Math.min(this.#retryMs * 2, this.#world.limits.reconnectMaxMs);
  }

  /** The peer's ROUTER says nothing but hello. What comes here was encrypted with the key we expect of it. */
  async #listen(dealer: Dealer): Promise<void> {
    try {
      for await (const parts of dealer) {
        if (dealer !== this.#dealer) return;
        const [bytes] = parts;
        const message = parts.length === 1 && bytes ? parseMessage(bytes) : undefined;
        if (!message) this.#world.counters.malformed++;
        for (const frame of message?.frames ?? []) if (frame.kind === 'hello') this.#onHello(frame);
      }
    } catch (error) {
      // Closing ends the iteration quietly; anything else means that this socket is of no more use.
      if (dealer === this.#dealer) this.#complain('mesh.peer.receive', { error });
      this.#onDisconnect(dealer);
    }
  }

  #onHello(hello: HelloFrame): void {
    if (hello.node !== this.peer.node || hello.cluster !== this.#world.speaker.cluster) {
      this.#complain('mesh.peer.isAnother', { says: hello.node, cluster: hello.cluster });
      return;
    }
    this.#world.heard(hello.node, hello.boot);
    if (hello.known !== true) {
      if (this.#state === 'open') this.#startGreeting();
      return;
    }
    this.#answeredMs = this.#world.clock.monotonicMs();
    this.#state = 'open';
    this.#retryMs = this.#world.limits.reconnectMs;
    this.#flush();
  }

  #flush(): void {
    const dealer = this.#dealer;
    if (dealer === undefined || this.#pumping === dealer || this.#state === 'connecting') return;
    this.#pumping = dealer;
    void this.#pump(dealer);
  }

  /** The sender loop; ends when nothing waits. Never rejects. */
  async #pump(dealer: Dealer): Promise<void> {
    await Promise.resolve(); // what the same turn still sends joins the first message
    while (dealer === this.#dealer) {
      const message = this.#next();
      if (message === undefined) break;
      try {
        await dealer.send(message.text);
        this.#world.counters.messagesOut++;
        this.#world.counters.framesOut += message.frames;
      } catch {
        this.#lost += message.frames; // closed meanwhile, or the peer took nothing for longer than frames may wait
      }
    }
    if (this.#pumping === dealer) this.#pumping = undefined;
  }

  #next(): Message | undefined {
    if (this.#helloDue) {
      this.#helloDue = false;
      const hello = this.#hello();
      return hello === undefined ? undefined : { text: encodeMessage([hello]), frames: 0 };
    }
    if (this.#state !== 'open') return undefined;
    const texts = this.#outbox.take(this.#world.clock.monotonicMs());
    const frames = texts.length;
    if (this.#beatDue) texts.unshift(BEAT);
    this.#beatDue = false;
    return texts.length === 0 ? undefined : { text: encodeMessage(texts), frames };
  }

  #hello(): string | undefined {
    const secret = this.#world.secretWith(this.peer.publicKey);
    if (!secret) return undefined;
    return encodeFrame(greet(this.#world.speaker, this.#world.keys.publicKey, secret, this.peer.node, this.#routingId));
  }

  #complain(event: string, fields: { readonly [key: string]: unknown } = {}): void {
    this.#world.complaints.warn(event, { peer: this.peer.node, endpoint: this.peer.endpoint, key: fingerprint(this.peer.publicKey), ...fields });
  }
}

function openDealer({ context, keys, limits }: MeshWorld, peer: PeerKey, routingId: string): Dealer {
  return new Dealer({
    context,
    routingId,
    curveServerKey: peer.publicKey,
    curvePublicKey: keys.publicKey,
    curveSecretKey: keys.secretKey,
    immediate: true,
    linger: limits.closeMaxMs,
    maxMessageSize: messageBytesMax(limits),
    sendTimeout: limits.ageMaxMs,
    sendHighWaterMark: limits.highWaterMark,
    receiveHighWaterMark: limits.highWaterMark,
    heartbeatInterval: 0, // deadly, see limits.ts
    handshakeInterval: limits.greetMaxMs,
    reconnectInterval: limits.reconnectMs,
    reconnectMaxInterval: limits.reconnectMaxMs,
    ipv6: peer.endpoint.includes('['),
  });
}
