/** How long hosts have been up, in the one line that clients of hypervisors know: they take it apart again. */
import { hostRef } from '../../../actors/host/messages.ts';
import type { HostView } from '../../../actors/conductor/messages/read.ts';
import type { ComputeParts } from '../parts.ts';

/** A host that does not say it by then has not said it. */
const ANSWER_MS = 2_000;
/** Hosts that are asked at once. */
const WIDTH = 32;
const MINUTE_S = 60;
const HOUR_S = 3_600;
const DAY_S = 86_400;

/** null: the hypervisor does not tell it. Faults: `unavailable`, `timeout`. */
export async function uptimeOf(parts: ComputeParts, host: string): Promise<string | null> {
  const told = await parts.actors.ask(hostRef(host), { type: 'hostUptime' }, { timeoutMs: ANSWER_MS });
  return told === null ? null : uptimeLine(parts.clock.wallMs(), told);
}

/** By host; those that are down or do not answer are left out. */
export async function uptimesOf(parts: ComputeParts, hosts: readonly HostView[]): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const rest = hosts.filter((host) => host.up).map(({ host }) => host);
  const asking = async (): Promise<void> => {
    for (let host = rest.pop(); host !== undefined; host = rest.pop()) {
      const line = await uptimeOf(parts, host).catch(() => null);
      if (line !== null) found.set(host, line);
    }
  };
  await Promise.all(Array.from({ length: WIDTH }, asking));
  return found;
}

/** ` 08:32:11 up 93 days, 18:25,  0 users,  load average: 0.20, 0.12, 0.14`; nobody counts who is logged in. */
export function uptimeLine(nowMs: number, { upMs, load }: { readonly upMs: number; readonly load: readonly number[] }): string {
  const seconds = Math.floor(upMs / 1_000);
  const days = Math.floor(seconds / DAY_S);
  const hours = Math.floor((seconds % DAY_S) / HOUR_S);
  const minutes = Math.floor((seconds % HOUR_S) / MINUTE_S);
  const time = hours > 0 ? `${String(hours).padStart(2)}:${String(minutes).padStart(2, '0')}` : `${minutes} min`;
  const since = days === 0 ? time : `${days} ${days === 1 ? 'day' : 'days'}, ${time}`;
  return ` ${new Date(nowMs).toISOString().slice(11, 19)} up ${since},  0 users,  load average: ${load.map((part) => part.toFixed(2)).join(', ')}`;
}
