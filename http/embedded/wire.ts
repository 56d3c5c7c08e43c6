/**
 * What both embedded services need of HTTP and nothing more: a route table under Koa, JSON bodies within limits, the
 * service's own address in links. How an error looks is each service's own affair (`renderError`).
 *
 * No identity header of a client is ever believed; only tokens are.
 */
import findMyWay from 'find-my-way';
import Koa from 'koa';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';

/** Deeper bodies are refused: no request of either service nests so far. */
const DEPTH_MAX = 12;
/** A client that sends slower than this is cut off. */
const BODY_TIMEOUT_MS = 30_000;
/** How long the rest of a refused body is read and dropped, so that its sender sees the answer. */
const DRAIN_MS = 10_000;
const PATH_PART_MAX = 255;

export type Call = {
  readonly ctx: Koa.Context;
  /** Decoded path parameters. */
  readonly params: { readonly [name: string]: string };
  readonly query: URLSearchParams;
  /** The parsed JSON body; Fault `invalid` or `tooLarge`. */
  readonly json: () => Promise<unknown>;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
};
export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export type Route = readonly [method: Method, path: string, answer: (call: Call) => Promise<void> | void];

export type WireParts = {
  readonly routes: readonly Route[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly bodyMaxBytes: number;
  readonly renderError: (ctx: Koa.Context, fault: Fault) => void;
};

/** A GET route answers HEAD too, unless the table has one of its own. */
export function wireApp(parts: WireParts): Koa {
  const app = new Koa();
  const router = findMyWay<findMyWay.HTTPVersion.V1>({ ignoreTrailingSlash: true, maxParamLength: PATH_PART_MAX });
  const answers = new Map<string, Route[2]>();
  const add = (method: Method, path: string, answer: Route[2]): void => {
    answers.set(`${method} ${path}`, answer);
    router.on(method, path, noop, `${method} ${path}`);
  };
  for (const [method, path, answer] of parts.routes) add(method, path, answer);
  for (const [method, path, answer] of parts.routes) {
    if (method === 'GET' && !answers.has(`HEAD ${path}`)) add('HEAD', path, answer);
  }
  app.on('error', (error: unknown) => parts.log.debug('connection ended early', { error: String(error) }));
  app.use(async (ctx) => {
    ctx.set('X-Openstack-Request-Id', `req-${parts.random.uuid()}`);
    try {
      await dispatch(ctx);
    } catch (error) {
      const fault = Fault.from(error);
      if (fault.code === 'internal')
        parts.log.error('request failed by a bug', { method: ctx.method, path: ctx.path, error: fault.cause, detail: fault.detail });
      parts.renderError(ctx, fault);
      drainFor(ctx, parts.clock);
    }
  });
  return app;

  async function dispatch(ctx: Koa.Context): Promise<void> {
    const found = METHODS.includes(ctx.method) ? router.find(ctx.method as Method, ctx.path) : null;
    const answer = found ? answers.get(String(found.store)) : undefined;
    if (!found || !answer) throw missing(ctx);
    const query = new URLSearchParams(ctx.querystring);
    const params = Object.fromEntries(Object.entries(found.params).map(([name, value]) => [name, value ?? '']));
    for (const text of [...Object.values(params), ...query.keys(), ...query.values()]) refuseNul(text);
    const gone = new AbortController();
    ctx.res.once('close', () => gone.abort());
    await answer({ ctx, params, query, signal: gone.signal, json: () => readJson(ctx, parts) });
  }

  function missing(ctx: Koa.Context): Fault {
    const allowed = METHODS.filter((method) => router.find(method as Method, ctx.path) !== null);
    if (allowed.length === 0) return new Fault('notFound', 'route', 'The resource could not be found.');
    ctx.set('Allow', allowed.join(', '));
    return new Fault('invalid', 'method', 'The method is not allowed for the requested URL.');
  }
}

/** Statuses that have no fault code of their own. */
export const STATUS_BY_REASON: { readonly [reason: string]: number } = { method: 405, mediaType: 415, range: 416 };

/** `https://host:port` as the client wrote it, or the configured address. */
export function ownUrl(ctx: Koa.Context, configured: string | null): string {
  if (configured !== null) return configured.replace(/\/+$/, '');
  return /^[A-Za-z0-9.[\]:-]{1,255}$/.test(ctx.host) ? `${ctx.protocol}://${ctx.host}` : `${ctx.protocol}://localhost`;
}

async function readJson(ctx: Koa.Context, { bodyMaxBytes, clock }: WireParts): Promise<unknown> {
  const text = (await readBytes(ctx, bodyMaxBytes, clock)).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault('invalid', 'json', 'Malformed json in request body');
  }
  refuseHostile(value, 0);
  return value;
}

async function readBytes(ctx: Koa.Context, maxBytes: number, clock: Clock): Promise<Buffer> {
  const tooLarge = new Fault('tooLarge', 'body', `Request is too large: at most ${maxBytes} bytes.`);
  if (Number(ctx.get('content-length') || 0) > maxBytes) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = clock.after(BODY_TIMEOUT_MS, () => ctx.req.destroy(new Fault('timeout', 'body', 'The body did not arrive in time.')));
  try {
    // Left open at the end: the answer still has to go out on the same connection.
    for await (const chunk of ctx.req.iterator({ destroyOnReturn: false })) {
      const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      size += bytes.length;
      if (size > maxBytes) throw tooLarge;
      chunks.push(bytes);
    }
  } finally {
    timer.cancel();
  }
  return Buffer.concat(chunks);
}

/** A refused body may go on coming while the answer goes out; not for long. */
function drainFor(ctx: Koa.Context, clock: Clock): void {
  if (ctx.req.complete || ctx.req.destroyed) return;
  const timer = clock.after(DRAIN_MS, () => ctx.req.destroy());
  ctx.req.once('close', () => timer.cancel());
}

/** Depth, and text that no store takes or that reaches an object's prototype. */
function refuseHostile(value: unknown, depth: number): void {
  if (typeof value === 'string') return refuseNul(value);
  if (typeof value !== 'object' || value === null) return;
  if (depth === DEPTH_MAX) throw new Fault('invalid', 'json', 'The request body is nested too deeply.');
  for (const [key, member] of Object.entries(value)) {
    refuseNul(key);
    if (key === '__proto__') throw new Fault('invalid', 'json', `Additional properties are not allowed ('__proto__' was unexpected)`);
    refuseHostile(member, depth + 1);
  }
}

function refuseNul(text: string): void {
  if (text.includes('\0')) throw new Fault('invalid', 'text', 'Text with a null character is not allowed.');
}

const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

function noop(): void {}
