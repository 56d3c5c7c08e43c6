/**
 * The way in: one ROUTER for all peers and, beside it in the same context, the ZAP socket that libzmq asks about each
 * CURVE key before a connection opens. The gate fails closed (`zapEnforceDomain`): without an answer nobody enters.
 * A message is believed only on a connection that has been greeted (greeting.ts), and only as long as its key stays
 * allowed. Unreadable bytes never throw: they are counted, and the connection must greet again.
 */
import { Reply, Router } from 'zeromq';
import { Fault } from '../base/fault.ts';
import type { BootId, NodeName } from '../base/ids.ts';
import type { Log } from '../base/log.ts';
import { fingerprint, toZ85 } from './curve.ts';
import { encodeFrame, encodeMessage, parseMessage } from './frame.ts';
import type { Frame, HelloFrame, WireFrame } from './frame.ts';
import { greetBack, judge } from './greeting.ts';
import { messageBytesMax } from './limits.ts';
import type { FrameSender, PeerKey, Receive } from './mesh.ts';
import type { MeshWorld } from './peer-link.ts';

type Greeted = { readonly publicKey: string; from: FrameSender };
/** `known: false` answers per second in all: a flood of strangers is not answered by a flood. */
const ASK_AGAIN_MAX = 200;

export class Gate {
  readonly #world: MeshWorld;
  readonly #log: Log;
  readonly #isAllowed: (publicKey: string) => PeerKey | undefined;
  readonly #zap: Reply;
  readonly #router: Router;
  /** Greeted connections by routing id, one per node: a later greeting replaces the earlier connection. */
  readonly #greeted = new Map<string, Greeted>();
  readonly #routingIdOf = new Map<NodeName, string>();
  #receive: Receive | undefined;
  #askAgainLeft = ASK_AGAIN_MAX;

  private constructor(world: MeshWorld, log: Log, isAllowed: (publicKey: string) => PeerKey | undefined, bind: string) {
    this.#world = world;
    this.#log = log;
    this.#isAllowed = isAllowed;
    this.#zap = new Reply({ context: world.context, linger: 0 });
    this.#router = openRouter(world, bind);
  }

  /** Binds and begins to admit and receive. */
  static async open(world: MeshWorld, log: Log, isAllowed: (publicKey: string) => PeerKey | undefined, bind: string): Promise<Gate> {
    const gate = new Gate(world, log, isAllowed, bind);
    try {
      await gate.#zap.bind('inproc://zeromq.zap.01'); // before the router: the name is libzmq's (RFC 27)
      await gate.#router.bind(bind);
    } catch (error) {
      await gate.close();
      throw new Fault('unavailable', 'mesh.bind', `The mesh cannot listen on ${bind}.`, { cause: error });
    }
    void gate.#admit();
    void gate.#listen();
    return gate;
  }

  /** Where it listens, with the port that was chosen. */
  get endpoint(): string {
    return this.#router.lastEndpoint ?? '';
  }

  onFrame(receive: Receive): void {
    this.#receive = receive;
  }

  tick(): void {
    this.#askAgainLeft = ASK_AGAIN_MAX;
    for (const [routingId, greeted] of this.#greeted) if (!this.#isStillAllowed(greeted)) this.#forget(routingId);
  }

  /**
   * Resolves when the port is free again. Never `unbind`: zeromq.js does that on another thread while this one reads
   * the socket, and libzmq then aborts the process (seen with 6.8.0: in about half of all runs of 120 closings).
   */
  async close(): Promise<void> {
    const { clock, limits } = this.#world;
    await new Promise<void>((resolve) => {
      const patience = clock.after(limits.closeMaxMs, resolve);
      this.#router.events.on('end', () => {
        patience.cancel();
        resolve();
      });
      this.#router.close();
      this.#zap.close();
    });
  }

  /** Answers libzmq: may this key connect? One question at a time, each answered at once. */
  async #admit(): Promise<void> {
    try {
      for await (const [version, requestId, , address, , mechanism, key] of this.#zap) {
        const ok = this.#mayConnect(String(mechanism), key, String(address));
        await this.#zap.send([version ?? '1.0', requestId ?? '', ok ? '200' : '400', ok ? 'OK' : 'refused', '', '']);
      }
    } catch (error) {
      if (!this.#zap.closed) this.#log.error('mesh.admission.ended', { error });
    }
  }

  #mayConnect(mechanism: string, key: Buffer | undefined, address: string): boolean {
    if (mechanism !== 'CURVE' || key?.length !== 32) return false;
    const publicKey = toZ85(key);
    if (this.#isAllowed(publicKey)) return true;
    this.#turnAway('unknownKey', { address, key: fingerprint(publicKey) });
    return false;
  }

  /** Never ends before closing. Lets the event loop turn after each slice of work, else a flood would stop our beats. */
  async #listen(): Promise<void> {
    const { clock, limits } = this.#world;
    let busyMs = 0;
    try {
      for await (const parts of this.#router) {
        const startMs = clock.monotonicMs();
        this.#onMessage(parts);
        busyMs += clock.monotonicMs() - startMs;
        if (busyMs < limits.sliceMs) continue;
        busyMs = 0;
        await clock.sleep(0);
      }
    } catch (error) {
      if (!this.#router.closed) this.#log.error('mesh.gate.ended', { error });
    }
  }

  #onMessage(parts: Buffer[]): void {
    const { counters } = this.#world;
    const [id, bytes] = parts;
    if (!id) return;
    const routingId = id.toString('latin1');
    counters.messagesIn++;
    const message = parts.length === 2 && bytes ? parseMessage(bytes) : undefined;
    if (!message) return this.#distrust(routingId, parts);
    counters.unknownKind += message.unknownKinds;
    counters.malformed += message.malformed;
    if (message.malformed > 0) this.#world.complaints.warn('mesh.frame.malformed', this.#whoIs(routingId));
    for (const frame of message.frames) if (!this.#onFrame(routingId, id, frame)) return;
  }

  /** False when the rest of the message is not to be believed. */
  #onFrame(routingId: string, id: Buffer, frame: WireFrame): boolean {
    if (frame.kind === 'hello') return this.#onHello(routingId, id, frame);
    const greeted = this.#greeted.get(routingId);
    if (!greeted || !this.#isStillAllowed(greeted)) {
      this.#world.counters.untrusted++;
      this.#forget(routingId);
      if (this.#askAgainLeft-- > 0) this.#say(id, false);
      return false;
    }
    this.#world.heard(greeted.from.node, greeted.from.boot);
    if (frame.kind === 'beat') this.#say(id, true); // nobody else would tell that this connection lives
    else this.#deliver(greeted.from, frame);
    return true;
  }

  #deliver(from: FrameSender, frame: Frame): void {
    const { counters, speaker } = this.#world;
    if (frame.forBoot !== undefined && frame.forBoot !== speaker.boot) {
      counters.staleBoot++;
      return;
    }
    counters.framesIn++;
    try {
      this.#receive?.(from, frame);
    } catch (error) {
      this.#log.error('mesh.receiver.threw', { from: from.node, kind: frame.kind, error });
    }
  }

  #onHello(routingId: string, id: Buffer, hello: HelloFrame): boolean {
    const { speaker, secretWith } = this.#world;
    const verdict = judge(hello, routingId, speaker, { isAllowed: this.#isAllowed, secretWith });
    if (typeof verdict === 'string') {
      this.#forget(routingId);
      this.#turnAway(verdict, { says: hello.node, cluster: hello.cluster });
      return false;
    }
    const former = this.#routingIdOf.get(verdict.node);
    if (former !== undefined && former !== routingId) this.#forget(former);
    this.#greeted.set(routingId, { publicKey: verdict.publicKey, from: { node: verdict.node, boot: hello.boot, roles: verdict.roles } });
    this.#routingIdOf.set(verdict.node, routingId);
    this.#world.heard(verdict.node, hello.boot);
    this.#say(id, true);
    return true;
  }

  /** Also brings roles up to date that were given or taken since the greeting. */
  #isStillAllowed(greeted: Greeted): boolean {
    const peer = this.#isAllowed(greeted.publicKey);
    if (peer?.node !== greeted.from.node) return false;
    if (peer.roles !== greeted.from.roles) greeted.from = { ...greeted.from, roles: peer.roles };
    return true;
  }

  #distrust(routingId: string, parts: Buffer[]): void {
    this.#world.counters.malformed++;
    this.#world.complaints.warn('mesh.message.malformed', { ...this.#whoIs(routingId), parts: parts.length, bytes: parts[1]?.length });
    this.#forget(routingId);
  }

  #forget(routingId: string): void {
    const greeted = this.#greeted.get(routingId);
    if (!greeted) return;
    this.#greeted.delete(routingId);
    if (this.#routingIdOf.get(greeted.from.node) === routingId) this.#routingIdOf.delete(greeted.from.node);
  }

  #say(id: Buffer, known: boolean): void {
    const text = encodeFrame(greetBack(this.#world.speaker, known));
    // A peer that is gone or takes nothing greets again by itself: an answer that cannot leave now is not needed.
    if (text) this.#router.send([id, encodeMessage([text])]).catch(() => undefined);
  }

  #turnAway(why: string, fields: { readonly [key: string]: unknown }): void {
    this.#world.counters.turnedAway++;
    this.#world.complaints.warn(`mesh.turnedAway.${why}`, fields);
  }

  #whoIs(routingId: string): { node: NodeName | undefined; boot: BootId | undefined } {
    const from = this.#greeted.get(routingId)?.from;
    return { node: from?.node, boot: from?.boot };
  }
}

function openRouter({ context, keys, limits }: MeshWorld, bind: string): Router {
  return new Router({
    context,
    curveServer: true,
    curveSecretKey: keys.secretKey,
    zapDomain: 'mesh',
    zapEnforceDomain: true,
    handover: false,
    mandatory: true, // an unknown id is an error …
    sendTimeout: 0, // … at once: with the default it would hang and block the socket
    linger: 0,
    maxMessageSize: messageBytesMax(limits),
    sendHighWaterMark: limits.highWaterMark,
    receiveHighWaterMark: limits.highWaterMark,
    heartbeatInterval: 0, // deadly, see limits.ts
    handshakeInterval: limits.greetMaxMs,
    ipv6: bind.includes('['),
  });
}
