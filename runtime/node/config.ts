/**
 * The configuration in force, joined from layers: defaults, file, environment, flags; later ones win, setting by
 * setting (a list is one setting). It knows no section: rooms declare their schemas and defaults, the caller joins them.
 *
 * A setting that is unknown or wrong stops the start: all such are told at once, each with where it was set, its value
 * and what is allowed. Secrets are never part of a text that leaves here.
 */
import { z } from 'zod';
import { Fault } from '../base/fault.ts';
import { nearest } from './nearest.ts';
import { accepts, allowedAt, isOpen, keysOf, schemasAt, shown, type Path } from './setting-tree.ts';

/** One setting as it was written. `text` values (environment, flags) are turned into what the setting wants. */
export type Assignment = { readonly source: string; readonly path: Path; readonly value: unknown; readonly isText: boolean };

export type Problem = { readonly source: string; readonly path: string; readonly text: string };

/** A rule between settings: a sentence about `path` when it is broken, and the others that may be to blame. */
export type Rule<Config> = (config: Config) => readonly { readonly path: Path; readonly others?: readonly Path[]; readonly text: string }[];

export type Loaded<Config> = {
  readonly config: Config;
  /** Each setting in force: its path, its value fit to be shown, where it came from. */
  readonly settings: readonly { readonly path: string; readonly value: string; readonly source: string }[];
};

export const DEFAULT_SOURCE = 'default';

type Tree = { [key: string]: unknown };

/** Fault `invalid` (reason `config`) that lists every problem. */
export function resolveConfig<Schema extends z.ZodObject>(options: {
  schema: Schema;
  defaults: z.input<Schema>;
  assignments: readonly Assignment[];
  rules: readonly Rule<z.output<Schema>>[];
  problems?: readonly Problem[];
}): Loaded<z.output<Schema>> {
  const { schema, rules } = options;
  const problems: Problem[] = [...(options.problems ?? [])];
  const tree: Tree = {};
  const sources = new Map<string, string>();
  for (const { path, value } of leaves(options.defaults, [])) put(tree, path, value);
  for (const assignment of options.assignments) {
    const path = assignment.isText ? knownPath(schema, assignment.path) : assignment.path;
    const why = schemasAt(schema, path).length === 0 ? unknownSetting(schema, path) : undefined;
    if (why !== undefined) {
      problems.push({ source: assignment.source, path: path.join('.'), text: why });
      continue;
    }
    put(tree, path, assignment.isText ? fromText(schema, path, String(assignment.value)) : assignment.value);
    remember(sources, path, assignment.source);
  }

  const parsed = schema.safeParse(tree);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) problems.push(...problemsOf(schema, tree, sources, issue, []));
    throw refuse(problems);
  }
  for (const rule of rules) {
    for (const { path, others = [], text } of rule(parsed.data)) {
      const source = [path, ...others].map((one) => sourceOf(sources, one)).find((one) => one !== DEFAULT_SOURCE);
      problems.push({ source: source ?? DEFAULT_SOURCE, path: path.join('.'), text });
    }
  }
  if (problems.length > 0) throw refuse(problems);
  const settings = leaves(parsed.data, []).map(({ path, value }) => ({
    path: path.join('.'),
    value: shown(schema, path, value),
    source: sourceOf(sources, path),
  }));
  return { config: parsed.data, settings };
}

/** A tree of settings as single ones. Plain objects are sections; everything else is a value. */
export function leaves(value: unknown, path: Path): { path: Path; value: unknown }[] {
  if (!isSection(value)) return value === undefined ? [] : [{ path, value }];
  const entries = Object.entries(value);
  if (entries.length === 0) return path.length === 0 ? [] : [{ path, value: {} }];
  return entries.flatMap(([key, item]) => leaves(item, [...path, key]));
}

/** The path with its keys spelled as the schema does: `LEASES.BEAT_MS` is `leases.beatMs`. Unknown ones stay. */
function knownPath(schema: z.core.$ZodType, path: Path): Path {
  return path.reduce<Path>((known, key) => {
    const at = schemasAt(schema, known);
    const found = schemasAt(schema, [...known, key]).length > 0 ? key : keysOf(at).find((name) => plain(name) === plain(key));
    return [...known, found ?? key];
  }, []);
}

function plain(key: string): string {
  return key.replaceAll(/[_-]/g, '').toLowerCase();
}

function unknownSetting(schema: z.core.$ZodType, path: Path): string {
  const length = path.findIndex((_, index) => schemasAt(schema, path.slice(0, index + 1)).length === 0);
  const section = path.slice(0, length);
  const at = schemasAt(schema, section);
  const keys = keysOf(at);
  if (keys.length === 0) return `unknown setting: ${section.join('.')} ${isOpen(at) ? 'has no such entry' : 'is a single value'}`;
  const key = path[length] ?? '';
  const near = nearest(key, keys);
  const guess = near === undefined ? elsewhere(schema, key) : [...section, near].join('.');
  const known = `known ${section.length === 0 ? 'settings' : `in ${section.join('.')}`}: ${keys.join(', ')}`;
  return `unknown setting${guess === undefined ? '' : `, did you mean ${guess}?`} (${known})`;
}

/** A setting of that very name in another section. */
function elsewhere(schema: z.core.$ZodType, key: string): string | undefined {
  for (const section of keysOf([schema])) {
    const found = keysOf(schemasAt(schema, [section])).find((name) => plain(name) === plain(key));
    if (found !== undefined) return `${section}.${found}`;
  }
  return undefined;
}

/** The first reading of a text that the setting accepts: as it stands, as JSON, as a list with commas. */
function fromText(schema: z.core.$ZodType, path: Path, text: string): unknown {
  const at = schemasAt(schema, path);
  const list = text.split(',').map((part) => part.trim());
  const readings: unknown[] = [text, parseJson(text), list];
  const fit = readings.find((reading) => reading !== undefined && accepts(at, reading));
  if (fit !== undefined) return fit;
  return at.some((option) => accepts([option], []) || option instanceof z.ZodArray) ? list : (parseJson(text) ?? text);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function put(tree: Tree, path: Path, value: unknown): void {
  let at: Tree | unknown[] = tree;
  for (const [index, key] of path.entries()) {
    const last = index === path.length - 1;
    const inner: unknown = Reflect.get(at, key);
    if (last && isSection(value) && isSection(inner)) return; // an empty section changes nothing
    const next = last ? value : isSection(inner) ? { ...inner } : Array.isArray(inner) ? [...inner] : {};
    Object.defineProperty(at, key, { value: next, writable: true, enumerable: true, configurable: true });
    if (!last) at = next as Tree | unknown[]; // made in the line above
  }
}

function remember(sources: Map<string, string>, path: Path, source: string): void {
  const name = path.join('.');
  for (const known of sources.keys()) if (known.startsWith(`${name}.`)) sources.delete(known);
  sources.set(name, source);
}

/** Who set the path, or the section around it, or the first thing below it. */
function sourceOf(sources: ReadonlyMap<string, string>, path: Path): string {
  for (let length = path.length; length > 0; length--) {
    const source = sources.get(path.slice(0, length).join('.'));
    if (source !== undefined) return source;
  }
  return below(sources, path) ?? DEFAULT_SOURCE;
}

function below(sources: ReadonlyMap<string, string>, path: Path): string | undefined {
  const prefix = `${path.join('.')}.`;
  return [...sources].find(([name]) => name.startsWith(prefix))?.[1];
}

function problemsOf(schema: z.core.$ZodType, tree: Tree, sources: ReadonlyMap<string, string>, issue: z.core.$ZodIssue, above: Path): Problem[] {
  const path = [...above, ...issue.path.map(String)];
  const value = path.reduce<unknown>((at, key) => (at !== null && typeof at === 'object' ? Reflect.get(at, key) : undefined), tree);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      source: sourceOf(sources, [...path, key]),
      path: [...path, key].join('.'),
      text: unknownSetting(schema, [...path, key]),
    }));
  }
  if (issue.code === 'invalid_union') {
    const inside = meant(issue.errors, value);
    if (inside !== undefined) return inside.flatMap((inner) => problemsOf(schema, tree, sources, inner, path));
  }
  const options = issue.code === 'invalid_union' && 'options' in issue && Array.isArray(issue.options) ? `one of ${issue.options.join(', ')}` : undefined;
  const allowed = options ?? allowedAt(schema, path);
  const must = allowed === undefined ? issue.message : `must be ${allowed}`;
  if (value !== undefined) return [{ source: sourceOf(sources, path), path: path.join('.'), text: `is ${shown(schema, path, value)}: ${must}` }];
  // Whoever began the section left it out.
  const source = below(sources, path.slice(0, -1)) ?? sourceOf(sources, path);
  return [{ source, path: path.join('.'), text: `is missing: ${must}` }];
}

/** Of the forms that a value failed, the one it was meant to be: a section is held against the form that is a section. */
function meant(failures: readonly (readonly z.core.$ZodIssue[])[], value: unknown): readonly z.core.$ZodIssue[] | undefined {
  if (value === null || typeof value !== 'object') return undefined;
  return failures.find((issues) => issues.every((issue) => issue.path.length > 0 || issue.code === 'unrecognized_keys'));
}

function refuse(problems: readonly Problem[]): Fault {
  const seen = new Map(problems.map((problem) => [`${problem.source}: ${problem.path} ${problem.text}`, problem]));
  const lines = [...seen.values()].map(({ source, path, text }) => `  ${source}: ${path === '' ? '' : `${path} `}${text}`);
  const count = lines.length === 1 ? '1 problem' : `${lines.length} problems`;
  return new Fault('invalid', 'config', `The configuration cannot be used (${count}):\n${lines.join('\n')}`);
}

function isSection(value: unknown): value is Tree {
  if (value === null || typeof value !== 'object') return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
