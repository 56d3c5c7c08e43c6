/**
 * The Compute API as an OpenAPI 3.1 document, drawn from the table of routes: paths, versions, parameters, bodies, rules
 * and codes. What the table does not know (answers' members) is not claimed. Routes of one method and path (versions,
 * actions) are one operation here, whose body is one of several.
 */
import type { Parameter } from '../../kit/query.ts';
import type { JsonSchema } from '../../kit/schema.ts';
import { MICROVERSIONS } from '../microversions.ts';
import type { ComputeRoute } from '../parts.ts';
import { fullRuleName } from '../further-rules.ts';
import { exampleOf, publicSchema } from './example.ts';

export const OPENAPI_PATH = '/openapi.json';

const TEXT: JsonSchema = { type: 'string' };
const PATH_PARAMETER = /:([A-Za-z_]+)(?:\([^)]*\))?/g;

/** Codes that any route may answer, beside those which its own table entries bring. */
const ALWAYS = [401, 406, 500, 503] as const;
const SENTENCES: { readonly [code: number]: string } = {
  200: 'OK',
  201: 'Created',
  202: 'Accepted: the work is stored and goes on',
  204: 'Done, nothing to tell',
  400: 'The request is wrong; the message says where',
  401: 'No valid token',
  403: 'A rule refuses it (the message names the rule), or a quota is used up',
  404: 'No such object for this project, or not in this version',
  406: 'The version is not supported',
  409: 'Not in this state',
  410: 'What earlier releases had here is no more',
  413: 'The body is too large',
  415: 'The body is not JSON',
  501: 'The cloud behind cannot do it',
  500: 'A bug here; the request id helps to find it',
  503: 'Something that is needed does not answer',
};

type Range = readonly [from: number, to: number];
type Body = { readonly range: Range; readonly schema: JsonSchema; readonly action: string | undefined };

/** The document as JSON text. */
export function openApiText(routes: readonly ComputeRoute[], version: string): string {
  return JSON.stringify(openApiDocument(routes, version));
}

export function openApiDocument(routes: readonly ComputeRoute[], version: string): object {
  const paths = new Map<string, Map<string, ComputeRoute[]>>();
  const shapes = new Map<string, string>();
  for (const route of routes) {
    const path = pathOf(route, shapes);
    const methods = paths.get(path) ?? new Map<string, ComputeRoute[]>();
    paths.set(path, methods.set(route.method.toLowerCase(), [...(methods.get(route.method.toLowerCase()) ?? []), route]));
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'novact Compute API',
      version,
      description: `OpenStack Compute API, microversions 2.${MICROVERSIONS.min} to 2.${MICROVERSIONS.max}. Paths may have the project's id before them.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/v2.1' }],
    security: [{ token: [] }],
    tags: [...new Set([...paths.keys()].map(tagOf))].map((name) => ({ name })),
    paths: Object.fromEntries([...paths].map(([path, methods]) => [path, pathItem(path, methods)])),
    components: components(),
  };
}

/** Templates that differ in names alone are one path: the first names win. */
function pathOf(route: ComputeRoute, shapes: Map<string, string>): string {
  const path = route.path.replaceAll(PATH_PARAMETER, '{$1}');
  const shape = path.replaceAll(/\{[^}]*\}/g, '{}');
  const known = shapes.get(shape) ?? path;
  shapes.set(shape, known);
  return known;
}

function tagOf(path: string): string {
  return path.split('/')[1] ?? '';
}

function pathItem(path: string, methods: ReadonlyMap<string, readonly ComputeRoute[]>): object {
  const names = [...path.matchAll(/\{([^}]*)\}/g)].map(([, name]) => name ?? '');
  const parameters = names.map((name) => ({ name, in: 'path', required: true, schema: TEXT }));
  const operations = [...methods].map(([method, routes]) => [method, operation(path, method, routes)]);
  return { ...(parameters.length > 0 ? { parameters } : {}), ...Object.fromEntries(operations) };
}

function operation(path: string, method: string, routes: readonly ComputeRoute[]): object {
  const rules = [...new Set(routes.flatMap(({ policy }) => (policy === null ? [] : [fullRuleName(policy)])))];
  const versions = routes.map(rangeOf);
  const whole: Range = [Math.min(...versions.map(([from]) => from)), Math.max(...versions.map(([, to]) => to))];
  const bodies = routes.flatMap(bodiesOf);
  const actions = routes.flatMap((route) =>
    route.action === undefined
      ? []
      : [{ name: route.action, rule: route.policy === null ? null : fullRuleName(route.policy), versions: rangeText(rangeOf(route)) }],
  );
  return {
    operationId: `${method}${path.replaceAll(/[^A-Za-z0-9]+/g, '-').replace(/-$/, '')}`,
    tags: [tagOf(path)],
    description: `Versions ${rangeText(whole)}.${rules.length === 0 ? '' : ` Rules: ${rules.join(', ')}.`}`,
    'x-microversions': rangeText(whole),
    ...(routes.every(({ ok }) => ok === 410) ? { deprecated: true } : {}),
    ...(rules.length === 0 ? {} : { 'x-rules': rules }),
    ...(actions.length === 0 ? {} : { 'x-actions': actions }),
    parameters: [{ $ref: '#/components/parameters/version' }, ...queryParameters(routes)],
    ...(bodies.length === 0 ? {} : { requestBody: requestBody(bodies) }),
    responses: responses(routes),
  };
}

function rangeOf({ versions }: ComputeRoute): Range {
  const [from, to] = versions ?? [MICROVERSIONS.min, MICROVERSIONS.max];
  return [Math.max(from, MICROVERSIONS.min), Math.min(to, MICROVERSIONS.max)];
}

function rangeText([from, to]: Range): string {
  return `2.${from} to 2.${to}`;
}

/** The body of each range of versions in which it is the same. */
function bodiesOf(route: ComputeRoute): Body[] {
  const { body, action } = route;
  if (body === undefined) return [];
  const [first, last] = rangeOf(route);
  return body.breaks.flatMap((at, i): Body[] => {
    const from = Math.max(at, first);
    const to = Math.min((body.breaks[i + 1] ?? Infinity) - 1, last);
    return from > to ? [] : [{ range: [from, to], schema: body.at(at), action }];
  });
}

/** Every body that a route takes, with an example; also for tests. */
export function examplesOf(route: ComputeRoute): { readonly version: number; readonly schema: JsonSchema; readonly example: unknown }[] {
  return bodiesOf(route).map(({ range, schema }) => ({ version: range[1], schema, example: exampleOf(schema) }));
}

function requestBody(bodies: readonly Body[]): object {
  const drawn = bodies.map(({ range, schema, action }) => ({
    ...Object.fromEntries(Object.entries(publicSchema(schema) ?? {})),
    title: action === undefined ? rangeText(range) : `${action}, ${rangeText(range)}`,
  }));
  const examples = bodies.map(({ range, schema, action }, i) => [
    `${action ?? 'body'}-2.${range[0]}`.replaceAll(/[^A-Za-z0-9._-]/g, '-') +
      (bodies.findIndex((one) => one.action === action && one.range[0] === range[0]) === i ? '' : `-${i}`),
    { summary: action === undefined ? rangeText(range) : `${action}, ${rangeText(range)}`, value: exampleOf(schema) ?? {} },
  ]);
  const schema = drawn.length === 1 ? drawn[0] : { anyOf: drawn };
  return { required: true, content: { 'application/json': { schema, examples: Object.fromEntries(examples) } } };
}

function queryParameters(routes: readonly ComputeRoute[]): object[] {
  const all = new Map<string, Parameter>();
  for (const { query } of routes) for (const [name, row] of Object.entries(query?.parameters ?? {})) if (!all.has(name)) all.set(name, row);
  return [...all].map(([name, row]) => ({
    name,
    in: 'query',
    schema: { type: 'array', items: parameterSchema(row), ...(row.onceFrom === undefined ? {} : { description: `Once from 2.${row.onceFrom} on.` }) },
    style: 'form',
    explode: true,
    ...(row.from === undefined && row.to === undefined
      ? {}
      : { 'x-microversions': rangeText([row.from ?? MICROVERSIONS.min, Math.min(row.to ?? MICROVERSIONS.max, MICROVERSIONS.max)]) }),
  }));
}

function parameterSchema({ kind }: Parameter): JsonSchema {
  if (kind === 'count') return { type: 'integer', minimum: 0 };
  if (kind === 'positive') return { type: 'integer', minimum: 1 };
  if (kind === 'date') return { type: 'string', format: 'date-time' };
  if (kind === 'pattern') return { type: 'string', maxLength: 255, description: 'Matched literally; ^ and $ anchor it.' };
  if (kind === 'bool') return { type: 'string', enum: ['true', 'false', '1', '0', 'yes', 'no', 'on', 'off'] };
  if (typeof kind === 'object' && 'oneOf' in kind) return { type: 'string', enum: [...kind.oneOf] };
  if (typeof kind === 'object' && 'match' in kind) return { type: 'string', minLength: 1, maxLength: kind.max, pattern: kind.match.source };
  return TEXT;
}

function responses(routes: readonly ComputeRoute[]): object {
  const codes = routes.flatMap((route) => okCodes(route));
  const good = new Set(codes.filter((code) => code < 400));
  const bad = new Set<number>([...ALWAYS, ...codes.filter((code) => code >= 400)]);
  for (const { body, query, policy, find, versions, path, method } of routes) {
    if (body !== undefined || query !== undefined) bad.add(400);
    if (method === 'POST' || method === 'PUT') bad.add(400).add(413).add(415);
    if (policy !== null) bad.add(403);
    if (find !== undefined || versions !== undefined || path.includes(':')) bad.add(404);
    if (method !== 'GET') bad.add(409);
  }
  return {
    ...Object.fromEntries([...good].sort((a, b) => a - b).map((code) => [code, success(code)])),
    ...Object.fromEntries([...bad].sort((a, b) => a - b).map((code) => [code, { $ref: `#/components/responses/${code}` }])),
  };
}

function okCodes(route: ComputeRoute): number[] {
  if (typeof route.ok === 'number') return [route.ok];
  const [from, to] = rangeOf(route);
  const codes = new Set<number>();
  for (let version = from; version <= to; version++) codes.add(route.ok(version));
  return [...codes];
}

function success(code: number): object {
  const headers = { 'X-OpenStack-Request-Id': { $ref: '#/components/headers/requestId' }, 'OpenStack-API-Version': { $ref: '#/components/headers/version' } };
  const description = SENTENCES[code] ?? 'Done';
  return code === 204 ? { description, headers } : { description, headers, content: { 'application/json': { schema: { type: 'object' } } } };
}

function components(): object {
  const codes = [400, 403, 404, 409, 410, 413, 415, 501, ...ALWAYS];
  const error = { description: 'One member named by the code.', $ref: '#/components/schemas/Error' };
  return {
    securitySchemes: { token: { type: 'apiKey', in: 'header', name: 'X-Auth-Token' } },
    parameters: {
      version: {
        name: 'OpenStack-API-Version',
        in: 'header',
        description: `compute 2.N, or compute latest; 2.${MICROVERSIONS.min} without it.`,
        schema: { type: 'string', pattern: '^compute (2\\.[0-9]+|latest)$' },
        example: `compute 2.${MICROVERSIONS.max}`,
      },
    },
    headers: {
      requestId: { description: 'Names this request in the log.', schema: { type: 'string', pattern: '^req-[0-9a-f-]{36}$' } },
      version: { description: 'The version in which it was answered.', schema: TEXT },
    },
    schemas: {
      Error: {
        type: 'object',
        minProperties: 1,
        maxProperties: 1,
        additionalProperties: {
          type: 'object',
          required: ['code', 'message'],
          properties: { code: { type: 'integer' }, message: TEXT, retryAfter: TEXT },
        },
      },
    },
    responses: Object.fromEntries(
      codes.map((code) => [code, { description: SENTENCES[code] ?? 'Refused', content: { 'application/json': { schema: error } } }]),
    ),
  };
}
