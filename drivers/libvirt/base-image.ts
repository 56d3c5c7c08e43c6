/**
 * Base images, kept by content: guests of the same bytes share one file that nobody writes. Bytes come once, are
 * counted and hashed on the way, and get their name only when all is right; half of an image is never found by that
 * name. A weak hash doesn't make two images one: someone could have built the other on purpose.
 */
import { createHash } from 'node:crypto';
import { chmod, chown, open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestImage, ImageSource } from '../driver.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Random } from '../../runtime/base/random.ts';
import { cancelled } from './errors.ts';

export type BaseImageOptions = {
  readonly folder: string;
  readonly images: ImageSource;
  readonly clock: Clock;
  readonly random: Random;
  /** Who must be able to read besides us; undefined when QEMU runs as we do. */
  readonly reader: { readonly uid: number; readonly gid: number } | undefined;
};

/** No image is larger, whatever its record says. */
const IMAGE_MAX_BYTES = 4 * 2 ** 40;
/** A source that sends nothing for so long is given up. */
const IDLE_LIMIT_MS = 60_000;
const HEX = { sha512: /^[0-9a-f]{128}$/, sha256: /^[0-9a-f]{64}$/, md5: /^[0-9a-f]{32}$/ } as const;
const UNFINISHED = '.new-';

type Fetch = { readonly done: Promise<string>; readonly stop: AbortController; waiting: number };

export class BaseImages {
  readonly #options: BaseImageOptions;
  readonly #fetches = new Map<string, Fetch>();

  constructor(options: BaseImageOptions) {
    this.#options = options;
  }

  get folder(): string {
    return this.#options.folder;
  }

  /** Removes what a killed process left half done. */
  async sweep(): Promise<void> {
    const names = await readdir(this.#options.folder);
    for (const name of names) if (name.startsWith(UNFINISHED)) await rm(join(this.#options.folder, name), { force: true });
  }

  /** Path of the image's bytes, fetched unless they are here. Faults: the source's, `invalid`, `unavailable`, `overloaded`. */
  async path(image: GuestImage, signal: AbortSignal): Promise<string> {
    const name = cacheName(image);
    const path = join(this.#options.folder, name);
    if ((await stat(path).catch(() => undefined))?.isFile()) return path;
    const fetch = this.#fetches.get(name) ?? this.#start(name, image, path);
    return this.#join(fetch, signal);
  }

  #start(name: string, image: GuestImage, path: string): Fetch {
    const stop = new AbortController();
    const done = this.#fetch(image, path, stop.signal).finally(() => this.#fetches.delete(name));
    done.catch(() => {}); // each waiter hears of it by itself
    const fetch = { done, stop, waiting: 0 };
    this.#fetches.set(name, fetch);
    return fetch;
  }

  /** Several guests may wait for one fetch; it stops when the last of them gives up. */
  async #join(fetch: Fetch, signal: AbortSignal): Promise<string> {
    fetch.waiting++;
    const gaveUp = Promise.withResolvers<never>();
    const abort = (): void => gaveUp.reject(cancelled());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([fetch.done, gaveUp.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
      if (--fetch.waiting === 0) fetch.stop.abort();
    }
  }

  async #fetch(image: GuestImage, path: string, signal: AbortSignal): Promise<string> {
    const unfinished = join(this.#options.folder, `${UNFINISHED}${this.#options.random.uuid()}`);
    const file = await open(unfinished, 'wx', 0o600);
    try {
      await this.#copy(image, file, signal);
      await file.datasync();
      await this.#letRead(unfinished);
      await rename(unfinished, path);
      return path;
    } catch (error) {
      await rm(unfinished, { force: true });
      if (signal.aborted) throw cancelled();
      throw isFull(error) ? new Fault('overloaded', 'image.diskFull', 'The host has no disk space left.', { cause: error }) : error;
    } finally {
      await file.close();
    }
  }

  async #copy(image: GuestImage, file: FileHandle, signal: AbortSignal): Promise<void> {
    const source = await this.#options.images.open(image.id, signal);
    const hash = image.hash === null ? undefined : createHash(image.hash.algorithm);
    const max = image.sizeBytes > 0 ? image.sizeBytes : IMAGE_MAX_BYTES;
    let count = 0;
    const idle = this.#idleLimit(() => source.destroy(stalled()));
    const stop = (): void => void source.destroy(cancelled());
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      for await (const chunk of source) {
        const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(String(chunk));
        count += bytes.length;
        if (count > max) throw wrongBytes('has more bytes than it is said to have');
        idle.arm();
        hash?.update(bytes);
        await file.write(bytes);
      }
    } finally {
      idle.cancel();
      signal.removeEventListener('abort', stop);
      source.destroy();
    }
    if (image.sizeBytes > 0 && count < image.sizeBytes) throw new Fault('unavailable', 'image.cutOff', 'The image came incomplete.');
    if (hash !== undefined && hash.digest('hex') !== image.hash?.hex) throw wrongBytes('does not have the hash that it is said to have');
  }

  #idleLimit(onIdle: () => void): { arm(): void; cancel(): void } {
    const { clock } = this.#options;
    let timer = clock.after(IDLE_LIMIT_MS, onIdle);
    return {
      cancel: () => timer.cancel(),
      arm: () => {
        timer.cancel();
        timer = clock.after(IDLE_LIMIT_MS, onIdle);
      },
    };
  }

  /** Read-only for QEMU, so that no operation on a guest's disk can write through to what others share. */
  async #letRead(path: string): Promise<void> {
    const { reader } = this.#options;
    if (reader !== undefined) await chown(path, process.getuid?.() ?? reader.uid, reader.gid);
    await chmod(path, reader === undefined ? 0o400 : 0o440);
  }
}

/** A strong hash names the bytes; otherwise the image's id is part of the name. */
export function cacheName(image: GuestImage): string {
  const { hash } = image;
  if (hash !== null && !HEX[hash.algorithm].test(hash.hex)) throw wrongBytes('has a malformed hash');
  if (hash !== null && hash.algorithm !== 'md5') return `${hash.algorithm}-${hash.hex}`;
  const id = createHash('sha256').update(JSON.stringify([image.id, image.sizeBytes, hash?.hex ?? null]));
  return `id-${id.digest('hex')}`;
}

function wrongBytes(what: string): Fault {
  return new Fault('invalid', 'image.bytes', `The image is not acceptable: it ${what}.`);
}

function stalled(): Fault {
  return new Fault('unavailable', 'image.stalled', 'The image service stopped sending.');
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
}
