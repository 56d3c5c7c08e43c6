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
  /** A guard may stop its guests from outside. */
  readonly selfFence?: boolean;
  readonly capacity?: Capacity;
};

export type LibvirtSettings = {
  readonly kind: 'libvirt';
  /** `qemu:///system` for root, `qemu:///session` for others when left out. */
  readonly uri?: string;
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
  /** The node's own folder, which may be opened for a hypervisor's user to pass through. */
  readonly within?: string;
};

/** Faults: `invalid` when the hypervisor cannot be used as set (one that does not answer yet is waited for), `conflict` when another process drives it already. */
export async function openDriver(settings: DriverSettings, parts: DriverParts): Promise<HypervisorDriver> {
  switch (settings.kind) {
    case 'simulated': {
      const { openSimulatedDriver } = await import('./simulated/driver.ts');
      const { kind: _, ...options } = settings;
      const { host, clock, random, log } = parts;
      return openSimulatedDriver({ ...options, host, clock, random, log });
    }
    case 'libvirt': {
      const { openLateDriver } = await import('./libvirt/late-driver.ts');
      const { kind: _, ...options } = settings;
      const { clock, random, log, images, within } = parts;
      return openLateDriver({ ...options, clock, random, log, images, ...(within === undefined ? {} : { within }) });
    }
    default:
      return unreachable(settings);
  }
}
