/**
 * Builds the tiny real guest from Debian packages: a stock cloud kernel, busybox and one shell script. Nothing of it
 * is shipped; it is made on the machine that runs the tests and kept in a private folder under the temp directory,
 * under a name that changes with the recipe and the packages. Made under another name and renamed, so a half-built
 * guest is never used and two builders don't disturb each other.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { cpio, type CpioEntry } from './cpio.ts';

export type TinyGuest = {
  readonly kernel: string;
  readonly initramfs: string;
  /** A qcow2 that boots through the BIOS; absent without mtools, dosfstools and syslinux. */
  readonly disk?: string;
};

/** The smallest that boots is 76 MiB. */
export const GUEST_MEMORY_MIB = 96;

const run = promisify(execFile);
const TOOL_LIMIT_MS = 120_000;
const DISK_MIB = 32;
const HERE = import.meta.dirname;
const KERNEL_META_PACKAGE = 'linux-image-cloud-amd64';

/** In this order: `virtio_ring` before `virtio`, and vfat needs its code pages. */
const MODULES = [
  'failover',
  'net_failover',
  'virtio_ring',
  'virtio',
  'virtio_pci_modern_dev',
  'virtio_pci_legacy_dev',
  'virtio_pci',
  'virtio_blk',
  'virtio_net',
  'virtio_console',
  'virtio-rng',
  'virtio_balloon',
  'button',
  'evdev',
  'cdrom',
  'isofs',
  'fat',
  'vfat',
  'nls_ascii',
  'nls_cp437',
  'nls_utf8',
];

/** Folder of everything that tests keep between runs; private to the user. */
export async function guestFolder(): Promise<string> {
  const folder = join(tmpdir(), `novact-guest${process.getuid?.() === 0 ? '' : `-${process.getuid?.()}`}`);
  await mkdir(folder, { mode: 0o700, recursive: true });
  const seen = await stat(folder);
  if (seen.uid !== process.getuid?.()) throw new Error(`${folder} belongs to somebody else`);
  return folder;
}

/** Why the guest can't be built here, or undefined. */
export async function guestObstacle(): Promise<string | undefined> {
  for (const tool of ['apt-get', 'dpkg', 'qemu-img', 'qemu-system-x86_64']) {
    if (!(await hasTool(tool))) return `needs ${tool}`;
  }
  return undefined;
}

export async function buildGuest(): Promise<TinyGuest> {
  const folder = await guestFolder();
  const withDisk = (await Promise.all(['mcopy', 'mkfs.vfat', 'syslinux'].map(hasTool))).every(Boolean);
  const target = join(folder, `guest-${await recipeHash(withDisk)}`);
  const found = await existing(target);
  if (found !== undefined) return found;
  const work = await mkdtemp(join(folder, 'new-'));
  try {
    await make(work, withDisk);
    await rename(work, target).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  const made = await existing(target);
  if (made === undefined) throw new Error('the guest was not built');
  return made;
}

async function existing(target: string): Promise<TinyGuest | undefined> {
  const names = await readdir(target).catch((): string[] => []);
  if (!names.includes('kernel') || !names.includes('initramfs')) return undefined;
  const guest = { kernel: join(target, 'kernel'), initramfs: join(target, 'initramfs') };
  return names.includes('disk.qcow2') ? { ...guest, disk: join(target, 'disk.qcow2') } : guest;
}

async function recipeHash(withDisk: boolean): Promise<string> {
  const hash = createHash('sha256').update(String(withDisk));
  for (const file of ['build.ts', 'cpio.ts', 'init.sh', 'udhcpc.sh']) hash.update(await readFile(join(HERE, file)));
  return hash.digest('hex').slice(0, 16);
}

async function make(work: string, withDisk: boolean): Promise<void> {
  const packages = join(work, 'packages');
  await mkdir(packages);
  const kernelTree = await unpack(packages, await kernelPackage());
  const busyboxTree = await unpack(packages, 'busybox-static');
  const kernel = (await readdir(join(kernelTree, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new Error('the kernel package holds no kernel');
  await copyFile(join(kernelTree, 'boot', kernel), join(work, 'kernel'));
  await chmod(join(work, 'kernel'), 0o644);
  const modules = await loadModules(kernelTree);
  const busybox = await readFile(await busyboxOf(busyboxTree));
  await writeFile(join(work, 'initramfs'), gzipSync(await initramfs(busybox, modules), { level: 6 }));
  if (withDisk) await makeDisk(work);
  await rm(packages, { recursive: true });
}

/** The package with the kernel itself, which the meta package depends on. */
async function kernelPackage(): Promise<string> {
  const { stdout } = await tool('apt-cache', ['depends', KERNEL_META_PACKAGE]);
  const name = /Depends: (linux-image-[\w.+-]+-cloud-amd64)/.exec(stdout)?.[1];
  if (name === undefined) throw new Error(`no package behind ${KERNEL_META_PACKAGE}: run apt-get update first`);
  return name;
}

async function unpack(folder: string, name: string): Promise<string> {
  const place = join(folder, name);
  await mkdir(place);
  // Its own sandbox user could not write into a private folder; the download is checked by hash either way.
  await tool('apt-get', ['-o', 'APT::Sandbox::User=root', 'download', name], place);
  const archive = (await readdir(place)).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Error(`apt-get gave no file for ${name}`);
  await tool('dpkg', ['-x', join(place, archive), join(place, 'tree')]);
  return join(place, 'tree');
}

async function busyboxOf(tree: string): Promise<string> {
  for (const path of [join(tree, 'bin/busybox'), join(tree, 'usr/bin/busybox')]) {
    if ((await stat(path).catch(() => undefined)) !== undefined) return path;
  }
  throw new Error('the busybox package holds no busybox');
}

async function loadModules(tree: string): Promise<CpioEntry[]> {
  const root = (await stat(join(tree, 'usr/lib/modules')).catch(() => undefined)) ? 'usr/lib/modules' : 'lib/modules';
  const files = await readdir(join(tree, root), { recursive: true });
  const entries: CpioEntry[] = [];
  for (const name of MODULES) {
    const path = files.find((file) => basename(file).replace(/\.ko(\.xz|\.gz)?$/, '') === name && file.includes('.ko'));
    if (path === undefined) continue; // built in, in some kernels
    entries.push({ name: `modules/${name}.ko`, mode: 0o100644, content: await plainModule(join(tree, root, path)) });
  }
  const order = entries.map((entry) => basename(entry.name)).join('\n');
  return [{ name: 'modules', mode: 0o040755 }, ...entries, { name: 'modules/order', mode: 0o100644, content: Buffer.from(`${order}\n`) }];
}

async function plainModule(path: string): Promise<Buffer> {
  if (path.endsWith('.gz')) return gunzipSync(await readFile(path));
  if (!path.endsWith('.xz')) return readFile(path);
  const { stdout } = await run('xz', ['-dc', path], { encoding: 'buffer', timeout: TOOL_LIMIT_MS, maxBuffer: 64 << 20 });
  return stdout;
}

async function initramfs(busybox: Buffer, modules: readonly CpioEntry[]): Promise<Buffer> {
  return cpio([
    { name: 'bin', mode: 0o040755 },
    { name: 'dev', mode: 0o040755 },
    { name: 'dev/console', mode: 0o020600, device: { major: 5, minor: 1 } },
    { name: 'bin/busybox', mode: 0o100755, content: busybox },
    { name: 'init', mode: 0o100755, content: await readFile(join(HERE, 'init.sh')) },
    { name: 'udhcpc.sh', mode: 0o100755, content: await readFile(join(HERE, 'udhcpc.sh')) },
    ...modules,
  ]);
}

/** A file system without a partition table: the BIOS takes its first sector for a boot sector. */
async function makeDisk(work: string): Promise<void> {
  const raw = join(work, 'disk.raw');
  await writeFile(
    join(work, 'syslinux.cfg'),
    [
      'SERIAL 0 115200',
      'DEFAULT guest',
      'PROMPT 0',
      'LABEL guest',
      '  KERNEL kernel',
      '  INITRD initramfs',
      '  APPEND console=tty0 console=ttyS0 panic=1 quiet',
      '',
    ].join('\n'),
  );
  await writeFile(raw, '');
  await tool('truncate', ['-s', `${DISK_MIB}M`, raw]);
  await tool('mkfs.vfat', ['-F', '16', '-n', 'GUESTDISK', raw]);
  const files = ['kernel', 'initramfs', 'syslinux.cfg'].map((name) => join(work, name));
  await tool('mcopy', ['-i', raw, ...files, '::/']);
  await tool('syslinux', ['--install', raw]);
  await tool('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', '-c', raw, join(work, 'disk.qcow2')]);
  await rm(raw);
  await rm(join(work, 'syslinux.cfg'));
}

export async function hasTool(name: string): Promise<boolean> {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  for (const folder of path.split(':')) {
    if (folder !== '' && (await stat(join(folder, name)).catch(() => undefined))?.isFile()) return true;
  }
  return false;
}

function tool(name: string, args: readonly string[], cwd?: string): Promise<{ stdout: string; stderr: string }> {
  const path = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH: path, LC_ALL: 'C', MTOOLS_SKIP_CHECK: '1' };
  return run(name, args, { ...(cwd === undefined ? {} : { cwd }), env, timeout: TOOL_LIMIT_MS });
}
