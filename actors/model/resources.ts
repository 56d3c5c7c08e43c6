/** What a guest takes and a host gives. vCPUs whole, memory in MiB, disk in GiB. Pure arithmetic. */
export type Resources = { readonly vcpus: number; readonly memoryMiB: number; readonly diskGiB: number };

export const NOTHING: Resources = { vcpus: 0, memoryMiB: 0, diskGiB: 0 };

export function plus(a: Resources, b: Resources): Resources {
  return { vcpus: a.vcpus + b.vcpus, memoryMiB: a.memoryMiB + b.memoryMiB, diskGiB: a.diskGiB + b.diskGiB };
}

export function minus(a: Resources, b: Resources): Resources {
  return { vcpus: a.vcpus - b.vcpus, memoryMiB: a.memoryMiB - b.memoryMiB, diskGiB: a.diskGiB - b.diskGiB };
}

export function fits(need: Resources, free: Resources): boolean {
  return need.vcpus <= free.vcpus && need.memoryMiB <= free.memoryMiB && need.diskGiB <= free.diskGiB;
}

export type Ratios = { readonly vcpus: number; readonly memoryMiB: number; readonly diskGiB: number };

/** How much may be promised: (total − reserved) × ratio, rounded down. */
export function capacityOf(total: Resources, reserved: Resources, ratios: Ratios): Resources {
  const of = (key: keyof Resources): number => Math.max(0, Math.floor((total[key] - reserved[key]) * ratios[key]));
  return { vcpus: of('vcpus'), memoryMiB: of('memoryMiB'), diskGiB: of('diskGiB') };
}

/** What a server of this flavor needs of a host; swap counts as disk, rounded up. */
export function needOf(flavor: { vcpus: number; memoryMiB: number; rootGiB: number; ephemeralGiB: number; swapMiB: number }): Resources {
  return {
    vcpus: flavor.vcpus,
    memoryMiB: flavor.memoryMiB,
    diskGiB: flavor.rootGiB + flavor.ephemeralGiB + Math.ceil(flavor.swapMiB / 1024),
  };
}
