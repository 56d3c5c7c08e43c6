/**
 * Chaos on a cluster: clients order through all APIs, followers watch each stream, a witness looks at the guests, and
 * one misfortune comes after the other. Then everything is left in peace, and then it must be right.
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../../runtime/base/clock.ts';
import { seededRandom, type Random } from '../../../runtime/base/random.ts';
import { query, settled, storeInvariants } from '../checkers.ts';
import { startCluster, type Cluster } from '../cluster.ts';
import { ClusterClient, type Budget, type Ledger, type Tally } from './client.ts';
import { wrongEnds } from './ends.ts';
import { Misfortune, type FaultKind, type Range } from './faults.ts';
import { Board, Follower } from './follower.ts';
import { LogReader } from './logs.ts';
import { Witness } from './witness.ts';

export type ChaosPlan = {
  readonly controls: number;
  readonly computes: number;
  readonly clients: number;
  readonly seed: number;
  /** One round: so long, or until the clients have nothing left to do. */
  readonly roundMs: number;
  /** No round begins after this. */
  readonly totalMs: number;
  /** Servers that are ordered in all; endless when absent. */
  readonly servers?: number;
  /** Share of a client's turns spent with work at a server. */
  readonly workShare: number;
  readonly faults?: readonly FaultKind[];
  /** How many misfortunes at a time, and the pause between their beginnings. */
  readonly faultsAtOnce: number;
  readonly calmMs: Range;
  /** How long each lasts; from a short stutter to far beyond every lease when absent. */
  readonly faultLastsMs?: Range;
  /** How long everything may take to come to rest. */
  readonly settleMs?: number;
  readonly say: (line: string) => void;
  /** Ends the run early, in order. */
  readonly over?: AbortSignal;
};

export type ChaosEnd = { readonly problems: readonly string[]; readonly summary: string; readonly kept: string | undefined };

const SETTLE_LIMIT_MS = 150_000;
const PROGRESS_MS = 15_000;
/** Small numbers, so that a host that is away for some seconds is met with all that can happen then. */
const SETTINGS = {
  'quotas.instances': '-1',
  'quotas.cores': '-1',
  'quotas.ram': '-1',
  'operations.destroyLimitMs': '15000',
  'operations.spawnLimitMs': '60000',
};
const LATENCY = { spawnMs: 20, destroyMs: 10, startMs: 10, stopMs: 10, rebootMs: 20 };
const HOSTS_EACH = 2;

export async function runChaos(plan: ChaosPlan): Promise<ChaosEnd> {
  const latency = Object.entries(LATENCY).map(([verb, ms]) => [`hosts.0.driver.latency.${verb}`, String(ms)] as const);
  const begunMs = systemClock.monotonicMs();
  const cluster = await startCluster({ ...plan, hostsEach: HOSTS_EACH, settings: { ...SETTINGS, ...Object.fromEntries(latency) } });
  plan.say(`a cluster of ${plan.controls} control and ${plan.computes} compute nodes is up in ${seconds(begunMs)} s`);
  let problems: string[] = [];
  let kept: string | undefined;
  let summary = '';
  try {
    const run = await ClusterRun.begin(cluster, plan);
    const endMs = systemClock.monotonicMs() + plan.totalMs;
    const isWanted = (): boolean => problems.length === 0 && plan.over?.aborted !== true && systemClock.monotonicMs() < endMs && run.hasWork;
    while (isWanted()) problems = await run.round();
    summary = run.summary(problems.length);
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  try {
    if (problems.length > 0) {
      kept = realpathSync(mkdtempSync(join(tmpdir(), 'novact-chaos-')));
      mkdirSync(kept, { recursive: true });
      await cluster.keep(kept);
    }
  } finally {
    await cluster.close();
  }
  return { problems, summary: summary || `ended before a round was over, anomalies: ${problems.length}`, kept };
}

class ClusterRun {
  readonly #cluster: Cluster;
  readonly #plan: ChaosPlan;
  readonly #random: Random;
  readonly #misfortune: Misfortune;
  readonly #witness: Witness;
  readonly #logs: LogReader;
  readonly #clients: readonly ClusterClient[];
  readonly #followers: readonly Follower[];
  readonly #ledger: Ledger = { orders: [], owned: new Map(), accepted: [], problems: [] };
  readonly #tally: Tally = { accepted: {}, answers: {}, calls: 0, unanswered: 0, failedTwice: 0 };
  readonly #faults: { [kind: string]: number } = {};
  readonly #budget: Budget;
  #rounds = 0;
  #ended = 0;

  private constructor(cluster: Cluster, plan: ChaosPlan, imageId: string, revision: number) {
    this.#cluster = cluster;
    this.#plan = plan;
    this.#random = seededRandom(plan.seed);
    this.#misfortune = new Misfortune(cluster, seededRandom(plan.seed + 1), { kinds: plan.faults, lastsMs: plan.faultLastsMs });
    this.#witness = new Witness(cluster);
    this.#logs = new LogReader(cluster);
    this.#budget = { left: plan.servers ?? Number.POSITIVE_INFINITY };
    const board = new Board();
    this.#followers = cluster.controls.map((node) => new Follower(cluster, node, board, revision));
    this.#clients = Array.from({ length: plan.clients }, (_, number) => {
      const random = seededRandom(Math.floor(this.#random.next() * 2 ** 31));
      const { workShare } = plan;
      return new ClusterClient({ cluster, board, ledger: this.#ledger, tally: this.#tally, random, imageId, number, workShare, budget: this.#budget });
    });
  }

  static async begin(cluster: Cluster, plan: ChaosPlan): Promise<ClusterRun> {
    const [cell] = await query<{ revision: string }>(cluster, 'select revision from cell');
    return new ClusterRun(cluster, plan, await cluster.imageId(), Number(cell?.revision ?? 0));
  }

  get hasWork(): boolean {
    return this.#plan.servers === undefined || this.#rounds === 0;
  }

  /** Load and misfortune, then peace, and then what is wrong. */
  async round(): Promise<string[]> {
    this.#rounds++;
    const begunMs = systemClock.monotonicMs();
    const seen = await this.#storm();
    const peaceMs = systemClock.monotonicMs();
    const late = await settled(this.#cluster, this.#plan.settleMs ?? SETTLE_LIMIT_MS);
    const settledMs = systemClock.monotonicMs();
    const missed = (await Promise.all(this.#followers.map((follower) => follower.missed()))).flat();
    this.#stopFollowing.abort();
    await this.#following;
    this.#witness.look();
    await this.#witness.lookAtEpochs();
    const ends = await wrongEnds(this.#cluster, this.#ledger);
    this.#ended = ends.faults;
    const wrong = [...seen, ...late, ...missed, ...ends.problems, ...(await this.#said())];
    const rest = `${seconds(begunMs, peaceMs)} s of storm, ${seconds(peaceMs, settledMs)} s to rest, ${seconds(settledMs)} s to check`;
    this.#plan.say(`round ${this.#rounds}: ${rest}; ${this.#figures()}; anomalies: ${wrong.length}`);
    return wrong;
  }

  summary(anomalies: number): string {
    const times = Object.entries(this.#faults).map(([kind, count]) => `${kind} ${count}`);
    const faults = Object.values(this.#faults).reduce((sum, count) => sum + count, 0);
    return `${this.#rounds} rounds, ${faults} faults (${times.join(', ')}), ${this.#figures()}, anomalies: ${anomalies}`;
  }

  #stopFollowing = new AbortController();
  #following: Promise<unknown> = Promise.resolve();

  /** What was seen to be wrong while it went on. */
  async #storm(): Promise<string[]> {
    const over = new AbortController();
    const calm = new AbortController();
    this.#stopFollowing = new AbortController();
    this.#following = Promise.all([
      ...this.#followers.map((follower) => follower.follow(this.#stopFollowing.signal)),
      this.#witness.watch(this.#stopFollowing.signal),
    ]);
    let isDone = false;
    const work = Promise.all(this.#clients.map((client) => client.work(over.signal))).then(() => void (isDone = true));
    const progress = this.#tellProgress(calm.signal);
    const endMs = systemClock.monotonicMs() + this.#plan.roundMs;
    const seen: string[] = [];
    const isOn = (): boolean =>
      !isDone && systemClock.monotonicMs() < endMs && seen.length === 0 && this.#plan.over?.aborted !== true && this.#soFar().length === 0;
    const under = new Set<Promise<void>>();
    while (isOn()) {
      await systemClock.sleep(this.#between(this.#plan.calmMs));
      if (under.size < this.#plan.faultsAtOnce) this.#strike(under, seen);
      seen.push(...(await storeInvariants(this.#cluster).catch(() => []))); // the store may be away just now
    }
    over.abort();
    await Promise.all(under);
    await this.#heal();
    await work;
    calm.abort();
    await progress;
    return seen;
  }

  #strike(under: Set<Promise<void>>, seen: string[]): void {
    const fault = this.#misfortune.draw();
    if (fault === undefined) return;
    const { kind, target, lastsMs } = fault;
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
    const begunMs = systemClock.monotonicMs();
    const running = fault
      .run()
      .catch((error: unknown) => void seen.push(`${kind} (${target}): ${String(error)}`))
      .finally(() => {
        under.delete(running);
        this.#plan.say(`  ${kind}: ${target}, ${lastsMs / 1_000} s, all in all ${seconds(begunMs)} s`);
      });
    under.add(running);
  }

  /** Everything as it was at first. */
  async #heal(): Promise<void> {
    const { network, postgres, nodes } = this.#cluster;
    await network.heal();
    await postgres.resume();
    for (const node of nodes) {
      node.freeDisk();
      if (node.isPaused) node.resume();
      node.start();
    }
    await Promise.all(nodes.map((node) => node.up()));
  }

  /** What is known to be wrong without asking anybody. */
  #soFar(): string[] {
    const { nodes } = this.#cluster;
    return [
      ...this.#ledger.problems,
      ...this.#witness.problems,
      ...this.#followers.flatMap((follower) => follower.problems),
      ...nodes.flatMap((node) => node.ends),
    ];
  }

  async #said(): Promise<string[]> {
    const deadlocks = readFileSync(this.#cluster.postgres.logFile, 'utf8')
      .split('\n')
      .filter((line) => /deadlock detected|PANIC/.test(line));
    return [...this.#soFar(), ...(await this.#logs.problems()), ...deadlocks.map((line) => `the log of PostgreSQL: ${line}`)];
  }

  async #tellProgress(over: AbortSignal): Promise<void> {
    for (;;) {
      await systemClock.sleep(PROGRESS_MS, over).catch(() => undefined);
      if (over.aborted) return;
      this.#plan.say(`  … ${this.#figures()}`);
    }
  }

  #figures(): string {
    const { accepted, calls, unanswered, failedTwice } = this.#tally;
    const sum = Object.values(accepted).reduce((total, count) => total + count, 0);
    const kinds = Object.entries(accepted).map(([what, count]) => `${what} ${count}`);
    const compared = this.#followers.reduce((total, follower) => total + follower.compared, 0);
    const lines = this.#followers.reduce((total, follower) => total + follower.lines, 0);
    return (
      `${sum} operations accepted (${kinds.join(', ')}) in ${calls} calls, ${unanswered} not answered, ${failedTwice} failed on two nodes, ` +
      `${this.#ended} servers in error with their fault, ${compared} events compared over ${lines} lines, ${this.#witness.looks} looks at guests`
    );
  }

  #between({ from, to }: Range): number {
    return from + this.#random.next() * (to - from);
  }
}

function seconds(sinceMs: number, untilMs = systemClock.monotonicMs()): number {
  return Math.round((untilMs - sinceMs) / 100) / 10;
}
