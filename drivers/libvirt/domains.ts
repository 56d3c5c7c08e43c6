/**
 * libvirt's domains as this driver uses them: found by uuid, marked with a generation, changed and looked at. Short
 * calls go over one connection, those that may take long over another, since libvirtd works on five of one connection
 * at a time. A change that was asked for is waited for, even when the caller gave up meanwhile: an answer that nobody
 * awaits would let the next verb run beside it.
 */
import type { GuestPower } from '../driver.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { LibvirtConnection } from './connection.ts';
import { cancelled, hasReason } from './errors.ts';
import { DEFAULT_ADMIN, METADATA_URI } from './domain-xml.ts';
import { powerOfState, STATE } from './events.ts';
import {
  DEFINE_VALIDATE,
  type Domain,
  JOB,
  JOB_STATS_COMPLETED,
  METADATA_ELEMENT,
  type Procedure,
  PROCEDURES,
  SAVE_RUNNING,
  UNDEFINE_ALL,
} from './procedures.ts';
import { ALL_STATS, type Stats } from './stats.ts';

export type { Domain } from './procedures.ts';

export const SHORT_MS = 15_000;
/** Starting a QEMU under load, or ending one that hangs in the kernel. */
const SLOW_MS = 120_000;
/** How long a verb that was cancelled waits for the change that is under way. */
const PATIENCE_MS = 10_000;

export type DomainsOptions = { readonly short: LibvirtConnection; readonly slow: LibvirtConnection; readonly clock: Clock };

export class Domains {
  readonly #options: DomainsOptions;

  constructor(options: DomainsOptions) {
    this.#options = options;
  }

  async find(uuid: string, signal: AbortSignal): Promise<Domain | undefined> {
    try {
      return (await this.#options.short.call(PROCEDURES.domainLookupByUuid, { uuid }, { timeoutMs: SHORT_MS, signal })).dom;
    } catch (error) {
      if (hasReason(error, 'libvirt.noDomain')) return undefined;
      throw error;
    }
  }

  async all(signal: AbortSignal): Promise<readonly Domain[]> {
    const args = { needResults: 1, flags: 0 };
    return (await this.#options.short.call(PROCEDURES.connectListAllDomains, args, { timeoutMs: SHORT_MS, signal })).domains;
  }

  /** Undefined: not one of ours, or gone. */
  async generation(dom: Domain, signal: AbortSignal): Promise<number | undefined> {
    try {
      const found = /\sgeneration=["'](\d{1,15})["']/.exec(await this.#metadata(dom, signal))?.[1];
      return found === undefined ? undefined : Number(found);
    } catch (error) {
      if (hasReason(error, 'libvirt.noMetadata') || hasReason(error, 'libvirt.noDomain')) return undefined;
      throw error;
    }
  }

  /** What our mark on the domain says beside its generation. */
  async marks(dom: Domain, signal: AbortSignal): Promise<{ readonly isRescued: boolean; readonly admin: string }> {
    const metadata = await this.#metadata(dom, signal);
    return { isRescued: /\srescue=["']/.test(metadata), admin: /\sadmin=["']([\w.-]{1,64})["']/.exec(metadata)?.[1] ?? DEFAULT_ADMIN };
  }

  async power(dom: Domain, signal: AbortSignal): Promise<GuestPower> {
    const within = { timeoutMs: SHORT_MS, signal };
    const { state, reason } = await this.#options.short.call(PROCEDURES.domainGetState, { dom, flags: 0 }, within);
    const power = powerOfState(state, reason);
    if (state !== STATE.off || power === 'crashed') return power;
    // The reason is forgotten when libvirtd starts anew, and stays when what was saved is removed: the file is what counts.
    const { result } = await this.#options.short.call(PROCEDURES.domainHasManagedSaveImage, { dom, flags: 0 }, within);
    return result === 1 ? 'suspended' : 'shutdown';
  }

  /** By name; empty when it is gone. */
  async stats(dom: Domain, signal: AbortSignal): Promise<Stats> {
    const args = { doms: [dom], stats: ALL_STATS, flags: 0 };
    const { records } = await this.#options.short.call(PROCEDURES.connectGetAllDomainStats, args, { timeoutMs: SHORT_MS, signal });
    return new Map(records[0]?.params.map(({ field, value }) => [field, value]) ?? []);
  }

  async define(xml: string, validate: boolean, signal: AbortSignal): Promise<Domain> {
    return (await this.#change(PROCEDURES.domainDefineXmlFlags, { xml, flags: validate ? DEFINE_VALIDATE : 0 }, signal)).dom;
  }

  /** No error when it runs already. */
  async start(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainCreateWithFlags, { dom, flags: 0 }, signal).catch(unlessAlready);
  }

  /** Presses the power button. */
  async press(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainShutdownFlags, { dom, flags: 0 }, signal).catch(unlessAlready);
  }

  /** Pulls the plug. No error when it is off. */
  async cut(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainDestroyFlags, { dom, flags: 0 }, signal).catch(unlessAlready);
  }

  async pause(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainSuspend, { dom }, signal).catch(unlessAlready);
  }

  async unpause(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainResume, { dom }, signal).catch(unlessAlready);
  }

  /** Memory to a file of libvirt's, then off. The next start brings it back and removes the file. */
  async save(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainManagedSave, { dom, flags: SAVE_RUNNING }, signal).catch(unlessAlready);
  }

  /** No error when nothing is saved. */
  async forgetSaved(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainManagedSaveRemove, { dom, flags: 0 }, signal).catch(unlessAlready);
  }

  async injectNmi(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainInjectNmi, { dom, flags: 0 }, signal);
  }

  async setPassword(dom: Domain, user: string, password: string, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainSetUserPassword, { dom, user, password, flags: 0 }, signal);
  }

  /** Takes the description away; the guest is off. */
  async undefine(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainUndefineFlags, { dom, flags: UNDEFINE_ALL }, signal).catch((error: unknown) => {
      if (!hasReason(error, 'libvirt.noDomain')) throw error;
    });
  }

  async xml(dom: Domain, signal: AbortSignal): Promise<string> {
    return (await this.#options.short.call(PROCEDURES.domainGetXmlDesc, { dom, flags: 0 }, { timeoutMs: SHORT_MS, signal })).xml;
  }

  /** Copies disks of a running guest as they are now; it goes on, and the job too when this has answered. */
  async beginBackup(dom: Domain, backupXml: string, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainBackupBegin, { dom, backupXml, checkpointXml: null, flags: 0 }, signal);
  }

  /** `running`, or how the last one ended. */
  async job(dom: Domain, signal: AbortSignal): Promise<'running' | 'completed' | 'failed'> {
    const ask = (flags: number) => this.#options.short.call(PROCEDURES.domainGetJobStats, { dom, flags }, { timeoutMs: SHORT_MS, signal });
    if ((await ask(0)).type !== JOB.none) return 'running';
    return (await ask(JOB_STATS_COMPLETED)).type === JOB.completed ? 'completed' : 'failed';
  }

  /** No error when there is none. */
  async abortJob(dom: Domain): Promise<void> {
    await this.#options.slow.call(PROCEDURES.domainAbortJob, { dom }, { timeoutMs: SHORT_MS }).catch(unlessAlready);
  }

  async freeze(dom: Domain, signal: AbortSignal): Promise<void> {
    await this.#change(PROCEDURES.domainFsFreeze, { dom, mountpoints: [], flags: 0 }, signal);
  }

  async thaw(dom: Domain): Promise<void> {
    await this.#options.slow.call(PROCEDURES.domainFsThaw, { dom, mountpoints: [], flags: 0 }, { timeoutMs: SHORT_MS });
  }

  async #metadata(dom: Domain, signal: AbortSignal): Promise<string> {
    const args = { dom, type: METADATA_ELEMENT, uri: METADATA_URI, flags: 0 };
    return (await this.#options.short.call(PROCEDURES.domainGetMetadata, args, { timeoutMs: SHORT_MS, signal })).metadata;
  }

  async #change<A, R>(procedure: Procedure<A, R>, args: A, signal: AbortSignal): Promise<R> {
    if (signal.aborted) throw cancelled();
    const answer = this.#options.slow.call(procedure, args, { timeoutMs: SLOW_MS });
    const given = Promise.withResolvers<never>();
    let timer = { cancel: (): void => {} };
    const abort = (): void => void (timer = this.#options.clock.after(PATIENCE_MS, () => given.reject(cancelled())));
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([answer, given.promise]);
    } finally {
      timer.cancel();
      signal.removeEventListener('abort', abort);
    }
  }
}

/** libvirt's "operation invalid" here means that the guest is in the wanted state, or will be seen not to be. */
function unlessAlready(error: unknown): void {
  if (!hasReason(error, 'libvirt.operationInvalid')) throw error;
}
