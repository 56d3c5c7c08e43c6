/**
 * What goes wrong in a run, all of it from the run's seed. This file draws the plan and strikes where a single thing is
 * hit: a crash at a named point, a statement, a message, a hypervisor. What befalls nodes and the lines between them
 * is in misfortunes.ts. In the quiet time at the end nothing goes wrong any more.
 */
import { createHash } from 'node:crypto';
import type { Verb } from '../../drivers/simulated/faults.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import type { Misfortune } from '../doubles/memory-flight.ts';
import type { Fate, Life } from './life.ts';
import type { SimHost } from './machine.ts';

/** Chances are per point, statement or message; rates are per virtual minute. */
export type FaultPlan = {
  /** The node ends at the point of this number, counted from 1. */
  readonly crashAt: number | null;
  readonly crash: number;
  readonly crashesMax: number;
  /** Chance that a crash is for good, while enough nodes are left. */
  readonly gone: number;
  readonly statement: number;
  readonly lostTell: number;
  readonly late: number;
  /** Rate of hypervisor faults. */
  readonly hypervisor: number;
  /** Servers move: the verbs of moves are struck, too. */
  readonly moves?: boolean;
  /** Rate of nodes that lose the store for a while about as long as a lease. */
  readonly lease: number;
  /** Rate of nodes that are stopped like a process under SIGSTOP. */
  readonly pause: number;
  /** Rate of cuts between two nodes, one way or both. */
  readonly partition: number;
  /** Rate of times in which the store is away for all. */
  readonly storeAway: number;
  /** Rate of jumps of a machine's wall clock. */
  readonly jump: number;
  /** Rate of clean stops, each followed by a start; sometimes of all nodes in turn. */
  readonly restart: number;
  /** Rate of messages that a node without a database forges. */
  readonly forge: number;
  /** Rate of machines that lose their power, with their node and their guests. */
  readonly hostLoss: number;
  /** Of messages between nodes. */
  readonly loss: number;
  readonly again: number;
  readonly delayMs: number;
};

export const NO_FAULTS: FaultPlan = {
  crashAt: null,
  crash: 0,
  crashesMax: 0,
  gone: 0,
  statement: 0,
  lostTell: 0,
  late: 0,
  hypervisor: 0,
  lease: 0,
  pause: 0,
  partition: 0,
  storeAway: 0,
  jump: 0,
  restart: 0,
  forge: 0,
  hostLoss: 0,
  loss: 0,
  again: 0,
  delayMs: 1,
};

/** Every kind of fault in some runs, none in others, so that they are met alone and together. */
export function drawPlan(random: Random, nodes = 1): FaultPlan {
  const some = (rate: number, share = 0.5): number => (random.next() < share ? rate * random.next() : 0);
  const alone: FaultPlan = {
    ...NO_FAULTS,
    crash: some(0.01),
    crashesMax: 4,
    statement: some(0.1),
    lostTell: some(0.3),
    late: some(0.3),
    hypervisor: some(90),
    lease: some(10),
  };
  if (nodes === 1) return alone;
  return {
    ...alone,
    crash: some(0.004),
    gone: some(0.8, 0.3),
    pause: some(4, 0.4),
    partition: some(8, 0.4),
    storeAway: some(1.5, 0.25),
    jump: some(4, 0.3),
    restart: some(2, 0.3),
    forge: some(60, 0.3),
    loss: some(0.2),
    again: some(0.2),
    delayMs: 1 + some(200),
  };
}

/** How machines are lost in a run, and what then goes by itself. */
export type Losses = {
  readonly rate: number;
  /** Of hosts, those that a guard watches. */
  readonly guarded: number;
  readonly auto: boolean;
  readonly brakeShare: number;
};

/** In some of the clusters; drawn from chance of its own. */
export function drawLosses(random: Random, machines: number): Losses | undefined {
  const isDrawn = random.next() < LOSSES_SHARE;
  if (!isDrawn || machines < 2) return undefined;
  const guarded = random.next() < 0.6 ? 0.3 + 0.7 * random.next() : 0;
  return { rate: 1 + 4 * random.next(), guarded, auto: random.next() < 0.5, brakeShare: pick(random, [0.2, 0.5, 1]) };
}

/** What an idle node does all the time: a crash there is a crash anywhere. */
const IDLE =
  /^(due|hostBeats|hostNodes|hostStandings|list|look|history|revision|nodes\.(beat|all|keys)|shards\.(owned|owners)|snapshots\.rows\.unneeded)\.|^tell\.(hostBeat|report)$/;
/** Statements of beats and leases fail less often than others: they would hold up everything else. */
const SPARED = /^(node|shard)\./;
const SPARED_SHARE = 0.3;
const SLOW_MS = 1_000;
const STATEMENT_MS = 2_000;
const TRACE_MAX = 20_000;
/** Of the clusters, those whose machines are lost. */
const LOSSES_SHARE = 0.4;
const STRUCK: readonly Verb[] = [
  'spawn',
  'spawn',
  'destroy',
  'destroy',
  'start',
  'stop',
  'reboot',
  'list',
  'pause',
  'suspend',
  'resume',
  'rescue',
  'unrescue',
  'setPassword',
];
const STRUCK_MOVING: readonly Verb[] = [...STRUCK, 'park', 'unpark', 'readDisk', 'receive', 'receive', 'prepare', 'send', 'stay', 'land', 'start', 'destroy'];
/** Longer than any step may take. */
const STRIKE_MAX_MS = 120_000;

export type FaultParts = {
  readonly plan: FaultPlan;
  readonly random: Random;
  readonly nowMs: () => number;
  readonly crash: (life: Life) => void;
  readonly meet: (what: string) => void;
};

export class Faults implements Fate {
  readonly plan: FaultPlan;
  readonly #random: Random;
  readonly #crash: (life: Life) => void;
  readonly #meet: (what: string) => void;
  readonly #nowMs: () => number;
  readonly #trace: string[] = [];
  readonly #hash = createHash('sha256');
  readonly #hangs: { release(): void }[] = [];
  #digest: string | undefined;
  #quiet = false;
  #slowNext = false;
  #crashes = 0;
  /** Points reached so far. */
  points = 0;

  constructor({ plan, random, nowMs, crash, meet }: FaultParts) {
    this.plan = plan;
    this.#random = random;
    this.#nowMs = nowMs;
    this.#crash = crash;
    this.#meet = meet;
  }

  /** The last points and faults, for people. */
  get trace(): readonly string[] {
    return this.#trace;
  }

  /** Of everything that was noted, with its times: the same for the same run. To be asked at the end. */
  get hash(): string {
    return (this.#digest ??= this.#hash.digest('hex'));
  }

  get isQuiet(): boolean {
    return this.#quiet;
  }

  note(what: string): void {
    const line = `${this.#nowMs().toFixed(1)} ${what}`;
    if (this.#digest === undefined) this.#hash.update(line);
    this.#trace.push(line);
    if (this.#trace.length > 2 * TRACE_MAX) this.#trace.splice(0, TRACE_MAX);
  }

  reach(life: Life, point: string): void {
    const isIdle = IDLE.test(point);
    if (!isIdle) this.points += 1;
    this.note(`${life.name}#${life.number}: ${point}`);
    const isIt = (!isIdle && this.points === this.plan.crashAt) || (this.#happens(this.plan.crash) && this.#crashes < this.plan.crashesMax);
    if (!isIt || this.#quiet) return;
    this.#crashes += 1;
    this.note(`${life.name}#${life.number}: CRASH at point ${this.points}`);
    this.#crash(life);
  }

  losesTell(): boolean {
    const isLost = this.#happens(this.plan.lostTell);
    if (isLost) this.#meet('message: hint lost');
    return isLost;
  }

  delayMs(): number {
    if (!this.#happens(this.plan.late)) return 0;
    this.#meet('message: late');
    return this.#random.next() ** 3 * 3_000;
  }

  /** The next write is slow: what comes meanwhile waits behind it. */
  slowNext(): void {
    this.#slowNext = true;
  }

  misfortune(statement: string): Misfortune | undefined {
    if (this.#slowNext && statement === 'write') {
      this.#slowNext = false;
      return { is: 'slow', ms: SLOW_MS };
    }
    const isSpared = SPARED.test(statement);
    if (!this.#happens(this.plan.statement * (isSpared ? SPARED_SHARE : 1))) return undefined;
    const ms = this.#random.next() ** 3 * 3_000;
    // A server works on for no longer than its statement may take, which is less than a lease.
    const late: Misfortune = { is: 'unknown', applied: false, lateMs: isSpared ? Math.min(ms, STATEMENT_MS) : ms };
    const fate = pick<Misfortune>(this.#random, [
      { is: 'unknown', applied: true },
      { is: 'unknown', applied: false },
      late,
      late,
      { is: 'away' },
      { is: 'slow', ms },
    ]);
    this.#meet(`store: ${fate.is}`);
    this.note(`store: ${statement} ${JSON.stringify(fate)}`);
    return fate;
  }

  /** Something befalls a hypervisor now. */
  strike(host: SimHost, after: (ms: number, run: () => void) => void, guests: readonly string[]): void {
    if (this.#quiet) return;
    const verb = pick<Verb>(this.#random, this.plan.moves ? STRUCK_MOVING : STRUCK);
    const at = this.#random.next() < 0.5 ? 'before' : 'after';
    const ms = this.#random.next() ** 2 * STRIKE_MAX_MS;
    const what = pick(this.#random, ['fail', 'fail', 'sick', 'away', 'hang', 'crash', 'shutDown'] as const);
    this.#meet(`struck: ${what}`);
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
