/**
 * Scripted misfortune for a simulated hypervisor: a verb that fails, one that hangs, a guest that goes off by itself,
 * a hypervisor that can't be reached, a guest of somebody else. A test writes the script and hands it to the driver;
 * the driver of a later start may take the same script, which then acts on that one.
 */
import { check } from '../../runtime/base/check.ts';
import type { Fault } from '../../runtime/base/fault.ts';

export type Verb =
  | 'inventory'
  | 'spawn'
  | 'destroy'
  | 'start'
  | 'stop'
  | 'reboot'
  | 'pause'
  | 'unpause'
  | 'suspend'
  | 'resume'
  | 'rescue'
  | 'unrescue'
  | 'setPassword'
  | 'crashDump'
  | 'snapshot'
  | 'openSnapshot'
  | 'dropSnapshot'
  | 'consoleOutput'
  | 'diagnostics'
  | 'list'
  | 'park'
  | 'unpark'
  | 'readDisk'
  | 'receive'
  | 'prepare'
  | 'send'
  | 'stay'
  | 'land';

export type When = {
  /** Only calls for this instance count. */
  readonly instanceId?: string;
  /** The first call that is hit, counted from the writing of the rule; 1 when left out. */
  readonly nth?: number;
  /** How many calls in a row are hit; 1 when left out. */
  readonly times?: number;
  /** `after`: the work is done and only its answer is lost. `before` when left out. */
  readonly at?: 'before' | 'after';
};

export type Hang = {
  /** Resolves when a verb hangs in it. */
  readonly reached: Promise<void>;
  /** Lets it go on; before it was reached, too. */
  release(): void;
};

/** What a script may do to the driver it is attached to. */
export interface FaultTarget {
  setPower(instanceId: string, power: 'shutdown' | 'crashed'): boolean;
  plant(name: string, memoryMiB: number): void;
  setReachable(reachable: boolean): void;
}

/** A blow that a call takes: wait for `until` when it is there, then throw `fault` when it is there. */
export type Blow = { readonly at: 'before' | 'after'; readonly fault?: Fault; readonly until?: Promise<void> };

export interface FaultScript {
  fail(verb: Verb, fault: Fault, when?: When): void;
  /** Until released, aborted, or the driver is closed. */
  hang(verb: Verb, when?: When): Hang;
  /** The guest stops by itself, now, and watchers hear of it. False when it doesn't run. */
  crash(instanceId: string): boolean;
  /** As `crash`, but the guest shuts itself down in good order. */
  shutDown(instanceId: string): boolean;
  /** A running guest that this driver has not made. */
  plant(guest: { name: string; memoryMiB: number }): void;
  /** Running and later verbs answer `unavailable`, events are lost. */
  disconnect(): void;
  /** Watchers get null: list again. */
  reconnect(): void;

  /** For the driver. */
  attach(target: FaultTarget): void;
  /** For the driver: the blow for this call, if any. Each call of each verb is shown once. */
  take(verb: Verb, instanceId: string | null): Blow | undefined;
}

type Rule = Required<Pick<When, 'nth' | 'times' | 'at'>> & {
  readonly verb: Verb;
  readonly instanceId: string | null;
  readonly blow: Omit<Blow, 'at'>;
  readonly reach: () => void;
  seen: number;
};

/** More is a script that forgot to end. */
const RULES_MAX = 1_000;

export function writeFaultScript(): FaultScript {
  let target: FaultTarget | undefined;
  let rules: Rule[] = [];

  function add(verb: Verb, when: When, blow: Omit<Blow, 'at'>, reach: () => void): void {
    check(rules.length < RULES_MAX, `a fault script has at most ${RULES_MAX} open rules`);
    const { instanceId = null, nth = 1, times = 1, at = 'before' } = when;
    rules.push({ verb, instanceId, nth, times, at, blow, reach, seen: 0 });
  }

  function attached(): FaultTarget {
    check(target !== undefined, 'a fault script acts on a driver that was opened with it');
    return target;
  }

  return {
    fail: (verb, fault, when = {}) => add(verb, when, { fault }, () => {}),
    hang(verb, when = {}) {
      const reached = Promise.withResolvers<void>();
      const released = Promise.withResolvers<void>();
      add(verb, when, { until: released.promise }, reached.resolve);
      return { reached: reached.promise, release: released.resolve };
    },
    crash: (instanceId) => attached().setPower(instanceId, 'crashed'),
    shutDown: (instanceId) => attached().setPower(instanceId, 'shutdown'),
    plant: (guest) => attached().plant(guest.name, guest.memoryMiB),
    disconnect: () => attached().setReachable(false),
    reconnect: () => attached().setReachable(true),
    attach(next) {
      target = next;
    },
    take(verb, instanceId) {
      if (rules.length === 0) return undefined;
      const hit = rules.filter((rule) => matches(rule, verb, instanceId)).filter(strikes)[0];
      rules = rules.filter((rule) => rule.seen < rule.nth + rule.times - 1);
      hit?.reach();
      return hit && { at: hit.at, ...hit.blow };
    },
  };
}

function matches(rule: Rule, verb: Verb, instanceId: string | null): boolean {
  return rule.verb === verb && (rule.instanceId === null || rule.instanceId === instanceId);
}

/** Counts the call, and says whether the rule hits it. */
function strikes(rule: Rule): boolean {
  rule.seen += 1;
  return rule.seen >= rule.nth && rule.seen < rule.nth + rule.times;
}
