/**
 * The simulated hypervisor: no machine behind it, but honest. Guests stay on their disk when the process is killed,
 * and it refuses what a real hypervisor refuses: a full machine, an unknown guest, another generation, a wrong spec.
 *
 * A verb waits first (scripted blows, latency) and then changes disk and memory in one synchronous step that looks
 * at everything anew: an abort leaves a guest as it was, or as it should be. Only a spawn with a latency has a state
 * in between, defined and off; the next `spawn` starts it. It never reads image bytes.
 */
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { silentLog } from '../../runtime/base/log.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import type { GuestEvent, GuestKey, GuestSpec, HypervisorDriver } from '../driver.ts';
import type { SendProgress } from '../driver.ts';
import type { GuestDisk } from './disk.ts';
import type { FaultScript, Verb } from './faults.ts';
import { fileDisk } from './file-disk.ts';
import { openGate } from './gate.ts';
import type { Call, Gate } from './gate.ts';
import { fencedGuests, reopenFence } from './fence.ts';
import { openGuests } from './guests.ts';
import type { Guests } from './guests.ts';
import { checkSpec, DEFAULT_CAPACITY, toInventory } from './limits.ts';
import type { Capacity } from './limits.ts';
import { drawMs, withDefaults } from './latency.ts';
import type { Latencies } from './latency.ts';
import { openMachine } from './machine.ts';
import type { Machine, Powered } from './machine.ts';
import { openMoving } from './moves.ts';

const SEND_ROUNDS = 10;

export type SimulatedOptions = {
  /** Name of the host, as its guests' consoles show it. */
  readonly host: string;
  /** For this hypervisor alone; made when missing. Not touched when `disk` is given. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  readonly latency?: Partial<Latencies>;
  readonly faults?: FaultScript;
  readonly capacity?: Capacity;
  /** A guard may stop the guests in `directory` from outside: see fence.ts. */
  readonly selfFence?: boolean;
  /** Where guests outlive the driver; files under `directory` when left out. */
  readonly disk?: GuestDisk;
};

/** Faults: `conflict` when another process drives this directory, `unavailable` when it can't be read or written. */
export async function openSimulatedDriver(options: SimulatedOptions): Promise<HypervisorDriver> {
  const { host, clock, random, faults, capacity = DEFAULT_CAPACITY } = options;
  const openedMs = clock.monotonicMs();
  const latency = withDefaults(options.latency);
  const drawn = (name: keyof Latencies): number => drawMs(latency[name], random);
  const shelf = await (options.disk ?? fileDisk(options.directory)).take();
  const readGuests = (): Guests => openGuests(shelf, options.log ?? silentLog);
  if (options.selfFence) reopenFence(options.directory);
  const guests = options.selfFence ? fencedGuests(options.directory, readGuests) : readGuests();
  const machine = openMachine({ host, guests, clock, capacity });
  const moving = openMoving({ guests, machine, clock });
  const hurried = new Set<string>();
  const gate = openGate(clock, faults);
  const watchers = new Set<(event: GuestEvent | null) => void>();
  faults?.attach(toTarget(machine, gate, (event) => watchers.forEach((watcher) => watcher(event))));

  function call(verb: Verb, guest: GuestKey | null, signal: AbortSignal): Call {
    return { verb, instanceId: guest?.instanceId ?? null, waitMs: drawn(`${verb}Ms`), signal };
  }

  async function spawn(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    const halfMs = drawn('spawnMs') / 2;
    return gate.pass({ verb: 'spawn', instanceId: spec.instanceId, waitMs: halfMs, signal }, async () => {
      if (halfMs <= 0) return { power: machine.make(spec, 'running').power };
      const { made } = machine.make(spec, 'shutdown');
      await gate.wait(halfMs, signal);
      try {
        return machine.switchOn(spec);
      } catch (error) {
        // The host filled up meanwhile: of a guest that it refuses nothing stays.
        if (made && Fault.is(error, 'overloaded')) machine.remove(spec);
        throw error;
      }
    });
  }

  /** Asks the guest to go down and waits as long as it gets. Says whether it went by itself. */
  async function askDown(guest: GuestKey, graceMs: number, signal: AbortSignal): Promise<boolean> {
    const needMs = drawn('shutdownMs');
    if (machine.findAny(guest).power !== 'running' || graceMs <= 0) return false;
    await gate.wait(Math.min(needMs, graceMs), signal);
    return needMs <= graceMs;
  }

  /** Memory goes in rounds; who hurries it ends after the one that is under way. */
  async function send(guest: GuestKey, force: boolean, onProgress: (progress: SendProgress) => void, signal: AbortSignal): Promise<Powered> {
    const roundMs = drawn('sendMs') / SEND_ROUNDS;
    hurried.delete(guest.instanceId);
    for (let round = 1; round <= SEND_ROUNDS && roundMs > 0 && !force && !hurried.has(guest.instanceId); round++) {
      onProgress(moving.progress(guest, (round - 1) / SEND_ROUNDS));
      await gate.wait(roundMs, signal);
    }
    onProgress(moving.progress(guest, 1));
    return moving.hold(guest);
  }

  return {
    moves: {
      park: (guest, { graceMs }, signal) =>
        gate.pass(call('park', guest, signal), async () => {
          if (machine.findAny(guest).asleep === undefined) machine.switchOff(guest, await askDown(guest, graceMs, signal));
          return moving.park(guest);
        }),
      unpark: (guest, signal) => gate.pass(call('unpark', guest, signal), () => moving.unpark(guest)),
      readDisk: (guest, signal) => gate.pass(call('readDisk', guest, signal), () => moving.pack(guest)),
      receive: (spec, open, { memory }, signal) =>
        gate.pass(call('receive', spec, signal), async () => moving.has(spec, memory) ?? moving.unpack(spec, await open(signal), memory)),
    },
    live: {
      prepare: (spec, signal) => gate.pass(call('prepare', spec, signal), () => moving.prepare(spec)),
      send: (guest, { force }, onProgress, signal) => gate.pass({ ...call('send', guest, signal), waitMs: 0 }, () => send(guest, force, onProgress, signal)),
      hurry: (guest) => void hurried.add(guest.instanceId),
      stay: (guest, { paused }, signal) => gate.pass(call('stay', guest, signal), () => moving.stay(guest, paused)),
      land: (guest, { paused }, signal) => gate.pass(call('land', guest, signal), () => moving.land(guest, paused)),
    },
    spawn,
    inventory: (signal) => gate.pass(call('inventory', null, signal), () => toInventory(capacity)),
    destroy: (guest, signal) => gate.pass(call('destroy', guest, signal), () => machine.remove(guest)),
    start: (guest, signal) => gate.pass(call('start', guest, signal), () => machine.switchOn(guest)),
    stop: (guest, { graceMs }, signal) => gate.pass(call('stop', guest, signal), async () => machine.switchOff(guest, await askDown(guest, graceMs, signal))),
    reboot: (guest, { kind, graceMs }, signal) =>
      gate.pass(call('reboot', guest, signal), async () => machine.restart(guest, kind === 'soft' && (await askDown(guest, graceMs, signal)))),
    snapshot: (guest, { imageId }, signal) => gate.pass(call('snapshot', guest, signal), () => machine.snapshot(guest, imageId)),
    openSnapshot: (guest, { imageId }, signal) => gate.pass(call('openSnapshot', guest, signal), () => machine.openSnapshot(guest, imageId)),
    dropSnapshot: (guest, signal) => gate.pass(call('dropSnapshot', guest, signal), () => machine.dropSnapshot(guest)),
    pause: (guest, signal) => gate.pass(call('pause', guest, signal), () => machine.shift(guest, ['running'], 'paused')),
    unpause: (guest, signal) => gate.pass(call('unpause', guest, signal), () => machine.shift(guest, ['paused'], 'running')),
    suspend: (guest, signal) => gate.pass(call('suspend', guest, signal), () => machine.shift(guest, ['running', 'paused'], 'suspended')),
    resume: (guest, signal) => gate.pass(call('resume', guest, signal), () => machine.wake(guest)),
    rescue: (spec, { image }, { graceMs }, signal) =>
      gate.pass(call('rescue', spec, signal), async () => {
        checkSpec({ ...spec, image });
        if (machine.find(spec).power === 'running') await askDown(spec, graceMs, signal);
        return machine.bootFrom(spec, image.id);
      }),
    unrescue: (spec, signal) => gate.pass(call('unrescue', spec, signal), () => machine.bootFrom(spec, null)),
    setPassword: (guest, _password, signal) => gate.pass(call('setPassword', guest, signal), () => machine.mustRun(guest)),
    crashDump: (guest, signal) => gate.pass(call('crashDump', guest, signal), () => machine.dump(guest)),
    consoleOutput: (guest, { maxBytes }, signal) => gate.pass(call('consoleOutput', guest, signal), () => machine.console(guest, maxBytes)),
    diagnostics: (guest, signal) => gate.pass(call('diagnostics', guest, signal), () => machine.counters(guest)),
    list: (signal) =>
      gate.pass(call('list', null, signal), () =>
        Array.from(guests.all(), ({ instanceId, generation, name, power }) => ({ instanceId, generation, name, power })),
      ),
    hostUptime: (signal) => gate.pass(call('inventory', null, signal), () => ({ upMs: clock.monotonicMs() - openedMs, load: loadOf(guests) })),
    watch(onEvent) {
      watchers.add(onEvent);
    },
    async close() {
      watchers.clear();
      gate.close();
      shelf.release();
    },
  };
}

/** Each guest that runs keeps one processor busy. */
function loadOf(guests: Guests): [number, number, number] {
  let busy = 0;
  for (const { power } of guests.all()) if (power === 'running') busy++;
  return [busy, busy, busy];
}

/** What a fault script may do here. Events of a hypervisor that is away are lost, as they are in life. */
function toTarget(machine: Machine, gate: Gate, tell: (event: GuestEvent | null) => void) {
  return {
    setPower(instanceId: string, power: 'shutdown' | 'crashed'): boolean {
      const event = machine.drop(instanceId, power);
      if (event !== undefined && gate.reachable) tell(event);
      return event !== undefined;
    },
    plant: (name: string, memoryMiB: number) => machine.plant(name, memoryMiB),
    setReachable(reachable: boolean): void {
      const was = gate.reachable;
      gate.setReachable(reachable);
      if (!was && gate.reachable) tell(null);
    },
  };
}
