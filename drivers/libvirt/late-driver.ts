/**
 * A libvirt that may not be there yet: the node starts all the same, and each look of the host actor (`inventory`)
 * tries again. Until then every other verb fails with `unavailable` and does nothing. Once it was there, its driver
 * comes back by itself (see connection.ts) and this only hands on.
 */
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
  OpenCopy,
  RescueDisk,
} from '../driver.ts';
import { abortable } from './connection.ts';
import { openLibvirtDriver, type LibvirtOptions } from './driver.ts';
import { unreachableHypervisor } from './errors.ts';
import { absence, adviceOf } from './locate.ts';

type Powered = { power: GuestPower };

/** Faults: `invalid` when what is there can't be used; one that doesn't answer is none. */
export async function openLateDriver(options: LibvirtOptions): Promise<HypervisorDriver> {
  const driver = new LateDriver({ open: () => openLibvirtDriver(options), log: options.log, absence: () => absence(options), advice: adviceOf(options) });
  await driver.tryNow();
  return driver;
}

type LateParts = { readonly open: () => Promise<HypervisorDriver>; readonly log: Log; readonly absence: () => string; readonly advice: string };

export class LateDriver implements HypervisorDriver {
  readonly #parts: LateParts;
  readonly #watchers: ((event: GuestEvent | null) => void)[] = [];
  #driver: HypervisorDriver | undefined;
  #opening: Promise<HypervisorDriver> | undefined;
  #closed = false;
  #why = '';

  constructor(parts: LateParts) {
    this.#parts = parts;
  }

  /** Resolves whether it is there or not; what it says and can't be used is thrown. */
  async tryNow(): Promise<void> {
    await this.#open().catch((error: unknown) => {
      if (!Fault.is(error, 'unavailable')) throw error;
    });
  }

  status(): DriverStatus {
    return this.#driver?.status?.() ?? { isUp: false, text: this.#why, hint: { text: this.#parts.advice } };
  }

  async inventory(signal: AbortSignal): Promise<HostInventory> {
    const driver = this.#driver ?? (await abortable(this.#open(), signal));
    return driver.inventory(signal);
  }

  async hostUptime(signal: AbortSignal): Promise<HostUptime> {
    const driver = this.#there();
    if (driver.hostUptime === undefined) throw new Fault('unsupported', 'driver.uptime', 'The hypervisor does not tell its uptime.');
    return driver.hostUptime(signal);
  }

  async fetchImage(image: GuestImage, signal: AbortSignal): Promise<void> {
    await this.#there().fetchImage?.(image, signal);
  }

  async spawn(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    return this.#there().spawn(spec, signal);
  }

  async destroy(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return this.#there().destroy(guest, signal);
  }

  async start(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#there().start(guest, signal);
  }

  async stop(guest: GuestKey, options: { graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return this.#there().stop(guest, options, signal);
  }

  async reboot(guest: GuestKey, options: { kind: 'soft' | 'hard'; graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return this.#there().reboot(guest, options, signal);
  }

  async snapshot(guest: GuestKey, options: { imageId: string; quiesce: boolean }, signal: AbortSignal): Promise<DiskCopy> {
    return this.#there().snapshot(guest, options, signal);
  }

  async openSnapshot(guest: GuestKey, options: { imageId: string }, signal: AbortSignal): Promise<OpenCopy> {
    return this.#there().openSnapshot(guest, options, signal);
  }

  async dropSnapshot(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return this.#there().dropSnapshot(guest, signal);
  }

  async pause(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#there().pause?.(guest, signal) ?? lacks();
  }

  async unpause(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#there().unpause?.(guest, signal) ?? lacks();
  }

  async suspend(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#there().suspend(guest, signal);
  }

  async resume(guest: GuestKey, signal: AbortSignal): Promise<Powered> {
    return this.#there().resume(guest, signal);
  }

  async rescue(spec: GuestSpec, boot: RescueDisk, options: { graceMs: number }, signal: AbortSignal): Promise<Powered> {
    return this.#there().rescue(spec, boot, options, signal);
  }

  async unrescue(spec: GuestSpec, signal: AbortSignal): Promise<Powered> {
    return this.#there().unrescue(spec, signal);
  }

  async setPassword(guest: GuestKey, password: string, signal: AbortSignal): Promise<void> {
    return this.#there().setPassword?.(guest, password, signal) ?? lacks();
  }

  async crashDump(guest: GuestKey, signal: AbortSignal): Promise<void> {
    return this.#there().crashDump?.(guest, signal) ?? lacks();
  }

  async consoleOutput(guest: GuestKey, options: { maxBytes: number }, signal: AbortSignal): Promise<Buffer> {
    return this.#there().consoleOutput(guest, options, signal);
  }

  async diagnostics(guest: GuestKey, signal: AbortSignal): Promise<GuestDiagnostics> {
    const driver = this.#there();
    if (driver.diagnostics === undefined) throw new Fault('unsupported', 'guest.diagnostics', 'This hypervisor counts nothing.');
    return driver.diagnostics(guest, signal);
  }

  async list(signal: AbortSignal): Promise<GuestSeen[]> {
    return this.#there().list(signal);
  }

  watch(onEvent: (event: GuestEvent | null) => void): void {
    this.#watchers.push(onEvent);
    this.#driver?.watch(onEvent);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening?.catch(() => {});
    await this.#driver?.close();
  }

  #there(): HypervisorDriver {
    if (this.#driver === undefined) throw unreachableHypervisor(this.#why);
    return this.#driver;
  }

  /** One attempt at a time, shared by all who ask. */
  #open(): Promise<HypervisorDriver> {
    if (this.#closed) return Promise.reject(unreachableHypervisor('closed by us'));
    this.#opening ??= this.#openOnce().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #openOnce(): Promise<HypervisorDriver> {
    try {
      const driver = await this.#parts.open();
      for (const watcher of this.#watchers) driver.watch(watcher);
      this.#driver = driver;
      return driver;
    } catch (error) {
      const fault = Fault.from(error);
      this.#tell(Fault.is(fault, 'unavailable') && fault.reason === 'libvirt.unreachable' ? this.#parts.absence() : fault.message, fault);
      throw fault;
    }
  }

  /** A cause is told once, however often it is met. */
  #tell(why: string, fault: Fault): void {
    if (why === this.#why) return;
    this.#why = why;
    this.#parts.log.warn('libvirt.absent', { why, detail: fault.detail });
  }
}

function lacks(): never {
  throw new Fault('unsupported', 'driver.lacks', 'The hypervisor cannot do this.');
}
