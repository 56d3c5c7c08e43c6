/**
 * The console log of a simulated guest, rendered from what happened to it. Only the end of it is kept, as a real
 * hypervisor's ring does.
 */
import { toIso } from '../../runtime/base/clock.ts';
import type { ConsoleEntry, GuestRecord } from './record.ts';

/** As much as the Compute API shows by default of a real guest's log; older text is gone. */
export const CONSOLE_MAX_BYTES = 64 * 1024;

/** The last `maxBytes` of the log, at most `CONSOLE_MAX_BYTES`; oldest first, cut anywhere. */
export function renderConsole(record: GuestRecord, host: string, maxBytes: number): Buffer {
  const all = Buffer.from(record.console.map((entry) => renderEntry(record, host, entry)).join(''));
  const keep = Math.max(0, Math.min(maxBytes, CONSOLE_MAX_BYTES));
  return all.subarray(Math.max(0, all.length - keep));
}

function renderEntry(record: GuestRecord, host: string, entry: ConsoleEntry): string {
  switch (entry.what) {
    case 'boot':
      return bootText(record, host, entry.wallMs);
    case 'shutdown':
      return '\r\nThe system will power off now!\r\n[   99.000000] reboot: Power down\r\n';
    case 'panic':
      return '\r\n[   99.000000] Kernel panic - not syncing: simulated crash\r\n';
  }
}

function bootText(record: GuestRecord, host: string, wallMs: number): string {
  const lines = [
    '[    0.000000] Linux version 6.1.0-simulated (novact) #1 SMP PREEMPT_DYNAMIC',
    '[    0.000000] Command line: root=/dev/vda1 ro console=tty0 console=ttyS0',
    `[    0.000000] DMI: novact simulated machine, ${record.name} on ${host}`,
    `[    0.008214] Memory: ${record.memoryMiB * 1024}K available`,
    `[    0.051877] smp: Brought up 1 node, ${record.vcpus} CPUs`,
    `[    0.402113] rtc: setting system clock to ${toIso(wallMs)}`,
    `[    0.733901] virtio_blk vda: ${record.rootGiB} GiB, image ${record.imageId}`,
    ...record.nics.map((nic, n) => `[    0.9${n % 10}0440] eth${n}: ${nic.mac}, address ${nic.address}`),
    '[    1.215008] systemd[1]: Reached target multi-user.target - Multi-User System.',
    '',
    `${record.hostname} ttyS0`,
    '',
    `${record.hostname} login: `,
  ];
  return `${lines.join('\r\n')}\r\n`;
}
