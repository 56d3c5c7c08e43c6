/**
 * The hypervisor contract on libvirt: QEMU guests on this machine (and libvirt's own test hypervisor). A guest is a
 * domain whose uuid is the instance id; its generation stands in the domain's metadata and in its folder, so that
 * each can be found when the other was lost. Files are made before the domain and removed after it: what a crash
 * leaves is always something that `list` shows and `destroy` ends.
 */
import { systemRandom, type Random } from '../../runtime/base/random.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type {
  DiskCopy,
  DriverStatus,
  GuestDiagnostics,
  GuestEvent,
  GuestImage,
  GuestKey,
  GuestPower,
  GuestSeen,
  GuestSpec,
  HostInventory,
  HostUptime,
  HypervisorDriver,
  ImageSource,
  OpenCopy,
  RescueDisk,
} from '../driver.ts';
import { LibvirtConnection } from './connection.ts';
import { domainXml, type Machine } from './domain-xml.ts';
import { Domains, SHORT_MS, type Domain } from './domains.ts';
import { cancelled, hasReason, startFault } from './errors.ts';
import { GuestWatch } from './events.ts';
import { parseCapabilities, readInventory, readUptime, type Capabilities } from './host.ts';
import { locateLibvirt, type LibvirtPlace } from './locate.ts';
import { LIFECYCLE_EVENT_ID, PROCEDURES } from './procedures.ts';
import type { RpcSession } from './rpc.ts';
import { Snapshots } from './snapshots.ts';
import { reachableFolder } from './state-folder.ts';
import { diagnosticsOf } from './stats.ts';
import { type GuestFiles, type Owner, Storage } from './storage.ts';

export type LibvirtOptions = {
  /** `qemu:///system`, `qemu:///session` or `test:///default`; see locate.ts when left out. */
  readonly uri?: string;
  /** Where libvirtd listens; the first of the URI's usual places that answers when left out. */
  readonly socketPath?: string;
  /** Instead of a socket. Only for a libvirtd that shares this machine's files. */
  readonly tcp?: { readonly host: string; readonly port: number };
  /** A folder of this driver alone. QEMU's user must be able to pass through every folder above it (see state-folder.ts). */
  readonly stateDir: string;
  /** A folder of ours around it, which may be opened for QEMU's user to pass. */
  readonly within?: string;
  /** A setting on purpose: a device node for KVM was seen that could run nothing. */
  readonly virtType: 'qemu' | 'kvm';
  readonly images: ImageSource;
  readonly clock: Clock;
  readonly log: Log;
  readonly random?: Random;
  readonly hostIp?: string;
  /** The user of a session libvirtd that isn't ours: folders and disks belong to it. */
  readonly diskOwner?: Owner;
  /** The bridge of guests' NICs; without it each guest has a small network of its own. */
  readonly bridge?: string;
};

/** A guest that can't run (KVM that doesn't work, a disk that can't be written) pauses within this time. */
const SETTLE_MS = 300;
const POLL_MS = 100;
/** A guest that still boots misses the power button: it is pressed again. */
const PRESS_EVERY_MS = 5_000;
/** Domains that are looked at at once while listing. */
const LIST_WIDTH = 16;
/** A libvirtd that was just started looks at every QEMU before it tells its capabilities. */
const FIRST_ANSWER_MS = 60_000;
/** What libvirt's test hypervisor can run. */
const TEST_ARCH = 'i686';

/** Faults: `unavailable` when libvirtd doesn't answer, `invalid` when the state folder can't be used. */
export async function openLibvirtDriver(options: LibvirtOptions): Promise<HypervisorDriver> {
  const { clock, log } = options;
  const place = await locateLibvirt(options);
  const { uri, endpoint } = place;
  const known = new Map<string, number>();
  let storage: Storage | undefined;
  const generationOf = async (id: string): Promise<number | undefined> => known.get(id) ?? (await storage?.find(id))?.generation;
  const watch = new GuestWatch({ log, generationOf });
  let isFirst = true;
  async function onUp(session: RpcSession): Promise<void> {
    const lifecycle = { eventId: LIFECYCLE_EVENT_ID, dom: null };
    await session.call(PROCEDURES.connectDomainEventCallbackRegisterAny, lifecycle, { timeoutMs: SHORT_MS });
    if (!isFirst) watch.missed();
    isFirst = false;
  }
  const onMessage = (procedure: number, payload: Buffer): void => watch.take(procedure, payload);
  const short = new LibvirtConnection({ endpoint, uri, clock, log, onMessage, onUp });
  const slow = new LibvirtConnection({ endpoint, uri, clock, log });
  try {
    const { capabilities: xml } = await short.call(PROCEDURES.connectGetCapabilities, undefined, { timeoutMs: FIRST_ANSWER_MS });
    const capabilities = parseCapabilities(xml);
    const qemu = qemuUser(options, capabilities);
    const stateDir = await reachableFolder({ stateDir: options.stateDir, within: options.within, qemu });
    storage = await openStorage(options, stateDir, qemu);
    const domains = new Domains({ short, slow, clock });
    return new LibvirtDriver({ options, place, stateDir, capabilities, short, slow, domains, storage, watch, known });
  } catch (error) {
    await Promise.all([short.close(), slow.close()]);
    throw error;
  }
}

/** Whose reach files must be in; undefined when QEMU runs as we do. */
function qemuUser({ diskOwner }: LibvirtOptions, capabilities: Capabilities): Owner | undefined {
  const owner = diskOwner ?? capabilities.qemu;
  return owner === undefined || owner.uid === process.getuid?.() ? undefined : owner;
}

function openStorage(options: LibvirtOptions, stateDir: string, qemu: Owner | undefined): Promise<Storage> {
  const { images, clock, random = systemRandom, diskOwner } = options;
  return Storage.open({ stateDir, images, clock, random, qemu, ownFolders: diskOwner !== undefined });
}

type Parts = {
  readonly options: LibvirtOptions;
  readonly place: LibvirtPlace;
  readonly stateDir: string;
  readonly capabilities: Capabilities;
  readonly short: LibvirtConnection;
  readonly slow: LibvirtConnection;
  readonly domains: Domains;
  readonly storage: Storage;
  readonly watch: GuestWatch;
  /** Generations by instance id, for events; only a memory of what domains and folders say. */
  readonly known: Map<string, number>;
};
type Powered = { power: GuestPower };
type Shift = { readonly from: readonly GuestPower[]; readonly to: GuestPower; readonly by: (dom: Domain) => Promise<void> };

class LibvirtDriver implements HypervisorDriver {
  readonly #parts: Parts;
  readonly #domains: Domains;
  readonly #storage: Storage;
  readonly #clock: Clock;
  readonly #isTest: boolean;
  readonly #snapshots: Snapshots;
  readonly #machine: Machine;

  constructor(parts: Parts) {
    const { options, place, capabilities } = parts;
    this.#parts = parts;
    this.#domains = parts.domains;
    this.#storage = parts.storage;
    this.#clock = options.clock;
    this.#isTest = place.uri.startsWith('test:');
    this.#snapshots = new Snapshots({ ...parts, clock: options.clock, isReal: !this.#isTest });
    this.#machine = {
      domainType: this.#isTest ? 'test' : options.virtType,
      arch: this.#isTest ? TEST_ARCH : capabilities.arch,
      bridge: options.bridge,
      changesOwners: capabilities.qemu !== undefined && !this.#isTest,
    };
  }

  inventory(signal: AbortSignal): Promise<HostInventory> {
    const { options, capabilities, short, stateDir } = this.#parts;
    return verb(signal, () => readInventory(short, { capabilities, stateDir, hostIp: options.hostIp, isReal: !this.#isTest }, { timeoutMs: SHORT_MS, signal }));
  }

  hostUptime(signal: AbortSignal): Promise<HostUptime> {
    return verb(signal, async () => readUptime());
  }

  fetchImage(image: GuestImage, signal: AbortSignal): Promise<void> {
    return verb(signal, () => this.#storage.fetch(image, signal));
  }

  spawn(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(spec.instanceId, signal, async () => {
      const found = await this.#existing(spec, signal);
      return found === undefined ? this.#make(spec, signal) : this.#startAndSettle(found, signal);
    });
  }

  destroy(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return verb(signal, async () => {
      const { generation } = await this.#lookUp(guest.instanceId, signal);
      // 0: a folder whose record was lost, without a domain; only this instance can be meant.
      if (generation === guest.generation || generation === 0) await this.#remove(guest.instanceId, signal);
    });
  }

  start(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(guest.instanceId, signal, async () => {
      const dom = await this.#mine(guest, signal);
      const power = await this.#domains.power(dom, signal);
      if (power === 'paused' || power === 'suspended') throw wrongPower(power);
      return this.#startAndSettle(dom, signal);
    });
  }

  stop(guest: GuestKey, { graceMs }: { graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return verb(signal, async () => {
      const dom = await this.#mine(guest, signal);
      await this.#askDown(dom, graceMs, signal);
      await this.#cutIfOn(dom, signal);
      return { power: await this.#domains.power(dom, signal) };
    });
  }

  reboot(guest: GuestKey, { kind, graceMs }: { kind: 'soft' | 'hard'; graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(guest.instanceId, signal, async () => {
      const dom = await this.#mine(guest, signal);
      if (kind === 'soft') await this.#askDown(dom, graceMs, signal);
      await this.#cutIfOn(dom, signal);
      return this.#startAndSettle(dom, signal);
    });
  }

  snapshot(guest: GuestKey, options: { imageId: string; quiesce: boolean }, signal: AbortSignal): Promise<DiskCopy> {
    return verb(signal, async () => this.#snapshots.take(await this.#mine(guest, signal), options, signal));
  }

  openSnapshot(guest: GuestKey, { imageId }: { imageId: string }, signal: AbortSignal): Promise<OpenCopy> {
    return verb(signal, async () => {
      const dom = await this.#mine(guest, signal);
      return this.#snapshots.open(dom.uuid, imageId);
    });
  }

  dropSnapshot(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return verb(signal, async () => {
      const { generation } = await this.#lookUp(guest.instanceId, signal);
      if (generation === guest.generation) await this.#storage.dropCopies(guest.instanceId);
    });
  }

  pause(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return verb(signal, () => this.#shift(guest, { from: ['running'], to: 'paused', by: (dom) => this.#domains.pause(dom, signal) }, signal));
  }

  unpause(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return verb(signal, () => this.#shift(guest, { from: ['paused'], to: 'running', by: (dom) => this.#domains.unpause(dom, signal) }, signal));
  }

  suspend(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return verb(signal, () => this.#shift(guest, { from: ['running', 'paused'], to: 'suspended', by: (dom) => this.#domains.save(dom, signal) }, signal));
  }

  resume(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(guest.instanceId, signal, async () => {
      const dom = await this.#mine(guest, signal);
      const power = await this.#domains.power(dom, signal);
      if (power === 'paused') throw wrongPower(power);
      return this.#startAndSettle(dom, signal);
    });
  }

  rescue(spec: GuestSpec, boot: RescueDisk, { graceMs }: { graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(spec.instanceId, signal, async () => {
      const dom = await this.#mine(spec, signal);
      if ((await this.#domains.marks(dom, signal)).isRescued) return this.#startAndSettle(dom, signal);
      await this.#storage.dropRescue(spec.instanceId); // of one that did not come to its domain
      const files = await this.#storage.prepareRescue(spec, boot, signal);
      await this.#askDown(dom, graceMs, signal);
      await this.#cutIfOn(dom, signal);
      const { os_command_line: _, ...properties } = spec.image.properties;
      const line = boot.image.properties.os_command_line;
      const image = { ...boot.image, properties: { ...properties, ...(line !== undefined && { os_command_line: line }) } };
      return this.#startAndSettle(await this.#define({ ...spec, image }, files, signal), signal);
    });
  }

  unrescue(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    return this.#bringingUp(spec.instanceId, signal, async () => {
      let dom = await this.#mine(spec, signal);
      if ((await this.#domains.marks(dom, signal)).isRescued) {
        const files = await this.#storage.prepare(spec, signal);
        await this.#cutIfOn(dom, signal);
        dom = await this.#define(spec, files, signal);
      }
      await this.#storage.dropRescue(spec.instanceId);
      return this.#startAndSettle(dom, signal);
    });
  }

  setPassword(guest: GuestKey, password: string, signal: AbortSignal): Promise<void> {
    return verb(signal, async () => {
      const dom = await this.#mine(guest, signal);
      const power = await this.#domains.power(dom, signal);
      if (power !== 'running') throw wrongPower(power);
      const { admin } = await this.#domains.marks(dom, signal);
      await this.#domains.setPassword(dom, admin, password, signal).catch((error: unknown) => {
        throw hasReason(error, 'libvirt.argumentUnsupported') ? conflict('guest.noAgent', 'The guest has no agent that could do it.') : error;
      });
    });
  }

  crashDump(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return verb(signal, async () => {
      const dom = await this.#mine(guest, signal);
      const power = await this.#domains.power(dom, signal);
      if (power !== 'running' && power !== 'paused') throw wrongPower(power);
      await this.#domains.injectNmi(dom, signal);
    });
  }

  consoleOutput(guest: GuestKey, { maxBytes }: { maxBytes: number }, signal: AbortSignal): Promise<Buffer> {
    return verb(signal, async () => {
      await this.#mine(guest, signal);
      return this.#storage.consoleTail(guest.instanceId, maxBytes);
    });
  }

  diagnostics(guest: GuestKey, signal: AbortSignal): Promise<GuestDiagnostics> {
    return verb(signal, async () => {
      const dom = await this.#mine(guest, signal);
      const power = await this.#domains.power(dom, signal);
      if (power !== 'running') throw conflict('guest.off', 'The guest does not run.');
      return diagnosticsOf(await this.#domains.stats(dom, signal), power);
    });
  }

  list(signal: AbortSignal): Promise<GuestSeen[]> {
    return verb(signal, async () => {
      const rest = [...(await this.#domains.all(signal))];
      const withDomain = new Set(rest.map((dom) => dom.uuid));
      const seen: GuestSeen[] = [];
      const look = async (): Promise<void> => {
        for (let dom = rest.pop(); dom !== undefined; dom = rest.pop()) {
          const one = await this.#see(dom, signal);
          if (one !== undefined) seen.push(one);
        }
      };
      await Promise.all(Array.from({ length: LIST_WIDTH }, look));
      const folders = (await this.#storage.list()).filter(({ instanceId }) => !withDomain.has(instanceId));
      // Of a spawn that didn't come to its domain, or a destroy that came past it.
      return seen.concat(folders.map(({ instanceId, generation, name }) => ({ instanceId, generation, name, power: 'pending' })));
    });
  }

  watch(onEvent: (event: GuestEvent | null) => void): void {
    this.#parts.watch.add(onEvent);
  }

  async close(): Promise<void> {
    this.#parts.watch.close();
    await Promise.all([this.#parts.short.close(), this.#parts.slow.close()]);
  }

  status(): DriverStatus {
    const { options, place } = this.#parts;
    const at = 'path' in place.endpoint ? place.endpoint.path : `${place.endpoint.host}:${place.endpoint.port}`;
    const isEmulated = options.virtType === 'qemu';
    return {
      isUp: true,
      text: `${place.uri} at ${at}, guests run by ${isEmulated ? 'emulation' : 'KVM'} (virtType ${options.virtType})`,
      // Not found out by looking: a device node for KVM was seen that could run nothing.
      ...(isEmulated
        ? { hint: { text: 'Emulation works on every machine. Where KVM works, guests are many times faster with it', setting: 'virtType=kvm' } }
        : {}),
    };
  }

  /** A verb that ends with a running guest. Why it can't is told to the operator, in libvirt's words too. */
  #bringingUp(instanceId: string, signal: AbortSignal, run: () => Promise<Powered>): Promise<Powered> {
    return verb(signal, async () => {
      try {
        return await run();
      } catch (error) {
        const fault = startFault(error);
        if (Fault.is(fault, 'unsupported')) this.#parts.options.log.warn('libvirt.start.failed', { instanceId, why: fault.message, detail: fault.detail });
        throw fault;
      }
    });
  }

  /** Domain and generation; the folder's when there is no domain. A domain without a generation isn't ours. */
  async #lookUp(instanceId: string, signal: AbortSignal): Promise<{ dom: Domain | undefined; generation: number | undefined }> {
    const dom = await this.#domains.find(instanceId, signal);
    if (dom === undefined) return { dom, generation: (await this.#storage.find(instanceId))?.generation };
    return { dom, generation: await this.#domains.generation(dom, signal) };
  }

  /** The domain of exactly this guest. */
  async #mine(guest: GuestKey, signal: AbortSignal): Promise<Domain> {
    const { dom, generation } = await this.#lookUp(guest.instanceId, signal);
    if (dom === undefined || generation === undefined) throw new Fault('notFound', 'guest.notFound', 'The hypervisor has no such guest.');
    if (generation !== guest.generation) throw conflict('guest.generation', 'The guest of this instance is another one by now.');
    return dom;
  }

  /** The domain of this spec's generation; of a lower one nothing is left afterwards. */
  async #existing(spec: GuestSpec, signal: AbortSignal): Promise<Domain | undefined> {
    const { dom, generation } = await this.#lookUp(spec.instanceId, signal);
    if (dom !== undefined && generation === undefined) throw conflict('guest.foreign', 'A guest of somebody else has this id.');
    if (generation === undefined) return undefined;
    if (generation > spec.generation) throw conflict('guest.generation', 'A newer guest of this instance is here.');
    if (generation < spec.generation) {
      await this.#remove(spec.instanceId, signal);
      return undefined;
    }
    this.#parts.known.set(spec.instanceId, generation);
    return dom;
  }

  async #make(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    const isNew = (await this.#storage.find(spec.instanceId)) === undefined;
    try {
      const files = await this.#storage.prepare(spec, signal);
      this.#parts.known.set(spec.instanceId, spec.generation);
      const dom = await this.#define(spec, files, signal);
      return await this.#startAndSettle(dom, signal);
    } catch (error) {
      // What was cancelled is taken up by the next spawn or destroy; of what failed nothing stays that is new.
      if (isNew && !signal.aborted) {
        await this.#remove(spec.instanceId, signal).catch((left: unknown) => this.#parts.options.log.warn('libvirt.spawn.left', { left }));
      }
      throw error;
    }
  }

  #define(spec: GuestSpec, files: GuestFiles, signal: AbortSignal): Promise<Domain> {
    return this.#domains.define(domainXml(spec, files, this.#machine), !this.#isTest, signal);
  }

  /** From one of these powers to another; it is seen, and not only asked for. */
  async #shift(guest: GuestKey, { from, to, by }: Shift, signal: AbortSignal): Promise<Powered> {
    const dom = await this.#mine(guest, signal);
    const before = await this.#domains.power(dom, signal);
    if (before === to) return { power: to };
    if (!from.includes(before)) throw wrongPower(before);
    await by(dom);
    const power = await this.#domains.power(dom, signal);
    if (power !== to) throw wrongPower(power);
    return { power };
  }

  async #remove(instanceId: string, signal: AbortSignal): Promise<void> {
    const dom = await this.#domains.find(instanceId, signal);
    if (dom !== undefined) {
      await this.#domains.cut(dom, signal);
      await this.#domains.undefine(dom, signal);
    }
    await this.#storage.remove(instanceId);
    this.#parts.known.delete(instanceId);
  }

  /** Resolves when the guest runs, and still does a moment later. */
  async #startAndSettle(dom: Domain, signal: AbortSignal): Promise<Powered> {
    if ((await this.#domains.power(dom, signal)) === 'running') return { power: 'running' };
    await this.#domains.start(dom, signal);
    const until = this.#clock.monotonicMs() + SETTLE_MS;
    for (;;) {
      const power = await this.#domains.power(dom, signal);
      if (power !== 'running') {
        await this.#domains.cut(dom, signal);
        throw new Fault('unsupported', 'libvirt.notRunning', 'The guest stopped running as soon as it was started.', { detail: { power } });
      }
      if (this.#clock.monotonicMs() >= until) return { power };
      await this.#clock.sleep(POLL_MS, signal);
    }
  }

  /** Presses the power button until the guest is off or its grace is over. */
  async #askDown(dom: Domain, graceMs: number, signal: AbortSignal): Promise<void> {
    const begin = this.#clock.monotonicMs();
    let nextPress = begin;
    while (this.#clock.monotonicMs() - begin < graceMs) {
      if ((await this.#domains.power(dom, signal)) !== 'running') return;
      if (this.#clock.monotonicMs() >= nextPress) {
        nextPress += PRESS_EVERY_MS;
        await this.#domains.press(dom, signal);
      }
      await this.#clock.sleep(POLL_MS, signal);
    }
  }

  async #cutIfOn(dom: Domain, signal: AbortSignal): Promise<void> {
    const power = await this.#domains.power(dom, signal);
    if (power === 'running' || power === 'paused' || power === 'suspended') await this.#domains.cut(dom, signal);
    if (power === 'suspended') await this.#domains.forgetSaved(dom, signal);
  }

  async #see(dom: Domain, signal: AbortSignal): Promise<GuestSeen | undefined> {
    try {
      const generation = await this.#domains.generation(dom, signal);
      const power = await this.#domains.power(dom, signal);
      if (generation === undefined) return { instanceId: null, generation: 0, name: dom.name, power };
      this.#parts.known.set(dom.uuid, generation);
      return { instanceId: dom.uuid, generation, name: dom.name, power };
    } catch (error) {
      if (hasReason(error, 'libvirt.noDomain')) return undefined; // gone since it was listed
      throw error;
    }
  }
}

/** Whatever a step says when its signal has fired, the verb was cancelled. */
async function verb<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
  if (signal.aborted) throw cancelled();
  try {
    return await run();
  } catch (error) {
    throw signal.aborted ? cancelled() : error;
  }
}

function wrongPower(power: GuestPower): Fault {
  return new Fault('conflict', 'guest.power', 'The guest is in another power state.', { detail: power });
}

function conflict(reason: string, message: string): Fault {
  return new Fault('conflict', reason, message);
}
