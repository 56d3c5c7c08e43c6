/**
 * The bytes of images: a file for each content, named by its SHA-512, in a directory of mode 0700 that one process
 * owns. A name can only mean one thing, whatever became of the images that had it. A file gets its name when it is
 * whole and on disk (written aside, synced, renamed).
 *
 * Whoever gives or takes a name does it inside `alone`, together with the record that goes with it: so no sweep takes
 * away what an upload of the same bytes is about to record.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { check } from '../../../runtime/base/check.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Random } from '../../../runtime/base/random.ts';

/** A client that sends nothing for so long is gone. */
const IDLE_MS = 60_000;
const UNFINISHED = 'new-';
const HASH = /^[0-9a-f]{128}$/;

export type Written = { readonly sizeBytes: number; readonly checksum: string; readonly hash: string };
/** Bytes that are on disk and have no name yet. */
export type Draft = Written & {
  /** Gives them their name. Inside `alone` of their hash. */
  keep(): Promise<void>;
  /** Harmless when they were kept. */
  discard(): Promise<void>;
};

export interface Blobs {
  /**
   * Streams to disk. Faults: `tooLarge` past `maxBytes` or when the disk is full, `timeout` for a silent client,
   * `invalid` for one that went away; no file is left then.
   */
  write(from: Readable, maxBytes: number): Promise<Draft>;
  /** undefined when there is no file. The caller closes it. */
  open(hash: string): Promise<FileHandle | undefined>;
  /** When its file was made, in wall milliseconds; now, when there is none. */
  writtenMs(hash: string): Promise<number>;
  /** Harmless when there is none. Inside `alone`. */
  remove(hash: string): Promise<void>;
  /** The hashes of all that is here. */
  list(): Promise<string[]>;
  /** One at a time for each hash, in order. */
  alone<T>(hash: string, work: () => Promise<T>): Promise<T>;
  /** At start, before anything else: what a killed process was writing goes. Says how many. */
  tidy(): Promise<number>;
  /** Files of a former release, by image. */
  named(): Promise<string[]>;
  /** Such a file gets the name of its bytes, or goes when nobody knows them. */
  rename(imageId: string, hash: string | undefined): Promise<void>;
}

export async function openBlobs(directory: string, clock: Clock, random: Random): Promise<Blobs> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const folder = await open(directory, 'r');
  await folder.chmod(0o700);
  await folder.close();
  const lines = new Map<string, Promise<unknown>>();
  const pathOf = (hash: string): string => {
    check(HASH.test(hash), 'bytes are named by their SHA-512');
    return join(directory, hash);
  };

  return {
    async write(from, maxBytes) {
      const aside = join(directory, `${UNFINISHED}${random.uuid()}`);
      const discard = (): Promise<void> => rm(aside, { force: true });
      try {
        const written = await toFile(aside, from, maxBytes, clock);
        return { ...written, discard, keep: () => moved(aside, pathOf(written.hash), directory) };
      } catch (error) {
        await discard();
        if (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')) {
          throw new Fault('tooLarge', 'image.disk', 'Image storage media is full.', { cause: error });
        }
        throw error;
      }
    },
    async open(hash) {
      try {
        return await open(pathOf(hash), 'r');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw error;
      }
    },
    writtenMs: async (hash) => (await stat(pathOf(hash)).catch(() => undefined))?.mtimeMs ?? clock.wallMs(),
    remove: (hash) => rm(pathOf(hash), { force: true }),
    list: async () => (await readdir(directory)).filter((name) => HASH.test(name)),
    async alone(hash, work) {
      const before = lines.get(hash) ?? Promise.resolve();
      const mine = before.then(work, work);
      const settled = mine.catch(() => undefined);
      lines.set(hash, settled);
      void settled.then(() => lines.get(hash) === settled && lines.delete(hash));
      return mine;
    },
    async tidy() {
      const left = (await readdir(directory)).filter((name) => name.startsWith(UNFINISHED) || (isUuid(name.slice(0, 36)) && name[36] === '.'));
      for (const name of left) await rm(join(directory, name), { force: true });
      return left.length;
    },
    named: async () => (await readdir(directory)).filter(isUuid),
    async rename(imageId, hash) {
      check(isUuid(imageId), 'files of a former release are named by a uuid');
      if (hash === undefined) await rm(join(directory, imageId), { force: true });
      else await moved(join(directory, imageId), pathOf(hash), directory);
    },
  };
}

async function toFile(path: string, from: Readable, maxBytes: number, clock: Clock): Promise<Written> {
  const file = await open(path, 'wx', 0o600);
  try {
    const written = await pour(from, file, maxBytes, clock);
    await file.sync();
    return written;
  } finally {
    await file.close();
  }
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
async function moved(from: string, to: string, directory: string): Promise<void> {
  await rename(from, to);
  const folder = await open(directory, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
