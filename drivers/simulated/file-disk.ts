/**
 * Guests in files: `guests/<stem>.json` under the driver's directory, beside the lock that keeps a second driver out.
 *
 * A text is written to one temporary file and renamed over the old one. There is no fsync: a killed process loses
 * nothing that it wrote to the page cache, and a machine that loses power has lost these guests anyway.
 * Synchronous calls are the fast ones here: measured on ext4 with Node 24 and 900 bytes, write and rename cost 50 µs
 * of CPU, the promise versions 196 µs (on tmpfs 15 and 124). A trap, measured too: for minutes after thousands of
 * files were deleted, ext4 looks long for a free inode, and a new file costs 100 to 600 µs wherever it is. Scale runs
 * put the directory on tmpfs.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../runtime/base/fault.ts';
import type { GuestDisk, GuestShelf } from './disk.ts';
import { takeLock } from './lock.ts';

const SUFFIX = '.json';

export function fileDisk(directory: string): GuestDisk {
  return {
    async take() {
      const folder = join(directory, 'guests');
      outside(() => mkdirSync(folder, { recursive: true }));
      const lock = outside(() => takeLock(directory));
      return openShelf(folder, () => lock.release());
    },
  };
}

function openShelf(folder: string, release: () => void): GuestShelf {
  const draft = join(folder, 'draft'); // one is enough: the lock lets one process in, and a write is one step of it
  const path = (stem: string): string => `${folder}/${stem}${SUFFIX}`;
  rmSync(draft, { force: true }); // left by a kill between write and rename
  let released = false;

  function change(act: () => void): void {
    if (released) throw new Fault('unavailable', 'host.disk', 'The driver of this hypervisor is closed.');
    outside(act);
  }

  return {
    stems: () =>
      outside(() => readdirSync(folder))
        .filter((name) => name.endsWith(SUFFIX))
        .map((name) => name.slice(0, -SUFFIX.length)),
    read: (stem) => outside(() => readFileSync(path(stem), 'utf8')),
    write(stem, text) {
      change(() => {
        writeFileSync(draft, text);
        renameSync(draft, path(stem));
      });
    },
    remove: (stem) => change(() => rmSync(path(stem), { force: true })),
    setAside: (stem) => change(() => renameSync(path(stem), `${path(stem)}.broken`)),
    release() {
      if (released) return;
      released = true;
      release();
    },
  };
}

function outside<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw toFault(error);
  }
}

function toFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const more = { detail: String(error), cause: error };
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new Fault('overloaded', 'host.disk', 'The disk of the host is full.', more)
    : new Fault('unavailable', 'host.disk', 'The disk of the host does not answer.', more);
}
