/**
 * What goes wrong in a run, all of it from the run's seed: the crash of the node at a named point, statements that are
 * slow, refused or of unknown outcome, tells that get lost, messages that are late, hypervisors that fail, hang or
 * can't be reached. In the quiet time at the end nothing goes wrong any more.
 */
import type { Verb } from '../../drivers/simulated/faults.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import type { Misfortune } from '../doubles/memory-store.ts';
import type { Fate, Life } from './life.ts';
import type { SimHost } from './node.ts';

/** Chances are per point, statement or message. */
export type FaultPlan = {
  /** The node ends at the point of this number, counted from 1. */
  readonly crashAt: number | null;
  readonly crash: number;
  readonly crashesMax: number;
  readonly statement: number;
  readonly lostTell: number;
  readonly late: number;
  /** Hypervisor faults per minute. */
  readonly hypervisor: number;
  /** Lost leases and deposed nodes per minute. */
  readonly lease: number;
};

export const NO_FAULTS: FaultPlan = { crashAt: null, crash: 0, crashesMax: 0, statement: 0, lostTell: 0, late: 0, hypervisor: 0, lease: 0 };

/** Every kind of fault in some runs, none in others, so that they are met alone and together. */
export function drawPlan(random: Random): FaultPlan {
  const some = (rate: number): number => (random.next() < 0.5 ? rate * random.next() : 0);
  return {
    crashAt: null,
    crash: some(0.01),
    crashesMax: 4,
    statement: some(0.1),
    lostTell: some(0.3),
    late: some(0.3),
    hypervisor: some(90),
    lease: some(30),
  };
}

/** What an idle node does all the time: a crash there is a crash anywhere. */
const IDLE = /^(due|hostBeats|list|look)\.|^tell\.(hostBeat|report)$/;
const SLOW_MS = 1_000;
const TRACE_MAX = 20_000;
/** Longer than any step may take. */
const STRIKE_MAX_MS = 120_000;

export class Faults implements Fate {
  readonly plan: FaultPlan;
  readonly #random: Random;
  readonly #crash: (life: Life) => void;
  readonly #trace: string[] = [];
  readonly #hangs: { release(): void }[] = [];
  #quiet = false;
  #slowNext = false;
  #crashes = 0;
  /** Points reached so far. */
  points = 0;

  constructor(plan: FaultPlan, random: Random, crash: (life: Life) => void) {
    this.plan = plan;
    this.#random = random;
    this.#crash = crash;
  }

  /** The last points and faults, for people. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  get isQuiet(): boolean {
    return this.#quiet;
  }

  note(what: string): void {
    this.#trace.push(what);
    if (this.#trace.length > 2 * TRACE_MAX) this.#trace.splice(0, TRACE_MAX);
  }

  reach(life: Life, point: string): void {
    const isIdle = IDLE.test(point);
    if (!isIdle) this.points += 1;
    this.note(`${life.number}: ${point}`);
    const isIt = (!isIdle && this.points === this.plan.crashAt) || (this.#happens(this.plan.crash) && this.#crashes < this.plan.crashesMax);
    if (!isIt || this.#quiet) return;
    this.#crashes += 1;
    this.note(`${life.number}: CRASH at point ${this.points}`);
    this.#crash(life);
  }

  losesTell(): boolean {
    return this.#happens(this.plan.lostTell);
  }

  delayMs(): number {
    return this.#happens(this.plan.late) ? this.#random.next() ** 3 * 3_000 : 0;
  }

  /** The next write is slow: what comes meanwhile waits behind it. */
  slowNext(): void {
    this.#slowNext = true;
  }

  misfortune(statement: 'write' | 'read'): Misfortune | undefined {
    if (this.#slowNext && statement === 'write') {
      this.#slowNext = false;
      return { is: 'slow', ms: SLOW_MS };
    }
    if (!this.#happens(this.plan.statement)) return undefined;
    const ms = this.#random.next() ** 3 * 3_000;
    const late: Misfortune = { is: 'unknown', applied: false, lateMs: ms };
    const fate = pick<Misfortune>(this.#random, [
      { is: 'unknown', applied: true },
      { is: 'unknown', applied: false },
      late,
      late,
      { is: 'away' },
      { is: 'slow', ms },
    ]);
    this.note(`store: ${JSON.stringify(fate)}`);
    return fate;
  }

  /** Something befalls a hypervisor now. */
  strike(host: SimHost, after: (ms: number, run: () => void) => void, guests: readonly string[]): void {
    if (this.#quiet) return;
    const verb = pick<Verb>(this.#random, ['spawn', 'spawn', 'destroy', 'destroy', 'start', 'stop', 'reboot', 'list']);
    const at = this.#random.next() < 0.5 ? 'before' : 'after';
    const ms = this.#random.next() ** 2 * STRIKE_MAX_MS;
    const what = pick(this.#random, ['fail', 'fail', 'sick', 'away', 'hang', 'crash', 'shutDown'] as const);
    this.note(`${host.name}: ${what} ${verb} ${at} ${Math.round(ms)} ms`);
    if (what === 'fail') {
      const fault = pick(this.#random, [
        new Fault('unavailable', 'sim.away', 'away'),
        new Fault('internal', 'sim.broken', 'broken'),
        new Fault('overloaded', 'sim.full', 'full'),
      ]);
      host.script.fail(verb, fault, { at, times: 1 + Math.floor(this.#random.next() * 3) });
    } else if (what === 'sick') {
      // It makes a guest, says that it did not, and can't remove it either.
      const broken = new Fault('internal', 'sim.sick', 'sick');
      host.script.fail('spawn', broken, { at: 'after' });
      host.script.fail('destroy', broken, { times: 2 });
    } else if (what === 'hang') {
      const hang = host.script.hang(verb, { at });
      this.#hangs.push(hang);
      after(ms, () => hang.release());
    } else if (what === 'away') {
      host.script.disconnect();
      after(ms, () => host.script.reconnect());
    } else if (guests.length > 0) host.script[what](pick(this.#random, guests));
  }

  /** From now on nothing goes wrong. */
  becomeQuiet(hosts: readonly SimHost[]): void {
    this.#quiet = true;
    this.note('QUIET');
    for (const hang of this.#hangs) hang.release();
    for (const { script } of hosts) script.reconnect();
  }

  #happens(chance: number): boolean {
    return !this.#quiet && chance > 0 && this.#random.next() < chance;
  }
}
