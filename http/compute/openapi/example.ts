/**
 * The smallest value that a schema takes, for the document's examples: required members only. A schema may name one
 * itself (`examples`). Where a pattern leaves the choice, the first word of a short list that fits is taken.
 */
import type { JsonSchema } from '../../kit/schema.ts';

const UUID = '70a599e0-31e7-49b7-b260-868f441e862b';
const BY_FORMAT: { readonly [format: string]: string } = {
  uuid: UUID,
  ipv4: '192.0.2.10',
  ipv6: '2001:db8::10',
  base64: 'aGVsbG8=',
  'date-time': '2026-11-22T10:00:00Z',
  uri: 'https://images.example.org/an-image',
  printable: 'example',
  trimmed: 'example',
};
/** Tried in turn where a pattern says what is allowed. */
const WORDS = [
  'example',
  'a1',
  '1',
  UUID,
  '192.0.2.0/24',
  '/a',
  '/dev/vdb',
  'tcp',
  '10',
  '1.0',
  'vdb',
  'req-' + UUID,
  'https://example.org',
  'fa:16:3e:00:00:01',
  'disabled',
];
const DEPTH_MAX = 16;

type Members = { readonly [name: string]: unknown };

/** undefined: nothing can be said of this schema. */
export function exampleOf(schema: unknown, depth = 0): unknown {
  const node = membersOf(schema);
  if (node === undefined || depth > DEPTH_MAX) return undefined;
  const given = node['examples'];
  if (Array.isArray(given) && given.length > 0) return given[0];
  if (node['const'] !== undefined) return node['const'];
  const words = node['enum'];
  if (Array.isArray(words)) return words[0];
  for (const choice of ['anyOf', 'oneOf']) {
    const options = node[choice];
    if (Array.isArray(options)) return exampleOf(bestOf(options, node), depth + 1);
  }
  const type: unknown = Array.isArray(node['type']) ? node['type'][0] : node['type'];
  switch (type ?? (node['properties'] === undefined && node['patternProperties'] === undefined ? undefined : 'object')) {
    case 'object':
      return objectExample(node, depth);
    case 'array':
      return Array.from({ length: numberOf(node['minItems'], 0) }, () => exampleOf(node['items'], depth + 1));
    case 'integer':
    case 'number':
      return numberExample(node);
    case 'boolean':
      return true;
    case 'string':
      return textExample(node);
    default:
      return null;
  }
}

/** The first alternative, completed with what stands around all of them. */
function bestOf(options: readonly unknown[], around: Members): unknown {
  const [first] = options;
  const inner = membersOf(first);
  if (inner === undefined) return first;
  const { anyOf: _, oneOf: __, ...outer } = around;
  if (outer['properties'] === undefined) return { ...outer, ...inner };
  const properties = { ...membersOf(outer['properties']), ...membersOf(inner['properties']) };
  return { ...outer, ...inner, properties, required: [...namesIn(outer['required']), ...namesIn(inner['required'])] };
}

function objectExample(node: Members, depth: number): Members {
  const properties = membersOf(node['properties']) ?? {};
  const names = [...namesIn(node['required'])];
  const least = numberOf(node['minProperties'], 0);
  for (const name of Object.keys(properties)) if (names.length < least && !names.includes(name)) names.push(name);
  const entries = [...new Set(names)].map((name): [string, unknown] => [name, exampleOf(properties[name] ?? {}, depth + 1)]);
  const [byPattern] = Object.entries(membersOf(node['patternProperties']) ?? {});
  for (let i = entries.length; i < least; i++) {
    const name = byPattern === undefined ? 'example' : (WORDS.filter((word) => new RegExp(byPattern[0]).test(word))[i] ?? 'example');
    entries.push([name, exampleOf(byPattern?.[1] ?? membersOf(node['additionalProperties']) ?? { type: 'string' }, depth + 1)]);
  }
  return Object.fromEntries(entries);
}

function numberExample(node: Members): number {
  const text = membersOf(node['integerText']);
  const least = numberOf(text?.['min'] ?? node['minimum'], 1);
  const above = node['exclusiveMinimum'] === undefined ? least : Math.max(least, numberOf(node['exclusiveMinimum'], 0) + 1);
  const most = numberOf(text?.['max'] ?? node['maximum'], Infinity);
  return Math.min(Math.max(above, 1), most);
}

function textExample(node: Members): string {
  const formats = [node['format'], ...(Array.isArray(node['allOf']) ? node['allOf'].map((part) => membersOf(part)?.['format']) : [])];
  const format = formats.find((one): one is string => typeof one === 'string' && one !== 'printable' && one !== 'trimmed');
  const pattern = node['pattern'];
  const least = numberOf(node['minLength'], 0);
  const most = numberOf(node['maxLength'], Infinity);
  const words = format === undefined ? WORDS : [BY_FORMAT[format] ?? '', ...WORDS];
  const fits = (word: string): boolean => word.length >= least && word.length <= most && (typeof pattern !== 'string' || new RegExp(pattern, 'u').test(word));
  return words.find(fits) ?? 'example'.padEnd(least, 'e').slice(0, most);
}

function numberOf(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise;
}

function namesIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : [];
}

function membersOf(value: unknown): Members | undefined {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value)) : undefined;
}

/** A schema as the document says it: keywords of our own become those that everybody knows. */
export function publicSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(publicSchema);
  const node = membersOf(schema);
  if (node === undefined) return schema;
  const { integerText, ...rest } = node;
  const out = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, key === 'enum' || key === 'examples' ? value : publicSchema(value)]));
  const bounds = membersOf(integerText);
  if (bounds === undefined) return out;
  const { type: _, ...others } = out;
  const number = { type: 'integer', minimum: bounds['min'], maximum: bounds['max'] };
  const { anyOf, ...besides } = others;
  const whole: JsonSchema = { ...besides, anyOf: [number, { type: 'string', pattern: '^-?[0-9]{1,15}$' }] };
  return anyOf === undefined ? whole : { allOf: [whole, { anyOf }] };
}
