/**
 * What processes have used, from /proc: CPU time and memory of a process and all its descendants. Ticks of CPU time
 * are 10 ms (PostgreSQL's processes are read finer), so figures per request need a run of a second or more. Processes that end meanwhile are counted by the
 * parent that waited for them.
 */
import { readdirSync, readFileSync } from 'node:fs';

export type Usage = {
  readonly processes: number;
  readonly cpuMs: number;
  /** Of `cpuMs`, what PostgreSQL used. */
  readonly postgresCpuMs: number;
  readonly rssMiB: number;
  /** Shared pages are divided among those who share them: the sum is what the machine really gives. */
  readonly pssMiB: number;
  readonly postgresPssMiB: number;
};

const TICK_MS = 10; // USER_HZ is 100 on every Linux that Node runs on

/** All zero when none of the processes lives. Memory is read only when asked for: PSS makes the kernel walk page tables. */
export function usageOf(roots: readonly number[], withMemory = false): Usage {
  const sum = { processes: 0, cpuMs: 0, postgresCpuMs: 0, rssMiB: 0, pssMiB: 0, postgresPssMiB: 0 };
  for (const pid of treeOf(roots)) {
    const stat = textOf(`/proc/${pid}/stat`);
    const columns = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (columns.length < 16) continue;
    const isPostgres = stat.includes('(postgres)');
    const sumOf = (wanted: readonly number[]): number => wanted.reduce((total, column) => total + Number(columns[column]), 0) * TICK_MS;
    // Processes of PostgreSQL are many, small and of one thread each: ticks would lose most of them.
    const cpuMs = (isPostgres ? Number(textOf(`/proc/${pid}/schedstat`).split(' ')[0]) / 1e6 : sumOf([11, 12])) + sumOf([13, 14]);
    sum.processes++;
    sum.cpuMs += cpuMs;
    if (isPostgres) sum.postgresCpuMs += cpuMs;
    if (!withMemory) continue;
    sum.rssMiB += kibOf(`/proc/${pid}/status`, /^VmRSS:\s+(\d+)/m) / 1024;
    const pssMiB = kibOf(`/proc/${pid}/smaps_rollup`, /^Pss:\s+(\d+)/m) / 1024;
    sum.pssMiB += pssMiB;
    if (isPostgres) sum.postgresPssMiB += pssMiB;
  }
  return sum;
}

/** CPU time of this process. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The processes and their descendants. */
function treeOf(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = textOf(`/proc/${entry}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  const found = new Set<number>();
  const open = [...roots];
  for (let pid = open.pop(); pid !== undefined; pid = open.pop()) {
    if (found.has(pid)) continue;
    found.add(pid);
    open.push(...(children.get(pid) ?? []));
  }
  return [...found];
}

function kibOf(path: string, pattern: RegExp): number {
  return Number(pattern.exec(textOf(path))?.[1] ?? 0);
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // gone meanwhile
  }
}
