/**
 * Status streams at `/v2.1/stream` and `/v2.1/{project}/stream`: every change of an instance, once, in commit order,
 * from any revision that is kept (P5); as a WebSocket, as server-sent events and as a long poll. This file opens the
 * doors and counts who is in; `client.ts` is one open line, `fan-out.ts` where the events come from, `cursor.ts` how a
 * newcomer gets to where the others are.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { EventFeed } from '../../actors/model/event.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { Caller, TokenChecker } from '../kit/auth.ts';
import { Admission, type Entrant } from './admission.ts';
import type { Client, ClientParts } from './line/client.ts';
import type { CursorParts } from './cursor.ts';
import {
  chooseProtocol,
  CLOSING,
  parseStreamPath,
  refusalOf,
  refuseRequest,
  refuseUpgrade,
  TOO_MANY_OF_PROJECT,
  type Refusal,
  type StreamPath,
} from './door.ts';
import { openEventSource } from './line/event-source.ts';
import { FanOut } from './fan-out.ts';
import { Lanes } from './lanes.ts';
import { CLOSE, MESSAGE_MAX_BYTES, POLL_MAX_MS, type StreamSettings } from './limits.ts';
import { answerPoll } from './line/long-poll.ts';
import { parseQuery, type Wish } from './message.ts';
import { Ring } from './ring.ts';
import { openSocket } from './line/socket.ts';
import { Wheel } from './line/wheel.ts';

export type StreamParts = {
  readonly actors: Actors;
  readonly feed: EventFeed;
  readonly tokens: TokenChecker;
  /** The caller as policy sees it, null when it may watch nothing; absent: whoever has a token may watch its project. */
  readonly rights?: (caller: Caller) => Caller | null;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly settings: StreamSettings;
  /** Events kept in memory for those who come back; absent: the usual number. */
  readonly ringMaxEvents?: number;
};

export type StreamStats = {
  readonly sockets: number;
  readonly polls: number;
  readonly live: number;
  /** Events handed to readers since the start. */
  readonly deliveries: number;
  readonly through: number;
  readonly ringEvents: number;
};

export interface StatusStream {
  /** True when the path is ours: the socket is then answered or taken over here. */
  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): boolean;
  /** True when the request asks for one of the plain HTTP forms. */
  handleRequest(req: IncomingMessage, res: ServerResponse): boolean;
  /** Tells everyone to come back elsewhere. Resolves when the lines have ended. */
  close(): Promise<void>;
  stats(): StreamStats;
}

/** Questions to store and identity at once, of all readers that are being brought up. */
const LANES = 8;
/** Every so many turns of the wheel the store is asked what nobody told us: twice a round. */
const FRESHEN_TURNS = 8;
/** A line that does not end by itself when we close is cut after it. */
const CLOSE_MS = 1_000;

export function openStatusStream(parts: StreamParts): StatusStream {
  return new Streams(parts);
}

class Streams implements StatusStream {
  readonly #parts: StreamParts;
  readonly #admission: Admission;
  readonly #fanOut: FanOut;
  readonly #cursor: CursorParts;
  readonly #client: ClientParts;
  readonly #wheel: Wheel;
  readonly #server: WebSocketServer;
  readonly #strangers = new Set<Client>();
  readonly #polls = new Set<ServerResponse>();
  #turns = 0;
  #onEmpty: () => void = () => undefined;

  constructor(parts: StreamParts) {
    const { actors, clock, random, log, settings } = parts;
    this.#parts = parts;
    this.#admission = new Admission(parts);
    this.#fanOut = new FanOut({ ...parts, ring: new Ring(parts.ringMaxEvents) });
    this.#cursor = { actors, fanOut: this.#fanOut, lanes: new Lanes(LANES), clock, random };
    this.#client = {
      cursor: this.#cursor,
      settings,
      clock,
      log,
      callerOf: (token) => this.#admission.callerOf(token),
      takePlace: (client, projectId) => this.#takePlace(client, projectId),
      onEnd: (client) => this.#onEnd(client),
    };
    this.#wheel = new Wheel(clock, settings.bookmarkMs, () => this.#turn());
    const handleProtocols = (offered: Set<string>): string | false => chooseProtocol(offered);
    this.#server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: MESSAGE_MAX_BYTES, handleProtocols });
  }

  handleUpgrade(req: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const path = parseStreamPath(req.url);
    if (path === undefined) return false;
    socket.on('error', ignore);
    const open = { streams: this.#size, strangers: this.#strangers.size };
    this.#admission.judgeUpgrade(req, path, open).then(
      (found) => {
        if (socket.destroyed) return;
        if (isRefusal(found)) refuseUpgrade(socket, found);
        else this.#open(req, socket, head, path, found);
      },
      (error: unknown) => refuseUpgrade(socket, this.#refusalOfFault(error)),
    );
    return true;
  }

  handleRequest(req: IncomingMessage, res: ServerResponse): boolean {
    const path = parseStreamPath(req.url);
    if (path === undefined || req.method !== 'GET') return false;
    const isSource = (req.headers.accept ?? '').includes('text/event-stream');
    if (!isSource && !path.query.has('wait') && !path.query.has('after')) return false;
    this.#answer(req, res, path, isSource).catch((error: unknown) => refuseRequest(res, this.#refusalOfFault(error)));
    return true;
  }

  async close(): Promise<void> {
    this.#admission.isClosed = true;
    this.#wheel.stop();
    this.#fanOut.close();
    for (const client of this.#everyone()) client.close(CLOSE.restarting, 'this node is being stopped');
    for (const res of this.#polls) refuseRequest(res, CLOSING);
    const empty = new Promise<void>((resolve) => (this.#onEmpty = resolve));
    const cut = this.#parts.clock.after(CLOSE_MS, () => this.#everyone().forEach((client) => client.line.cut()));
    if (this.#size > 0) await empty;
    cut.cancel();
  }

  stats(): StreamStats {
    const { live, deliveries, ring } = this.#fanOut;
    return { sockets: this.#wheel.size + this.#strangers.size, polls: this.#polls.size, live, deliveries, through: ring.through, ringEvents: ring.events };
  }

  get #size(): number {
    return this.#wheel.size + this.#strangers.size + this.#polls.size;
  }

  #everyone(): Client[] {
    return [...this.#strangers, ...this.#wheel.all()];
  }

  #open(req: IncomingMessage, socket: Duplex, head: Buffer, path: StreamPath, entrant: Entrant | 'stranger'): void {
    this.#server.handleUpgrade(req, socket, head, (ws) => {
      const client = openSocket(ws, socket, { ...this.#client, fits: (later) => refusalOf(later, path.projectId) === undefined });
      socket.off('error', ignore);
      if (entrant === 'stranger') this.#strangers.add(client);
      else if (client.admit(entrant.caller, entrant.token)) this.#wheel.add(client);
    });
  }

  async #answer(req: IncomingMessage, res: ServerResponse, path: StreamPath, isSource: boolean): Promise<void> {
    const found = await this.#admission.judgeRequest(req, path, { streams: this.#size });
    if (isRefusal(found)) return refuseRequest(res, found);
    const { caller, token } = found;
    const resume = req.headers['last-event-id'];
    const wish = parseQuery(path.query, isSource && typeof resume === 'string' ? resume : null);
    if (typeof wish === 'string') return refuseRequest(res, { status: 400, message: wish });
    const wrong = wrongScope(wish, caller);
    if (wrong) return refuseRequest(res, wrong);
    if (isSource) return this.#openSource(res, wish, caller, token);
    await this.#poll(res, wish, caller, path.query.get('wait'));
  }

  #openSource(res: ServerResponse, wish: Wish, caller: Caller, token: string): void {
    const client = openEventSource(res, this.#requestId(), this.#client);
    if (!client.admit(caller, token)) return;
    this.#wheel.add(client);
    client.subscribe('source', wish);
  }

  async #poll(res: ServerResponse, wish: Wish, caller: Caller, wait: string | null): Promise<void> {
    const waitMs = wait === null ? 0 : Number(wait) * 1_000;
    if (!(waitMs >= 0)) return refuseRequest(res, { status: 400, message: 'wait: seconds, a number from 0 on' });
    if (wish.from === 'snapshot')
      return refuseRequest(res, { status: 400, message: 'from: a poll has no snapshot; list the servers and poll after that answer' });
    if (!this.#admission.takePlace(caller.projectId)) return refuseRequest(res, TOO_MANY_OF_PROJECT);
    this.#polls.add(res);
    try {
      const { cursor, clock, log } = this.#client;
      await answerPoll(res, wish, { cursor, clock, log, caller, requestId: this.#requestId(), waitMs: Math.min(waitMs, POLL_MAX_MS) });
    } finally {
      this.#polls.delete(res);
      this.#admission.givePlaceBack(caller.projectId);
      if (this.#size === 0) this.#onEmpty();
    }
  }

  #takePlace(client: Client, projectId: string | null): boolean {
    if (!this.#admission.takePlace(projectId)) return false;
    client.place = projectId;
    if (this.#strangers.delete(client)) this.#wheel.add(client);
    return true;
  }

  #onEnd(client: Client): void {
    this.#strangers.delete(client);
    this.#wheel.remove(client);
    if (client.place !== undefined) this.#admission.givePlaceBack(client.place);
    if (this.#size === 0) this.#onEmpty();
  }

  #turn(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    for (const client of this.#strangers) {
      if (nowMs - client.openedAtMs < this.#parts.settings.authMs) break; // they stand in the order in which they came
      client.close(CLOSE.unauthorized, 'no auth message came in time');
      this.#strangers.delete(client);
      this.#wheel.add(client); // until its line has ended
    }
    if (++this.#turns % FRESHEN_TURNS !== 0 || this.#fanOut.live === 0) return;
    this.#fanOut.freshen().catch((error: unknown) => this.#parts.log.warn('the store does not say where it stands', { error }));
  }

  #requestId(): string {
    return `req-${this.#parts.random.uuid()}`;
  }

  #refusalOfFault(error: unknown): Refusal {
    const fault = Fault.from(error);
    if (fault.code === 'internal') this.#parts.log.error('a stream could not be opened by a bug', { error });
    return { status: fault.code === 'internal' ? 500 : 503, message: fault.message };
  }
}

function isRefusal(found: Refusal | Entrant | 'stranger'): found is Refusal {
  return typeof found === 'object' && 'status' in found;
}

function wrongScope({ scope }: Wish, caller: Caller): Refusal | undefined {
  if (scope === 'all') return caller.isAdmin ? undefined : { status: 403, message: 'Only administrators may watch all projects.' };
  return caller.projectId === null ? { status: 403, message: 'The token is not scoped to a project.' } : undefined;
}

function ignore(): void {}
