/**
 * The only place that runs qemu-img. Every format is explicit, so no tool ever guesses what a guest may have written
 * into its disk (S4, S5); no shell, no name that could be an option or a protocol; time and output are limited.
 */
import { execFile } from 'node:child_process';
import { isAbsolute } from 'node:path';
import { promisify } from 'node:util';
import { check } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';

export type DiskFormat = 'raw' | 'qcow2';

const run = promisify(execFile);
const TOOL = 'qemu-img';
const LIMIT_MS = 60_000;
const OUTPUT_MAX_BYTES = 64 << 10;

export type NewDisk = {
  readonly path: string;
  /** A plain number of bytes, a multiple of 512. */
  readonly sizeBytes: number;
  readonly base?: { readonly path: string; readonly format: DiskFormat };
};

/** Makes a qcow2 disk, on top of `base` when there is one; the base is never written. */
export async function createDisk(disk: NewDisk, signal: AbortSignal): Promise<void> {
  const base = disk.base === undefined ? [] : ['-F', disk.base.format, '-b', plainPath(disk.base.path)];
  await qemuImg(['create', '-q', '-f', 'qcow2', ...base, '--', plainPath(disk.path), String(disk.sizeBytes)], signal);
}

export type DiskToCopy = {
  readonly from: string;
  readonly to: string;
  /** Copying may take so long. */
  readonly limitMs: number;
};

/** A qcow2 disk with all of its layers as one qcow2 file of its own. Nobody may write the disk meanwhile. */
export async function convertDisk({ from, to, limitMs }: DiskToCopy, signal: AbortSignal): Promise<void> {
  await qemuImg(['convert', '-q', '-f', 'qcow2', '-O', 'qcow2', '--', plainPath(from), plainPath(to)], signal, limitMs);
}

async function qemuImg(args: readonly string[], signal: AbortSignal, limitMs = LIMIT_MS): Promise<void> {
  check(args.includes('-f') || args.includes('--image-opts'), 'qemu-img is never left to guess a format');
  try {
    await run(TOOL, args, { signal, timeout: limitMs, killSignal: 'SIGKILL', maxBuffer: OUTPUT_MAX_BYTES, env: { PATH: process.env.PATH, LC_ALL: 'C' } });
  } catch (error) {
    if (signal.aborted) throw new Fault('cancelled', 'image.cancelled', 'The operation was cancelled.');
    const text = error instanceof Error ? error.message : String(error);
    const full = /no space left/i.test(text);
    throw new Fault(
      full ? 'overloaded' : 'unavailable',
      full ? 'image.diskFull' : 'image.tool',
      full ? 'The host has no disk space left.' : 'A disk could not be made.',
      { detail: text, cause: error },
    );
  }
}

/** Absolute, so it can be neither an option nor `json:` or `nbd:` and the like (S7). */
function plainPath(path: string): string {
  check(isAbsolute(path) && !path.includes('\0'), 'an image tool gets absolute paths only');
  return path;
}
