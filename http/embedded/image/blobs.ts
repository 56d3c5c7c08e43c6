/**
 * The bytes of images: one file per image, named by its uuid, in a directory of mode 0700 that one process owns.
 * A file appears under its name only when it is whole and on disk (written aside, synced, renamed), and goes after
 * the record's removal was committed. What a crash left over is removed by `sweep` at start.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { check } from '../../../runtime/base/check.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { isUuid } from '../../../runtime/base/ids.ts';

/** A client that sends nothing for so long is gone. */
const IDLE_MS = 60_000;
const SWEEP_BATCH = 500;

export type Written = { readonly sizeBytes: number; readonly checksum: string; readonly hash: string };

export interface Blobs {
  /**
   * Streams to disk. Faults: `tooLarge` past `maxBytes` or when the disk is full, `timeout` for a silent client,
   * `invalid` for one that went away; no file is left then.
   */
  write(id: string, uploadId: string, from: Readable, maxBytes: number): Promise<Written>;
  /** undefined when there is no file. The caller closes it. */
  open(id: string): Promise<FileHandle | undefined>;
  /** Harmless when there is none. */
  remove(id: string): Promise<void>;
  /** Removes leftovers: unfinished uploads, and files that `wanted` does not name. */
  sweep(wanted: (ids: readonly string[]) => Promise<readonly string[]>): Promise<number>;
}

export async function openBlobs(directory: string, clock: Clock): Promise<Blobs> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const folder = await open(directory, 'r');
  await folder.chmod(0o700);
  await folder.close();
  const pathOf = (id: string): string => {
    check(isUuid(id), 'a blob is named by a uuid');
    return join(directory, id);
  };

  return {
    async write(id, uploadId, from, maxBytes) {
      check(isUuid(uploadId), 'an upload is named by a uuid');
      const aside = `${pathOf(id)}.${uploadId}`;
      try {
        const file = await open(aside, 'wx', 0o600);
        let written: Written;
        try {
          written = await pour(from, file, maxBytes, clock);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(aside, pathOf(id));
        await syncFolder(directory);
        return written;
      } catch (error) {
        await rm(aside, { force: true });
        if (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) {
          throw new Fault('tooLarge', 'image.disk', 'Image storage media is full.', { cause: error });
        }
        throw error;
      }
    },
    async open(id) {
      try {
        return await open(pathOf(id), 'r');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw error;
      }
    },
    remove: (id) => rm(pathOf(id), { force: true }),
    async sweep(wanted) {
      const names = await readdir(directory);
      const whole = names.filter(isUuid);
      const stale = new Set(names.filter((name) => isUuid(name.slice(0, 36)) && name[36] === '.'));
      for (let from = 0; from < whole.length; from += SWEEP_BATCH) {
        const batch = whole.slice(from, from + SWEEP_BATCH);
        const kept = new Set(await wanted(batch));
        for (const name of batch) if (!kept.has(name)) stale.add(name);
      }
      for (const name of stale) await rm(join(directory, name), { force: true });
      return stale.size;
    },
  };
}

async function pour(from: Readable, file: FileHandle, maxBytes: number, clock: Clock): Promise<Written> {
  const md5 = createHash('md5');
  const sha512 = createHash('sha512');
  let sizeBytes = 0;
  let lastMs = clock.monotonicMs();
  const silent = (): void => void from.destroy(new Fault('timeout', 'image.silent', 'The image did not arrive in time.'));
  const watch = (): { cancel(): void } =>
    clock.after(IDLE_MS, () => {
      if (clock.monotonicMs() - lastMs >= IDLE_MS) silent();
      else timer = watch();
    });
  let timer = watch();
  try {
    // Left open at the end: the answer still has to go out on the same connection.
    for await (const chunk of from.iterator({ destroyOnReturn: false })) {
      const bytes: Buffer = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
      lastMs = clock.monotonicMs();
      sizeBytes += bytes.length;
      if (sizeBytes > maxBytes) throw new Fault('tooLarge', 'image.size', `The image is larger than ${maxBytes} bytes.`);
      md5.update(bytes);
      sha512.update(bytes);
      await file.writeFile(bytes); // from where the last one ended; a short write is gone on with
    }
  } catch (error) {
    if (Fault.is(error) || (error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code)) && error.code !== 'ECONNRESET')) throw error;
    throw new Fault('invalid', 'image.aborted', 'The upload ended before all bytes had arrived.', { cause: error });
  } finally {
    timer.cancel();
  }
  return { sizeBytes, checksum: md5.digest('hex'), hash: sha512.digest('hex') };
}

/** A rename is on disk only when its folder is. */
async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
