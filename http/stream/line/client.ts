/**
 * One reader with an open line (a WebSocket or an event source): who it is, what it has subscribed to, and when it must
 * go. It keeps no timer: the wheel visits it, and everything that is due is done then.
 *
 * A token that ends, or is found revoked, ends the line (4401); a renewed one of the same user and project takes its
 * place at once, for each event that follows.
 */
import type { Clock } from '../../../runtime/base/clock.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Log } from '../../../runtime/base/log.ts';
import type { Caller } from '../../kit/auth.ts';
import { bringUp, type CursorParts } from '../cursor.ts';
import { messageFrame, type Form } from '../frame.ts';
import { CLOSE, type StreamSettings } from '../limits.ts';
import type { ServerMessage, Wish } from '../message.ts';
import { Subscription, type Reader } from '../subscription.ts';
import { Pass } from './pass.ts';

/** The transport of a line. */
export interface Line {
  readonly form: Form;
  readonly bufferedBytes: number;
  readonly isFull: boolean;
  write(frame: Buffer): void;
  hold(): void;
  release(): void;
  /** Asks the other end for a sign of life, where the transport can. */
  ping(): void;
  /** Says why and ends; what was written before still leaves. */
  close(code: number, reason: string): void;
  /** Ends at once. */
  cut(): void;
}

export type ClientParts = {
  readonly cursor: CursorParts;
  readonly settings: StreamSettings;
  readonly clock: Clock;
  readonly log: Log;
  /** null: not valid (any more). Fault `unavailable`. */
  readonly callerOf: (token: string) => Promise<Caller | null>;
  /** A place among the streams of this project; false when all are taken. */
  readonly takePlace: (client: Client, projectId: string | null) => boolean;
  /** Its line has ended. Called once. */
  readonly onEnd: (client: Client) => void;
};

export class Client implements Reader {
  readonly line: Line;
  readonly openedAtMs: number;
  /** The project among whose streams it was counted. */
  place: string | null | undefined;
  #pass: Pass | undefined;
  #subs: Map<string, Subscription> | undefined;
  #closing = false;
  #ended = false;
  #heardAtMs: number;
  #pingedAtMs: number;
  #stalledSinceMs: number | undefined;
  #waiting: (() => void)[] | undefined;
  readonly #parts: ClientParts;

  constructor(line: Line, parts: ClientParts) {
    this.line = line;
    this.#parts = parts;
    const nowMs = parts.clock.monotonicMs();
    this.openedAtMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#pingedAtMs = nowMs;
  }

  get form(): Form {
    return this.line.form;
  }

  get isKnown(): boolean {
    return this.#pass !== undefined;
  }

  get isClosing(): boolean {
    return this.#closing;
  }

  get projectId(): string | null {
    return this.#pass?.caller.projectId ?? null;
  }

  get isAdmin(): boolean {
    return this.#pass?.caller.isAdmin ?? false;
  }

  get subscriptions(): number {
    return this.#subs?.size ?? 0;
  }

  get bufferedBytes(): number {
    return this.line.bufferedBytes;
  }

  get bufferMaxBytes(): number {
    return this.#parts.settings.bufferMaxBytes;
  }

  get isFull(): boolean {
    return this.line.isFull;
  }

  isAuthorised(nowMs: number): boolean {
    if (this.#closing || this.#pass === undefined) return false;
    if (this.#pass.isValid(nowMs)) return true;
    this.close(CLOSE.unauthorized, 'the token has expired');
    return false;
  }

  /** Its token was found good. False when it was closed instead, or the token is somebody else's. */
  admit(caller: Caller, token: string): boolean {
    if (this.#closing) return false;
    const known = this.#pass;
    const nowMs = this.#parts.clock.monotonicMs();
    if (known === undefined) {
      if (this.#parts.takePlace(this, caller.projectId)) this.#pass = new Pass(caller, token, nowMs);
      else this.close(CLOSE.tooMany, 'too many streams of this project');
      return !this.#closing;
    }
    if (!known.fits(caller)) return false;
    this.#pass = known.renewed(caller, token, nowMs);
    if (known.caller.isAdmin !== caller.isAdmin) this.#rightsChanged();
    return true;
  }

  heard(): void {
    this.#heardAtMs = this.#parts.clock.monotonicMs();
  }

  subscribe(id: string, wish: Wish): void {
    if (wish.scope === 'all' && !this.isAdmin) return this.#refuse(id, 'only administrators may subscribe to all projects');
    if (wish.scope === 'project' && this.projectId === null) return this.#refuse(id, 'the token is for no project');
    const subs = (this.#subs ??= new Map<string, Subscription>());
    if (subs.has(id)) return this.#refuse(id, 'there is a subscription of this name');
    if (subs.size >= this.#parts.settings.subscriptionsPerSocketMax) return this.close(CLOSE.tooMany, 'too many subscriptions');
    const sub = new Subscription(id, wish, this);
    subs.set(id, sub);
    bringUp(sub, this.#parts.cursor).catch((error: unknown) => this.#bringUpFailed(sub, error));
  }

  /** False when there is none of this name. */
  unsubscribe(id: string): boolean {
    const sub = this.#subs?.get(id);
    if (sub === undefined) return false;
    this.#subs?.delete(id);
    this.#parts.cursor.fanOut.leave(sub);
    return true;
  }

  send(frame: Buffer): void {
    if (!this.#closing) this.line.write(frame);
  }

  tell(message: ServerMessage, incarnation?: string): void {
    this.send(messageFrame(this.line.form, message, incarnation));
  }

  hold(): void {
    this.line.hold();
  }

  release(): void {
    this.line.release();
  }

  drained(): Promise<void> {
    if (this.#closing || !this.line.isFull) return Promise.resolve();
    this.#stalledSinceMs ??= this.#parts.clock.monotonicMs();
    return new Promise((resolve) => (this.#waiting ??= []).push(resolve));
  }

  /** The transport has room again. */
  roomAgain(): void {
    if (this.#subs) for (const sub of this.#subs.values()) sub.payLate();
    this.#wake();
  }

  closeSlow(delivered: number | undefined): void {
    this.close(CLOSE.slow, `slow reader: last delivered revision ${delivered ?? 'none'}`);
  }

  closeGone(sub: string, oldest: number): void {
    this.tell({ type: 'gone', sub, oldest });
    this.close(CLOSE.gone, `gone: the oldest kept revision is ${oldest}`);
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#leaveAll();
    this.#parts.log.debug('a stream is closed', { code, reason });
    this.line.close(code, reason);
  }

  /** The line has ended, whoever ended it. */
  ended(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#closing = true;
    this.#leaveAll();
    this.#parts.onEnd(this);
  }

  /** Once in each round of the wheel: what is due is done. */
  visit(): void {
    const { clock, settings, cursor } = this.#parts;
    const [wallMs, nowMs] = [clock.wallMs(), clock.monotonicMs()];
    const pass = this.#pass;
    if (pass === undefined || !this.isAuthorised(wallMs)) return;
    if (this.#stalledSinceMs !== undefined && nowMs - this.#stalledSinceMs > settings.stallMs) {
      return this.closeSlow(this.#firstDelivered());
    }
    if (pass.isWarningDue(wallMs, settings.expiryWarningMs)) this.tell({ type: 'expiring', at: toIso(pass.caller.expiresAtMs) });
    if (this.#subs) for (const sub of this.#subs.values()) this.#bookmark(sub, cursor.fanOut.ring.through);
    if (nowMs - this.#pingedAtMs >= settings.pingMs) this.#ping(nowMs);
    if (pass.isCheckDue(nowMs, settings.recheckMs)) this.#recheck(pass);
  }

  #bookmark(sub: Subscription, through: number): void {
    const revision = sub.bookmark(through);
    // A full line needs no heartbeat, and must not be closed for one.
    if (revision !== undefined && !this.line.isFull) this.tell({ type: 'bookmark', sub: sub.id, revision }, sub.incarnation);
  }

  #ping(nowMs: number): void {
    if (this.#heardAtMs < this.#pingedAtMs) return this.line.cut();
    this.#pingedAtMs = nowMs;
    this.line.ping();
  }

  #recheck(pass: Pass): void {
    const checked = this.#parts.cursor.lanes.run(() => this.#parts.callerOf(pass.token));
    checked.then(
      (caller) => {
        if (pass !== this.#pass) return; // renewed meanwhile
        if (caller === null || !this.admit(caller, pass.token)) this.close(CLOSE.unauthorized, 'the token is not valid any more');
      },
      // Identity is away: the token is believed until it ends.
      (error: unknown) => this.#parts.log.debug('a token could not be checked again', { error }),
    );
  }

  #rightsChanged(): void {
    for (const sub of this.#subs?.values() ?? []) {
      if (sub.wish.scope === 'all' && !this.isAdmin) {
        this.unsubscribe(sub.id);
        this.#refuse(sub.id, 'only administrators may subscribe to all projects');
      } else sub.dress(sub.incarnation);
    }
  }

  #bringUpFailed(sub: Subscription, error: unknown): void {
    if (this.#closing || sub.phase === 'ended') return;
    const fault = Fault.from(error);
    if (fault.code === 'internal') this.#parts.log.error('a subscription failed by a bug', { error });
    this.#refuse(sub.id, fault.message);
    this.close(CLOSE.tryAgain, 'the subscription could not be begun');
  }

  #refuse(sub: string, message: string): void {
    this.tell({ type: 'error', sub, message });
  }

  #firstDelivered(): number | undefined {
    for (const sub of this.#subs?.values() ?? []) if (sub.phase === 'starting') return sub.delivered;
    return undefined;
  }

  #leaveAll(): void {
    for (const sub of this.#subs?.values() ?? []) this.#parts.cursor.fanOut.leave(sub);
    this.#subs = undefined;
    this.#wake();
  }

  #wake(): void {
    this.#stalledSinceMs = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    for (const resolve of waiting ?? []) resolve();
  }
}
