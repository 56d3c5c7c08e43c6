/**
 * The guard of the hosts of one node (`selfFence`): a small process of its own session that stops a host's guests when
 * its lease ends, whatever became of the node: dead, paused, cut off. The node and its guard speak through files in one
 * folder, since files outlive both:
 *
 *   hosts.json     by the node: what to stop, and how
 *   <host>.lease   by the node, after each heard beat: until when that host's guests may run; taken away when the node
 *                  says goodbye, so that its guests go on
 *   node           by the node: which process it is; taken away at its end
 *   guard          by the guard: which process it is, and when it has looked last
 *
 * All times are milliseconds of the machine's own uptime, which neither sleep nor the setting of a clock can bend; with
 * a machine that started anew every lease is over, and so are its guests.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostFence } from '../../drivers/driver.ts';
import type { DriverSettings } from '../../drivers/open.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { Log } from '../../runtime/base/log.ts';

/** Between looks at leases and at whether it is still wanted. */
export const LOOK_MS = 200;
const CLOSE_LIMIT_MS = 10_000;

export type GuardedHost = { readonly name: string; readonly driver: DriverSettings };
export type GuardOrder = { readonly hosts: readonly GuardedHost[] };

export type GuardParts = {
  readonly folder: string;
  /** Names this process among all that the machine ever ran. */
  readonly self: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly uptimeMs: () => number;
  /** Names this start of the machine. */
  readonly boot: string;
  /** Whether the process of that word lives. */
  readonly lives: (word: string) => boolean;
  readonly openFence: (settings: DriverSettings) => Promise<HostFence>;
};

/** `isQuiet`: the last time, nothing was found running. */
type Post = { readonly fence: HostFence; isClosed: boolean; isQuiet: boolean; closing: Promise<void> | undefined };

export const orderFile = (folder: string): string => join(folder, 'hosts.json');
export const leaseFile = (folder: string, host: string): string => join(folder, `${host}.lease`);
export const guardFile = (folder: string): string => join(folder, 'guard');
export const nodeFile = (folder: string): string => join(folder, 'node');

/** Whole or not at all, also when the process ends in the middle. */
export function writeWord(path: string, text: string): void {
  const draft = `${path}.${process.pid}.new`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, path);
}

export function readWord(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export class Guard {
  readonly #parts: GuardParts;
  readonly #posts = new Map<string, Post>();
  #telling = false;
  #told: Promise<void> = Promise.resolve();

  constructor(parts: GuardParts) {
    this.#parts = parts;
  }

  /** Until there is nothing to watch any more, or another guard has taken over. */
  async run(signal: AbortSignal): Promise<void> {
    const { folder, self, clock, log } = this.#parts;
    writeWord(guardFile(folder), `${self}\n`);
    log.info('the guard watches', { folder });
    try {
      while (!signal.aborted) {
        if (!this.#isOurs()) return log.info('another guard has taken over');
        this.#tellLooked();
        if (!(await this.#look())) return log.info('nothing is left to watch');
        await clock.sleep(LOOK_MS, signal).catch(() => undefined);
      }
    } finally {
      await this.#told; // nothing is written after the end
    }
  }

  /** Not waited for between looks: a disk that hangs must not keep the guard from its work. */
  #tellLooked(): void {
    const { folder, self, uptimeMs, log } = this.#parts;
    if (this.#telling) return;
    this.#telling = true;
    const draft = `${guardFile(folder)}.${process.pid}.looked`;
    this.#told = writeFile(draft, `${self}\n${Math.round(uptimeMs())}\n`, { mode: 0o600 })
      .then(async () => {
        if (this.#isOurs()) await rename(draft, guardFile(folder));
      })
      .catch((error: unknown) => log.warn('the guard cannot say that it looks', { error }))
      .finally(() => (this.#telling = false));
  }

  #isOurs(): boolean {
    const { folder, self } = this.#parts;
    return readWord(guardFile(folder))?.split('\n')[0] === self;
  }

  /** False when there is nothing to watch any more. */
  async #look(): Promise<boolean> {
    const node = readWord(nodeFile(this.#parts.folder));
    const isNodeThere = node !== undefined && this.#parts.lives(node);
    let isWanted = isNodeThere;
    for (const { name, driver } of this.#hosts()) {
      const leaseMs = this.#leaseMs(name);
      if (leaseMs === undefined) continue;
      const post = this.#posts.get(name) ?? { fence: await this.#parts.openFence(driver), isClosed: false, isQuiet: false, closing: undefined };
      this.#posts.set(name, post);
      if (this.#parts.uptimeMs() < leaseMs) await this.#open(name, post);
      else this.#close(name, post);
      if (!post.isClosed || !post.isQuiet) isWanted = true;
    }
    if (isWanted) return true;
    for (const { fence } of this.#posts.values()) await fence.end();
    return false;
  }

  #hosts(): readonly GuardedHost[] {
    const text = readWord(orderFile(this.#parts.folder));
    return text === undefined ? [] : (JSON.parse(text) as GuardOrder).hosts; // our own node's text
  }

  /** Undefined: the node has said goodbye, or has not come so far. */
  #leaseMs(host: string): number | undefined {
    const text = readWord(leaseFile(this.#parts.folder, host));
    const [boot, untilMs] = text?.split(' ') ?? [];
    return text === undefined ? undefined : boot === this.#parts.boot ? Number(untilMs) : 0;
  }

  async #open(host: string, post: Post): Promise<void> {
    if (!post.isClosed || post.closing) return;
    post.isQuiet = false;
    await post.fence.open();
    post.isClosed = false;
    this.#parts.log.info('the host has its lease back', { host });
  }

  /** Again at every look, until nothing was found running: a paused node may have been about to start one more. */
  #close(host: string, post: Post): void {
    const { log, clock } = this.#parts;
    if (post.closing) return;
    if (!post.isClosed) log.warn('the lease of a host has ended: its guests are stopped', { host });
    post.isClosed = true;
    const limit = new AbortController();
    const timer = clock.after(CLOSE_LIMIT_MS, () => limit.abort());
    post.closing = post.fence
      .close(limit.signal)
      .then(({ stopped }) => {
        if (stopped > 0) log.warn('guests stopped', { host, stopped });
        post.isQuiet = stopped === 0;
      })
      .catch((error: unknown) => log.error('guests cannot be stopped', { host, error }))
      .finally(() => {
        timer.cancel();
        post.closing = undefined;
      });
  }
}
