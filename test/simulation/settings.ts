/** The settings of simulated nodes: shorter than a product's, so that a run of two minutes meets every limit. */
import { HOST_DEFAULTS, type HostSettings } from '../../actors/host/settings.ts';
import { INSTANCE_DEFAULTS, type InstanceSettings } from '../../actors/instance/settings.ts';
import { RECOVERY_DEFAULTS, type RecoverySettings } from '../../actors/recovery/settings.ts';
import type { MeshLimits } from '../../runtime/mesh/limits.ts';
import { RUNTIME_LEASES } from '../../runtime/node/settings.ts';
import type { LeaseSettings } from '../../runtime/shard/leases.ts';
import type { Latencies } from '../../drivers/simulated/latency.ts';

export const LEASE: LeaseSettings = { leaseMs: RUNTIME_LEASES.controlMs, beatMs: RUNTIME_LEASES.beatMs, marginMs: RUNTIME_LEASES.marginMs };

/** Of hosts; with a guard it must be more than a takeover of the shards takes. */
export const HOST_LEASE_MS = 8_000;

export const INSTANCE_SETTINGS: InstanceSettings = {
  ...INSTANCE_DEFAULTS,
  hostSilentMs: HOST_LEASE_MS + LEASE.marginMs,
  placeLimitMs: 30_000,
  spawnLimitMs: 40_000,
  destroyLimitMs: 20_000,
  stopGraceMs: 8_000,
  rebootGraceMs: 8_000,
  powerLimitMs: 20_000,
  verbWaitMs: 4_000,
  snapshotLimitMs: 20_000,
  uploadLimitMs: 30_000,
  moveLimitMs: 40_000,
  resizeConfirmMs: 25_000,
};

/** Nobody here counts beats of event loops: fewer make a run faster. */
export const CONTROL_MESH: Partial<MeshLimits> = { beatMs: 5_000 };

export function recoverySettings(drawn: Pick<RecoverySettings, 'auto' | 'brakeShare'>): RecoverySettings {
  return { ...RECOVERY_DEFAULTS, ...drawn, hostMs: HOST_LEASE_MS, marginMs: LEASE.marginMs };
}

export function hostSettings(node: string, slices: number): HostSettings {
  return {
    ...HOST_DEFAULTS,
    node,
    driver: 'simulated',
    lookMs: 20_000,
    tickMs: 2_000,
    promiseMs: 300,
    reserved: { vcpus: 0, memoryMiB: 0, diskGiB: 0 },
    ratios: { vcpus: 1, memoryMiB: 1, diskGiB: 1 },
    verbsAtOnce: 4,
    slicesOf: (host) => [sliceOf(host, slices)],
  };
}

export function driverLatency(): Partial<Latencies> {
  return {
    spawnMs: { fromMs: 50, toMs: 6_000 },
    destroyMs: { fromMs: 5, toMs: 500 },
    startMs: 200,
    stopMs: 50,
    rebootMs: 300,
    snapshotMs: { fromMs: 20, toMs: 4_000 },
    openSnapshotMs: 5,
    dropSnapshotMs: { fromMs: 5, toMs: 300 },
    pauseMs: 20,
    unpauseMs: 20,
    suspendMs: { fromMs: 50, toMs: 3_000 },
    resumeMs: { fromMs: 50, toMs: 1_000 },
    rescueMs: { fromMs: 50, toMs: 3_000 },
    unrescueMs: 200,
    setPasswordMs: { fromMs: 20, toMs: 2_000 },
    shutdownMs: { fromMs: 100, toMs: 12_000 },
    listMs: 5,
    inventoryMs: 5,
    parkMs: 20,
    unparkMs: 20,
    receiveMs: 1_500,
    prepareMs: 50,
    sendMs: 3_000,
    stayMs: 20,
    landMs: 20,
  };
}

/** The slice of the schedulers that a host reports to. */
export function sliceOf(host: string, slices: number): number {
  let sum = 0;
  for (const char of host) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return sum % slices;
}
