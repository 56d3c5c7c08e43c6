/**
 * A connection to libvirtd that comes back: opened when first needed, opened again after libvirtd went away. Calls
 * that were under way then fail with `unavailable` and are never repeated here: only the caller knows whether it may.
 * A watched connection also reconnects by itself and tells when it is up, so that events are registered again.
 */
import { connect as connectSocket, type Socket } from 'node:net';
import { stat } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { systemClock, type Clock, type Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import { cancelled, unreachableHypervisor } from './errors.ts';
import { AUTH, PROCEDURES, type Procedure } from './procedures.ts';
import { RpcSession, type CallOptions } from './rpc.ts';

export type Endpoint = { readonly path: string } | { readonly host: string; readonly port: number };

export type ConnectionOptions = {
  readonly endpoint: Endpoint;
  readonly uri: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly onMessage?: (procedure: number, payload: Buffer) => void;
  /** Present on a watched connection: runs on each new session before it is used. */
  readonly onUp?: (session: RpcSession) => Promise<void>;
};

/** A libvirtd that starts for the first time looks at every QEMU before it answers: seen to take 12 s. */
const OPEN_TIMEOUT_MS = 30_000;
const RECONNECT_FIRST_MS = 100;
const RECONNECT_MAX_MS = 5_000;
/** A watched connection that is silent for the sum of both is given up. */
const BEAT_EVERY_MS = 15_000;
const BEAT_TIMEOUT_MS = 30_000;
const PROBE_TIMEOUT_MS = 3_000;

export class LibvirtConnection {
  readonly #options: ConnectionOptions;
  #opening: Promise<RpcSession> | undefined;
  #session: RpcSession | undefined;
  #timer: Timer | undefined;
  #retryMs = RECONNECT_FIRST_MS;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  async call<A, R>(procedure: Procedure<A, R>, args: A, options: CallOptions): Promise<R> {
    const session = this.#session?.isOpen ? this.#session : await abortable(this.open(), options.signal);
    return session.call(procedure, args, options);
  }

  /** The open session, or a new one; together with whoever else waits for it. */
  open(): Promise<RpcSession> {
    if (this.#closed) return Promise.reject(unreachableHypervisor('closed by us'));
    this.#opening ??= this.#openOnce().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#opening?.catch(() => {});
    this.#timer?.cancel();
    this.#session?.end(unreachableHypervisor('closed by us'));
  }

  async #openOnce(): Promise<RpcSession> {
    if (this.#session?.isOpen) return this.#session;
    const { onUp, log } = this.#options;
    try {
      const session = await openSession(this.#options);
      await onUp?.(session).catch((error: unknown) => {
        session.end(Fault.from(error));
        throw error;
      });
      this.#session = session;
      this.#retryMs = RECONNECT_FIRST_MS;
      void session.ended.then((why) => this.#onEnd(why));
      if (onUp !== undefined) this.#beatLater(session);
      return session;
    } catch (error) {
      log.debug('libvirt.connect.failed', { error });
      this.#retryLater();
      throw error;
    }
  }

  #onEnd(why: Fault): void {
    if (this.#closed) return;
    this.#options.log.warn('libvirt.connection.lost', { detail: why.detail });
    this.#retryLater();
  }

  #retryLater(): void {
    if (this.#options.onUp === undefined || this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(this.#retryMs, () => void this.open().catch(() => {}));
    this.#retryMs = Math.min(this.#retryMs * 2, RECONNECT_MAX_MS);
  }

  #beatLater(session: RpcSession): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(BEAT_EVERY_MS, () => {
      session.call(PROCEDURES.connectGetLibVersion, undefined, { timeoutMs: BEAT_TIMEOUT_MS }).then(
        () => session.isOpen && this.#beatLater(session),
        (error: unknown) => session.end(Fault.from(error)),
      );
    });
  }
}

/** Connects, logs in and opens the URI. */
async function openSession(options: ConnectionOptions): Promise<RpcSession> {
  const socket = await openSocket(options.endpoint, options.clock);
  const session = new RpcSession(socket, { clock: options.clock, onMessage: options.onMessage ?? (() => {}) });
  try {
    await logIn(session, OPEN_TIMEOUT_MS);
    await session.call(PROCEDURES.connectOpen, { name: options.uri, flags: 0 }, { timeoutMs: OPEN_TIMEOUT_MS });
    return session;
  } catch (error) {
    session.end(Fault.from(error));
    throw error;
  }
}

async function logIn(session: RpcSession, timeoutMs: number): Promise<void> {
  const { types } = await session.call(PROCEDURES.authList, undefined, { timeoutMs });
  if (types.length === 0 || types.includes(AUTH.none)) return;
  if (!types.includes(AUTH.polkit)) throw unreachableHypervisor('it wants a login that this driver does not know');
  await session.call(PROCEDURES.authPolkit, undefined, { timeoutMs });
}

async function openSocket(endpoint: Endpoint, clock: Clock): Promise<Socket> {
  const socket = connectSocket(endpoint);
  const limit = new AbortController();
  const timer = clock.after(OPEN_TIMEOUT_MS, () => limit.abort());
  try {
    await once(socket, 'connect', { signal: limit.signal });
    socket.setNoDelay(true);
    return socket;
  } catch (error) {
    socket.destroy();
    throw unreachableHypervisor(error instanceof Error ? error.message : String(error), error);
  } finally {
    timer.cancel();
  }
}

/** The promise's end, or Fault `cancelled` as soon as the signal fires. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(cancelled());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

/** Where a libvirt listens that serves QEMU: the one daemon, or the modular one. */
export function libvirtSockets(environment: NodeJS.ProcessEnv = process.env): { system: string[]; session: string[] } {
  const names = ['libvirt-sock', 'virtqemud-sock'];
  const runtime = environment.XDG_RUNTIME_DIR;
  return {
    system: names.map((name) => join('/run/libvirt', name)),
    session: runtime === undefined || runtime === '' ? [] : names.map((name) => join(runtime, 'libvirt', name)),
  };
}

/** The first of these sockets behind which a libvirt answers; undefined when none does. */
export async function firstAnswering(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await answers(path)) return path;
  return undefined;
}

async function answers(path: string): Promise<boolean> {
  if (!(await stat(path).catch(() => undefined))?.isSocket()) return false;
  const socket = await openSocket({ path }, systemClock).catch(() => undefined);
  if (socket === undefined) return false;
  const session = new RpcSession(socket, { clock: systemClock, onMessage: () => {} });
  try {
    await logIn(session, PROBE_TIMEOUT_MS);
    return true;
  } catch {
    return false;
  } finally {
    session.end(unreachableHypervisor('only asked'));
  }
}
