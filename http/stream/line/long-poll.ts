/**
 * The stream as one question: everything after a revision, as soon as there is something, or an empty list when the
 * wait is over. The answer's `revision` is where the next question begins; it is always a whole one.
 */
import type { ServerResponse } from 'node:http';
import type { Timer } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Caller } from '../../kit/auth.ts';
import { bringUp } from '../cursor.ts';
import type { ClientParts } from './client.ts';
import { refuseRequest, UNAUTHORIZED } from '../door.ts';
import type { Form } from '../frame.ts';
import type { ServerMessage, Wish } from '../message.ts';
import { Subscription, type Reader } from '../subscription.ts';

/** An answer is sent when it has grown to this; a revision is never cut. */
const FULL_BYTES = 262_144;

export type PollParts = Pick<ClientParts, 'cursor' | 'clock' | 'log'> & { readonly caller: Caller; readonly requestId: string; readonly waitMs: number };

/** Answers the request; resolves when that is done or the client has gone. */
export async function answerPoll(res: ServerResponse, wish: Wish, parts: PollParts): Promise<void> {
  const poll = new Poll(res, wish, parts);
  res.once('close', () => poll.end());
  try {
    await bringUp(poll.sub, parts.cursor);
  } catch (error) {
    const fault = Fault.from(error);
    if (fault.code === 'internal') parts.log.error('a poll failed by a bug', { error });
    poll.refuse(503, fault.message);
  }
  await poll.done;
}

class Poll implements Reader {
  readonly form: Form = 'list';
  readonly bufferMaxBytes = Infinity; // bounded by `isFull` and one revision
  readonly sub: Subscription;
  readonly done: Promise<void>;
  bufferedBytes = 0;
  #frames: Buffer[] = [];
  #isAnswering = false;
  /** The wait is over: an answer is due as soon as the past has been read. */
  #isDue = false;
  #ended = false;
  #resolve: () => void = () => undefined;
  readonly #timer: Timer;
  readonly #res: ServerResponse;
  readonly #parts: PollParts;

  constructor(res: ServerResponse, wish: Wish, parts: PollParts) {
    this.#res = res;
    this.#parts = parts;
    this.sub = new Subscription('', wish, this);
    this.done = new Promise((resolve) => (this.#resolve = resolve));
    this.#timer = parts.clock.after(parts.waitMs, () => this.#waited());
  }

  get projectId(): string | null {
    return this.#parts.caller.projectId;
  }

  get isAdmin(): boolean {
    return this.#parts.caller.isAdmin;
  }

  get isFull(): boolean {
    return this.bufferedBytes >= FULL_BYTES;
  }

  send(frame: Buffer): void {
    this.#frames.push(frame);
    this.bufferedBytes += frame.length;
    if (this.#isAnswering) return;
    // After the revision that is being handed over.
    this.#isAnswering = true;
    queueMicrotask(() => this.#answer());
  }

  tell(message: ServerMessage): void {
    if (message.type === 'synced' && this.#isDue) this.#answer();
  }

  hold(): void {}

  release(): void {}

  drained(): Promise<void> {
    this.#answer();
    return Promise.resolve();
  }

  isAuthorised(nowMs: number): boolean {
    if (this.#parts.caller.expiresAtMs > nowMs) return true;
    this.refuse(UNAUTHORIZED.status, UNAUTHORIZED.message);
    return false;
  }

  closeSlow(): void {
    this.end();
  }

  closeGone(_sub: string, oldest: number): void {
    const text = JSON.stringify({ gone: { oldest } });
    if (!this.#ended) this.#res.writeHead(410, { 'Content-Type': 'application/json' }).end(text);
    this.end();
  }

  refuse(status: number, message: string): void {
    if (!this.#ended) refuseRequest(this.#res, { status, message });
    this.end();
  }

  end(): void {
    this.#ended = true;
    this.#timer.cancel();
    this.#parts.cursor.fanOut.leave(this.sub);
    this.#resolve();
  }

  #waited(): void {
    this.#isDue = true;
    if (this.sub.phase === 'live') this.#answer();
  }

  #answer(): void {
    if (this.#ended) return;
    const { sub } = this;
    const { fanOut } = this.#parts.cursor;
    const revision = sub.phase === 'live' && this.#frames.length === 0 ? fanOut.ring.through : sub.settled;
    const frames = this.#frames.flatMap((frame, i) => (i === 0 ? [frame] : [COMMA, frame]));
    const head = Buffer.from('{"events":[');
    const tail = Buffer.from(`],"revision":${revision},"incarnation":${JSON.stringify(sub.incarnation)}}`);
    const body = Buffer.concat([head, ...frames, tail]);
    const headers = { 'Content-Type': 'application/json', 'Content-Length': String(body.length), 'Cache-Control': 'no-store' };
    this.#res.writeHead(200, { ...headers, 'X-OpenStack-Request-Id': this.#parts.requestId }).end(body);
    this.end();
  }
}

const COMMA = Buffer.from(',');
