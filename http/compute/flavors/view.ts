/** A flavor as the Compute API shows it, by microversion. */
import type { Flavor } from '../../../actors/model/flavor.ts';
import type { Call } from '../../kit/call.ts';
import { SINCE } from '../microversions.ts';
import type { ComputeParts } from '../parts.ts';

export function briefFlavor(flavor: Flavor, call: Call): object {
  const view = { id: flavor.flavorId, name: flavor.name, links: call.links.of('flavors', flavor.flavorId) };
  return call.version >= SINCE.flavorDescription ? { ...view, description: flavor.description } : view;
}

export function flavorView(flavor: Flavor, call: Call, parts: ComputeParts): object {
  const { version } = call;
  const view: Record<string, unknown> = {
    ...briefFlavor(flavor, call),
    ram: flavor.memoryMiB,
    disk: flavor.rootGiB,
    vcpus: flavor.vcpus,
    swap: flavor.swapMiB === 0 && version < SINCE.strictQueries ? '' : flavor.swapMiB,
    'OS-FLV-EXT-DATA:ephemeral': flavor.ephemeralGiB,
    'os-flavor-access:is_public': flavor.isPublic,
  };
  if (version < SINCE.leanFlavors) {
    view['OS-FLV-DISABLED:disabled'] = flavor.disabled;
    view['rxtx_factor'] = flavor.rxtxFactor;
  }
  if (version >= SINCE.flavorExtraSpecs && parts.policy.allows('os-flavor-extra-specs:index', call.caller)) view['extra_specs'] = flavor.extraSpecs;
  return view;
}
