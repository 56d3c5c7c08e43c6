/**
 * What a machine can judge of the house: who imports whom, no cycles, no dead files or exports, a README in each room,
 * time and chance only from where they are handed in, words that don't belong. Read from the source text; there is no
 * configuration to keep.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const FILES = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((path) => path !== '' && existsSync(join(ROOT, path)));
const SOURCES = FILES.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
const PRODUCT = SOURCES.filter((path) => !path.startsWith('test/'));
const text = new Map(SOURCES.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
const imports = new Map(SOURCES.map((path) => [path, importsOf(path)]));

const ENTRIES = ['index.ts', 'novact.ts', 'cluster.config.ts', 'vitest.config.ts'];
/** Rooms of the runtime from left to right: each imports only to its left. */
const RUNTIME_ORDER = ['base', 'database', 'mesh', 'membership', 'actor', 'shard', 'node'];
const CLOUD_WORDS = /\b(instances?|flavors?|hypervisors?|guests?|images?|quotas?|tenants?)\b/i;

describe('the house', () => {
  it('has rooms that import only what they may', () => {
    const wrong = PRODUCT.flatMap((path) => (imports.get(path) ?? []).filter((target) => !mayImport(path, target)).map((target) => `${path} → ${target}`));
    expect(wrong).toEqual([]);
  });

  it('has no import cycles, type imports included', () => {
    expect(cycles()).toEqual([]);
  });

  it('has no file that nobody uses', () => {
    const used = new Set([...imports.values()].flat());
    const dynamic = [...text.values(), ...['novact.js', 'package.json'].map((path) => readFileSync(join(ROOT, path), 'utf8'))].join('\n');
    const dead = SOURCES.filter((path) => !used.has(path) && !ENTRIES.includes(path) && !isStarted(path, dynamic));
    expect(dead).toEqual([]);
  });

  it('has no export that nobody uses', () => {
    const dead = PRODUCT.filter((path) => !ENTRIES.includes(path)).flatMap((path) => {
      const others = SOURCES.filter((other) => other !== path && imports.get(other)?.includes(path)).map((other) => text.get(other) ?? '');
      const own = withoutComments(path);
      const isUsed = (name: string): boolean => {
        const word = new RegExp(`\\b${name}\\b`, 'g');
        return (own.match(word)?.length ?? 0) > 1 || others.some((other) => other.search(word) >= 0);
      };
      return exportsOf(path)
        .filter((name) => !isUsed(name))
        .map((name) => `${path}: ${name}`);
    });
    expect(dead).toEqual([]);
  });

  it('has a README of at most 60 lines in each room', () => {
    const rooms = new Set(PRODUCT.filter((path) => path.includes('/')).flatMap((path) => roomsOf(path)));
    const wrong = [...rooms].flatMap((room) => {
      const readme = join(ROOT, room, 'README.md');
      if (!existsSync(readme)) return [`${room} has none`];
      const lines = readFileSync(readme, 'utf8').split('\n').length;
      return lines > 61 ? [`${room}: ${lines} lines`] : [];
    });
    expect(wrong).toEqual([]);
  });

  it('takes time and chance only from where they are handed in', () => {
    const bare = /\b(Date\.now\(|new Date\(\)|Math\.random\(|setTimeout\(|setInterval\(|performance\.now\()/;
    const wrong = PRODUCT.filter((path) => !path.startsWith('runtime/base/') && bare.test(withoutComments(path)));
    expect(wrong).toEqual([]);
  });

  it('keeps words of the cloud out of the runtime', () => {
    const wrong = PRODUCT.filter((path) => path.startsWith('runtime/') && CLOUD_WORDS.test(withoutComments(path)));
    expect(wrong).toEqual([]);
  });

  it('opens each file with a header that says what it is for', () => {
    const wrong = PRODUCT.filter((path) => !/^(\/\*\*|\/\/)/.test(text.get(path) ?? ''));
    expect(wrong).toEqual([]);
  });

  it('has no default exports, loose types or unfinished notes', () => {
    const loose = /\bas any\b|: any\b|@ts-(ignore|nocheck)|\bTODO\b|\bFIXME\b/;
    const wrong = PRODUCT.filter(
      (path) => loose.test(withoutComments(path)) || (/^export default/m.test(text.get(path) ?? '') && !path.endsWith('.config.ts')),
    );
    expect(wrong).toEqual([]);
  });
});

function importsOf(path: string): string[] {
  const found = (text.get(path) ?? '').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map(([, target]) => normalize(join(dirname(path), target ?? '')));
}

function mayImport(path: string, target: string): boolean {
  const [room = '', sub = ''] = path.split('/');
  const [toRoom = '', toSub = ''] = target.split('/');
  if (!path.includes('/')) return true; // index.ts and novact.ts stand above all rooms
  if (target.startsWith('runtime/base/')) return true;
  switch (room) {
    case 'runtime':
      return toRoom === 'runtime' && (sub === toSub || RUNTIME_ORDER.indexOf(toSub) < RUNTIME_ORDER.indexOf(sub));
    case 'drivers':
      return toRoom === 'drivers' && (['drivers/open.ts', 'drivers/fence.ts'].includes(path) || sub === toSub || isContract(target) || toSub === 'image');
    case 'actors':
      return mayActorImport(path, target);
    case 'http':
      return toRoom === 'http' || target.startsWith('actors/model/') || isMessages(target) || isActorPort(target) || isClientOf(path, target);
    default:
      return false;
  }
}

function mayActorImport(path: string, target: string): boolean {
  const [, kind = ''] = path.split('/');
  const [toRoom = '', toKind = ''] = target.split('/');
  if (toRoom === 'actors' && kind === toKind) return true;
  if (isContract(target) || isMessages(target)) return kind !== 'model' || isContract(target);
  if (target.startsWith('actors/model/') || target.startsWith('runtime/actor/')) return kind !== 'model' || target.startsWith('actors/model/');
  // The conductor alone touches the store; settings join what the rooms declare.
  if (kind === 'conductor') return target.startsWith('runtime/database/') || target === 'runtime/shard/ring.ts';
  // Who may say what is one table over the doors of all rooms.
  if (path === 'actors/doors.ts') return toRoom === 'actors' || target === 'runtime/mesh/mesh.ts';
  return path === 'actors/settings.ts' && (toRoom === 'actors' || toRoom === 'drivers' || target.startsWith('runtime/node/'));
}

/** Contract files stand directly in `drivers/`. */
function isContract(target: string): boolean {
  return /^drivers\/[^/]+\.ts$/.test(target);
}

function isMessages(target: string): boolean {
  return /^actors\/[^/]+\/messages(\.ts$|\/)/.test(target);
}

/** Tell, ask, address: all that a door knows of actors. */
function isActorPort(target: string): boolean {
  return ['ask', 'address', 'protocol'].some((name) => target === `runtime/actor/${name}.ts`);
}

/** The client programs print the settings and the description of a running node. */
function isClientOf(path: string, target: string): boolean {
  return path.startsWith('http/client/') && target.startsWith('runtime/node/');
}

function cycles(): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push([...trail.slice(at), path].join(' → '));
    if (at >= 0 || done.has(path)) return;
    for (const target of imports.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of PRODUCT) visit(path, []);
  return found;
}

/** Run by name: tests, programs that tests start, what a script names. */
function isStarted(path: string, dynamic: string): boolean {
  return path.endsWith('.test.ts') || dynamic.includes(`/${path.split('/').at(-1)}`) || dynamic.includes(path.split('/').at(-1) ?? path);
}

function exportsOf(path: string): string[] {
  const found = (text.get(path) ?? '').matchAll(/^export (?:async )?(?:const|function|class|type|interface|let) (\w+)/gm);
  return [...found].flatMap(([, name]) => (name === undefined ? [] : [name]));
}

/** The room that a file lies in directly, when it is one of the two upper floors, and the room above it. */
function roomsOf(path: string): string[] {
  const folders = dirname(path).split('/');
  const room = folders.join('/');
  return folders.length > 2 ? [] : [folders[0] ?? room, room];
}

function withoutComments(path: string): string {
  return (text.get(path) ?? '').replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
}
