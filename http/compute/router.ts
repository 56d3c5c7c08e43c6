/**
 * The door of the Compute API: discovery, versions, the table of routes, and the order in which a request is checked
 * (token, version, rate limits, route, its versions, JSON, project in the path, schema, policy, object; of servers the object first). What is thrown on the way
 * becomes an answer here and nowhere else.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import FindMyWay from 'find-my-way';
import type { HTTPMethod } from 'find-my-way';
import { Fault } from '../../runtime/base/fault.ts';
import { authenticate, inProject } from '../kit/auth.ts';
import { readJsonBody } from '../kit/body.ts';
import { Call } from '../kit/call.ts';
import { errorAnswer, invalid, notFound } from '../kit/errors.ts';
import { isStorable } from '../kit/json.ts';
import { baseOf, Links } from '../kit/links.ts';
import { versionAsked } from '../kit/microversion.ts';
import type { Target } from '../kit/policy.ts';
import { checkQuery, parseQuery } from '../kit/query.ts';
import type { Reply } from '../kit/route.ts';
import { servedIn } from '../kit/route.ts';
import { compileBody } from '../kit/schema.ts';
import type { BodyCheck } from '../kit/schema.ts';
import type { Door } from '../server.ts';
import { allVersions, choices, oneVersion } from './discovery.ts';
import { MICROVERSIONS } from './microversions.ts';
import { OPENAPI_PATH, openApiText } from './openapi/document.ts';
import { openParts } from './parts.ts';
import type { ComputeNeeds, ComputeParts, ComputeRoute } from './parts.ts';
import { ROUTES } from './routes.ts';

type Entry = { readonly route: ComputeRoute; readonly check: BodyCheck | undefined };
/** All routes of one method and path: several when versions or actions differ. */
type Place = { readonly method: string; readonly path: string; readonly entries: Entry[]; readonly actions: Map<string, Entry[]> };

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'] as const satisfies HTTPMethod[];
const PARAMETER_MAX = 512;
/** Routes of one server, by its old name too. */
const OF_SERVER = /^\/(servers|os-volumes_boot)\//;
const GLOBAL_REQUEST_ID = /^req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const VARY = 'OpenStack-API-Version, X-OpenStack-Nova-API-Version';

export function computeApi(needs: ComputeNeeds): Door {
  const parts = openParts(needs);
  const table = openTable(ROUTES);
  // Drawn for the first one who asks: it takes a while and most nodes are never asked.
  let drawn: string | undefined;
  const document = (): string => (drawn ??= openApiText(ROUTES, `2.${MICROVERSIONS.max}`));
  return (request, response) => serve(request, response, parts, table, document);
}

type Table = ReturnType<typeof openTable>;

function openTable(routes: readonly ComputeRoute[]) {
  const router = FindMyWay({ ignoreTrailingSlash: true, maxParamLength: PARAMETER_MAX });
  const places = new Map<string, Place>();
  const firsts = new Set<string>();
  for (const route of routes) {
    const key = `${route.method} ${route.path}`;
    let place = places.get(key);
    if (place === undefined) {
      place = { method: route.method, path: route.path, entries: [], actions: new Map() };
      places.set(key, place);
      router.on(route.method, route.path, () => {}, place);
      firsts.add(route.path.split('/')[1] ?? '');
    }
    const entry = { route, check: route.body === undefined ? undefined : compileBody(route.body) };
    if (route.action === undefined) place.entries.push(entry);
    else place.actions.set(route.action, [...(place.actions.get(route.action) ?? []), entry]);
  }
  return { router, firsts };
}

/** What is known of a request before its route. */
type Asked = {
  readonly requestId: string;
  readonly segment: string;
  readonly legacy: boolean;
  version: number;
  routeName: string;
};

async function serve(request: IncomingMessage, response: ServerResponse, parts: ComputeParts, table: Table, document: () => string): Promise<void> {
  const startMs = parts.clock.monotonicMs();
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const segment = versionSegment(path);
  const asked: Asked = {
    requestId: `req-${parts.random.uuid()}`,
    segment: segment ?? '',
    legacy: segment === 'v2' || segment === 'v1.1',
    version: MICROVERSIONS.min,
    routeName: 'discovery',
  };
  let reply: Reply & { status: number };
  try {
    const base = baseOf(request, { prefix: parts.settings.linkPrefix, behindProxy: parts.settings.behindProxy });
    reply =
      discover(request.method ?? 'GET', path, segment, base, document) ??
      (await serveRoute(request, response, parts, table, asked, {
        base,
        rest: path.slice(asked.segment.length + 1),
        search: mark < 0 ? '' : url.slice(mark + 1),
      }));
  } catch (thrown) {
    reply = refusalOf(thrown, parts, asked, request);
  }
  if (!response.destroyed) send(response, reply, asked, segment !== undefined);
  parts.meter?.served(asked.routeName, request.method ?? '', reply.status, (parts.clock.monotonicMs() - startMs) / 1_000);
}

/** `v2.1`, `v2` or `v1.1` when the path is under a version. */
function versionSegment(path: string): string | undefined {
  for (const segment of ['v2.1', 'v2', 'v1.1']) {
    if (path.startsWith(segment, 1) && (path.length === segment.length + 1 || path.charCodeAt(segment.length + 1) === 0x2f)) return segment;
  }
  return undefined;
}

function discover(method: string, path: string, segment: string | undefined, base: string, document: () => string): (Reply & { status: number }) | undefined {
  if (segment === undefined) {
    if (path === '/' || path === '') return method === 'GET' ? { status: 200, body: allVersions(base) } : methodRefused('GET');
    return { status: 300, body: choices(base, path) };
  }
  if (path === `/v2.1${OPENAPI_PATH}`) return method === 'GET' ? { status: 200, text: document() } : methodRefused('GET');
  if (path.length > segment.length + 2) return undefined;
  if (method !== 'GET') return methodRefused('GET');
  return { status: 200, body: oneVersion(segment === 'v1.1' ? 'v2' : segment, base) ?? {} };
}

function methodRefused(allow: string): never {
  throw new Fault('invalid', 'http.method', 'The method is not allowed for this resource.', { detail: allow });
}

type Where = { readonly base: string; readonly rest: string; readonly search: string };

async function serveRoute(
  request: IncomingMessage,
  response: ServerResponse,
  parts: ComputeParts,
  table: Table,
  asked: Asked,
  where: Where,
): Promise<Reply & { status: number }> {
  const gone = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) gone.abort();
  });
  const caller = parts.policy.asJudged(await authenticate(request.headers, parts.tokens, gone.signal, parts.clock.wallMs()));
  if (!asked.legacy) asked.version = versionAsked(request.headers, MICROVERSIONS);
  const { projectSegment, path } = withoutProject(where.rest, table.firsts);
  const method = request.method ?? 'GET';
  parts.rates.take(caller.projectId ?? caller.userId, method, where.search === '' ? path : `${path}?${where.search}`);
  const { place, params } = findPlace(table, method, path);
  asked.routeName = place.path;
  let entry = place.actions.size === 0 ? entryIn(place.entries, asked.version) : undefined;
  const body = method === 'GET' || method === 'DELETE' ? null : await readJsonBody(request, parts.settings.bodyMaxBytes);
  if (projectSegment !== undefined && projectSegment !== caller.projectId) {
    throw invalid(`Malformed request URL: URL's project_id '${projectSegment.slice(0, 64)}' doesn't match Context's project_id '${caller.projectId ?? ''}'`);
  }
  entry ??= entryOfAction(place, body, asked.version);
  const call = new Call({
    method,
    path,
    params,
    query: parseQuery(where.search),
    headers: request.headers,
    version: asked.version,
    legacy: asked.legacy,
    caller: inProject(caller),
    token: String(request.headers['x-auth-token']),
    requestId: asked.requestId,
    links: new Links(where.base, asked.segment, projectSegment),
    signal: gone.signal,
  });
  call.body = body;
  return runRoute(entry, call, parts);
}

async function runRoute(entry: Entry, call: Call, parts: ComputeParts): Promise<Reply & { status: number }> {
  const { route, check } = entry;
  check?.(call.body, call.version, call.legacy);
  if (route.query !== undefined) checkQuery(call.query, route.query, call.version, call.legacy);
  // Servers are found first: those of other projects are not there for anybody else, whatever they may do with their own.
  const isOfServer = OF_SERVER.test(route.path);
  if (route.policy !== null && !isOfServer) parts.policy.enforce(route.policy, call.caller, route.target?.(call));
  // The table forgot the type that `find` and `serve` of one route share.
  const found = route.find === undefined ? undefined : await route.find(call, parts);
  if (route.policy !== null && isOfServer) parts.policy.enforce(route.policy, call.caller, route.target?.(call) ?? targetOf(found));
  const reply = await route.serve(call, parts, found as never);
  return { ...reply, status: reply.status ?? (typeof route.ok === 'number' ? route.ok : route.ok(call.version)) };
}

/** Whose the object is, when it says so: directly, or in its record. What is nobody's own is judged as the caller's. */
function targetOf(found: unknown): Target {
  if (found === null || typeof found !== 'object') return {};
  const owned: object = 'record' in found && found.record !== null && typeof found.record === 'object' ? found.record : found;
  return {
    ...('projectId' in owned && typeof owned.projectId === 'string' ? { projectId: owned.projectId } : {}),
    ...('userId' in owned && typeof owned.userId === 'string' ? { userId: owned.userId } : {}),
  };
}

/** A first segment that is no resource is a project id. */
function withoutProject(rest: string, firsts: ReadonlySet<string>): { projectSegment: string | undefined; path: string } {
  const end = rest.indexOf('/', 1);
  const first = end < 0 ? rest.slice(1) : rest.slice(1, end);
  if (end < 0 || firsts.has(first)) return { projectSegment: undefined, path: rest };
  return { projectSegment: first, path: rest.slice(end) };
}

function findPlace(table: Table, method: string, path: string): { place: Place; params: { [name: string]: string | undefined } } {
  const known = METHODS.find((one) => one === method);
  const found = known === undefined ? null : table.router.find(known, path);
  if (found === null) {
    const others = METHODS.filter((other) => table.router.find(other, path) !== null);
    // With a slash at its end it names one of them, without a name.
    if (others.length > 0 && !path.endsWith('/')) methodRefused(others.join(', '));
    throw noRoute();
  }
  for (const value of Object.values(found.params)) {
    if (value !== undefined && !isStorable(value)) throw noRoute();
  }
  const place: Place = found.store;
  return { place, params: found.params };
}

function entryIn(entries: readonly Entry[], version: number): Entry {
  for (const entry of entries) if (servedIn(entry.route, version)) return entry;
  throw noRoute();
}

function entryOfAction(place: Place, body: unknown, version: number): Entry {
  if (body === null || typeof body !== 'object' || Array.isArray(body)) throw invalid('The body of an action is an object with one member.');
  const names = Object.keys(body);
  const [name] = names;
  if (names.length !== 1 || name === undefined) throw invalid('The body of an action has exactly one member.');
  const entries = place.actions.get(name);
  if (entries === undefined) throw invalid(`There is no such action: ${name.slice(0, 60)}`);
  return entryIn(entries, version);
}

function noRoute(): Fault {
  return notFound('The resource could not be found.');
}

function refusalOf(thrown: unknown, parts: ComputeParts, asked: Asked, request: IncomingMessage): Reply & { status: number } {
  const fault = Fault.from(thrown);
  if (fault.code === 'internal') {
    const globalId = request.headers['x-openstack-request-id'];
    const traced = typeof globalId === 'string' && GLOBAL_REQUEST_ID.test(globalId) ? globalId : undefined;
    parts.log.error('request.failed', { requestId: asked.requestId, globalId: traced, route: asked.routeName, fault: fault.toRecord(), cause: fault.cause });
  }
  const { status, headers, text } = errorAnswer(fault);
  const more: Record<string, string> = { ...headers };
  if (status === 401) more['WWW-Authenticate'] = `Keystone uri="${parts.settings.identityUrl}"`;
  if (status === 413) more['Connection'] = 'close';
  return { status, text, headers: more };
}

const VERSION_TEXTS: readonly string[] = Array.from({ length: MICROVERSIONS.max + 1 }, (_, minor) => `2.${minor}`);

function send(response: ServerResponse, reply: Reply & { status: number }, asked: Asked, versioned: boolean): void {
  const headers: Record<string, string | number> = { 'X-Compute-Request-Id': asked.requestId, 'X-OpenStack-Request-Id': asked.requestId };
  if (versioned && !asked.legacy) {
    const text = VERSION_TEXTS[asked.version] ?? '';
    headers['OpenStack-API-Version'] = `compute ${text}`;
    headers['X-OpenStack-Nova-API-Version'] = text;
    headers['Vary'] = VARY;
  }
  if (reply.headers !== undefined) Object.assign(headers, reply.headers);
  const text = reply.text ?? (reply.body === undefined ? '' : JSON.stringify(reply.body));
  if (reply.status === 204) {
    response.writeHead(204, headers).end();
    return;
  }
  headers['Content-Type'] = 'application/json';
  headers['Content-Length'] = Buffer.byteLength(text);
  response.writeHead(reply.status, headers).end(text);
}
