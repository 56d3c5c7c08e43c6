/**
 * What the machine says about its processes, read from /proc. A process is named by its number and its start time,
 * since a number alone is given again. Reads only; what cannot be seen (another account's process) is undefined.
 * Machines without /proc have no processes for this file: nothing is ever proven there.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

export type SeenProcess = {
  readonly pid: number;
  /** Clock ticks after the machine's start. With `pid` it names one process of this machine's boot. */
  readonly startTicks: string;
  /** As started, word by word; a program may rewrite it. Empty for kernel threads. */
  readonly command: readonly string[];
  /** Undefined when this account may not see it. */
  readonly cwd: string | undefined;
};

/** Undefined for no process and for one that has ended but is not yet reaped. */
export function seenProcess(pid: number): SeenProcess | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  const stat = textOf(`/proc/${pid}/stat`);
  // The program's name stands in brackets and may hold anything; state is the first field behind it, start time the 20th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const startTicks = fields[19];
  if (startTicks === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined;
  const command = textOf(`/proc/${pid}/cmdline`).split('\0');
  if (command.at(-1) === '') command.pop();
  return { pid, startTicks, command, cwd: linkOf(`/proc/${pid}/cwd`) };
}

/**
 * Milliseconds since this machine started, its sleep counted; the same for all of its processes, so that one may tell
 * another until when. Undefined on machines without /proc.
 */
export function uptimeMs(): number | undefined {
  const [seconds = ''] = textOf('/proc/uptime').split(' ');
  return seconds === '' ? undefined : Math.round(Number(seconds) * 1_000);
}

/** Names this start of the machine; empty without /proc. */
export function machineBoot(): string {
  return textOf('/proc/sys/kernel/random/boot_id').trim();
}

/** Numbers of all processes that this account sees. */
export function allPids(): number[] {
  try {
    return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch {
    return [];
  }
}

/** Where a link of /proc points, or undefined when it is gone or closed to this account. */
export function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** Empty when it cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
