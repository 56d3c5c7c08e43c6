/**
 * The simulated cell: what outlives a node (the store's tables, the hypervisors' disks), virtual time, and one node at
 * a time that runs it all, sometimes two, when one has not noticed yet that it was deposed. Everything comes from one
 * seed. A run has a busy time with clients and faults, then a quiet time, at whose end everything must be settled.
 *
 * More nodes are more lives at once, each with its share of the shards and a door to the others.
 */
import type { CommitItem, WriteAnswer, WriteItem } from '../../actors/conductor/write/item.ts';
import { memoryDisk, type GuestDisk, type GuestShelf } from '../../drivers/simulated/disk.ts';
import { writeFaultScript } from '../../drivers/simulated/faults.ts';
import { silentLog, type Log } from '../../runtime/base/log.ts';
import { seededRandom, type Random } from '../../runtime/base/random.ts';
import { openMemoryStore, takeShards } from '../doubles/memory-store.ts';
import { memoryTables, quotaKey, type MemoryTables } from '../doubles/memory-tables.ts';
import { VirtualWorld } from '../doubles/virtual-clock.ts';
import { CHECKERS } from './checkers/all.ts';
import { Acks } from './clients.ts';
import { Faults, type FaultPlan } from './faults.ts';
import { Life } from './life.ts';
import { SimNode, type SimHost } from './node.ts';
import { NETWORK } from './records.ts';

const RESTART_MS = { from: 100, to: 4_000 };
const MINUTE_MS = 60_000;
/** Everything open must have ended so long after the last fault. */
const QUIET_LIMIT_MS = 600_000;
const LOOK_MS = 5_000;
const STAY_MS = 30_000;
const RUN_LIMIT_MS = 3_600_000;
const PROBLEMS_MAX = 5;

export type SeenGuest = { readonly host: string; readonly instanceId: string; readonly generation: number; readonly power: string };
export type WorldOptions = {
  readonly seed: number;
  readonly hosts: number;
  readonly vcpusPerHost: number;
  readonly plan: FaultPlan;
  readonly cidr: string;
  readonly quota: Partial<{ instances: number; cores: number; ram: number }>;
};

export class World {
  readonly options: WorldOptions;
  readonly time: VirtualWorld;
  readonly tables: MemoryTables = memoryTables();
  readonly faults: Faults;
  readonly acks = new Acks();
  readonly random: Random;
  readonly problems: string[] = [];
  readonly hosts: readonly SimHost[];
  /** What stands on the disks now, by host and instance. */
  readonly guests = new Map<string, SeenGuest>();
  /** Commits that were applied, in order, by instance. */
  readonly applied = new Map<string, { readonly version: number; readonly epoch: number }[]>();
  /** What the run has met, counted: a simulation that meets nothing proves nothing. */
  readonly met = new Map<string, number>();
  readonly #nodes = new Set<SimNode>();
  #lives = 0;
  #starting = false;

  constructor(options: WorldOptions) {
    this.options = options;
    this.random = seededRandom(options.seed);
    this.time = new VirtualWorld({ ties: seededRandom(options.seed ^ 0x5bd1) });
    this.faults = new Faults(options.plan, seededRandom(options.seed ^ 0x9e37), (life) => this.#crash(life));
    this.tables.networks.set(NETWORK.id, { ...NETWORK, cidr: options.cidr });
    this.tables.quotaLimits.set(quotaKey('blue', ''), options.quota);
    this.hosts = Array.from({ length: options.hosts }, (_, i) => this.#newHost(`h${i + 1}`));
  }

  /** The node that clients reach now; none while it is down. */
  get node(): SimNode | undefined {
    const alive = [...this.#nodes].filter((node) => node.life.alive);
    return alive.length === 0 ? undefined : alive[Math.floor(this.random.next() * alive.length)];
  }

  /** Runs the clients' work under faults, then the quiet time. Answers with what broke, at most a few. */
  async run(work: (world: World) => Promise<void>): Promise<readonly string[]> {
    const body = async (): Promise<void> => {
      await this.#start();
      void this.#misfortunes();
      await work(this);
      this.faults.becomeQuiet(this.hosts);
      await this.#settle();
      for (const problem of await this.#unsettled()) this.problem(problem);
    };
    try {
      await this.time.run(body, RUN_LIMIT_MS);
    } catch (error) {
      this.problem(`the run did not end: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      for (const node of this.#nodes) node.life.end();
    }
    return this.problems;
  }

  problem(text: string): void {
    if (this.problems.length < PROBLEMS_MAX && !this.problems.includes(text)) this.problems.push(text);
    this.faults.note(`PROBLEM ${text}`);
  }

  meet(what: string): void {
    this.met.set(what, (this.met.get(what) ?? 0) + 1);
  }

  /** What is not yet as it must be in the end. */
  async #unsettled(): Promise<readonly string[]> {
    const problems: string[] = this.node === undefined ? ['no node is up'] : [];
    for (const checker of CHECKERS) for (const problem of (await checker.atEnd?.(this)) ?? []) problems.push(`${checker.promise} ${problem}`);
    return problems;
  }

  /** Waits until everything is as it must be, and is so still a while later. */
  async #settle(): Promise<void> {
    const limitMs = this.time.nowMs + QUIET_LIMIT_MS;
    for (let seenMs: number | undefined; this.time.nowMs < limitMs; await this.time.clock.sleep(LOOK_MS)) {
      if ((await this.#unsettled()).length > 0) seenMs = undefined;
      else seenMs ??= this.time.nowMs;
      if (seenMs !== undefined && this.time.nowMs - seenMs >= STAY_MS) return;
    }
  }

  async #start(): Promise<void> {
    this.#lives += 1;
    const life = new Life(this.#lives, this.time, this.faults);
    const epochs = takeShards(this.tables);
    const { random } = this;
    const store = openMemoryStore({
      tables: this.tables,
      clock: this.time.clock,
      random,
      latencyMs: { fromMs: 0.5, toMs: 4 },
      misfortune: (statement) => (life.alive ? this.faults.misfortune(statement) : { is: 'never' }),
      onApplied: (items, answers) => this.#applied(items, answers),
    });
    const node = new SimNode({ life, worldClock: this.time.clock, random, log: this.#log(life), store, epochs, hosts: this.hosts });
    this.#nodes.add(node);
    this.meet('node: started');
    this.faults.note(`${life.number}: START`);
    await node.start();
  }

  #crash(life: Life): void {
    this.meet('node: crashed');
    life.end();
    for (const node of this.#nodes) if (node.life === life) this.#nodes.delete(node);
    if (this.#nodes.size > 0 || this.#starting) return;
    this.#starting = true;
    this.time.after(RESTART_MS.from + this.random.next() * (RESTART_MS.to - RESTART_MS.from), () => {
      this.#starting = false;
      void this.#start();
    });
  }

  /** Hypervisors that fail and leases that are lost, at drawn moments, until the quiet time. */
  async #misfortunes(): Promise<void> {
    const { plan } = this.faults;
    const rate = plan.hypervisor + plan.lease;
    if (rate === 0) return;
    for (;;) {
      await this.time.clock.sleep((-Math.log(1 - this.random.next()) * MINUTE_MS) / rate);
      if (this.faults.isQuiet) return;
      if (this.random.next() * rate < plan.hypervisor) this.#strikeHost();
      else if (this.random.next() < 0.5) await this.#blink();
      else await this.#depose();
    }
  }

  /** A lease that is lost for a moment, sometimes while commits wait behind a slow one. */
  async #blink(): Promise<void> {
    if (this.random.next() < 0.5) {
      this.faults.slowNext();
      await this.time.clock.sleep(this.random.next() * 1_500);
    }
    void this.node?.blink(this.random.next() ** 4 * 2_000);
  }

  #strikeHost(): void {
    const host = this.hosts[Math.floor(this.random.next() * this.hosts.length)];
    if (!host || !this.node) return;
    const guests = [...this.guests.values()].filter((guest) => guest.host === host.name).map((guest) => guest.instanceId);
    this.faults.strike(host, (ms, run) => this.time.after(ms, run), guests);
  }

  /** Another node takes everything over, and the former one goes on for a while before it notices. */
  async #depose(): Promise<void> {
    const former = this.node;
    if (!former || this.#nodes.size > 1) return;
    this.faults.note(`${former.life.number}: DEPOSED`);
    this.time.after(this.random.next() * 3_000, () => {
      former.life.end();
      this.#nodes.delete(former);
      if (this.#nodes.size === 0 && !this.#starting) void this.#start();
    });
    await this.#start();
  }

  #applied(items: readonly WriteItem[], answers: readonly WriteAnswer[]): void {
    const commits: CommitItem[] = [];
    items.forEach((item, i) => {
      const answer = answers[i];
      this.meet(answer?.is === 'refused' ? `refused: ${answer.why}` : `${item.is}: ${answer?.is}`);
      if (item.is !== 'commit' || answer?.is !== 'done') return;
      commits.push(item);
      for (const claim of item.parts.claims) this.meet(`claim: ${claim.op}`);
      if (item.record.fault) this.meet(`fault: ${item.record.fault.reason}`);
      if (item.record.operation) this.meet(`step: ${item.record.operation.name}/${item.record.operation.step}`);
    });
    for (const checker of CHECKERS)
      for (const problem of checker.atCommit?.(this, commits) ?? []) this.problem(`${checker.promise} at ${this.time.nowMs.toFixed(1)} ms: ${problem}`);
  }

  #newHost(name: string): SimHost {
    return { name, disk: this.#watched(name), script: writeFaultScript(), capacity: { vcpus: this.options.vcpusPerHost, memoryMiB: 65_536, diskGiB: 1_000 } };
  }

  /** The disk of a hypervisor, with each change told to the checkers. */
  #watched(host: string): GuestDisk {
    const disk = memoryDisk();
    const changed = (): void => {
      for (const checker of CHECKERS)
        for (const problem of checker.atGuest?.(this) ?? []) this.problem(`${checker.promise} at ${this.time.nowMs.toFixed(1)} ms: ${problem}`);
    };
    return {
      take: async () => {
        const shelf = await disk.take();
        const watched: GuestShelf = {
          ...shelf,
          write: (stem, text) => {
            shelf.write(stem, text);
            const { instanceId, generation, power } = JSON.parse(text) as SeenGuest;
            this.guests.set(`${host} ${stem}`, { host, instanceId, generation, power });
            changed();
          },
          remove: (stem) => {
            shelf.remove(stem);
            this.guests.delete(`${host} ${stem}`);
            changed();
          },
        };
        return watched;
      },
    };
  }

  /** A crash of an actor is a bug, whatever went wrong outside. */
  #log(life: Life): Log {
    const log: Log = {
      ...silentLog,
      warn: (event, fields) => this.faults.note(`${life.number}: ${event} ${JSON.stringify(fields)}`),
      error: (event, fields) => {
        const { error } = fields ?? {};
        const why = error instanceof Error ? error.message : String(error ?? '');
        if (life.alive) this.problem(`an actor crashed: ${event}: ${why} (${JSON.stringify({ ...fields, error: undefined })})`);
      },
      with: () => log,
    };
    return log;
  }
}
