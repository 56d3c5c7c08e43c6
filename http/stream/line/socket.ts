/**
 * A WebSocket as a line, and what its client says. Data frames are the shared ones, written to the connection beneath:
 * the library does the handshake, reads, answers pings and closes. That is sound because it writes whole frames at once
 * (no compression), and none of ours leaves after its close frame.
 */
import type { Duplex } from 'node:stream';
import { WebSocket, type RawData } from 'ws';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Caller } from '../../kit/auth.ts';
import { Client, type ClientParts, type Line } from './client.ts';
import { PING_FRAME, type Form } from '../frame.ts';
import { CLOSE, MESSAGES_PER_ROUND, MISTAKES_MAX } from '../limits.ts';
import { parseMessage, type ClientMessage } from '../message.ts';

const REASON_MAX = 123; // what a close frame holds

class SocketLine implements Line {
  readonly form: Form = 'socket';
  readonly ws: WebSocket;
  readonly #connection: Duplex;

  constructor(ws: WebSocket, connection: Duplex) {
    this.ws = ws;
    this.#connection = connection;
  }

  get bufferedBytes(): number {
    return this.#connection.writableLength;
  }

  get isFull(): boolean {
    return this.#connection.writableNeedDrain;
  }

  write(frame: Buffer): void {
    if (this.ws.readyState === WebSocket.OPEN) this.#connection.write(frame);
  }

  hold(): void {
    this.#connection.cork();
  }

  release(): void {
    this.#connection.uncork();
  }

  ping(): void {
    this.write(PING_FRAME);
  }

  close(code: number, reason: string): void {
    this.ws.close(code, reason.slice(0, REASON_MAX));
  }

  cut(): void {
    this.ws.terminate();
  }
}

/** What a caller who comes in by message must fit: the project of the path, if it names one. */
export type SocketParts = ClientParts & { readonly fits: (caller: Caller) => boolean };

export function openSocket(ws: WebSocket, connection: Duplex, parts: SocketParts): Client {
  const client = new Client(new SocketLine(ws, connection), parts);
  const conversation = new Conversation(client, parts);
  ws.on('message', (bytes, isBinary) => conversation.hear(bytes, isBinary));
  ws.on('pong', () => client.heard());
  ws.on('close', () => client.ended());
  ws.on('error', () => undefined); // a broken frame or connection; `close` follows
  connection.on('drain', () => client.roomAgain());
  return client;
}

class Conversation {
  readonly #client: Client;
  readonly #parts: SocketParts;
  #mistakes = 0;
  #messages = 0;
  #roundBeganMs = 0;
  #isChecking = false;

  constructor(client: Client, parts: SocketParts) {
    this.#client = client;
    this.#parts = parts;
  }

  hear(bytes: RawData, isBinary: boolean): void {
    const client = this.#client;
    if (client.isClosing) return;
    client.heard();
    if (this.#isTooLoud()) return client.close(CLOSE.violation, 'too many messages');
    if (isBinary || !Buffer.isBuffer(bytes)) return client.close(CLOSE.violation, 'messages are text');
    const message = parseMessage(bytes.toString('utf8'));
    if (message === undefined) return client.close(CLOSE.violation, 'messages are JSON objects');
    if (!client.isKnown && (typeof message === 'string' || message.type !== 'auth')) {
      return client.close(CLOSE.unauthorized, 'the first message must be auth');
    }
    if (typeof message === 'string') return this.#wrong(null, message);
    this.#obey(message);
  }

  #obey(message: ClientMessage): void {
    if (message.type === 'auth') return this.#authenticate(message.token);
    if (message.type === 'subscribe') return this.#client.subscribe(message.id, message.wish);
    if (this.#client.unsubscribe(message.id)) return this.#client.tell({ type: 'unsubscribed', sub: message.id });
    this.#wrong(message.id, 'there is no subscription of this name');
  }

  #authenticate(token: string): void {
    if (this.#isChecking) return this.#client.close(CLOSE.violation, 'one auth at a time');
    this.#isChecking = true;
    this.#parts
      .callerOf(token)
      .then(
        (caller) => this.#admit(caller, token),
        (error: unknown) => this.#cannotCheck(error),
      )
      .finally(() => (this.#isChecking = false));
  }

  #admit(caller: Caller | null, token: string): void {
    const client = this.#client;
    if (client.isClosing) return;
    if (caller === null) return client.close(CLOSE.unauthorized, 'the token is not valid');
    if (!this.#parts.fits(caller)) return client.close(CLOSE.forbidden, 'the path names another project');
    if (client.admit(caller, token)) return client.tell({ type: 'authenticated', projectId: caller.projectId, expiresAt: toIso(caller.expiresAtMs) });
    this.#wrong(null, 'a new token must be for the same user and project');
  }

  #cannotCheck(error: unknown): void {
    if (!Fault.is(error)) this.#parts.log.error('a token check failed by a bug', { error });
    if (this.#client.isKnown) this.#client.tell({ type: 'error', sub: null, message: 'the token could not be checked' });
    else this.#client.close(CLOSE.tryAgain, 'the token could not be checked');
  }

  #wrong(sub: string | null, message: string): void {
    if (++this.#mistakes > MISTAKES_MAX) return this.#client.close(CLOSE.violation, 'too many bad messages');
    this.#client.tell({ type: 'error', sub, message });
  }

  #isTooLoud(): boolean {
    const { clock, settings } = this.#parts;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#roundBeganMs > settings.bookmarkMs) {
      this.#roundBeganMs = nowMs;
      this.#messages = 0;
    }
    return ++this.#messages > MESSAGES_PER_ROUND;
  }
}
