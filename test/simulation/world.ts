/**
 * The simulated cluster: what outlives a process (the store's tables, the hypervisors' disks, the network), virtual
 * time, and machines whose nodes run it all. Everything comes from one seed. A run has a busy time with clients and
 * faults, then a quiet time, at whose end everything must be settled.
 */
import type { CommitItem, WriteAnswer, WriteItem } from '../../actors/conductor/write/item.ts';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import type { PeerKey } from '../../runtime/mesh/mesh.ts';
import { silentLog, type Log } from '../../runtime/base/log.ts';
import { seededRandom, type Random } from '../../runtime/base/random.ts';
import { MemoryNetwork } from '../doubles/memory-mesh.ts';
import type { ServerGroup } from '../../actors/model/server-group.ts';
import { memoryTables, provedBy, quotaKey, type MemoryTables } from '../doubles/memory-tables.ts';
import { VirtualWorld } from '../doubles/virtual-clock.ts';
import { CHECKERS } from './checkers/all.ts';
import type { Checker } from './checkers/checker.ts';
import { Acks } from './clients.ts';
import type { SeenGuest } from './disk.ts';
import { Faults, type FaultPlan, type Losses } from './faults.ts';
import { SimGuard } from './guard.ts';
import type { SimImages } from './images.ts';
import { Life } from './life.ts';
import { Machine, newHost, type SimHost } from './machine.ts';
import { Misfortunes } from './misfortunes.ts';
import { keyOf, SimNode } from './node.ts';
import { Operator } from './operator.ts';
import { NETWORK } from './records.ts';
import { Roads } from './roads.ts';
import { INSTANCE_SETTINGS, recoverySettings } from './settings.ts';
import { openStoreLine } from './store-line.ts';
import { StreamReader } from './stream-reader.ts';

/** A process that ended starts again so soon; some later than a lease, so that others take over. */
const RESTART_MS = { from: 100, to: 4_000, late: 15_000 };
const LATE_SHARE = 0.3;
/** Everything open must have ended so long after the last fault. */
const QUIET_LIMIT_MS = 600_000;
const LOOK_MS = 5_000;
const STAY_MS = 25_000;
const SAMPLE_MS = 1_000;
const RUN_LIMIT_MS = 3_600_000;
const PROBLEMS_MAX = 5;
/** How long clients wait for a first node. */
const UP_LIMIT_MS = 15_000;

export type WorldOptions = {
  readonly seed: number;
  readonly hosts: number;
  readonly vcpusPerHost: number;
  readonly plan: FaultPlan;
  readonly cidr: string;
  readonly quota: Partial<{ instances: number; cores: number; ram: number }>;
  /** Control nodes; one when left out. */
  readonly nodes?: number;
  /** Nodes without a database, which then drive all hosts. */
  readonly computes?: number;
  /** When a shelved server leaves its host. */
  readonly shelvedOffloadMs?: number;
  /** Machines are lost, and what runs there goes elsewhere. */
  readonly losses?: Losses;
  /** A group in which every second order of servers is. */
  readonly group?: ServerGroup;
  /** How long a deleted server can be restored; not at all when left out. */
  readonly reclaimAfterMs?: number;
};

/** A time in which something was not reachable, in virtual milliseconds. */
export type Outage = { readonly what: string; readonly fromMs: number; toMs: number };

export class World {
  readonly options: WorldOptions;
  readonly time: VirtualWorld;
  readonly network: MemoryNetwork;
  readonly tables: MemoryTables = memoryTables();
  /** Of the image service. */
  readonly images: SimImages = new Map();
  readonly roads = new Roads();
  readonly faults: Faults;
  readonly acks = new Acks();
  readonly random: Random;
  readonly problems: string[] = [];
  readonly machines: readonly Machine[];
  readonly hosts: readonly SimHost[];
  /** What stands on the disks now, by host and instance. */
  readonly guests = new Map<string, SeenGuest>();
  /** Commits that were applied, in order, by instance. */
  readonly applied = new Map<string, { readonly version: number; readonly epoch: number }[]>();
  /** What the run has met, counted: a simulation that meets nothing proves nothing. */
  readonly met = new Map<string, number>();
  readonly outages: Outage[] = [];
  readonly misfortunes: Misfortunes;
  readonly operator: Operator;
  /** One for each control node. */
  readonly readers: readonly StreamReader[];
  #lives = 0;

  constructor(options: WorldOptions) {
    const { seed, plan, cidr, quota, nodes = 1, computes = 0, losses } = options;
    this.options = options;
    this.random = seededRandom(seed);
    this.time = new VirtualWorld({ ties: seededRandom(seed ^ 0x5bd1) });
    const weather = { lossChance: plan.loss, minDelayMs: 0.1, maxDelayMs: plan.delayMs, againChance: plan.again };
    this.network = new MemoryNetwork({ clock: this.time.clock, random: seededRandom(seed ^ 0x1ce4), weather });
    const nowMs = (): number => this.time.nowMs;
    this.faults = new Faults({
      plan,
      random: seededRandom(seed ^ 0x9e37),
      nowMs,
      crash: (life) => this.#crash(life),
      meet: (what) => this.meet(what),
    });
    this.misfortunes = new Misfortunes(this, seededRandom(seed ^ 0x3c6f));
    this.operator = new Operator(this, seededRandom(seed ^ 0x2b7d));
    this.tables.networks.set(NETWORK.id, { ...NETWORK, cidr });
    this.tables.quotaLimits.set(quotaKey('blue', ''), quota);
    if (options.group) this.tables.serverGroups.set(options.group.id, options.group);
    const chance = seededRandom(seed ^ 0x6c15);
    const watch = (name: string): Parameters<typeof newHost>[3] =>
      chance.next() < (losses?.guarded ?? 0)
        ? (disk) => new SimGuard({ disk, time: this.time, random: chance, note: (what) => this.#guarded(name, what) })
        : undefined;
    this.hosts = Array.from({ length: options.hosts }, (_, i) => `h${i + 1}`).map((name) =>
      newHost(name, options.vcpusPerHost, (seen) => this.#seen(seen), watch(name)),
    );
    const drivers = computes || nodes;
    const own = (i: number): SimHost[] => this.hosts.filter((_host, place) => place % drivers === i);
    this.machines = [
      ...Array.from({ length: nodes }, (_, i) => new Machine(`n${i + 1}`, CONTROL_ROLES, computes === 0 ? own(i) : [])),
      ...Array.from({ length: computes }, (_, i) => new Machine(`k${i + 1}`, ['compute'], own(i))),
    ];
    const controls = this.machines.filter((machine) => machine.hasDatabase);
    this.readers = controls.map(({ name }, i) => new StreamReader(this, name, seededRandom(seed ^ (0x7a31 + i))));
    for (const { name, roles, hasDatabase } of this.machines) if (!hasDatabase) this.tables.nodeKeys.set(name, { name, publicKey: keyOf(name), roles });
  }

  /** A node that clients reach now; none while all are down. */
  get node(): SimNode | undefined {
    const up = this.nodes.filter((node) => node.isUp && node.isControl);
    return up.length === 0 ? undefined : up[Math.floor(this.random.next() * up.length)];
  }

  /** Processes that run now, paused ones too. */
  get nodes(): readonly SimNode[] {
    return this.machines.flatMap(({ node }) => (node?.life.alive ? [node] : []));
  }

  /** The host is driven by a node that has crashed for good. */
  isLost(host: string): boolean {
    return this.machines.some((machine) => machine.isGone && machine.hosts.some((own) => own.name === host));
  }

  /** Its machine has no power, or something proves it dead. */
  isDown(host: string | null): boolean {
    const row = host === null ? undefined : this.tables.hosts.get(host);
    return (row !== undefined && provedBy(row) !== null) || this.machines.some((machine) => machine.isOff && machine.hosts.some(({ name }) => name === host));
  }

  /** Runs the clients' work under faults, then the quiet time. Answers with what broke, at most a few. */
  async run(work: (world: World) => Promise<void>): Promise<readonly string[]> {
    const body = async (): Promise<void> => {
      for (const machine of this.machines) this.start(machine);
      await this.#firstUp();
      void this.misfortunes.happen();
      void this.#sample();
      for (const reader of this.readers) void reader.live();
      await work(this);
      this.#becomeQuiet();
      await this.#settle();
      for (const problem of await this.#unsettled()) this.problem(problem);
    };
    // A process of a product would end of it.
    const unheard = (error: unknown): void => this.problem(`a rejection that nobody heard: ${error instanceof Error ? error.stack : String(error)}`);
    process.on('unhandledRejection', unheard);
    try {
      await this.time.run(body, RUN_LIMIT_MS);
    } catch (error) {
      this.problem(`the run did not end: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      process.off('unhandledRejection', unheard);
      if (this.network.lost > 0) this.met.set('message: lost', this.network.lost);
      for (const node of this.nodes) node.life.end();
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

  /** Something is out of reach from now on; answers with what ends that. */
  outage(what: string): () => void {
    const outage: Outage = { what, fromMs: this.time.nowMs, toMs: Number.POSITIVE_INFINITY };
    this.outages.push(outage);
    return () => {
      outage.toMs = Math.min(outage.toMs, this.time.nowMs);
    };
  }

  /** Starts a process on the machine, on the data folder of the former one. */
  start(machine: Machine): void {
    if (machine.isGone || machine.isOff || machine.node?.life.alive) return;
    machine.endOutage ??= this.outage(`${machine.name} is down`);
    this.#lives += 1;
    const { random, time, network, tables, faults } = this;
    const life = new Life({ name: machine.name, number: this.#lives, world: time, fate: faults, wallOffMs: () => machine.wallOffMs });
    const store = openStoreLine({
      tables,
      images: this.images,
      time,
      random,
      misfortune: (statement) => (life.alive ? faults.misfortune(statement) : { is: 'never' }),
      isCut: () => machine.isCutOff || this.misfortunes.isStoreAway,
      onGiven: (shard, holder) => this.#given(shard, holder?.owner),
      onApplied: (items, answers) => this.#applied(items, answers),
    });
    const node = new SimNode({
      life,
      name: machine.name,
      boot: random.uuid() as BootId,
      roles: machine.roles,
      worldClock: time.clock,
      random,
      log: this.#log(life),
      network,
      store,
      seeds: this.machines.filter((other) => other.hasDatabase && other !== machine).map(toPeer),
      onLetIn: (from, message) => this.#check((checker) => checker.atLetIn?.(this, from, message)),
      slices: this.machines.length === 1 ? 1 : SLICES,
      shelvedOffloadMs: this.options.shelvedOffloadMs ?? INSTANCE_SETTINGS.shelvedOffloadMs,
      hosts: machine.hosts,
      roads: this.roads,
      reclaimAfterMs: this.options.reclaimAfterMs ?? 0,
      recovery: this.options.losses && recoverySettings(this.options.losses),
    });
    machine.node = node;
    this.meet('node: started');
    faults.note(`${life.name}#${life.number}: START`);
    node.start().then(
      () => {
        machine.endOutage?.();
        machine.endOutage = undefined;
        faults.note(`${life.name}#${life.number}: UP`);
      },
      (error: unknown) => {
        // As a keeper of processes does: one that cannot start is started again.
        faults.note(`${life.name}#${life.number}: START FAILED ${String(error)}`);
        this.kill(machine);
      },
    );
  }

  /** Ends the process without a word; another one starts later, unless it is gone for good. */
  kill(machine: Machine): void {
    const life = machine.node?.life;
    if (!life?.alive) return;
    life.end();
    this.network.crash(life.name as never);
    machine.endOutage ??= this.outage(`${machine.name} is down`);
    this.startLater(machine);
  }

  /** The machine's power goes: its node and all of its guests end in one moment, and what they had begun is never done. */
  lose(machine: Machine, isForGood: boolean): void {
    this.meet(isForGood ? 'machine: lost for good' : 'machine: lost');
    this.faults.note(`${machine.name}: POWER LOST`);
    machine.isOff = true;
    machine.isGone ||= isForGood;
    machine.endOutage ??= this.outage(`${machine.name} is down`);
    this.kill(machine);
    for (const { disk, guard } of machine.hosts) {
      disk.putOff();
      guard?.powerOff();
      disk.stopAll();
    }
  }

  powerOn(machine: Machine): void {
    this.faults.note(`${machine.name}: POWER BACK`);
    machine.isOff = false;
    this.startLater(machine);
  }

  startLater(machine: Machine): void {
    if (machine.isGone || machine.isOff || machine.isStarting) return;
    machine.isStarting = true;
    const isLate = this.machines.length > 1 && this.random.next() < LATE_SHARE;
    const { from, to, late } = RESTART_MS;
    this.time.after(from + this.random.next() * ((isLate ? late : to) - from), () => {
      machine.isStarting = false;
      this.start(machine);
    });
  }

  #crash(life: Life): void {
    const machine = this.machines.find(({ node }) => node?.life === life);
    if (!machine) return;
    this.meet('node: crashed');
    const others = this.machines.filter((other) => other !== machine && other.hasDatabase && !other.isGone && !other.isOff);
    if (this.faults.plan.gone > 0 && others.length > 0 && this.random.next() < this.faults.plan.gone) {
      machine.isGone = true;
      this.meet('node: gone');
      this.faults.note(`${machine.name}: GONE`);
    }
    this.kill(machine);
  }

  async #firstUp(): Promise<void> {
    const limitMs = this.time.nowMs + UP_LIMIT_MS;
    while (this.time.nowMs < limitMs && !this.nodes.some((node) => node.isUp)) await this.time.clock.sleep(50);
  }

  #becomeQuiet(): void {
    this.misfortunes.end();
    this.operator.becomeQuiet();
    this.network.healAll();
    this.network.setWeather({ lossChance: 0, minDelayMs: 0.1, maxDelayMs: 1 });
    this.faults.becomeQuiet(this.hosts.filter((host) => host.wasOpened()));
    for (const machine of this.machines) if (!machine.node?.life.alive) this.startLater(machine);
  }

  #guarded(host: string, what: string): void {
    this.meet(`guard: ${what.replace(/^\d+/, 'all')}`);
    this.faults.note(`${host}: GUARD ${what}`);
  }

  /** What is not yet as it must be in the end. */
  async #unsettled(): Promise<readonly string[]> {
    const problems = [...this.operator.busy].map((job) => `P2 ${job}, and the operator is not done with it`);
    const down = this.machines.filter(({ isGone, node }) => !isGone && !(node?.life.alive && node.isUp)).map(({ name }) => `P2 node ${name} is not up`);
    problems.push(...down);
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

  async #sample(): Promise<void> {
    for (;;) {
      await this.time.clock.sleep(SAMPLE_MS);
      this.#check((checker) => checker.atSample?.(this));
    }
  }

  #given(shard: number, owner: string | undefined): void {
    this.meet(owner === undefined ? 'shard: given up' : 'shard: taken');
    this.#check((checker) => checker.atShard?.(this, shard, owner));
  }

  #check(of: (checker: Checker) => readonly string[] | undefined): void {
    for (const checker of CHECKERS) for (const problem of of(checker) ?? []) this.problem(`${checker.promise} at ${this.time.nowMs.toFixed(1)} ms: ${problem}`);
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
    this.#check((checker) => checker.atCommit?.(this, commits));
  }

  #seen(seen: SeenGuest | { readonly host: string; readonly gone: string }): void {
    if ('gone' in seen) this.guests.delete(`${seen.host} ${seen.gone}`);
    else this.guests.set(`${seen.host} ${seen.stem}`, seen);
    this.#check((checker) => checker.atGuest?.(this));
  }

  /** A crash of an actor is a bug, whatever went wrong outside. */
  #log(life: Life): Log {
    const who = `${life.name}#${life.number}`;
    const log: Log = {
      ...silentLog,
      warn: (event, fields) => this.faults.note(`${who}: ${event} ${JSON.stringify(fields)}`),
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

const CONTROL_ROLES = ['control', 'api', 'compute'];

function toPeer({ name, roles }: Machine): PeerKey {
  return { node: name as NodeName, endpoint: `memory://${name}`, publicKey: keyOf(name), roles };
}

/** Of the schedulers, where there is more than one node. */
const SLICES = 3;
