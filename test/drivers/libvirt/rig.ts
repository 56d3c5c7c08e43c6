/** What the tests of this driver share: a private libvirtd, the tiny guest as images, and a driver in a folder of its own. */
import { randomBytes, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GuestImage, GuestSpec, HypervisorDriver, ImageSource } from '../../../drivers/driver.ts';
import { openLibvirtDriver, type LibvirtOptions } from '../../../drivers/libvirt/driver.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { buildGuest, guestObstacle, GUEST_MEMORY_MIB } from '../../guest/build.ts';
import { libvirtdObstacle, startLibvirtd, type PrivateLibvirtd } from '../../guest/libvirtd.ts';

export type LibvirtRig = {
  readonly daemon: PrivateLibvirtd;
  readonly stateDir: string;
  readonly images: ImageSource;
  /** A guest that boots from kernel and ramdisk, with a blank disk beside. */
  specFor(overrides?: Partial<GuestSpec>): GuestSpec;
  /** The image that boots through the BIOS; undefined when it can't be built here. */
  readonly bootable: GuestImage | undefined;
  /** Makes `bytes` an image. */
  addImage(bytes: Buffer, diskFormat: string): Promise<GuestImage>;
  open(overrides?: Partial<LibvirtOptions>): Promise<HypervisorDriver>;
  /** What the driver and libvirt still have of a guest. */
  leftovers(guest: GuestSpec): Promise<string[]>;
  close(): Promise<void>;
};

const BLANK_BYTES = 1 << 20;
export const COMMAND_LINE = 'console=ttyS0 panic=1 quiet';

export async function libvirtObstacle(): Promise<string | undefined> {
  return (await libvirtdObstacle()) ?? (await guestObstacle());
}

export async function openRig(mode: 'system' | 'session' = 'system'): Promise<LibvirtRig> {
  const guest = await buildGuest();
  const folder = await mkdtemp(join(tmpdir(), 'novact-libvirt-'));
  await chmod(folder, 0o711); // QEMU's user must pass through every folder above the state
  const stateDir = join(folder, 'state');
  const daemon = await startLibvirtd({ mode }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true });
    throw error;
  });
  const paths = new Map<string, string>();
  const opened: HypervisorDriver[] = [];

  async function addFile(path: string, diskFormat: string): Promise<GuestImage> {
    const id = randomUUID();
    paths.set(id, path);
    return { id, diskFormat, sizeBytes: (await stat(path)).size, hash: null, properties: { os_command_line: COMMAND_LINE } };
  }
  async function addImage(bytes: Buffer, diskFormat: string): Promise<GuestImage> {
    const path = join(folder, `image-${randomUUID()}`);
    await writeFile(path, bytes);
    return addFile(path, diskFormat);
  }
  const images: ImageSource = {
    async open(id) {
      const path = paths.get(id);
      if (path === undefined) throw new Fault('notFound', 'image.notFound', 'There is no such image.');
      return createReadStream(path);
    },
  };
  const blank = await addImage(Buffer.alloc(BLANK_BYTES), 'raw');
  const kernel = await addFile(guest.kernel, 'aki');
  const ramdisk = await addFile(guest.initramfs, 'ari');
  const bootable = guest.disk === undefined ? undefined : await addFile(guest.disk, 'qcow2');

  return {
    daemon,
    stateDir,
    images,
    bootable,
    addImage,
    specFor(overrides = {}) {
      const direct = overrides.image === undefined ? { kernel, ramdisk } : {};
      return { ...newGuest(blank), ...direct, ...overrides };
    },
    async open(overrides = {}) {
      const owner = daemon.owner === undefined ? {} : { diskOwner: daemon.owner };
      const driver = await openLibvirtDriver({
        uri: daemon.uri,
        socketPath: daemon.socketPath,
        stateDir,
        virtType: 'qemu',
        images,
        clock: systemClock,
        log: silentLog,
        hostIp: '127.0.0.1',
        ...owner,
        ...overrides,
      });
      opened.push(driver);
      return driver;
    },
    async leftovers(spec) {
      const folders = (await readdir(join(stateDir, 'instances'))).filter((name) => name.includes(spec.instanceId) || name.startsWith('.'));
      const domains = (await daemon.virsh('list', '--all', '--uuid')).split('\n').filter((line) => line.includes(spec.instanceId));
      return [...folders, ...domains];
    },
    async close() {
      await Promise.all(opened.map((driver) => driver.close()));
      await daemon.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function newGuest(image: GuestImage): GuestSpec {
  const instanceId = randomUUID();
  const tail = randomBytes(3);
  const mac = `52:54:00:${[...tail].map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
  return {
    instanceId,
    generation: 1,
    name: `instance-${tail.toString('hex')}`,
    displayName: 'tiny',
    hostname: 'tiny',
    projectId: 'project',
    userId: 'user',
    vcpus: 1,
    memoryMiB: GUEST_MEMORY_MIB,
    rootGiB: 0,
    ephemeralGiB: 0,
    swapMiB: 0,
    image,
    userData: null,
    metadata: {},
    nics: [{ network: 'flat', mac, address: '10.0.2.15/24', gateway: null }],
  };
}
