/** Parts of the simulated driver's tests: specs, folders, a clock that only writes down how long it was asked to wait. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestSpec } from '../../../drivers/driver.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import type { Clock } from '../../../runtime/base/clock.ts';

export function simulatedSpec(overrides: Partial<GuestSpec> = {}): GuestSpec {
  const instanceId = overrides.instanceId ?? randomUUID();
  return {
    instanceId,
    generation: 1,
    name: `instance-${instanceId.slice(0, 8)}`,
    displayName: 'web',
    hostname: 'web',
    projectId: 'project',
    userId: 'user',
    vcpus: 1,
    memoryMiB: 64,
    rootGiB: 1,
    ephemeralGiB: 0,
    swapMiB: 0,
    image: { id: randomUUID(), diskFormat: 'qcow2', sizeBytes: 1_000_000, hash: null, properties: {} },
    nics: [{ network: 'net', mac: 'fa:16:3e:00:00:01', address: '10.20.0.5/16', gateway: '10.20.0.1' }],
    userData: null,
    metadata: {},
    ...overrides,
  };
}

/** Hands a new folder to `run` and takes it away afterwards. */
export async function inFolder(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'novact-simulated-'));
  try {
    await run(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What a kill of the driver's process does to its lock: the holder is gone. */
export function orphanLock(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith('lock.')) writeFileSync(join(directory, name), '1 0 another-boot');
  }
}

export type NotedClock = Clock & { readonly sleptMs: number[] };

/** Sleeps of no length, noted. */
export function notedClock(): NotedClock {
  const sleptMs: number[] = [];
  return {
    ...systemClock,
    sleptMs,
    async sleep(delayMs) {
      sleptMs.push(delayMs);
    },
  };
}

export const never = new AbortController().signal;
