/**
 * Requests that nobody should send: for every route, bodies and queries drawn from its schemas and bent, texts that are
 * hardly JSON, odd versions, types and ids. What comes out is a request as the rig sends it.
 */
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import { MICROVERSIONS } from '../../../http/compute/microversions.ts';
import type { ComputeRoute } from '../../../http/compute/parts.ts';
import type { JsonSchema } from '../../../http/kit/schema.ts';
import { exampleOf } from '../../../http/compute/openapi/example.ts';

export type OddRequest = {
  readonly method: string;
  readonly path: string;
  readonly token: string;
  readonly headers: { readonly [name: string]: string };
  readonly raw: string | undefined;
};

export const ODD_TEXTS = [
  '',
  ' ',
  '  a  ',
  'a\u0000b',
  '\ud800',
  'a\udc00',
  '\u202eevil',
  '\ufeff',
  '\u{1F3F4}\u200d\u2620\ufe0f',
  'I\u0307',
  '\u0007\u001b[31m',
  'a'.repeat(256),
  'é'.repeat(300),
  'a'.repeat(66_000),
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  '../../../etc/passwd',
  "'; drop table instances; --",
  '%s%n%x',
  '${jndi:ldap://x}',
  '<script>alert(1)</script>',
  '9'.repeat(40),
  '-1',
  '0x10',
  '1e5',
  'NaN',
  'True',
  'null',
  '(a+)+$',
  '[',
  '\\',
  '*',
  ',',
  'json:{"driver":"nbd"}',
  'http://169.254.169.254/',
  '::ffff:127.0.0.1',
  '255.255.255.255',
  '0000-00-00T99:99:99Z',
  '2026-11-22T10:00:00Z',
  '9999-12-31T23:59:59.999999999+23:59',
];
const ODD_NUMBERS = [0, -0, -1, 0.5, 1e21, 1e308, -1e308, 2 ** 31, 2 ** 53, -(2 ** 63), 5e-324];

const oddText = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...ODD_TEXTS) },
  { weight: 1, arbitrary: fc.string({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
);
const oddValue: Arbitrary<unknown> = fc.oneof(
  oddText,
  fc.constantFrom<unknown>(
    ...ODD_NUMBERS,
    null,
    true,
    false,
    [],
    {},
    [[]],
    [null],
    { constructor: { prototype: { polluted: true } } },
    { a: { b: { c: [1, {}] } } },
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Mostly what the schema takes, sometimes anything. */
function valueOf(schema: unknown, depth = 0): Arbitrary<unknown> {
  const node: JsonSchema = schema !== null && typeof schema === 'object' ? { ...schema } : {};
  const sound = soundValue(node, depth);
  return fc.oneof({ weight: 9, arbitrary: sound }, { weight: 1, arbitrary: oddValue });
}

function soundValue(node: JsonSchema, depth: number): Arbitrary<unknown> {
  const choices = node['anyOf'] ?? node['oneOf'];
  if (Array.isArray(choices) && node['properties'] === undefined && depth < 8) return fc.oneof(...choices.map((one: unknown) => valueOf(one, depth + 1)));
  if (Array.isArray(node['enum'])) return fc.constantFrom<unknown>(...node['enum']);
  const properties = node['properties'];
  if (properties !== null && typeof properties === 'object' && depth < 8) {
    const required: unknown[] = Array.isArray(node['required']) ? node['required'] : [];
    const entries = Object.entries(properties).map(([name, part]): [string, Arbitrary<unknown>] => [
      name,
      required.includes(name) ? valueOf(part, depth + 1) : fc.option(valueOf(part, depth + 1), { nil: undefined, freq: 2 }),
    ]);
    return fc.tuple(fc.record(Object.fromEntries(entries)), fc.option(fc.tuple(oddText, oddValue), { nil: undefined, freq: 8 })).map(([value, extra]) => {
      const whole = Object.entries(value).filter(([, item]) => item !== undefined);
      return Object.fromEntries(extra === undefined ? whole : [...whole, extra]);
    });
  }
  if (node['patternProperties'] !== undefined) {
    const [part] = Object.values(node['patternProperties'] ?? {});
    return fc
      .array(fc.tuple(fc.oneof(fc.constantFrom('a', 'key', 'hw:cpu_policy'), oddText), valueOf(part, depth + 1)), { maxLength: 4 })
      .map((list) => Object.fromEntries(list));
  }
  if (node['type'] === 'array' && depth < 8) return fc.array(valueOf(node['items'], depth + 1), { maxLength: 5 });
  const example = exampleOf(node);
  return node['type'] === undefined ? oddValue : fc.oneof(fc.constant(example ?? null), oddText, fc.constantFrom(...ODD_NUMBERS));
}

/** JSON text that is not quite what it should be. */
function bend(text: string): Arbitrary<string> {
  const bent = [
    text.replace('{', '{"a":1,"a":2,'),
    text.replace('{', '{"__proto__":{"polluted":true},'),
    text.replace('{', '{"\\u005f_proto__":{"polluted":true},'),
    text.replace('{', '{"constructor":{"prototype":{"polluted":true}},'),
    text.replace(/:"[^"]*"/, ':1e999'),
    text.replace(/:"[^"]*"/, ':-1E400'),
    text.replace(/:"[^"]*"/, ':00'),
    text.replace(/:"[^"]*"/, `:${'9'.repeat(400)}`),
    text.replace(/:"[^"]*"/, ':"\\ud800"'),
    text.replace(/:"[^"]*"/, ':"\\u0000"'),
    text.replace(/:("[^"]*"|\{)/, `:${'['.repeat(40)}${']'.repeat(40)}`),
    text.slice(0, Math.floor(text.length / 2)),
    `[${text}]`,
    `"${text.replaceAll('"', '\\"')}"`,
    `${text}${text}`,
    `\ufeff${text}`,
    '{',
    'null',
    '',
    '{"a":'.repeat(5_000),
    '['.repeat(50_000),
    `{${Array.from({ length: 11_000 }, (_, i) => `"k${i}":0`).join(',')}}`,
  ];
  return fc.constantFrom(...bent);
}

const NO_BODY = fc.constant(undefined);
const drawn = new Map<string, Arbitrary<string | undefined>>();

/** Drawn once per schema: it takes longer than the request. */
function bodyOf(route: ComputeRoute, version: number): Arbitrary<string | undefined> {
  if (route.method === 'GET') return NO_BODY;
  const key = `${route.method} ${route.path} ${route.action ?? ''} ${route.versions?.join() ?? ''} ${route.body?.breaks.findLast((at) => at <= version) ?? 1}`;
  const body = drawn.get(key) ?? drawBody(route, version);
  drawn.set(key, body);
  return body;
}

function drawBody(route: ComputeRoute, version: number): Arbitrary<string | undefined> {
  const schema = route.body?.at(version) ?? {};
  const text = valueOf(schema).map((value) => JSON.stringify(value) ?? 'null');
  const plain = JSON.stringify(exampleOf(schema) ?? {});
  return fc.oneof({ weight: 8, arbitrary: text }, { weight: 3, arbitrary: bend(plain) }, { weight: 1, arbitrary: fc.string({ maxLength: 100 }) });
}

function queryOf(route: ComputeRoute): Arbitrary<string> {
  const names = Object.keys(route.query?.parameters ?? {});
  const name =
    names.length === 0
      ? oddText
      : fc.oneof({ weight: 20, arbitrary: fc.constantFrom(...names) }, { weight: 1, arbitrary: fc.constantFrom('nonsense', '__proto__', 'limit') });
  const part = fc
    .tuple(name, fc.oneof({ weight: 3, arbitrary: oddText }, { weight: 1, arbitrary: fc.constantFrom('1', 'true', 'name', 'asc', 'a,b', '10') }))
    .map(([key, value]) => `${encode(key)}=${encode(value)}`);
  const broken = fc.constantFrom('%', '%zz=1', '=', '&&&', 'a', '%ff=%fe', '__proto__=1', 'limit=1&limit=2', `${'a=1&'.repeat(300)}`);
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant('') },
    { weight: 6, arbitrary: fc.array(part, { minLength: 1, maxLength: 6 }).map((list) => list.join('&')) },
    { weight: 1, arbitrary: broken },
  );
}

/** Texts with half surrogates have no percent form of their own. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

const versionOf = (route: ComputeRoute): Arbitrary<number> =>
  fc.integer({ min: Math.max(1, route.versions?.[0] ?? 1), max: Math.min(MICROVERSIONS.max, route.versions?.[1] ?? MICROVERSIONS.max) });

const oddHeaders: Arbitrary<{ [name: string]: string }> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<{ [name: string]: string }>(
      { accept: 'application/xml' },
      { 'content-type': 'application/xml' },
      { 'content-type': 'text/plain; charset=utf-16' },
      { 'openstack-api-version': 'compute 2.' + '9'.repeat(50) },
      { 'openstack-api-version': 'compute' },
      { 'openstack-api-version': ', , compute 2.1, compute latest' },
      { 'x-openstack-nova-api-version': '2.-1' },
      { 'x-openstack-request-id': 'req-\u00ff' },
      { 'idempotency-key': 'a'.repeat(256) },
      { 'idempotency-key': '__proto__' },
      { 'x-service-token': 'nobody' },
      { 'x-roles': 'admin', 'x-project-id': 'x' },
    ),
  },
);

/** Requests for this route; `idOf` names an object that is there for a path parameter. */
export function oddRequests(route: ComputeRoute, idOf: (before: string) => string): Arbitrary<OddRequest> {
  return fc
    .tuple(versionOf(route), fc.constantFrom('member', 'admin'), queryOf(route), oddHeaders, fc.boolean(), fc.array(oddText, { minLength: 3, maxLength: 3 }))
    .chain(([version, token, query, more, isKnown, ids]) =>
      bodyOf(route, version).map((raw): OddRequest => {
        let before = '';
        for (const [i, segment] of route.path.split('/').slice(1).entries()) {
          const odd =
            encode(ids[i % 3] ?? '')
              .slice(0, 2_000)
              .replace(/%[0-9A-F]?$/, '') || 'x';
          before += `/${segment.startsWith(':') ? (isKnown || i < 2 ? idOf(before) : odd) : segment}`;
        }
        const type = raw === undefined ? {} : { 'content-type': 'application/json' };
        const headers = { 'openstack-api-version': `compute 2.${version}`, ...type, ...more };
        return {
          method: route.method,
          path: `/v2.1${before}${query === '' ? '' : `?${query}`}`.slice(0, 12_000).replace(/%[0-9A-F]?$/, ''),
          token,
          headers,
          raw,
        };
      }),
    );
}
