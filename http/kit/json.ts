/**
 * JSON from outside (S32). One scan before the platform's parser: depth, number of members, duplicate names and
 * `__proto__` are refused, so that nothing later has to think of them; text that PostgreSQL cannot hold (NUL,
 * half surrogates) is refused too. Linear in the length of the text.
 */
import { isUtf8 } from 'node:buffer';
import { Fault } from '../../runtime/base/fault.ts';

/** Deeper than any request of the API; scheduler hints may nest. */
export const DEPTH_MAX = 32;
/** Members of all objects together. */
export const MEMBERS_MAX = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** The value, or Fault `invalid`. */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw malformed('the body is not UTF-8');
  const text = bytes.toString('utf8');
  const risky = scan(text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('Malformed request body');
  }
  if (risky) refuseUnstorable(value);
  return value;
}

function malformed(message: string): Fault {
  return new Fault('invalid', 'json', message);
}

/**
 * Refuses what the limits forbid. Syntax is not judged: the parser does that after. True when the text holds escapes
 * that may stand for characters that cannot be stored.
 */
function scan(text: string): boolean {
  const names: (Set<string> | null)[] = []; // one entry per open bracket; null for an array
  let open: Set<string> | null = null;
  let expectsName = false;
  let members = 0;
  let risky = false;
  const hasEscapes = text.includes('\\');
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === QUOTE) {
      const end = endOfString(text, i);
      const escaped = hasEscapes && text.slice(i, end).includes('\\');
      if (escaped) risky = true;
      if (expectsName && open !== null) {
        if (++members > MEMBERS_MAX) throw malformed(`the body has more than ${MEMBERS_MAX} members`);
        addName(open, text.slice(i + 1, end), escaped);
        expectsName = false;
      }
      i = end;
    } else if (c === 0x7b || c === 0x5b) {
      if (names.length === DEPTH_MAX) throw malformed(`the body is nested deeper than ${DEPTH_MAX}`);
      open = c === 0x7b ? new Set() : null;
      names.push(open);
      expectsName = open !== null;
    } else if (c === 0x7d || c === 0x5d) {
      names.pop();
      open = names.at(-1) ?? null;
      expectsName = false;
    } else if (c === 0x2c) {
      expectsName = open !== null;
    }
  }
  return risky;
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === BACKSLASH) i++;
    else if (c === QUOTE) return i;
  }
  return text.length;
}

function addName(names: Set<string>, raw: string, escaped: boolean): void {
  let name = raw;
  if (escaped) {
    try {
      name = String(JSON.parse(`"${raw}"`));
    } catch {
      throw malformed('Malformed request body');
    }
  }
  if (name === '__proto__') throw malformed('the member name __proto__ is not allowed');
  if (names.has(name)) throw malformed(`the member '${name.slice(0, 60)}' occurs twice`);
  names.add(name);
}

function refuseUnstorable(value: unknown): void {
  if (typeof value === 'string') {
    if (!isStorable(value)) throw malformed('the body holds a character that cannot be stored');
  } else if (Array.isArray(value)) {
    for (const item of value) refuseUnstorable(item);
  } else if (value !== null && typeof value === 'object') {
    for (const [name, item] of Object.entries(value)) {
      refuseUnstorable(name);
      refuseUnstorable(item);
    }
  }
}

/** No NUL and no half surrogate: PostgreSQL takes neither. */
export function isStorable(text: string): boolean {
  return !text.includes('\u0000') && text.isWellFormed();
}

/** The same text for the same value, whatever the order of members. For hashes. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, item]) => `${JSON.stringify(name)}:${canonicalJson(item)}`).join(',')}}`;
}
