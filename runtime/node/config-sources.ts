/**
 * Where settings are written: a file, variables of the environment, flags. Each becomes a list of assignments that
 * remember who wrote them. Reads the file and nothing else; says nothing about what the settings mean.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { z } from 'zod';
import { Fault } from '../base/fault.ts';
import { leaves, type Assignment, type Problem } from './config.ts';
import { nearest } from './nearest.ts';
import { isPath } from './setting-tree.ts';

/** Looked for where the program was started. */
export const CONFIG_FILE = 'cluster.config.ts';
/** `NOVACT_SET_LEASES__BEAT_MS` sets `leases.beatMs`. */
export const SET_PREFIX = 'NOVACT_SET_';
const OWN_PREFIX = 'NOVACT_';
/** Known, but not settings: where the file is, what the launcher hands down, what tests use. */
const NOT_SETTINGS = /^NOVACT_(CONFIG|LAUNCHER_FD|FAILPOINT(_FILE)?|CHAOS_SECONDS|TEST_.*)$/;
const MODULES = new Set(['.ts', '.mts', '.js', '.mjs']);

/**
 * The settings of a configuration file, none when there is no file of the usual name. A relative path in it is taken
 * from its folder. Fault `invalid` (reason `config.file`) when it is missing though named, or cannot be read as one.
 */
export async function fileAssignments(named: string | undefined, cwd: string, schema: z.ZodObject): Promise<Assignment[]> {
  const path = resolve(cwd, named ?? CONFIG_FILE);
  if (!existsSync(path)) {
    if (named === undefined) return [];
    throw new Fault('invalid', 'config.file', `The configuration file ${path} does not exist.`);
  }
  const source = dirname(path) === resolve(cwd) ? basename(path) : path;
  const content = await readSettings(path);
  if (content === null || typeof content !== 'object' || Array.isArray(content)) {
    throw new Fault('invalid', 'config.file', `The configuration file ${path} holds no settings: it must export an object (export default { … }).`);
  }
  return leaves(content, []).map((leaf) => ({
    source,
    path: leaf.path,
    value: isPath(schema, leaf.path) && typeof leaf.value === 'string' ? resolve(dirname(path), leaf.value) : leaf.value,
    isText: false,
  }));
}

/** The settings in variables; `named` are those with a name of their own. Unknown ones of our prefix are problems. */
export function environmentAssignments(
  env: NodeJS.ProcessEnv,
  named: { readonly [variable: string]: string },
): { assignments: Assignment[]; problems: Problem[] } {
  const assignments: Assignment[] = [];
  const problems: Problem[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (value === undefined || !variable.startsWith(OWN_PREFIX) || NOT_SETTINGS.test(variable)) continue;
    const path = named[variable] ?? (variable.startsWith(SET_PREFIX) ? variable.slice(SET_PREFIX.length).replaceAll('__', '.') : undefined);
    if (path === undefined) {
      const near = nearest(variable, Object.keys(named));
      const known = [...Object.keys(named), `${SET_PREFIX}<section>__<setting>`].join(', ');
      problems.push({ source: variable, path: '', text: `unknown variable${near === undefined ? '' : `, did you mean ${near}?`} (known: ${known})` });
    } else {
      assignments.push({ source: variable, path: path.split('.'), value, isText: true });
    }
  }
  // A setting with a name of its own is the plainer way to say it, and wins.
  assignments.sort((a, b) => Number(Object.hasOwn(named, a.source)) - Number(Object.hasOwn(named, b.source)));
  return { assignments, problems };
}

/** `key=value` pairs of `--set`. */
export function setAssignments(pairs: readonly string[]): { assignments: Assignment[]; problems: Problem[] } {
  const assignments: Assignment[] = [];
  const problems: Problem[] = [];
  for (const pair of pairs) {
    const equals = pair.indexOf('=');
    if (equals < 1) problems.push({ source: `--set ${pair}`, path: '', text: 'must be key=value, such as leases.beatMs=1000' });
    else assignments.push({ source: '--set', path: pair.slice(0, equals).trim().split('.'), value: pair.slice(equals + 1), isText: true });
  }
  return { assignments, problems };
}

async function readSettings(path: string): Promise<unknown> {
  const kind = extname(path);
  try {
    if (kind === '.json') return JSON.parse(readFileSync(path, 'utf8'));
    if (MODULES.has(kind)) {
      const module: unknown = await import(pathToFileURL(path).href);
      return module !== null && typeof module === 'object' && 'default' in module ? module.default : undefined;
    }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new Fault('invalid', 'config.file', `The configuration file ${path} cannot be read: ${why}`, { cause });
  }
  throw new Fault('invalid', 'config.file', `The configuration file ${path} is of no known kind: its name must end in .ts, .js or .json.`);
}
