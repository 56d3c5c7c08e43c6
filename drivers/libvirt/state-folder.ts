/**
 * Where guests' files are kept, so that QEMU's user reaches them by name and nobody sees more than before. That user
 * must be able to search every folder above. Folders of ours are opened for just that: by their group when nobody else
 * was let in by it, else for all (search only: names can't be listed, and what lies inside keeps its own rights).
 * Folders that aren't ours are never changed: below one that is closed (root's home, say) the files are kept under
 * `/var/lib/novact` instead, and a link in the folder that was wanted says where, also to the next start.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, lstat, mkdir, realpath, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { Fault } from '../../runtime/base/fault.ts';
import type { Owner } from './storage.ts';

export type FolderWish = {
  readonly stateDir: string;
  /** Our own folder around it. */
  readonly within: string | undefined;
  /** Undefined when QEMU runs as we do. */
  readonly qemu: Owner | undefined;
  /** Where files go when `within` can't be reached. */
  readonly elsewhere?: string;
};

const ELSEWHERE = '/var/lib/novact';
const NOT_ROOT =
  'Only root can share disks with the guests of the machine’s libvirt. Set the driver’s uri to qemu:///session for one of your own, or start novact as root.';

/** The folder to be used; it exists. Faults: `invalid` (reason `libvirt.stateDir`) naming the folder that is closed. */
export async function reachableFolder(wish: FolderWish): Promise<string> {
  const { within, qemu, elsewhere = ELSEWHERE } = wish;
  const stateDir = resolve(wish.stateDir);
  if (qemu !== undefined && process.getuid?.() !== 0) throw new Fault('invalid', 'libvirt.stateDir', NOT_ROOT);
  const ours = within !== undefined && isBelow(stateDir, within) ? resolve(within) : undefined;
  const isLink = (await lstat(stateDir).catch(() => undefined))?.isSymbolicLink() === true;
  const closed = qemu === undefined ? undefined : await closedAbove(isLink ? await target(stateDir) : (ours ?? stateDir), qemu);
  if (isLink && closed === undefined) return realpath(stateDir);
  if (closed === undefined) {
    await openAbove(stateDir, ours, qemu);
    return made(stateDir);
  }
  if (qemu === undefined || ours === undefined || (await exists(stateDir))) throw unreachable(closed, qemu);
  const other = join(elsewhere, `${createHash('sha256').update(stateDir).digest('hex').slice(0, 12)}-${basename(stateDir)}`);
  await mkdir(elsewhere, { recursive: true, mode: 0o711 }).catch((cause: unknown) => {
    throw unreachable(closed, qemu, cause);
  });
  const closedThere = await closedAbove(other, qemu);
  if (closedThere !== undefined) throw unreachable(closedThere, qemu);
  await made(other);
  await openAbove(stateDir, ours, undefined);
  await symlink(other, stateDir);
  return other;
}

/** Makes our folders down to the one above `stateDir`, and lets QEMU's user (if any) search them. */
async function openAbove(stateDir: string, ours: string | undefined, qemu: Owner | undefined): Promise<void> {
  if (ours === undefined) return;
  let folder = ours;
  for (const name of ['', ...relative(ours, dirname(stateDir)).split('/').filter(Boolean)]) {
    folder = join(folder, name);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    if (qemu !== undefined) await letSearch(folder, qemu);
  }
}

async function letSearch(folder: string, qemu: Owner): Promise<void> {
  const { mode, uid, gid } = await stat(folder);
  const closed = mode & 0o711; // what others could read or write here is closed on the way
  const isFree = gid === qemu.gid || (mode & 0o070) === 0;
  if (isFree && gid !== qemu.gid) await chown(folder, uid, qemu.gid);
  await chmod(folder, isFree ? (closed & 0o700) | 0o010 : closed | 0o001);
}

/** The topmost folder above `path` that QEMU's user may not search. */
async function closedAbove(path: string, qemu: Owner): Promise<string | undefined> {
  let found: string | undefined;
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    const seen = await stat(folder).catch(() => undefined); // not there yet: made by us, open enough
    if (seen === undefined) continue;
    const bit = seen.uid === qemu.uid ? 0o100 : seen.gid === qemu.gid ? 0o010 : 0o001;
    if ((seen.mode & bit) === 0) found = folder;
  }
  return found;
}

async function target(link: string): Promise<string> {
  try {
    return await realpath(link);
  } catch (cause) {
    throw new Fault('invalid', 'libvirt.stateDir', `${link} leads nowhere: the files of its guests are gone. Remove the link to begin anew.`, { cause });
  }
}

async function made(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined;
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way === '' || (!way.startsWith('..') && !way.startsWith('/'));
}

function unreachable(folder: string, qemu: Owner | undefined, cause?: unknown): Fault {
  const message = `The user of the guests (${qemu?.uid}) cannot pass through ${folder}, so it would not reach their disks. Let it search that folder (chmod o+x ${folder}), or choose another data folder with --data.`;
  return new Fault('invalid', 'libvirt.stateDir', message, { cause });
}
