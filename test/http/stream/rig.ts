/** A stream on a free loopback port with a small cell behind it, and a client that obeys the contract. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocket, type ClientOptions } from 'ws';
import type { StatusEvent } from '../../../actors/model/event.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog, type Log } from '../../../runtime/base/log.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { hashToken, type Caller, type TokenChecker } from '../../../http/kit/auth.ts';
import { STREAM_DEFAULTS, type StreamSettings } from '../../../http/stream/limits.ts';
import { openStatusStream, type StatusStream } from '../../../http/stream/stream.ts';
import { Cell } from './cell.ts';

/** A round of 160 ms: bookmarks and checks come soon. */
const QUICK: StreamSettings = { ...STREAM_DEFAULTS, bookmarkMs: 160 };

export type Rig = {
  readonly cell: Cell;
  readonly stream: StatusStream;
  readonly url: string;
  /** Callers by token; `blue`, `green` and `admin` are there. */
  readonly callers: Map<string, Caller>;
  readonly checks: { count: number };
  close(): Promise<void>;
};

export async function openRig(
  more: Partial<StreamSettings> = {},
  options: { ringMaxEvents?: number; log?: Log; rights?: (caller: Caller) => Caller | null } = {},
): Promise<Rig> {
  const cell = new Cell();
  const callers = new Map(['blue', 'green', 'admin'].map((name) => [name, callerOf(name)]));
  const checks = { count: 0 };
  const tokens: TokenChecker = {
    check: async (token) => {
      checks.count++;
      return callers.get(token) ?? null;
    },
  };
  const { log = silentLog, ...ring } = options;
  const stream = openStatusStream({
    actors: cell.actors,
    feed: cell,
    tokens,
    clock: systemClock,
    random: systemRandom,
    log,
    settings: { ...QUICK, ...more },
    ...ring,
  });
  const server = createServer((req, res) => {
    if (!stream.handleRequest(req, res)) res.writeHead(404).end('not a stream');
  });
  server.on('upgrade', (req, socket, head) => {
    if (!stream.handleUpgrade(req, socket, head)) socket.destroy();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    await stream.close();
    server.closeAllConnections();
    server.close();
  };
  return { cell, stream, url: `127.0.0.1:${port}`, callers, checks, close };
}

export function callerOf(name: string, more: Partial<Caller> = {}): Caller {
  return {
    tokenHash: hashToken(name),
    userId: `user-of-${name}`,
    userName: name,
    userDomainId: 'default',
    projectId: name,
    projectName: name,
    projectDomainId: 'default',
    roles: ['member'],
    isAdmin: name === 'admin',
    expiresAtMs: Date.now() + 3_600_000,
    ...more,
  };
}

/** Any message: which members are there depends on its type. */
export type Message = Omit<StatusEvent, 'kind' | 'projectId'> & {
  readonly type: string;
  readonly sub: string;
  readonly more?: boolean;
  readonly incarnation: string;
  readonly message: string;
  readonly events: readonly Message[];
};

/** One socket; every message is kept, and can be waited for. */
export class Socket {
  readonly ws: WebSocket;
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  /** The status of a refused upgrade. */
  readonly refused: Promise<{ status: number; text: string }>;
  #seen = 0;
  #wake: () => void = () => undefined;

  constructor(rig: Pick<Rig, 'url'>, options: { path?: string; protocols?: string[] } & ClientOptions = {}) {
    const { path = '/v2.1/stream', protocols = [], ...rest } = options;
    this.ws = new WebSocket(`ws://${rig.url}${path}`, protocols, rest);
    this.ws.on('message', (bytes) => {
      this.messages.push(JSON.parse(String(bytes)) as Message);
      this.#wake();
    });
    this.ws.on('error', () => undefined);
    this.closed = new Promise((resolve) =>
      this.ws.on('close', (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.#wake();
      }),
    );
    this.refused = new Promise((resolve) =>
      this.ws.on('unexpected-response', (_req, res) => {
        let text = '';
        res.on('data', (chunk) => (text += String(chunk)));
        res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
      }),
    );
  }

  static async open(rig: Pick<Rig, 'url'>, token: string, options: ConstructorParameters<typeof Socket>[1] = {}): Promise<Socket> {
    const socket = new Socket(rig, { ...options, headers: { ...options.headers, 'X-Auth-Token': token } });
    await once(socket.ws, 'open');
    return socket;
  }

  say(message: object): void {
    this.ws.send(JSON.stringify(message));
  }

  subscribe(more: object = {}): void {
    this.say({ type: 'subscribe', id: 's', ...more });
  }

  /** The next message that fits; what came before it is skipped. Fails when the socket ends first. */
  async next(type: string, fits: (message: Message) => boolean = () => true): Promise<Message> {
    for (;;) {
      while (this.#seen < this.messages.length) {
        const message = this.messages[this.#seen++];
        if (message?.type === type && fits(message)) return message;
      }
      if (this.ws.readyState === WebSocket.CLOSED) throw new Error(`closed before ${type} came: ${JSON.stringify(this.messages.slice(-3))}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  of(type: string): Message[] {
    return this.messages.filter((message) => message.type === type);
  }
}
