/**
 * `/health` and `/metrics` of every node. Health is what each part says about itself within a moment: 200 when all are
 * well, 503 when one is not. Metrics are Prometheus text. Both show figures, never names or texts of users.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { Clock } from '../runtime/base/clock.ts';
import { Fault } from '../runtime/base/fault.ts';
import type { Json } from '../runtime/base/fault.ts';
import type { Door } from './server.ts';

/** What a part says: well or not, and figures. A part that throws or takes too long is not well. */
export type HealthCheck = () =>
  | Promise<{ readonly well: boolean; readonly [figure: string]: Json }>
  | { readonly well: boolean; readonly [figure: string]: Json };

const CHECK_MS = 2_000;
/** Seconds; from an answer out of memory to a slow outside service. */
const BUCKETS = [0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03, 0.06, 0.125, 0.25, 0.5, 1, 2, 5, 10, 30];

export type NodeMetrics = {
  readonly registry: Registry;
  /** Fits `RequestMeter` of the Compute API. */
  served(route: string, method: string, status: number, seconds: number): void;
};

export function openMetrics(options: { readonly processMetrics: boolean }): NodeMetrics {
  const registry = new Registry();
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  const labelNames = ['route', 'method', 'status'] as const;
  const requests = new Counter({
    name: 'novact_http_requests_total',
    help: 'Requests answered, by route, method and status.',
    labelNames,
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'novact_http_request_seconds',
    help: 'Time to answer, by route and method.',
    labelNames: ['route', 'method'],
    buckets: BUCKETS,
    registers: [registry],
  });
  return {
    registry,
    served(route, method, status, took) {
      const known = METHODS.has(method) ? method : 'other'; // clients must not make series
      requests.inc({ route, method: known, status });
      seconds.observe({ route, method: known }, took);
    },
  };
}

const METHODS = new Set(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']);

export function healthDoor(options: { readonly checks: { readonly [part: string]: HealthCheck }; readonly registry: Registry; readonly clock: Clock }): Door {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const path = (request.url ?? '/').split('?', 1)[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') answer(response, 405, 'text/plain', '');
    else if (path === '/health') await answerHealth(response, options.checks, options.clock);
    else if (path === '/metrics') answer(response, 200, options.registry.contentType, await options.registry.metrics());
    else answer(response, 404, 'text/plain', '');
  };
}

async function answerHealth(response: ServerResponse, checks: { readonly [part: string]: HealthCheck }, clock: Clock): Promise<void> {
  const found = await Promise.all(Object.entries(checks).map(async ([part, check]) => [part, await runCheck(check, clock)] as const));
  const well = found.every(([, state]) => state.well === true);
  answer(response, well ? 200 : 503, 'application/json', JSON.stringify({ status: well ? 'ok' : 'unwell', parts: Object.fromEntries(found) }));
}

async function runCheck(check: HealthCheck, clock: Clock): Promise<{ readonly [figure: string]: Json }> {
  const late = Promise.withResolvers<{ well: false; why: string }>();
  const timer = clock.after(CHECK_MS, () => late.resolve({ well: false, why: `no answer in ${CHECK_MS} ms` }));
  try {
    return await Promise.race([Promise.resolve(check()), late.promise]);
  } catch (thrown) {
    return { well: false, why: Fault.from(thrown).reason };
  } finally {
    timer.cancel();
  }
}

function answer(response: ServerResponse, status: number, type: string, text: string): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(text), 'Cache-Control': 'no-store' }).end(text);
}
