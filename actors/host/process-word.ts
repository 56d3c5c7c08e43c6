/** One word for one process of this machine: its number alone is given again. */
import { seenProcess } from '../../runtime/base/proc.ts';

export function processWord(pid: number): string {
  return `${pid}/${seenProcess(pid)?.startTicks ?? ''}`;
}

export function isAlive(word: string): boolean {
  const [pid, ticks] = word.trim().split('/');
  return ticks !== '' && seenProcess(Number(pid))?.startTicks === ticks;
}
