/**
 * Files of guests: one private folder per instance under `instances/<uuid>`, with its disks, its console log and a
 * record that says whose it is. A folder appears whole, by renaming, and disappears whole; disks are qcow2 layers on
 * a shared base. What other users of the machine see is nothing: QEMU's user may pass through a folder by its group,
 * nobody else, and nobody but us may list or write one (S13).
 */
import { constants } from 'node:fs';
import { chmod, chown, copyFile, mkdir, open, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as z from 'zod';
import type { GuestImage, GuestSpec, ImageSource, RescueDisk } from '../driver.ts';
import { backingOf } from '../image/backing.ts';
import { acceptDisk, inspectImage } from '../image/inspect.ts';
import { createDisk, type DiskFormat } from '../image/qemu-img.ts';
import { check } from '../../runtime/base/check.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { isUuid } from '../../runtime/base/ids.ts';
import type { Random } from '../../runtime/base/random.ts';
import { BaseImages } from './base-image.ts';

export type Owner = { readonly uid: number; readonly gid: number };

export type StorageOptions = {
  readonly stateDir: string;
  readonly images: ImageSource;
  readonly clock: Clock;
  readonly random: Random;
  /** The user that QEMU runs as, when it isn't us. */
  readonly qemu: Owner | undefined;
  /** The daemons run as that user too (a session libvirtd): folders belong to it. */
  readonly ownFolders: boolean;
};

export type GuestDisk = { readonly path: string; readonly base: { readonly path: string; readonly format: DiskFormat } | undefined };
export type GuestFiles = {
  /** vda, vdb, …: root, ephemeral, swap. */
  readonly disks: readonly GuestDisk[];
  readonly consoleLog: string;
  readonly kernel: string | undefined;
  readonly ramdisk: string | undefined;
  /** The image that the first disk is made of when the guest is rescued; its own disks follow. */
  readonly rescuedWith?: string;
};

const recordShape = z.object({ instanceId: z.string(), generation: z.int().min(0), name: z.string() });
/** Generation 0: the folder's record was lost. */
export type FolderRecord = z.infer<typeof recordShape>;

const RECORD = 'instance.json';
const ROOT_DISK = 'disk.qcow2';
const COPY = 'copy-';
const CONSOLE_LOG = 'console.log';
const UNFINISHED = '.new-';
const RESCUE = 'rescue-';
const GONE = '.gone-';
const GIB = 2 ** 30;
const MIB = 2 ** 20;

export class Storage {
  readonly #options: StorageOptions;
  readonly #instances: string;
  readonly #bases: BaseImages;

  private constructor(options: StorageOptions) {
    this.#options = options;
    this.#instances = join(options.stateDir, 'instances');
    const folder = join(options.stateDir, 'images');
    const { images, clock, random, qemu } = options;
    this.#bases = new BaseImages({ folder, images, clock, random, reader: qemu });
  }

  /** Makes the folders and removes what a killed process left half done. One driver per `stateDir`. */
  static async open(options: StorageOptions): Promise<Storage> {
    const storage = new Storage(options);
    await mkdir(options.stateDir, { recursive: true, mode: 0o700 });
    await storage.#letPass(options.stateDir);
    for (const name of ['instances', 'images']) {
      await mkdir(join(options.stateDir, name), { recursive: true, mode: 0o700 });
      await storage.#letPass(join(options.stateDir, name));
    }
    await storage.#bases.sweep();
    for (const name of await readdir(storage.#instances)) {
      if (name.startsWith(UNFINISHED) || name.startsWith(GONE)) await rm(join(storage.#instances, name), { recursive: true, force: true });
    }
    return storage;
  }

  /** Everything a guest needs to start. Done again, it keeps the disks that are there. */
  async prepare(spec: GuestSpec, signal: AbortSignal): Promise<GuestFiles> {
    const rootBytes = spec.rootGiB === 0 ? undefined : spec.rootGiB * GIB;
    const { base, format, virtualBytes } = (await this.#madeFrom(spec)) ?? (await this.#base(spec.image, rootBytes, signal));
    const kernelBase = spec.kernel === undefined ? undefined : await this.#bases.path(spec.kernel, signal);
    const ramdiskBase = spec.ramdisk === undefined ? undefined : await this.#bases.path(spec.ramdisk, signal);
    const folder = await this.#folder(spec);
    const kernel = kernelBase === undefined ? undefined : await this.#copy(kernelBase, join(folder, 'kernel'));
    const ramdisk = ramdiskBase === undefined ? undefined : await this.#copy(ramdiskBase, join(folder, 'ramdisk'));
    const disks: GuestDisk[] = [{ path: join(folder, ROOT_DISK), base: { path: base, format } }];
    await this.#disk(disks[0], rootBytes ?? virtualBytes, signal);
    for (const [name, sizeBytes] of [
      ['ephemeral.qcow2', spec.ephemeralGiB * GIB],
      ['swap.qcow2', spec.swapMiB * MIB],
    ] as const) {
      if (sizeBytes === 0) continue;
      const disk = { path: join(folder, name), base: undefined };
      await this.#disk(disk, sizeBytes, signal);
      disks.push(disk);
    }
    return { disks, consoleLog: join(folder, CONSOLE_LOG), kernel, ramdisk };
  }

  /** The image's bytes, ahead of the guests that will need them; those look at what it is. */
  async fetch(image: GuestImage, signal: AbortSignal): Promise<void> {
    await this.#bases.path(image, signal);
  }

  /** The same with a fresh disk of another image in front. Done again, it keeps that one too. */
  async prepareRescue(spec: GuestSpec, boot: RescueDisk, signal: AbortSignal): Promise<GuestFiles> {
    const own = await this.prepare(spec, signal);
    const folder = this.#path(spec.instanceId);
    const { base, format, virtualBytes } = await this.#base(boot.image, undefined, signal);
    const copied = async (image: GuestImage | undefined, name: string): Promise<string | undefined> =>
      image === undefined ? undefined : this.#copy(await this.#bases.path(image, signal), join(folder, name));
    const kernel = await copied(boot.kernel, `${RESCUE}kernel`);
    const ramdisk = await copied(boot.ramdisk, `${RESCUE}ramdisk`);
    const disk: GuestDisk = { path: join(folder, `${RESCUE}disk.qcow2`), base: { path: base, format } };
    await this.#disk(disk, virtualBytes, signal);
    return { ...own, disks: [disk, ...own.disks], kernel, ramdisk, rescuedWith: boot.image.id };
  }

  /** What a rescue made. No error when there was none. */
  async dropRescue(instanceId: string): Promise<void> {
    const folder = this.#path(instanceId);
    for (const name of await readdir(folder)) if (name.startsWith(RESCUE)) await rm(join(folder, name), { force: true });
  }

  /** Whose folder it is; undefined when there is none. */
  async find(instanceId: string): Promise<FolderRecord | undefined> {
    const folder = this.#path(instanceId);
    if ((await stat(folder).catch(() => undefined)) === undefined) return undefined;
    const text = await readFile(join(folder, RECORD), 'utf8').catch(() => '');
    return parseRecord(text) ?? { instanceId, generation: 0, name: '' };
  }

  async list(): Promise<FolderRecord[]> {
    const found: FolderRecord[] = [];
    for (const name of await readdir(this.#instances)) {
      const record = isUuid(name) ? await this.find(name) : undefined;
      if (record !== undefined) found.push(record);
    }
    return found;
  }

  /** No error when it is gone already. */
  async remove(instanceId: string): Promise<void> {
    const gone = join(this.#instances, `${GONE}${this.#options.random.uuid()}`);
    try {
      await rename(this.#path(instanceId), gone);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    await rm(gone, { recursive: true, force: true });
  }

  /** The end of the console log. libvirt's log daemon moves a full log to `.0` and goes on in an empty one. */
  async consoleTail(instanceId: string, maxBytes: number): Promise<Buffer> {
    const path = join(this.#path(instanceId), CONSOLE_LOG);
    const newest = await tail(path, maxBytes);
    if (newest.length >= maxBytes) return newest;
    return Buffer.concat([await tail(`${path}.0`, maxBytes - newest.length), newest]);
  }

  rootDisk(instanceId: string): string {
    return join(this.#path(instanceId), ROOT_DISK);
  }

  /** Where the copy of the root disk for that image is, or will be; `unfinished`: while it is made. */
  copyPath(instanceId: string, imageId: string): { readonly path: string; readonly unfinished: string } {
    check(isUuid(imageId), 'a copy is named by the uuid of its image');
    const path = join(this.#path(instanceId), `${COPY}${imageId}.qcow2`);
    return { path, unfinished: `${path}${UNFINISHED}` };
  }

  /** An empty file that nobody else may read, for a tool to write. */
  async emptyCopy(path: string): Promise<void> {
    await rm(path, { force: true });
    await (await open(path, 'wx', 0o600)).close();
  }

  /** Removes copies of the root disk, half ones too. */
  async dropCopies(instanceId: string): Promise<void> {
    const names = await readdir(this.#path(instanceId)).catch(() => []);
    for (const name of names) if (name.startsWith(COPY)) await rm(join(this.#path(instanceId), name), { force: true });
  }

  #path(instanceId: string): string {
    check(isUuid(instanceId), 'a folder is named by a uuid');
    return join(this.#instances, instanceId);
  }

  /** The shared file of an image that may become a disk of so many bytes. */
  async #base(image: GuestImage, rootBytes: number | undefined, signal: AbortSignal): Promise<{ base: string; format: DiskFormat; virtualBytes: number }> {
    const base = await this.#bases.path(image, signal);
    const inspection = await inspectImage(base);
    acceptDisk(inspection, image.diskFormat, rootBytes);
    return { base, format: diskFormat(inspection.format), virtualBytes: inspection.virtualBytes };
  }

  /** What stands below a root disk that is there: of a server that was shelved it is not its image. Undefined: there is no disk yet. */
  async #madeFrom(spec: GuestSpec): Promise<{ base: string; format: DiskFormat; virtualBytes: number } | undefined> {
    if ((await this.find(spec.instanceId))?.generation !== spec.generation) return undefined;
    const named = await backingOf(this.rootDisk(spec.instanceId));
    const base = named === undefined ? undefined : join(this.#bases.folder, basename(named));
    if (base === undefined || (await stat(base).catch(() => undefined)) === undefined) return undefined;
    const inspection = await inspectImage(base);
    return { base, format: diskFormat(inspection.format), virtualBytes: inspection.virtualBytes };
  }

  async #folder(spec: GuestSpec): Promise<string> {
    const folder = this.#path(spec.instanceId);
    const record: FolderRecord = { instanceId: spec.instanceId, generation: spec.generation, name: spec.name };
    const found = await this.find(spec.instanceId);
    if (found?.generation === spec.generation) return folder;
    if (found !== undefined) await this.remove(spec.instanceId);
    const unfinished = join(this.#instances, `${UNFINISHED}${this.#options.random.uuid()}`);
    await mkdir(unfinished, { mode: 0o700 });
    await writeFile(join(unfinished, RECORD), JSON.stringify(record), { mode: 0o600, flush: true });
    await this.#letPass(unfinished);
    await rename(unfinished, folder);
    return folder;
  }

  /** Made under another name, so that a disk that is there is a whole one. */
  async #disk(disk: GuestDisk | undefined, sizeBytes: number, signal: AbortSignal): Promise<void> {
    check(disk !== undefined, 'a guest has a root disk');
    if ((await stat(disk.path).catch(() => undefined)) !== undefined) return;
    const unfinished = `${disk.path}${UNFINISHED}`;
    await rm(unfinished, { force: true });
    await (await open(unfinished, 'wx', 0o600)).close(); // the tool alone would make it readable for all
    const size = Math.ceil(sizeBytes / 512) * 512;
    await createDisk({ path: unfinished, sizeBytes: size, ...(disk.base === undefined ? {} : { base: disk.base }) }, signal);
    const { qemu } = this.#options;
    if (qemu !== undefined) await chown(unfinished, qemu.uid, qemu.gid);
    await rename(unfinished, disk.path);
  }

  /** libvirt gives kernel and ramdisk to QEMU's user, so each guest has its own: the shared ones stay ours. */
  async #copy(base: string, path: string): Promise<string> {
    if ((await stat(path).catch(() => undefined)) !== undefined) return path;
    const unfinished = `${path}${UNFINISHED}`;
    await rm(unfinished, { force: true });
    await copyFile(base, unfinished, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const { qemu } = this.#options;
    await chmod(unfinished, 0o400);
    if (qemu !== undefined) await chown(unfinished, qemu.uid, qemu.gid);
    await rename(unfinished, path);
    return path;
  }

  async #letPass(folder: string): Promise<void> {
    const { qemu, ownFolders } = this.#options;
    if (qemu === undefined) return chmod(folder, 0o700);
    try {
      await chown(folder, ownFolders ? qemu.uid : (process.getuid?.() ?? qemu.uid), qemu.gid);
      await chmod(folder, ownFolders ? 0o700 : 0o710);
    } catch (error) {
      const detail = `${folder} cannot be given to group ${qemu.gid}: only root can drive a system libvirt`;
      throw new Fault('invalid', 'libvirt.stateDir', 'The state folder cannot be shared with the hypervisor.', { detail, cause: error });
    }
  }
}

function diskFormat(format: string): DiskFormat {
  if (format === 'qcow2') return 'qcow2';
  if (format === 'raw' || format === 'mbr' || format === 'gpt') return 'raw';
  throw new Fault('invalid', 'image.format', 'Images of this disk format cannot be booted on this hypervisor.');
}

async function tail(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (file === undefined) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const length = Math.min(size, maxBytes);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function parseRecord(text: string): FolderRecord | undefined {
  try {
    return recordShape.parse(JSON.parse(text));
  } catch {
    return undefined; // what isn't ours to read is no record
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
