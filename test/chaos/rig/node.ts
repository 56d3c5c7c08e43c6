/**
 * One node of a cluster as people start it: the program in a namespace of its own, on a data folder that is a small
 * disk of its own. It is ended, paused and started again by the number of its process; one that ends by itself is
 * started again, as any service is, and the end is remembered.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../runtime/base/clock.ts';
import { LAUNCHER } from '../../doubles/cloud.ts';
import { inside, type Member } from './network.ts';

export type NodeOptions = {
  readonly member: Member;
  readonly folder: string;
  readonly diskMiB: number;
  readonly roles: readonly string[];
  /** Further words for `novact start`. */
  readonly args: readonly string[];
};

const PORTS = { identity: 5000, image: 9292, compute: 8774, health: 8779 };
const START_LIMIT_MS = 120_000;
const STOP_LIMIT_MS = 30_000;
const AGAIN_MS = 500;
const LOOK_MS = 25;
const FILLER = 'filler';
const FILL_BYTES = 1024 * 1024;
const SAID_MAX = 20_000;

export class ClusterNode {
  readonly name: string;
  readonly member: Member;
  readonly roles: readonly string[];
  readonly dataDir: string;
  /** Ends that nobody asked for, with the last words. */
  readonly ends: string[] = [];
  readonly #options: NodeOptions;
  #child: ChildProcess | undefined;
  #exit: Promise<void> = Promise.resolve();
  #said = '';
  #isWanted = false;
  #isPaused = false;
  #isClosed = false;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.name = options.member.name;
    this.member = options.member;
    this.roles = options.roles;
    const disk = join(options.folder, this.name);
    this.dataDir = join(disk, 'data');
    mkdirSync(disk, { mode: 0o711 });
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${options.diskMiB}m`, 'novact-chaos', disk]);
    if (mounted.status !== 0) throw new Error(`no disk for ${this.name}: ${mounted.stderr}`);
  }

  url(service: keyof typeof PORTS): string {
    return `http://${this.member.address}:${PORTS[service]}`;
  }

  get logFile(): string {
    return join(this.dataDir, 'novact.log');
  }

  /** Neither paused nor on its way up or down. */
  get isUp(): boolean {
    return this.#isWanted && !this.#isPaused && this.#said.includes(' is up: node ');
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Starts it, and keeps it up until it is killed or stopped. Resolves at once. */
  start(): void {
    this.#isWanted = true;
    if (this.#child === undefined) this.#spawn();
  }

  /** Resolves when it takes orders; fails when it ends by itself before, but for want of a database. */
  async up(): Promise<void> {
    const endMs = systemClock.monotonicMs() + START_LIMIT_MS;
    const before = this.ends.length;
    while (!this.isUp) {
      const end = this.ends[before];
      if (end !== undefined) throw new Error(end);
      if (systemClock.monotonicMs() > endMs) throw new Error(`${this.name} did not come up in ${START_LIMIT_MS} ms:\n${this.#said}`);
      await systemClock.sleep(LOOK_MS);
    }
  }

  async kill(): Promise<void> {
    this.#isWanted = false;
    this.#child?.kill('SIGKILL');
    await this.#exit;
    this.#isPaused = false;
  }

  /** In order. One that does not end in time is a failure, and is killed. */
  async stop(): Promise<void> {
    this.resume();
    this.#isWanted = false;
    this.#child?.kill('SIGTERM');
    const late = new AbortController();
    const isLate = await Promise.race([this.#exit.then(() => false), systemClock.sleep(STOP_LIMIT_MS, late.signal).then(() => true)]);
    late.abort();
    if (!isLate) return;
    this.ends.push(`${this.name} did not stop in ${STOP_LIMIT_MS} ms`);
    await this.kill();
  }

  pause(): void {
    this.#isPaused = true;
    this.#child?.kill('SIGSTOP');
  }

  resume(): void {
    this.#child?.kill('SIGCONT');
    this.#isPaused = false;
  }

  /** Takes all that is left of its disk. */
  fillDisk(): void {
    const file = openSync(this.#filler, 'a');
    const zeros = Buffer.alloc(FILL_BYTES);
    try {
      for (;;) if (writeSync(file, zeros) < zeros.length) break;
    } catch {
      // full
    } finally {
      closeSync(file);
    }
  }

  freeDisk(): void {
    rmSync(this.#filler, { force: true });
  }

  freeMiB(): number {
    const { bavail, bsize } = statfsSync(this.dataDir);
    return Math.floor((bavail * bsize) / 1024 / 1024);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.kill();
  }

  get #filler(): string {
    return join(this.#options.folder, this.name, FILLER);
  }

  #spawn(): void {
    const { member, roles, args } = this.#options;
    const words = [...inside(member), process.execPath, LAUNCHER, 'start', '--data', this.dataDir, '--roles', roles.join(','), ...args];
    const [program = '', ...rest] = words;
    const { PATH, HOME } = process.env;
    const child = spawn(program, rest, { cwd: '/', env: { PATH, HOME }, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    this.#said = '';
    const hear = (chunk: Buffer): void => void (this.#said = (this.#said + chunk.toString('utf8')).slice(-SAID_MAX));
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once('error', (error) => hear(Buffer.from(`${error.message}\n`)));
      child.once('close', (code, signal) => {
        this.#child = undefined;
        resolve();
        if (this.#isWanted) this.#endedByItself(`${code ?? signal}`);
      });
    });
  }

  /** A node that cannot reach its database gives up its start and says so; everything else is a failure. */
  #endedByItself(how: string): void {
    const wasUp = this.#said.includes(' is up: node ');
    const mayEnd = how === '1' && !wasUp && /database|store|PostgreSQL|conductor|reach/i.test(this.#said);
    if (!mayEnd) this.ends.push(`${this.name} ended by itself with ${how}:\n${this.#said.slice(-2_000)}`);
    void systemClock.sleep(AGAIN_MS).then(() => {
      if (this.#isWanted && !this.#isClosed && this.#child === undefined) this.#spawn();
    });
  }
}
