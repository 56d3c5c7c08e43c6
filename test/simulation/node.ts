/**
 * One node of the simulated cell: the real runtime and the real actors of every room, on a store in memory, simulated
 * hypervisors and virtual time. It is put together as index.ts does it, without doors, leases and mesh.
 */
import { ownServe } from '../../actors/conductor/kind.ts';
import type { HostDoorProtocol } from '../../actors/conductor/messages/host.ts';
import type { WriteProtocol } from '../../actors/conductor/messages/write.ts';
import type { CellStore } from '../../actors/conductor/store.ts';
import { hostKind } from '../../actors/host/kind.ts';
import { hostRef } from '../../actors/host/messages.ts';
import { HOST_DEFAULTS, type HostSettings } from '../../actors/host/settings.ts';
import { instanceKind } from '../../actors/instance/kind.ts';
import { INSTANCE_DEFAULTS, type InstanceSettings } from '../../actors/instance/settings.ts';
import { networkKind } from '../../actors/network/kind.ts';
import { schedulerKind } from '../../actors/scheduler/kind.ts';
import { schedulerRef } from '../../actors/scheduler/messages.ts';
import type { HypervisorDriver } from '../../drivers/driver.ts';
import type { FaultScript } from '../../drivers/simulated/faults.ts';
import { openSimulatedDriver } from '../../drivers/simulated/driver.ts';
import type { GuestDisk } from '../../drivers/simulated/disk.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import { defineService } from '../../runtime/actor/kind.ts';
import { NodeRoom } from '../../runtime/actor/room.ts';
import { ActorSystem } from '../../runtime/actor/system.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import { Shards } from '../../runtime/shard/shards.ts';
import { Takeover } from '../../runtime/shard/takeover.ts';
import type { Life } from './life.ts';

export const INSTANCE_SETTINGS: InstanceSettings = {
  ...INSTANCE_DEFAULTS,
  placeLimitMs: 30_000,
  spawnLimitMs: 40_000,
  destroyLimitMs: 20_000,
  stopGraceMs: 8_000,
  rebootGraceMs: 8_000,
  powerLimitMs: 20_000,
  verbWaitMs: 4_000,
};

export type SimHost = {
  readonly name: string;
  readonly disk: GuestDisk;
  readonly script: FaultScript;
  readonly capacity: { vcpus: number; memoryMiB: number; diskGiB: number };
};

export type NodeParts = {
  readonly life: Life;
  /** Of the hypervisors: a verb goes on when the node that asked for it is dead. */
  readonly worldClock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: CellStore;
  /** Epoch by shard. */
  readonly epochs: ReadonlyMap<number, number>;
  readonly hosts: readonly SimHost[];
};

export class SimNode {
  readonly life: Life;
  readonly actors: Actors;
  readonly #parts: NodeParts;
  readonly #system: ActorSystem;
  readonly #shards: Shards;
  readonly #takeover: Takeover;
  readonly #room: NodeRoom;
  #mayRun = true;

  constructor(parts: NodeParts) {
    const { life, random, log, epochs } = parts;
    this.#parts = parts;
    this.life = life;
    const { clock } = life;
    const store = throughLife(parts.store, life);
    this.#system = new ActorSystem({ clock, random, log });
    this.actors = life.within(this.#system);
    const activation = { clock, random, log, turns: life.turns, actors: this.actors, failpoint: life.reach };
    this.#room = new NodeRoom(activation);
    this.#shards = new Shards({ ...activation, store }, (shard) => (this.#mayRun ? epochs.get(shard) : undefined));
    this.#takeover = new Takeover({ store, actors: this.actors, clock, log });
    this.#system.plug({ room: this.#room, shards: this.#shards });
    this.#system.register(
      defineService<WriteProtocol & HostDoorProtocol>({ kind: 'conductor', mailboxMax: 4_096, concurrency: 2_048, serve: ownServe(store) }),
    );
    this.#system.register(instanceKind(INSTANCE_SETTINGS));
    this.#system.register(networkKind());
    const schedulers = schedulerKind();
    this.#system.register(schedulers);
    this.#room.start(schedulers, schedulerRef(0));
  }

  /** Opens the hypervisors and takes up what is open. */
  async start(): Promise<void> {
    for (const host of this.#parts.hosts) await this.#openHost(host);
    this.#takeover.taken([...this.#parts.epochs.keys()]);
  }

  /** The lease seems over for a moment, then it is back under the same epochs. */
  async blink(ms: number): Promise<void> {
    this.#mayRun = false;
    this.#takeover.lost();
    this.#shards.drop(new Set(this.#parts.epochs.keys()));
    await this.life.clock.sleep(ms);
    this.#mayRun = true;
    this.#takeover.taken([...this.#parts.epochs.keys()]);
  }

  /** In memory now, for the checkers. */
  get activations(): number {
    return this.#shards.size;
  }

  async #openHost({ name, disk, script, capacity }: SimHost): Promise<void> {
    const { life, random, log, worldClock } = this.#parts;
    const latency = {
      spawnMs: { fromMs: 50, toMs: 6_000 },
      destroyMs: { fromMs: 5, toMs: 500 },
      startMs: 200,
      stopMs: 50,
      rebootMs: 300,
      shutdownMs: { fromMs: 100, toMs: 12_000 },
      listMs: 5,
      inventoryMs: 5,
    };
    const driver = await openSimulatedDriver({ host: name, directory: '', clock: worldClock, random, disk, faults: script, capacity, latency });
    const settings: HostSettings = {
      ...HOST_DEFAULTS,
      node: 'n1',
      driver: 'simulated',
      lookMs: 20_000,
      tickMs: 2_000,
      promiseMs: 300,
      reserved: { vcpus: 0, memoryMiB: 0, diskGiB: 0 },
      ratios: { vcpus: 1, memoryMiB: 1, diskGiB: 1 },
      verbsAtOnce: 4,
      slicesOf: () => [0],
    };
    const kind = hostKind({ driver: throughLife(driver, life), actors: this.actors, log, failpoint: life.reach }, settings);
    this.#system.register(kind);
    const address = hostRef(name);
    this.#room.start(kind, address);
    // What a hypervisor reports by itself is a hint like any other.
    driver.watch((event) => this.actors.tell(address, { type: 'guestChanged', event }));
    this.#system.tell(address, { type: 'tick' });
  }
}

/** Every verb of a port through the life: it may end before and after each. */
function throughLife<T extends CellStore | HypervisorDriver>(port: T, life: Life): T {
  const wrapped: Record<string, unknown> = {};
  for (const [verb, run] of Object.entries(port)) {
    if (verb === 'onWritten' || verb === 'watch' || typeof run !== 'function') wrapped[verb] = run;
    else wrapped[verb] = (...args: unknown[]) => life.through(verb, () => run.apply(port, args) as Promise<unknown>);
  }
  return wrapped as T;
}
