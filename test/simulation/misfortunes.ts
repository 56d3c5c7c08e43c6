/**
 * What befalls machines and the lines between them at drawn moments of the busy time: a node loses the store, is
 * paused, cut from another, stopped in good order; the store is away for all; a wall clock jumps; a hypervisor is hit,
 * a machine loses its power. Every one of them has an end, and at the quiet time all of them end at once.
 */
import type { NodeName } from '../../runtime/base/ids.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import type { FaultPlan } from './faults.ts';
import type { Machine } from './machine.ts';
import { forgedFrame } from './forgery.ts';
import type { World } from './world.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const STOP_LIMIT_MS = 20_000;

type Kind = 'hypervisor' | 'lease' | 'pause' | 'partition' | 'storeAway' | 'jump' | 'restart' | 'forge' | 'hostLoss';
const KINDS: readonly Kind[] = ['hypervisor', 'lease', 'pause', 'partition', 'storeAway', 'jump', 'restart', 'forge', 'hostLoss'];

export class Misfortunes {
  /** For every node. */
  isStoreAway = false;
  readonly #world: World;
  readonly #random: Random;
  readonly #plan: FaultPlan;
  /** What ends those that last, called once. */
  readonly #ends = new Set<() => void>();
  #ended = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
    this.#plan = world.faults.plan;
  }

  async happen(): Promise<void> {
    const total = KINDS.reduce((sum, kind) => sum + this.#plan[kind], 0);
    if (total === 0) return;
    for (;;) {
      await this.#world.time.clock.sleep((-Math.log(1 - this.#random.next()) * MINUTE_MS) / total);
      if (this.#ended) return;
      let at = this.#random.next() * total;
      const kind = KINDS.find((one) => (at -= this.#plan[one]) < 0);
      if (kind) this.#strike(kind);
    }
  }

  /** Everything that still lasts is over. */
  end(): void {
    this.#ended = true;
    for (const end of this.#ends) end();
    for (const machine of this.#world.machines) machine.wallOffMs = 0;
  }

  #strike(kind: Kind): void {
    switch (kind) {
      case 'hypervisor':
        return this.#hitHypervisor();
      case 'lease':
        return this.#cutFromStore();
      case 'pause':
        return this.#pause();
      case 'partition':
        return this.#part();
      case 'storeAway':
        return this.#takeStoreAway();
      case 'jump':
        return this.#jump();
      case 'restart':
        return void this.#restart();
      case 'forge':
        return this.#forge();
      case 'hostLoss':
        return this.#world.operator.loseOne();
    }
  }

  #hitHypervisor(): void {
    const { world } = { world: this.#world };
    const hosts = world.machines.flatMap((machine) => (machine.node?.isUp ? machine.hosts.filter((host) => host.wasOpened()) : []));
    if (hosts.length === 0) return;
    const host = pick(this.#random, hosts);
    const guests = [...world.guests.values()].filter((guest) => guest.host === host.name).map((guest) => guest.instanceId);
    world.faults.strike(host, (ms, run) => world.time.after(ms, run), guests);
  }

  /** Often about as long as a lease; sometimes while commits wait behind a slow one. */
  #cutFromStore(): void {
    const machine = this.#anyMachine();
    if (!machine) return;
    if (this.#random.next() < 0.5) this.#world.faults.slowNext();
    machine.isCutOff = true;
    this.#lasting(`${machine.name} is cut off from the store`, this.#random.next() * 12_000, () => (machine.isCutOff = false));
  }

  #pause(): void {
    const machine = this.#anyMachine();
    const life = machine?.node?.life;
    if (!machine || !life?.isAwake) return;
    life.pause();
    this.#lasting(`${machine.name} is paused`, this.#random.next() ** 2 * 30_000, () => life.goOn());
  }

  #part(): void {
    const { machines, network } = this.#world;
    const [one, other] = [pick(this.#random, machines).name as NodeName, pick(this.#random, machines).name as NodeName];
    if (one === other) return;
    const isOneWay = this.#random.next() < 0.4;
    const isAlone = this.#random.next() < 0.3;
    if (isAlone) network.isolate(one);
    else if (isOneWay) network.cutOneWay(one, other);
    else network.cut(one, other);
    const what = isAlone ? `${one} is alone` : `${one} ${isOneWay ? '>' : '|'} ${other}`;
    this.#lasting(what, this.#random.next() ** 2 * 30_000, () => {
      for (const machine of isAlone ? machines : []) network.heal(one, machine.name as NodeName);
      network.heal(one, other);
    });
  }

  /** Sometimes longer than every lease: nothing may be taken, moved or lost by that. */
  #takeStoreAway(): void {
    if (this.isStoreAway) return;
    this.isStoreAway = true;
    this.#lasting('the store is away', this.#random.next() * (this.#plan.hostLoss > 0 ? 2 : 1) * 20_000, () => (this.isStoreAway = false));
  }

  #jump(): void {
    const machine = pick(this.#random, this.#world.machines);
    machine.wallOffMs = pick(this.#random, [HOUR_MS, -HOUR_MS, 0, 5_000, -5_000]);
    this.#note(`the wall clock of ${machine.name} is off by ${machine.wallOffMs} ms`);
    this.#world.meet('misfortune: jump');
  }

  /** One node, or all in turn. */
  async #restart(): Promise<void> {
    const all = this.#random.next() < 0.3;
    const machines = all ? this.#world.machines : [pick(this.#random, this.#world.machines)];
    this.#world.meet(all ? 'misfortune: rolling restart' : 'misfortune: restart');
    for (const machine of machines) {
      const { node } = machine;
      if (this.#ended || !node?.isUp || !node.life.alive) continue;
      this.#note(`${machine.name} is stopped`);
      // As a lifecycle does: what cannot be stopped in good order is left to its lease.
      const stopped = node.stop().catch((error: unknown) => this.#note(`${machine.name} could not stop in good order: ${String(error)}`));
      await Promise.race([stopped, this.#world.time.clock.sleep(STOP_LIMIT_MS)]);
      this.#world.kill(machine);
      for (let i = 0; i < 60 && !machine.isGone && !machine.node?.isUp; i++) await this.#world.time.clock.sleep(500);
    }
  }

  /** A node that only drives hosts says what is not for it to say; nobody may listen. */
  #forge(): void {
    const { machines } = this.#world;
    const forgers = machines.filter((machine) => !machine.hasDatabase && machine.node?.isUp);
    const controls = machines.filter((machine) => machine.hasDatabase);
    if (forgers.length === 0) return;
    const frame = forgedFrame(this.#random, this.#world, pick(this.#random, forgers));
    if (frame && frame.by.node?.forge(pick(this.#random, controls).name, frame.frame)) this.#world.meet(`forged: ${frame.frame.type}`);
  }

  #lasting(what: string, ms: number, undo: () => void): void {
    this.#world.meet(`misfortune: ${what.replaceAll(/\b[nk]\d\b/g, 'node')}`);
    this.#note(`${what} for ${Math.round(ms)} ms`);
    const over = this.#world.outage(what);
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      this.#note(`no more: ${what}`);
      undo();
      over();
    };
    this.#ends.add(end);
    this.#world.time.after(ms, end);
  }

  #anyMachine(): Machine | undefined {
    const running = this.#world.machines.filter((machine) => machine.node?.life.alive);
    return running.length === 0 ? undefined : pick(this.#random, running);
  }

  #note(what: string): void {
    this.#world.faults.note(`MISFORTUNE ${what}`);
  }
}
