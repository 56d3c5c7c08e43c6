/**
 * What a host does outside: the first look, driver verbs, reading consoles, clearing what the store records as gone.
 * Bounded: at most `verbsAtOnce` verbs run at a time, the others wait in line until their time limit.
 */
import type { Job } from '../../runtime/actor/kind.ts';
import { unreachable } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { GuestKey, GuestPower, HypervisorDriver } from '../../drivers/driver.ts';
import { CONDUCTOR } from '../conductor/messages.ts';
import { capacityOf } from '../model/resources.ts';
import { fetchImages } from './fetch-images.ts';
import type { VerbEnd } from './lanes.ts';
import type { HostParts } from './parts.ts';
import type { GuestVerb, HostBeginning } from './messages.ts';
import { isMove, runMove, type MoveVerb } from './moves.ts';
import type { HostSettings } from './settings.ts';

type VerbArgs = GuestKey & { readonly verb: GuestVerb; readonly host?: string };
type ClearArgs = { readonly host: string; readonly doomed: readonly GuestKey[]; readonly strays: readonly GuestKey[] };

export function hostJobs(parts: HostParts, settings: HostSettings): { readonly [job: string]: Job } {
  const gate = new Gate(settings.verbsAtOnce);
  return {
    async begin(args: { host: string }, signal) {
      await gate.ended(signal); // what a former life of this actor began must not end after the look around
      return begin(parts, settings, args.host, signal);
    },
    beat: (args: { host: string; epoch: number }, signal) => beat(parts, args, signal),
    look: (args: { host: string }, signal) => look(parts, args.host, signal),
    verb: (args: VerbArgs, signal) => gate.through(() => runVerb(parts, args, signal), signal),
    async hurry(guest: GuestKey) {
      parts.driver.live?.hurry(guest);
    },
    console: (args: GuestKey & { maxBytes: number }, signal) => readConsole(parts.driver, args, signal),
    uptime: async (_args: object, signal) => ({ uptime: (await parts.driver.hostUptime?.(signal)) ?? null }),
    fetchImages: (args: { host: string }, signal) => fetchImages(parts, args.host, signal),
    diagnostics: async ({ instanceId, generation }: GuestKey, signal) => (await parts.driver.diagnostics?.({ instanceId, generation }, signal)) ?? null,
    clear: (args: ClearArgs, signal) => clear(parts, args, signal),
  };
}

async function begin({ driver, actors, lease }: HostParts, settings: HostSettings, host: string, signal: AbortSignal): Promise<HostBeginning> {
  const seen = await driver.inventory(signal);
  const abilities = (['moves', 'live'] as const).filter((ability) => driver[ability] !== undefined);
  const inventory = { ...seen, ...(abilities.length > 0 && { abilities }) };
  const { vcpus, memoryMiB, diskGiB } = inventory;
  const capacity = capacityOf({ vcpus, memoryMiB, diskGiB }, settings.reserved, settings.ratios);
  const { node, driver: kind, zone } = settings;
  await lease?.watched(signal);
  const heard = lease?.sending();
  const selfFenceMs = lease?.selfFenceMs ?? null;
  // Claims are read before guests: a guest that is made meanwhile has its claim in a later look.
  const start = await actors.ask(CONDUCTOR, { type: 'hostStart', host, node, driver: kind, inventory, capacity, zone, selfFenceMs }, { signal });
  heard?.(start.epoch);
  const guests = await driver.list(signal);
  return { start, inventory, capacity, guests };
}

/** Not heard: another epoch of this host has begun. */
async function beat({ actors, lease }: HostParts, { host, epoch }: { host: string; epoch: number }, signal: AbortSignal): Promise<{ isHeard: boolean }> {
  if (lease) return { isHeard: await lease.beat(epoch, signal) };
  return { isHeard: await actors.ask(CONDUCTOR, { type: 'hostBeat', host, epoch }, { signal }) };
}

async function look({ driver, actors }: HostParts, host: string, signal: AbortSignal): Promise<object> {
  // Claims first: a guest that is made meanwhile is then a stray that the store knows, and not a claim without a guest.
  const claims = await actors.ask(CONDUCTOR, { type: 'hostClaims', host, instanceId: null }, { signal });
  const guests = await driver.list(signal);
  return { claims, guests };
}

/** Verbs after which no guest runs that did not run before: they need no lease. */
const LEAVES_ASLEEP: ReadonlySet<GuestVerb['name']> = new Set([
  'destroy',
  'stop',
  'pause',
  'suspend',
  'park',
  'offer',
  'prepare',
  'receive',
  'snapshot',
  'upload',
  'dropSnapshot',
]);

async function runVerb(parts: HostParts, { verb, instanceId, generation, host }: VerbArgs, called: AbortSignal): Promise<VerbEnd> {
  const { failpoint, lease } = parts;
  const guest = { instanceId, generation };
  const bringsUp = !LEAVES_ASLEEP.has(verb.name);
  if (bringsUp) await lease?.check(called);
  const signal = lease && bringsUp ? AbortSignal.any([called, lease.over]) : called;
  failpoint(`verb.${verb.name}.before`);
  const end = await runAny(parts, verb, guest, host, signal);
  failpoint(`verb.${verb.name}.after`);
  return end;
}

type Snapshot = Extract<GuestVerb, { name: 'snapshot' }>;

async function runAny(parts: HostParts, verb: GuestVerb, guest: GuestKey, host: string | undefined, signal: AbortSignal): Promise<VerbEnd> {
  if (isMove(verb)) return runMove(parts, verb, guest, host, signal);
  return verb.name === 'snapshot' ? snapshot(parts.driver, verb, guest, signal) : { power: await runDriver(parts, verb, guest, signal) };
}

async function snapshot(driver: HypervisorDriver, { imageId, quiesce }: Snapshot, guest: GuestKey, signal: AbortSignal): Promise<VerbEnd> {
  return { power: null, disk: await driver.snapshot(guest, { imageId, quiesce }, signal) };
}

/** The copy is kept until the image has it: asked again after a crash, the image says whether it does. */
async function upload({ driver, images }: HostParts, guest: GuestKey, imageId: string, signal: AbortSignal): Promise<void> {
  if (!images) throw new Fault('unsupported', 'image.noSink', 'No image service takes images from this host.');
  await images.store({ imageId, instanceId: guest.instanceId }, () => driver.openSnapshot(guest, { imageId }, signal), signal);
  await driver.dropSnapshot(guest, signal);
}

async function runDriver(parts: HostParts, verb: Exclude<GuestVerb, MoveVerb | Snapshot>, guest: GuestKey, signal: AbortSignal): Promise<GuestPower | null> {
  const { driver } = parts;
  switch (verb.name) {
    case 'spawn':
      return (await driver.spawn(verb.spec, signal)).power;
    case 'destroy':
      await driver.destroy(guest, signal);
      return null;
    case 'start':
      return (await driver.start(guest, signal)).power;
    case 'stop':
      return (await driver.stop(guest, { graceMs: verb.graceMs }, signal)).power;
    case 'reboot':
      return (await driver.reboot(guest, { kind: verb.kind, graceMs: verb.graceMs }, signal)).power;
    case 'upload':
      await upload(parts, guest, verb.imageId, signal);
      return null;
    case 'dropSnapshot':
      await driver.dropSnapshot(guest, signal);
      return null;
    case 'pause':
    case 'unpause':
      return (await (driver[verb.name]?.(guest, signal) ?? lacks(verb.name))).power;
    case 'suspend':
    case 'resume':
      return (await driver[verb.name](guest, signal)).power;
    case 'rescue':
      return (await driver.rescue(verb.spec, verb.boot, { graceMs: verb.graceMs }, signal)).power;
    case 'unrescue':
      return (await driver.unrescue(verb.spec, signal)).power;
    case 'setPassword':
      await (driver.setPassword?.(guest, verb.password, signal) ?? lacks(verb.name));
      return null;
    case 'crashDump':
      await (driver.crashDump?.(guest, signal) ?? lacks(verb.name));
      return null;
    default:
      return unreachable(verb);
  }
}

function lacks(ability: string): never {
  throw new Fault('unsupported', 'driver.lacks', 'The hypervisor of the server cannot do this.', { detail: ability });
}

async function readConsole(driver: HypervisorDriver, args: GuestKey & { maxBytes: number }, signal: AbortSignal): Promise<{ base64: string }> {
  const { instanceId, generation, maxBytes } = args;
  const text = await driver.consoleOutput({ instanceId, generation }, { maxBytes }, signal);
  return { base64: text.toString('base64') };
}

/** Destroys doomed guests and strays that the store records as gone; leaves and reports the rest. */
async function clear({ driver, actors, log }: HostParts, { host, doomed, strays }: ClearArgs, signal: AbortSignal): Promise<object> {
  const gone: GuestKey[] = [];
  for (const guest of doomed) {
    try {
      await driver.destroy(guest, signal);
      await actors.ask(CONDUCTOR, { type: 'hostConfirmGone', host, ...guest }, { signal });
      gone.push(guest);
      log.info('doomed guest is gone', { host, ...guest });
    } catch (error) {
      signal.throwIfAborted();
      log.warn('doomed guest cannot be destroyed', { host, ...guest, error }); // the next look tries again, the others go on
    }
  }
  if (strays.length === 0) return { gone };
  const verdicts = await actors.ask(CONDUCTOR, { type: 'hostStrays', host, guests: strays }, { signal });
  for (const { instanceId, generation, recordedGone } of verdicts) {
    if (!recordedGone) {
      log.warn('unknown guest is left alone', { host, instanceId, generation });
      continue;
    }
    await driver.destroy({ instanceId, generation }, signal);
    log.info('guest recorded as gone is destroyed', { host, instanceId, generation });
  }
  return { gone };
}

/** Lets so many through at once; who waits longer than its signal allows leaves the line. */
class Gate {
  readonly #max: number;
  #inside = 0;
  readonly #line: (() => void)[] = [];
  readonly #quiet: (() => void)[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  async through<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (this.#inside >= this.#max) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#inside++;
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next) next();
      else if (--this.#inside === 0) for (const tell of this.#quiet.splice(0)) tell();
    }
  }

  /** Resolves when nobody is inside or in line. */
  async ended(signal: AbortSignal): Promise<void> {
    if (this.#inside === 0) return;
    await new Promise<void>((resolve, reject) => {
      this.#quiet.push(resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
  }
}
