/**
 * Name → driver. An implementation is loaded when its settings ask for it, so that a node pays for the hypervisor it
 * drives and for no other. Settings are parsed before they come here; parts are what the node hands to every driver.
 */
import type { Clock } from '../runtime/base/clock.ts';
import { unreachable } from '../runtime/base/check.ts';
import type { Log } from '../runtime/base/log.ts';
import type { Random } from '../runtime/base/random.ts';
import type { HypervisorDriver, ImageSource } from './driver.ts';
import type { Latencies } from './simulated/latency.ts';
import type { Capacity } from './simulated/limits.ts';

export type SimulatedSettings = {
  readonly kind: 'simulated';
  /** For this host alone; made when missing. */
  readonly directory: string;
  readonly latency?: Partial<Latencies>;
  readonly capacity?: Capacity;
};

export type LibvirtSettings = {
  readonly kind: 'libvirt';
  /** `qemu:///system` */
  readonly uri: string;
  /** Where libvirtd listens, when not at its usual place. */
  readonly socketPath?: string;
  /** Disks, logs and images of this host's guests. */
  readonly stateDir: string;
  readonly virtType: 'qemu' | 'kvm';
  /** Bridge that guests are plugged into; without it each has a small network of its own. */
  readonly bridge?: string;
  /** Where this host is reached, as the Compute API shows it. */
  readonly hostIp?: string;
};

export type DriverSettings = SimulatedSettings | LibvirtSettings;

export type DriverParts = {
  /** Name of the host that is driven. */
  readonly host: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly images: ImageSource;
};

/** Faults: `unavailable` when the hypervisor does not answer, `conflict` when another process drives it already. */
export async function openDriver(settings: DriverSettings, parts: DriverParts): Promise<HypervisorDriver> {
  switch (settings.kind) {
    case 'simulated': {
      const { openSimulatedDriver } = await import('./simulated/driver.ts');
      const { kind: _, ...options } = settings;
      const { host, clock, random, log } = parts;
      return openSimulatedDriver({ ...options, host, clock, random, log });
    }
    case 'libvirt': {
      const { openLibvirtDriver } = await import('./libvirt/driver.ts');
      const { kind: _, ...options } = settings;
      const { clock, random, log, images } = parts;
      return openLibvirtDriver({ ...options, clock, random, log, images });
    }
    default:
      return unreachable(settings);
  }
}
