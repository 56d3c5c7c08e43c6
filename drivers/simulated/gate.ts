/**
 * What every verb passes on its way: is the hypervisor there, does the script strike, how long does it take. All
 * waiting of this driver happens here, and ends with Fault `cancelled` when the signal fires and with `unavailable`
 * when the hypervisor goes away or the driver is closed. A verb that needn't wait starts no timer and no listener.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Blow, FaultScript, Verb } from './faults.ts';

export type Call = {
  readonly verb: Verb;
  readonly instanceId: string | null;
  readonly waitMs: number;
  readonly signal: AbortSignal;
};

export interface Gate {
  readonly reachable: boolean;
  /** Waits as latency and script say, then runs `work` and answers what it answers. */
  pass<T>(call: Call, work: () => T | Promise<T>): Promise<T>;
  wait(waitMs: number, signal: AbortSignal): Promise<void>;
  setReachable(reachable: boolean): void;
  /** For good. */
  close(): void;
}

export function openGate(clock: Clock, faults: FaultScript | undefined): Gate {
  let connection = new AbortController(); // aborted while the hypervisor is away
  let closed = false;

  function admit(signal: AbortSignal): void {
    if (signal.aborted) throw new Fault('cancelled', 'driver.cancelled', 'The work on the guest was cancelled.');
    if (connection.signal.aborted) throw new Fault('unavailable', 'host.away', 'The hypervisor does not answer.');
  }

  async function wait(waitMs: number, signal: AbortSignal): Promise<void> {
    if (waitMs <= 0) return;
    admit(signal);
    const either = AbortSignal.any([signal, connection.signal]);
    // The clock rejects for an abort only; the words for it are admit's.
    await clock.sleep(waitMs, either).catch(() => {});
    admit(signal);
  }

  async function take(blow: Blow, signal: AbortSignal): Promise<void> {
    if (blow.until !== undefined) await eitherOf(blow.until, [signal, connection.signal]);
    admit(signal);
    if (blow.fault !== undefined) throw blow.fault;
  }

  return {
    get reachable() {
      return !connection.signal.aborted;
    },
    wait,
    async pass({ verb, instanceId, waitMs, signal }, work) {
      admit(signal);
      const blow = faults?.take(verb, instanceId);
      if (blow?.at === 'before') await take(blow, signal);
      if (waitMs > 0) await wait(waitMs, signal);
      const answer = await work();
      if (blow?.at === 'after') await take(blow, signal);
      return answer;
    },
    setReachable(reachable) {
      if (closed) return;
      if (!reachable) connection.abort();
      else if (connection.signal.aborted) connection = new AbortController();
    },
    close() {
      closed = true;
      connection.abort();
    },
  };
}

/** Resolves with `until`, or as soon as one of the signals fires; leaves no listener behind. */
function eitherOf(until: Promise<void>, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const either = AbortSignal.any([...signals]);
    const finish = (): void => {
      either.removeEventListener('abort', finish);
      resolve();
    };
    if (either.aborted) return resolve();
    either.addEventListener('abort', finish, { once: true });
    until.then(finish, finish);
  });
}
