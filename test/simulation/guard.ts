/**
 * The guard of one host on its machine (actors/host/guard.ts and guard-keeper.ts, without their files): it outlives the
 * node, goes by the machine's own clock, and stops the guests when the lease that it was told of ends; until the host
 * has its lease back, its driver brings nothing up. It ends with the machine's power.
 */
import type { HostGuard } from '../../actors/host/lease.ts';
import type { HypervisorDriver } from '../../drivers/driver.ts';
import { must } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { VirtualWorld } from '../doubles/virtual-clock.ts';
import type { SimDisk } from './disk.ts';
import { HOST_LEASE_MS, LEASE } from './settings.ts';

/** Between looks at the lease. */
const LOOK_MS = 200;
/** Of a lease, kept for stopping guests; and what that takes at most. */
const STOP_SHARE = 0.2;
const STOP_MAX_SHARE = 0.15;

export type GuardParts = {
  readonly disk: SimDisk;
  readonly time: VirtualWorld;
  readonly random: Random;
  readonly note: (what: string) => void;
};

export class SimGuard {
  readonly #parts: GuardParts;
  /** The machine's uptime is nobody else's clock. */
  readonly #offMs: number;
  #untilMs: number | undefined;
  #isClosed = false;
  #isStopping = false;
  #closings = 0;
  #look: { cancel(): void } | undefined;

  constructor(parts: GuardParts) {
    this.#parts = parts;
    this.#offMs = Math.floor(parts.random.next() * 1_000_000);
  }

  /** As the lease of a host speaks with it. */
  get forLease(): HostGuard {
    return {
      selfFenceMs: HOST_LEASE_MS,
      watched: async () => undefined,
      nowMs: () => this.#nowMs(),
      extend: (untilMs) => {
        this.#untilMs = untilMs - LEASE.marginMs - HOST_LEASE_MS * STOP_SHARE;
        this.#lookLater();
      },
    };
  }

  /** The guests go on without a lease. Only after the store has heard it. */
  goodbye(): void {
    this.#untilMs = undefined;
    this.#look?.cancel();
  }

  /** The machine is off: its guests are, and the guard of its next start knows nothing. */
  powerOff(): void {
    this.goodbye();
    this.#isClosed = false;
    this.#isStopping = false;
    this.#closings += 1;
  }

  /** The driver that nobody's verbs reach while the guests are stopped, and that reads everything anew afterwards. */
  async over(open: () => Promise<HypervisorDriver>): Promise<HypervisorDriver> {
    const watchers: Parameters<HypervisorDriver['watch']>[0][] = [];
    let opened = open();
    let closings = this.#closings;
    await opened;
    const through = async <T>(verb: (driver: HypervisorDriver) => Promise<T>): Promise<T> => {
      if (this.#isClosed) throw fenced();
      if (closings !== this.#closings) {
        closings = this.#closings;
        opened = open().then((driver) => {
          for (const watcher of watchers) driver.watch(watcher);
          return driver;
        });
      }
      const seen = closings;
      const answer = await verb(await opened);
      if (this.#isClosed || seen !== this.#closings) throw fenced();
      return answer;
    };
    return {
      moves: {
        park: (guest, options, signal) => through((driver) => movesOf(driver).park(guest, options, signal)),
        unpark: (guest, signal) => through((driver) => movesOf(driver).unpark(guest, signal)),
        readDisk: (guest, signal) => through((driver) => movesOf(driver).readDisk(guest, signal)),
        receive: (spec, disk, options, signal) => through((driver) => movesOf(driver).receive(spec, disk, options, signal)),
      },
      live: {
        prepare: (spec, signal) => through((driver) => liveOf(driver).prepare(spec, signal)),
        send: (guest, options, onProgress, signal) => through((driver) => liveOf(driver).send(guest, options, onProgress, signal)),
        hurry: (guest) => void opened.then((driver) => driver.live?.hurry(guest)),
        stay: (guest, options, signal) => through((driver) => liveOf(driver).stay(guest, options, signal)),
        land: (guest, options, signal) => through((driver) => liveOf(driver).land(guest, options, signal)),
      },
      spawn: (spec, signal) => through((driver) => driver.spawn(spec, signal)),
      inventory: async (signal) => (await opened).inventory(signal), // reads nothing of guests
      destroy: (guest, signal) => through((driver) => driver.destroy(guest, signal)),
      start: (guest, signal) => through((driver) => driver.start(guest, signal)),
      stop: (guest, options, signal) => through((driver) => driver.stop(guest, options, signal)),
      reboot: (guest, options, signal) => through((driver) => driver.reboot(guest, options, signal)),
      snapshot: (guest, options, signal) => through((driver) => driver.snapshot(guest, options, signal)),
      openSnapshot: (guest, options, signal) => through((driver) => driver.openSnapshot(guest, options, signal)),
      dropSnapshot: (guest, signal) => through((driver) => driver.dropSnapshot(guest, signal)),
      diagnostics: (guest, signal) => through((driver) => driver.diagnostics?.(guest, signal) ?? Promise.reject(new Error('the simulated hypervisor counts'))),
      pause: (guest, signal) => through((driver) => driver.pause!(guest, signal)),
      unpause: (guest, signal) => through((driver) => driver.unpause!(guest, signal)),
      suspend: (guest, signal) => through((driver) => driver.suspend(guest, signal)),
      resume: (guest, signal) => through((driver) => driver.resume(guest, signal)),
      rescue: (spec, boot, options, signal) => through((driver) => driver.rescue(spec, boot, options, signal)),
      unrescue: (spec, signal) => through((driver) => driver.unrescue(spec, signal)),
      setPassword: (guest, password, signal) => through((driver) => driver.setPassword!(guest, password, signal)),
      crashDump: (guest, signal) => through((driver) => driver.crashDump!(guest, signal)),
      consoleOutput: (guest, options, signal) => through((driver) => driver.consoleOutput(guest, options, signal)),
      list: (signal) => through((driver) => driver.list(signal)),
      watch(onEvent) {
        watchers.push(onEvent);
        void opened.then((driver) => driver.watch(onEvent));
      },
      close: async () => (await opened).close(),
    };
  }

  #nowMs(): number {
    return this.#parts.time.nowMs + this.#offMs;
  }

  /** The next look that finds something to do. */
  #lookLater(): void {
    this.#look?.cancel();
    if (this.#untilMs === undefined || this.#isStopping) return;
    const waitMs = this.#isClosed ? 0 : Math.max(0, this.#untilMs - this.#nowMs());
    this.#look = this.#parts.time.after(waitMs + this.#parts.random.next() * LOOK_MS, () => this.#act());
  }

  #act(): void {
    const { disk, time, random, note } = this.#parts;
    const isOver = this.#untilMs !== undefined && this.#nowMs() >= this.#untilMs;
    if (!isOver) {
      if (this.#isClosed) note('the host has its lease back');
      this.#isClosed = false;
      return this.#lookLater();
    }
    if (this.#isClosed) return;
    note('the lease of the host has ended');
    this.#isClosed = true;
    this.#isStopping = true;
    const closing = ++this.#closings;
    disk.putOff();
    time.after(random.next() * HOST_LEASE_MS * STOP_MAX_SHARE, () => {
      if (closing !== this.#closings) return;
      note(`${disk.stopAll()} guests stopped`);
      this.#closings += 1; // a driver that began in between has read guests that still ran
      this.#isStopping = false;
      this.#lookLater();
    });
  }
}

function movesOf({ moves }: HypervisorDriver): NonNullable<HypervisorDriver['moves']> {
  return must(moves, 'the simulated driver moves guests');
}

function liveOf({ live }: HypervisorDriver): NonNullable<HypervisorDriver['live']> {
  return must(live, 'the simulated driver moves guests while they run');
}

function fenced(): Fault {
  return new Fault('unavailable', 'host.fenced', 'The guests of the host were stopped, and it has not begun anew.');
}
