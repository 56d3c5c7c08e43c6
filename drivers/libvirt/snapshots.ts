/**
 * Copies of guests' root disks, one per guest, beside the disk. A guest that runs goes on: libvirt copies the disk as it
 * is at one moment (a backup job, in QEMU). The disk of one that is off is copied by qemu-img. A copy gets its name when
 * it is whole; half of one is never found by that name.
 */
import { createReadStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { DiskCopy, OpenCopy } from '../driver.ts';
import { inspectImage } from '../image/inspect.ts';
import { convertDisk } from '../image/qemu-img.ts';
import { text } from './domain-xml.ts';
import type { Domain, Domains } from './domains.ts';
import { hasReason } from './errors.ts';
import type { Storage } from './storage.ts';

const POLL_MS = 200;
/** The verb that copies has its own, shorter limit. */
const COPY_LIMIT_MS = 24 * 3_600_000;

export type SnapshotParts = {
  readonly domains: Domains;
  readonly storage: Storage;
  readonly clock: Clock;
  /** There is a QEMU behind running guests. */ readonly isReal: boolean;
};

export class Snapshots {
  readonly #parts: SnapshotParts;

  constructor(parts: SnapshotParts) {
    this.#parts = parts;
  }

  async take(dom: Domain, { imageId, quiesce }: { imageId: string; quiesce: boolean }, signal: AbortSignal): Promise<DiskCopy> {
    const { storage, domains, isReal } = this.#parts;
    const { path, unfinished } = storage.copyPath(dom.uuid, imageId);
    if ((await sizeOf(path)) === undefined) {
      await storage.dropCopies(dom.uuid);
      const power = await domains.power(dom, signal);
      const isOn = isReal && (power === 'running' || power === 'paused');
      try {
        if (isOn) await this.#copyRunning(dom, unfinished, quiesce && power === 'running', signal);
        else await this.#copyQuiet(dom, unfinished, signal);
        await rename(unfinished, path);
      } catch (error) {
        await rm(unfinished, { force: true });
        throw error;
      }
    }
    const { virtualBytes } = await inspectImage(path);
    return { diskFormat: 'qcow2', sizeBytes: (await sizeOf(path)) ?? 0, virtualBytes };
  }

  /** Fault `notFound` when there is none for that image. */
  async open(instanceId: string, imageId: string): Promise<OpenCopy> {
    const { path } = this.#parts.storage.copyPath(instanceId, imageId);
    const sizeBytes = await sizeOf(path);
    if (sizeBytes === undefined) throw new Fault('notFound', 'snapshot.gone', 'There is no copy of the disk for this image.');
    return { body: createReadStream(path), sizeBytes };
  }

  async #copyQuiet(dom: Domain, to: string, signal: AbortSignal): Promise<void> {
    const { storage } = this.#parts;
    await storage.emptyCopy(to);
    await convertDisk({ from: storage.rootDisk(dom.uuid), to, limitMs: COPY_LIMIT_MS }, signal);
  }

  async #copyRunning(dom: Domain, to: string, quiesce: boolean, signal: AbortSignal): Promise<void> {
    const { domains, storage, clock } = this.#parts;
    // Of a process that died: nobody has the end of it.
    if ((await domains.job(dom, signal)) === 'running') await domains.abortJob(dom);
    const xml = backupXml(deviceOf(await domains.xml(dom, signal), storage.rootDisk(dom.uuid)), to);
    await this.#atRest(dom, quiesce, signal, () => domains.beginBackup(dom, xml, signal));
    try {
      for (;;) {
        const job = await domains.job(dom, signal);
        if (job === 'completed') return;
        if (job === 'failed') throw new Fault('unavailable', 'libvirt.backup', 'The disk of the guest could not be copied.');
        await clock.sleep(POLL_MS, signal);
      }
    } catch (error) {
      await domains.abortJob(dom).catch(() => {}); // it may have ended; what it wrote is removed
      throw error;
    }
  }

  /** Its file systems are at rest while `run` does its work, and go on after it in any case. */
  async #atRest(dom: Domain, quiesce: boolean, signal: AbortSignal, run: () => Promise<void>): Promise<void> {
    if (!quiesce) return run();
    const { domains } = this.#parts;
    try {
      await domains.freeze(dom, signal);
    } catch (error) {
      if (Fault.is(error, 'cancelled') || hasReason(error, 'libvirt.unreachable')) throw error;
      throw new Fault('unsupported', 'libvirt.noQuiesce', 'The guest has no agent that brings its file systems to rest.', { cause: error });
    }
    try {
      await run();
    } finally {
      await domains.thaw(dom);
    }
  }
}

function backupXml(device: string, to: string): string {
  const disk = `<disk name="${text(device)}" backup="yes" type="file"><driver type="qcow2"/><target file="${text(to)}"/></disk>`;
  return `<domainbackup mode="push"><disks>${disk}</disks></domainbackup>`;
}

/** The name by which libvirt knows the disk in that file. */
function deviceOf(xml: string, path: string): string {
  for (const [disk] of xml.matchAll(/<disk [^]*?<\/disk>/g)) {
    const source = /<source file=(['"])(.*?)\1/.exec(disk)?.[2];
    const device = /<target dev=(['"])(\w+)\1/.exec(disk)?.[2];
    if (source === text(path) && device !== undefined) return device;
  }
  throw new Fault('conflict', 'libvirt.noRootDisk', 'The guest does not have the root disk that it was made with.');
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}
