/** Name → fence: how a guard stops the guests of a host. The same settings as its driver's; see open.ts. */
import type { Clock } from '../runtime/base/clock.ts';
import { unreachable } from '../runtime/base/check.ts';
import type { Log } from '../runtime/base/log.ts';
import type { HostFence } from './driver.ts';
import type { DriverSettings } from './open.ts';

export async function openFence(settings: DriverSettings, parts: { readonly clock: Clock; readonly log: Log }): Promise<HostFence> {
  switch (settings.kind) {
    case 'simulated': {
      const { openSimulatedFence } = await import('./simulated/fence.ts');
      return openSimulatedFence(settings.directory);
    }
    case 'libvirt': {
      const { openLibvirtFence } = await import('./libvirt/fence.ts');
      return openLibvirtFence({ ...settings, ...parts });
    }
    default:
      return unreachable(settings);
  }
}
