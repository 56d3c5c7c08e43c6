/**
 * Query strings: parsed once, checked against a table. Every parameter may be repeated unless its row says `once`.
 * Unknown names are ignored up to the version from which the table is strict.
 */
import { invalid } from './errors.ts';
import { isStorable } from './json.ts';

/** `pattern`: text that is matched literally (see filters), refused when it is no regular expression. */
export type ParameterKind =
  | 'text'
  | 'count'
  | 'positive'
  | 'pattern'
  | 'date'
  | 'bool'
  | { readonly oneOf: readonly string[] }
  | { readonly match: RegExp; readonly max: number };

export type Parameter = {
  readonly kind: ParameterKind;
  readonly from?: number;
  readonly to?: number;
  /** Once from this version on. */
  readonly onceFrom?: number;
};

export type QueryTable = {
  readonly parameters: { readonly [name: string]: Parameter };
  /** From this version on unknown names are refused. */
  readonly strictFrom: number;
  /** Names that are accepted by their form (`property-…`). */
  readonly alsoMatching?: RegExp;
};

const PARAMETERS_MAX = 200;
const DIGITS = /^\d{1,18}$/;

export class Query {
  readonly entries: readonly (readonly [string, string])[];
  readonly #values = new Map<string, string[]>();

  constructor(search: string) {
    const entries: [string, string][] = [];
    if (search !== '') {
      for (const part of search.split('&')) {
        if (part === '') continue;
        if (entries.length === PARAMETERS_MAX) throw invalid(`More than ${PARAMETERS_MAX} query parameters.`);
        const equals = part.indexOf('=');
        const name = decode(equals < 0 ? part : part.slice(0, equals));
        const value = equals < 0 ? '' : decode(part.slice(equals + 1));
        entries.push([name, value]);
        const known = this.#values.get(name);
        if (known) known.push(value);
        else this.#values.set(name, [value]);
      }
    }
    this.entries = entries;
  }

  /** The last value, as most frameworks take it; undefined when absent. */
  one(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  names(): IterableIterator<string> {
    return this.#values.keys();
  }
}

const NO_QUERY = new Query('');

export function parseQuery(search: string): Query {
  return search === '' ? NO_QUERY : new Query(search);
}

function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text;
  let decoded: string;
  try {
    decoded = decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw invalid('The query string is not percent-encoded UTF-8.');
  }
  if (!isStorable(decoded)) throw invalid('The query string holds a character that cannot be stored.');
  return decoded;
}

/** Fault `invalid` when a value is not of its kind or, for strict versions, when a name is unknown. */
export function checkQuery(query: Query, table: QueryTable, version: number, legacy: boolean): void {
  if (query.entries.length === 0) return;
  for (const name of query.names()) {
    const row = Object.hasOwn(table.parameters, name) ? table.parameters[name] : undefined;
    const known = row !== undefined && version >= (row.from ?? 1) && version <= (row.to ?? Infinity);
    if (!known) {
      if (!legacy && version >= table.strictFrom && table.alsoMatching?.test(name) !== true) {
        throw invalid(`Additional properties are not allowed ('${name.slice(0, 60)}' was unexpected)`);
      }
      continue;
    }
    const values = query.all(name);
    if (row.onceFrom !== undefined && version >= row.onceFrom && values.length > 1) throw refused(name, values.join(','), 'is given more than once');
    for (const value of values) checkValue(name, value, row.kind);
  }
}

function checkValue(name: string, value: string, kind: ParameterKind): void {
  if (kind === 'count' || kind === 'positive') {
    if (!DIGITS.test(value) || (kind === 'positive' && Number(value) < 1)) throw refused(name, value, `'${cut(value)}' does not match '^[0-9]*$'`);
  } else if (kind === 'date') {
    if (parseTime(value) === undefined) throw refused(name, value, `'${cut(value)}' is not a 'date-time'`);
  } else if (kind === 'pattern') {
    if (!isPattern(value)) throw refused(name, value, `'${cut(value)}' is not a 'regex'`);
  } else if (kind === 'bool') {
    if (parseBool(value) === undefined) throw refused(name, value, `'${cut(value)}' is not one of [true, false]`);
  } else if (typeof kind === 'object') {
    if ('oneOf' in kind && !kind.oneOf.includes(value)) throw refused(name, value, `'${cut(value)}' is not one of [${kind.oneOf.join(', ')}]`);
    if ('match' in kind && (value.length > kind.max || value === '' || !kind.match.test(value)))
      throw refused(name, value, `'${cut(value)}' does not match '${kind.match.source}'`);
  }
}

function refused(name: string, value: string, why: string): Error {
  return invalid(`Invalid input for query parameters ${name}. Value: ${cut(value)}. ${why}`);
}

function cut(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

const PATTERN_MAX = 255;

/** Whether a filter could be a regular expression; it is matched literally all the same (S34). */
function isPattern(text: string): boolean {
  if (text.length > PATTERN_MAX) return false;
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const TIME = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

/** ISO 8601 → wall milliseconds; without a zone it is UTC. */
export function parseTime(text: string): number | undefined {
  const match = TIME.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '', zone = 'Z'] = match;
  const zoneText = zone === 'Z' || zone.includes(':') ? zone : `${zone.slice(0, 3)}:${zone.slice(3)}`;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}${zoneText}`);
  return Number.isNaN(ms) ? undefined : ms;
}

const TRUE = new Set(['1', 't', 'true', 'on', 'y', 'yes']);
const FALSE = new Set(['0', 'f', 'false', 'off', 'n', 'no']);

export function parseBool(text: string): boolean | undefined {
  const word = text.trim().toLowerCase();
  return TRUE.has(word) ? true : FALSE.has(word) ? false : undefined;
}
