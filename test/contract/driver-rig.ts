/**
 * What a driver's test brings to the contract suite, and how the suite looks at outcomes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect } from 'vitest';
import type { GuestKey, GuestSpec, HypervisorDriver, RescueDisk } from '../../drivers/driver.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { FaultCode } from '../../runtime/base/fault.ts';

/** A driver on its hypervisor, as the suite needs it. What is left out is not tested. */
export type DriverRig = {
  readonly driver: HypervisorDriver;
  /** The driver of a new process after a crash: the former one was not closed and is not used any more. */
  reopen(): Promise<HypervisorDriver>;
  /** A guest that this hypervisor can run. A new instance id and name each time, unless overridden. */
  specFor(overrides?: Partial<GuestSpec>): GuestSpec;
  /** How long a change from outside may take to be seen. */
  readonly settleMs?: number;
  /** How long one verb may take. */
  readonly hardTimeoutMs?: number;
  close(): Promise<void>;
  /** Makes a guest behind the driver's back; its name. */
  plantForeign?(): Promise<{ name: string; remove(): Promise<void> }>;
  /** Makes a running guest go off behind the driver's back. */
  cutPower?(guest: GuestKey): Promise<void>;
  /** Holds a running guest behind the driver's back. */
  pauseGuest?(guest: GuestKey & { readonly name: string }): Promise<void>;
  /** What a rescue may boot; what the guest was made from when left out. */
  readonly rescueWith?: RescueDisk;
  /** What the hypervisor still has of this guest: files, volumes, definitions. */
  leftovers?(guest: GuestSpec): Promise<string[]>;
  /** What the guest of `specFor` writes to its console when it starts. */
  readonly bootText?: string;
};

export type ContractOptions = {
  /** For one case, in which a few guests boot. */
  readonly testTimeoutMs?: number;
  /** How many guests are made at once. */
  readonly crowd?: number;
  /** Names the tool that is missing on this machine: the suite is skipped then, but fails on CI. */
  readonly missing?: () => Promise<string | undefined>;
};

/** Runs a verb, aborts it after a while, and awaits its end: its answer or Fault `cancelled`. */
export async function doneOrCancelled(verb: (signal: AbortSignal) => Promise<unknown>, delayMs: number): Promise<void> {
  const stop = new AbortController();
  const outcome = verb(stop.signal).then(
    () => 'done',
    (error: unknown) => (Fault.is(error, 'cancelled') ? 'cancelled' : error),
  );
  await Promise.race([outcome, pause(delayMs)]);
  stop.abort();
  expect(['done', 'cancelled']).toContain(await outcome);
}

/** The verb fails with a Fault of that code, whose text a user may read. */
export async function refused(code: FaultCode, verb: Promise<unknown>): Promise<void> {
  const error = await verb.then(
    () => expect.fail('the verb was not refused'),
    (reason: unknown) => reason,
  );
  if (!Fault.is(error)) throw error;
  expect(error.code).toBe(code);
  expect(error.reason).not.toBe('');
  expect(error.message).not.toMatch(/\/(etc|home|root|run|tmp|usr|var)\b/);
}

export async function within<T>(limitMs: number, promise: Promise<T>): Promise<T> {
  const late = new AbortController();
  try {
    return await Promise.race([promise, pause(limitMs, undefined, { signal: late.signal }).then(() => expect.fail('it was not heard in time'))]);
  } finally {
    late.abort();
  }
}
