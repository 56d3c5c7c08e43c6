/**
 * The node's side of its guard (guard.ts): starts it, sees to it that it lives, tells it until when each host's guests
 * may run, and says goodbye. A guard that a former process of this node left is taken over: it goes by the same files.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { extname, join } from 'node:path';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import { machineBoot, uptimeMs } from '../../runtime/base/proc.ts';
import { guardFile, leaseFile, nodeFile, orderFile, readWord, writeWord, type GuardedHost } from './guard.ts';
import type { HostGuard } from './lease.ts';
import { isAlive, processWord } from './process-word.ts';

/** The rest of a lease is for stopping guests. */
const STOP_SHARE = 0.2;
const START_LIMIT_MS = 15_000;
const START_LOOK_MS = 20;
/** A guard that has not looked for so long is one no more. */
const STALE_MS = 10_000;
const CHECK_EVERY_MS = 1_000;
const PROGRAM = join(import.meta.dirname, `guard-program${extname(import.meta.filename)}`); // guard-program.ts in a checkout

export type KeeperParts = {
  readonly folder: string;
  readonly hosts: readonly GuardedHost[];
  readonly leaseMs: number;
  readonly marginMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

export class GuardKeeper {
  readonly #parts: KeeperParts;
  #starting: Promise<void> | undefined;
  #checkedMs = Number.NEGATIVE_INFINITY;
  #ended = false;

  constructor(parts: KeeperParts) {
    this.#parts = parts;
  }

  /** Tells the guard what there is, before any host begins. Fault `unsupported` on machines that tell no uptime. */
  open(): void {
    const { folder, hosts } = this.#parts;
    if (uptimeMs() === undefined) throw new Fault('unsupported', 'host.selfFence', 'selfFence needs /proc: this machine has none.');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeWord(orderFile(folder), JSON.stringify({ hosts }));
    writeWord(nodeFile(folder), processWord(process.pid));
  }

  /** What one host's lease tells its guard. */
  guardOf(host: string): HostGuard {
    const { folder, leaseMs, marginMs } = this.#parts;
    const boot = machineBoot();
    return {
      selfFenceMs: leaseMs,
      watched: () => this.#watched(),
      nowMs: () => uptimeMs() ?? 0,
      extend: (untilMs) => {
        if (this.#ended) return;
        writeWord(leaseFile(folder, host), `${boot} ${Math.round(untilMs - marginMs - leaseMs * STOP_SHARE)}`);
        this.#check();
      },
    };
  }

  /** The guests of this host go on without a lease. Only after the store has heard that nobody watches them. */
  goodbye(host: string): void {
    rmSync(leaseFile(this.#parts.folder, host), { force: true });
  }

  /** The node ends; hosts without goodbye are watched until their lease is over. */
  close(): void {
    this.#ended = true;
    rmSync(nodeFile(this.#parts.folder), { force: true });
  }

  #watched(): Promise<void> {
    this.#starting ??= this.#start().finally(() => (this.#starting = undefined));
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { folder, clock, log } = this.#parts;
    if (this.#isThere()) return;
    const { PATH, HOME, TMPDIR, XDG_RUNTIME_DIR } = process.env;
    const env = { PATH, HOME, TMPDIR, XDG_RUNTIME_DIR };
    const child = spawn(process.execPath, ['--max-semi-space-size=1', PROGRAM, folder], { cwd: folder, detached: true, stdio: 'ignore', env });
    child.once('error', (error) => log.error('the guard cannot be started', { error }));
    child.once('exit', () => {
      if (this.#ended) return;
      log.error('the guard has ended', { pid: child.pid });
      void this.#watched().catch((error: unknown) => log.error('there is no guard', { error }));
    });
    child.unref();
    const endMs = clock.monotonicMs() + START_LIMIT_MS;
    while (!this.#isThere()) {
      if (clock.monotonicMs() > endMs) throw new Fault('unavailable', 'host.noGuard', 'The guard of the hosts does not start.');
      await clock.sleep(START_LOOK_MS);
    }
    log.info('the guard watches', { guard: readWord(guardFile(folder))?.split('\n')[0] });
  }

  #isThere(): boolean {
    const [word = '', lookedMs] = readWord(guardFile(this.#parts.folder))?.split('\n') ?? [];
    const agoMs = (uptimeMs() ?? 0) - Number(lookedMs || Number.NaN);
    return isAlive(word) && agoMs >= 0 && agoMs < STALE_MS;
  }

  /** One that this process did not start ends without a word. */
  #check(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (nowMs - this.#checkedMs < CHECK_EVERY_MS) return;
    this.#checkedMs = nowMs;
    if (!this.#isThere()) void this.#watched().catch((error: unknown) => this.#parts.log.error('there is no guard', { error }));
  }
}
