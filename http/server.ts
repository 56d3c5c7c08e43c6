/**
 * Listeners: one per service, over Koa. A service is a Koa application of its own or a plain door (request and
 * response). What every listener has in common is here: limits on time, headers and connections, `Server` hidden,
 * sockets for upgrades, and a graceful end: no new connections, running requests finish, then the rest is cut.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import Koa from 'koa';
import type { Clock } from '../runtime/base/clock.ts';
import { Fault } from '../runtime/base/fault.ts';
import type { Log } from '../runtime/base/log.ts';

export type Door = (request: IncomingMessage, response: ServerResponse) => Promise<void>;
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export type ListenerOptions = {
  /** For logs and for people: `compute`. */
  readonly name: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Other processes of this account may listen there too; connections are spread over all. */
  readonly sharePort?: boolean;
  readonly app: Koa | Door;
  /** Takes sockets that ask for another protocol; without it they are refused. */
  readonly upgrade?: Upgrade;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits?: Partial<ListenerLimits>;
};

export type ListenerLimits = {
  /** A whole request, body included, must have come by then; 0: no limit (uploads). */
  readonly requestMs: number;
  readonly headersMs: number;
  readonly keepAliveMs: number;
  readonly connectionsMax: number;
  readonly headerBytes: number;
  /** What running requests get at the end. */
  readonly drainMs: number;
};

export const LISTENER_LIMITS: ListenerLimits = {
  requestMs: 60_000,
  headersMs: 20_000,
  keepAliveMs: 75_000, // longer than most proxies in front, so that they close first
  connectionsMax: 20_000,
  headerBytes: 32_768,
  drainMs: 5_000,
};

export type Listener = {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Stops taking requests and waits for those that run; what is left after the drain time is cut. Idempotent. */
  close(): Promise<void>;
};

/** Fault `unavailable` when the port cannot be had. */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits = { ...LISTENER_LIMITS, ...options.limits };
  const server = createServer({
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headerBytes,
    noDelay: true,
  });
  server.maxConnections = limits.connectionsMax;
  const answer = callbackOf(options.app, options.log);
  const running = new Set<ServerResponse>();
  server.on('request', (request, response) => {
    // Only ever taken away: a client that said `Connection: close` would believe that it may go on.
    if (closing !== undefined) response.shouldKeepAlive = false;
    running.add(response);
    response.once('close', () => running.delete(response));
    void answer(request, response); // Koa keeps the promise: it never rejects
  });
  server.on('upgrade', options.upgrade ?? ((_request, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')));
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
  });
  let closing: Promise<void> | undefined;
  const address = await listen(server, options);
  return {
    name: options.name,
    host: address.address,
    port: address.port,
    close: () => (closing ??= drain(server, running, options.clock, limits.drainMs)),
  };
}

/** A plain door is put under Koa, so that every listener has the same outside. */
function callbackOf(app: Koa | Door, log: Log): Door {
  if (app instanceof Koa) return app.callback();
  const koa = new Koa();
  koa.on('error', (error: unknown) => log.warn('http.failed', { error: String(error) }));
  koa.use(async (context) => {
    context.respond = false; // the door answers by itself
    await app(context.req, context.res);
  });
  return koa.callback();
}

function listen(server: Server, { name, host, port, sharePort }: ListenerOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(new Fault('unavailable', 'http.listen', `The ${name} service cannot listen on ${host}:${port}.`, { detail: String(error), cause: error }));
    });
    server.listen({ host, port, reusePort: sharePort === true }, () => {
      const address = server.address();
      if (address !== null && typeof address === 'object') resolve(address);
    });
  });
}

/** The last answer on each connection says so: a client that goes on asking would hold the end up for ever. */
function drain(server: Server, running: ReadonlySet<ServerResponse>, clock: Clock, drainMs: number): Promise<void> {
  return new Promise((resolve) => {
    for (const response of running) {
      response.shouldKeepAlive = false;
      // One whose head is out has promised to stay: its connection ends when it is idle.
      response.once('close', () => setImmediate(() => server.closeIdleConnections()));
    }
    const cut = clock.after(drainMs, () => server.closeAllConnections());
    server.close(() => {
      cut.cancel();
      resolve();
    });
    server.closeIdleConnections();
  });
}
