/**
 * What a simulated guest counts: drawn from how long it runs and how large it is, so that it grows as it would and is
 * the same whoever asks. It idles: a hundredth of each processor, a block now and then, a packet a second.
 */
import type { GuestDiagnostics } from '../driver.ts';
import type { GuestRecord } from './record.ts';

const BUSY = 0.01;
const NS_PER_S = 1_000_000_000;
const BOOT_READ_BYTES = 33_554_432;
const BLOCK_BYTES = 4_096;
const BLOCK_EVERY_S = 10;
const PACKET_BYTES = 98;
/** Of its memory, in use after it was started. */
const USED = 0.25;

export function countersOf(record: GuestRecord, nowMs: number): GuestDiagnostics {
  const bootMs = record.console.findLast(({ what }) => what === 'boot')?.wallMs ?? nowMs;
  const uptimeS = Math.max(0, Math.floor((nowMs - bootMs) / 1_000));
  const writes = Math.floor(uptimeS / BLOCK_EVERY_S);
  const packets = { octets: uptimeS * PACKET_BYTES, packets: uptimeS, errors: 0, drops: 0 };
  const disks = [record.rootGiB >= 0, record.ephemeralGiB > 0, record.swapMiB > 0].filter(Boolean);
  return {
    power: record.power,
    uptimeS,
    cpus: Array.from({ length: record.vcpus }, (_, id) => ({ id, timeNs: Math.round(uptimeS * NS_PER_S * BUSY), utilisation: Math.round(BUSY * 100) })),
    disks: disks.map((_, nth) => ({
      name: `vd${String.fromCharCode(97 + nth)}`,
      readBytes: nth === 0 ? BOOT_READ_BYTES : 0,
      readRequests: nth === 0 ? BOOT_READ_BYTES / BLOCK_BYTES : 0,
      writeBytes: nth === 0 ? writes * BLOCK_BYTES : 0,
      writeRequests: nth === 0 ? writes : 0,
      errors: 0,
    })),
    nics: record.nics.map(({ mac }, nth) => ({ name: `vnet${nth}`, mac, rx: packets, tx: packets })),
    memory: { maximumMiB: record.memoryMiB, usedMiB: Math.round(record.memoryMiB * USED) },
  };
}
