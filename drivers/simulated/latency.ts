/**
 * How long the simulated hypervisor takes, verb by verb. All are 0 unless set, so that a scale run measures the
 * control plane and nothing else; a verb of 0 ms starts no timer.
 */
import type { Random } from '../../runtime/base/random.ts';

/** Milliseconds, or a range from which each call draws evenly. */
export type Latency = number | { readonly fromMs: number; readonly toMs: number };

export type Latencies = {
  readonly inventoryMs: Latency;
  /** Half of it passes before the guest is defined, half before it runs. */
  readonly spawnMs: Latency;
  readonly destroyMs: Latency;
  readonly startMs: Latency;
  readonly stopMs: Latency;
  readonly rebootMs: Latency;
  readonly snapshotMs: Latency;
  readonly openSnapshotMs: Latency;
  readonly dropSnapshotMs: Latency;
  readonly pauseMs: Latency;
  readonly unpauseMs: Latency;
  readonly suspendMs: Latency;
  readonly resumeMs: Latency;
  readonly rescueMs: Latency;
  readonly unrescueMs: Latency;
  readonly setPasswordMs: Latency;
  readonly crashDumpMs: Latency;
  readonly consoleOutputMs: Latency;
  readonly diagnosticsMs: Latency;
  readonly listMs: Latency;
  readonly parkMs: Latency;
  readonly unparkMs: Latency;
  readonly readDiskMs: Latency;
  /** As long as the copy of the disk takes. */
  readonly receiveMs: Latency;
  readonly prepareMs: Latency;
  /** As long as the copy of the memory takes, unless it is hurried. */
  readonly sendMs: Latency;
  readonly stayMs: Latency;
  readonly landMs: Latency;
  /** How long a guest needs to go off when asked; one that takes longer than the grace loses its power. */
  readonly shutdownMs: Latency;
};

const NONE: Latencies = {
  inventoryMs: 0,
  spawnMs: 0,
  destroyMs: 0,
  startMs: 0,
  stopMs: 0,
  rebootMs: 0,
  snapshotMs: 0,
  openSnapshotMs: 0,
  dropSnapshotMs: 0,
  pauseMs: 0,
  unpauseMs: 0,
  suspendMs: 0,
  resumeMs: 0,
  rescueMs: 0,
  unrescueMs: 0,
  setPasswordMs: 0,
  crashDumpMs: 0,
  consoleOutputMs: 0,
  diagnosticsMs: 0,
  listMs: 0,
  parkMs: 0,
  unparkMs: 0,
  readDiskMs: 0,
  receiveMs: 0,
  prepareMs: 0,
  sendMs: 0,
  stayMs: 0,
  landMs: 0,
  shutdownMs: 0,
};

export function withDefaults(some: Partial<Latencies> | undefined): Latencies {
  return { ...NONE, ...some };
}

export function drawMs(latency: Latency, random: Random): number {
  if (typeof latency === 'number') return latency;
  return latency.fromMs + random.next() * (latency.toMs - latency.fromMs);
}
