/** libvirt's statistics of one domain, as counters of a guest: names like `vcpu.0.time`, a number of each. Pure. */
import type { GuestDiagnostics, GuestPower, NicCounts } from '../driver.ts';

/** Groups of statistics, as bits: processors, memory, interfaces, disks. */
export const STATS = { balloon: 4, vcpu: 8, interface: 16, block: 32 } as const;
export const ALL_STATS = STATS.balloon | STATS.vcpu | STATS.interface | STATS.block;

const KIB_PER_MIB = 1_024;
/** More of a kind has no guest; a count beyond it is a mistake of the other side. */
const KIND_MAX = 1_024;

export type StatsValue = number | bigint | string;
export type Stats = ReadonlyMap<string, StatsValue>;

export function diagnosticsOf(stats: Stats, power: GuestPower): GuestDiagnostics {
  const number = (name: string): number | null => {
    const value = stats.get(name);
    return value === undefined || typeof value === 'string' ? null : Number(value);
  };
  const text = (name: string): string | undefined => {
    const value = stats.get(name);
    return typeof value === 'string' ? value : undefined;
  };
  const each = <T>(count: string, make: (nth: number) => T): T[] => Array.from({ length: Math.min(number(count) ?? 0, KIND_MAX) }, (_, nth) => make(nth));
  const way = (nth: number, name: 'rx' | 'tx'): NicCounts => ({
    octets: number(`net.${nth}.${name}.bytes`),
    packets: number(`net.${nth}.${name}.pkts`),
    errors: number(`net.${nth}.${name}.errs`),
    drops: number(`net.${nth}.${name}.drop`),
  });
  const mib = (name: string): number | null => {
    const kib = number(name);
    return kib === null ? null : Math.round(kib / KIB_PER_MIB);
  };
  return {
    power,
    uptimeS: null,
    cpus: each('vcpu.current', (id) => ({ id, timeNs: number(`vcpu.${id}.time`), utilisation: null })),
    disks: each('block.count', (nth) => ({
      name: text(`block.${nth}.name`) ?? `disk${nth}`,
      readBytes: number(`block.${nth}.rd.bytes`),
      readRequests: number(`block.${nth}.rd.reqs`),
      writeBytes: number(`block.${nth}.wr.bytes`),
      writeRequests: number(`block.${nth}.wr.reqs`),
      errors: number(`block.${nth}.errors`),
    })),
    // The hardware address is not among them: it is known where the interface was asked for.
    nics: each('net.count', (nth) => ({ name: text(`net.${nth}.name`) ?? `net${nth}`, mac: null, rx: way(nth, 'rx'), tx: way(nth, 'tx') })),
    memory: { maximumMiB: mib('balloon.maximum'), usedMiB: mib('balloon.current') },
  };
}
