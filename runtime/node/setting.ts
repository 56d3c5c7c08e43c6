/**
 * The kinds of settings: each says in words what it allows, so that a wrong value is answered with that sentence.
 * Sections of the configuration are made of these, by the rooms that own them.
 */
import { z } from 'zod';

/** What stands beside a schema. */
export type SettingMeta = {
  /** Completes “must be …”. */
  readonly allowed?: string;
  /** `whole` is never shown; of a `url` the password is not. */
  readonly secret?: 'whole' | 'url';
  /** A relative path: taken from the folder of the file that names it, or from where the program was started. */
  readonly path?: boolean;
};

const notes = z.registry<SettingMeta>();

export function metaOf(schema: z.core.$ZodType): SettingMeta {
  return notes.get(schema) ?? {};
}

function noted<T extends z.core.$ZodType>(schema: T, meta: SettingMeta): T {
  notes.add(schema, meta);
  return schema;
}

export function count(from: number, to: number) {
  return noted(z.int().min(from).max(to), { allowed: `a whole number from ${from} to ${to}` });
}

export function milliseconds(from: number, to: number) {
  return noted(z.int().min(from).max(to), { allowed: `milliseconds, a whole number from ${from} to ${to}` });
}

export function bytes(from: number, to: number) {
  return noted(z.int().min(from).max(to), { allowed: `bytes, a whole number from ${from} to ${to}` });
}

export function ratio(from: number, to: number) {
  return noted(z.number().min(from).max(to), { allowed: `a number from ${from} to ${to}` });
}

export function port() {
  return noted(z.int().min(1).max(65_535), { allowed: 'a port, a whole number from 1 to 65535' });
}

export function truth() {
  return noted(z.boolean(), { allowed: 'true or false' });
}

export function text(max = 255) {
  return noted(z.string().min(1).max(max), { allowed: `text of 1 to ${max} characters` });
}

/** Letters, digits, `-`, `_` and `.`: safe in paths, addresses and log lines. */
export function name() {
  return noted(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/), { allowed: 'a name of at most 63 letters, digits, dots, dashes and underscores' });
}

export function matching(pattern: RegExp, allowed: string) {
  return noted(z.string().regex(pattern), { allowed });
}

/** What `new RegExp` takes. */
export function pattern() {
  return noted(z.string().min(1).max(255).refine(isPattern), { allowed: 'a regular expression' });
}

export function choice<const T extends readonly string[]>(values: T) {
  return noted(z.enum(values), { allowed: `one of ${values.join(', ')}` });
}

export function someOf<const T extends readonly string[]>(values: T) {
  return noted(
    z
      .array(choice(values))
      .min(1)
      .refine((list) => new Set(list).size === list.length),
    { allowed: `a list of some of ${values.join(', ')}, each once` },
  );
}

export function folder() {
  return noted(z.string().min(1), { allowed: 'the path of a folder', path: true });
}

export function file() {
  return noted(z.string().min(1), { allowed: 'the path of a file', path: true });
}

export function ipAddress() {
  return noted(z.union([z.ipv4(), z.ipv6()]), { allowed: 'an IP address' });
}

export function cidr(narrowest: number) {
  const schema = z.cidrv4().refine((value) => Number(value.split('/')[1]) <= narrowest && isNetwork(value));
  return noted(schema, { allowed: `an IPv4 network such as 10.20.0.0/16, with no bits set behind the slash's length, at most /${narrowest}` });
}

export function httpUrl() {
  return noted(z.url({ protocol: /^https?$/ }), { allowed: 'an http:// or https:// URL', secret: 'url' });
}

export function postgresUrl() {
  return noted(z.string().regex(/^postgres(ql)?:\/\/[^/]*\/[^/?]+/), { allowed: 'a URL like postgresql://user:password@server:5432/database', secret: 'url' });
}

export function secret() {
  return noted(z.string().min(1), { allowed: 'text', secret: 'whole' });
}

/** One of several forms; `allowed` names them all. */
export function either<const T extends readonly z.core.$ZodType[]>(forms: T, allowed: string) {
  return noted(z.union(forms), { allowed });
}

export function listOf<T extends z.core.$ZodType>(item: T, from: number, to: number) {
  return noted(z.array(item).min(from).max(to), { allowed: `a list of ${from} to ${to} entries` });
}

function isPattern(value: string): boolean {
  try {
    return new RegExp(value) instanceof RegExp;
  } catch {
    return false;
  }
}

function isNetwork(value: string): boolean {
  const [address = '', length = ''] = value.split('/');
  const number = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return number % 2 ** (32 - Number(length)) === 0;
}
