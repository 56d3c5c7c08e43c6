/**
 * Further processes of this program on this machine, so that it has more than one core: started with the first,
 * started again after a pause when they die, ended one after the other before it. None outlives the first, however
 * that ends: each reads a pipe that only the first one holds (signals.ts) and stops in order when it closes.
 *
 * Must never: show a setting on a command line, end a process that is not proven to be one of these.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { runningNode, type NodeFile } from './data-folder.ts';

/** Program and its first words. */
export type ProgramWords = readonly [string, ...string[]];

export type FurtherProcess = {
  /** Of its node. */
  readonly name: string;
  readonly dataDir: string;
  /** What it is told, besides this process's surroundings; may hold secrets. */
  readonly variables: { readonly [name: string]: string };
};

export type ProcessesParts = {
  readonly command: ProgramWords;
  readonly wanted: readonly FurtherProcess[];
  readonly clock: Clock;
  readonly log: Log;
};

const LAUNCHER_FD = 3;
/** Ours are for the first process alone; each further one is told its own. */
const OWN_PREFIX = 'NOVACT_';
const LOOK_MS = 100;
const PAUSE_MIN_MS = 1_000;
const PAUSE_MAX_MS = 30_000;
/** One that ran for so long did not die of its start: the pause is the short one again. */
const SETTLED_MS = 60_000;
const STOP_EACH_MS = 10_000;
/** Those of a killed first process stop by themselves; one that cannot is ended. */
const FORMER_MS = 15_000;

export class Processes {
  readonly #parts: ProcessesParts;
  readonly #processes: Further[];

  constructor(parts: ProcessesParts) {
    this.#parts = parts;
    this.#processes = parts.wanted.map((one) => new Further(one, parts));
  }

  /** Starts all; resolves when each is up. Fault `unavailable` names one that ended instead; all are ended then. */
  async open(signal: AbortSignal): Promise<void> {
    for (const one of this.#processes) one.start();
    try {
      await Promise.all(this.#processes.map((one) => one.up(signal)));
    } catch (error) {
      await this.close(AbortSignal.timeout(STOP_EACH_MS));
      throw error;
    }
    for (const one of this.#processes) one.keep();
    this.#parts.log.info('further processes', { names: this.#processes.map(({ name }) => name) });
  }

  /** One after the other, the last one first, so that the others go on with its work; what is left at `signal` is killed. */
  async close(signal: AbortSignal): Promise<void> {
    for (const one of this.#processes) one.let();
    for (const one of this.#processes.toReversed()) await one.stop(signal);
  }

  /** For `/health`. One that is away does not make this node unwell: the others answer. */
  figures(): { readonly well: true; readonly wanted: number; readonly running: number; readonly restarts: number } {
    const running = this.#processes.filter((one) => one.isUp).length;
    const restarts = this.#processes.reduce((sum, one) => sum + one.restarts, 0);
    return { well: true, wanted: this.#processes.length, running, restarts };
  }
}

/** Waits for further processes of a killed first one below this folder, since they hold its ports until they have stopped. */
export async function awaitFormer(folder: string, clock: Clock, log: Log): Promise<void> {
  const endMs = clock.monotonicMs() + FORMER_MS;
  for (const { dir, node } of formerIn(folder)) {
    log.warn('a further process of the former start still runs', { name: node.name, pid: node.pid });
    let isKilled = false;
    while (runningNode(dir) !== undefined) {
      // Its number and start time were seen a moment ago to be those that it wrote down.
      if (clock.monotonicMs() > endMs && !isKilled) isKilled = kill(node.pid);
      await clock.sleep(LOOK_MS);
    }
  }
}

function formerIn(folder: string): { dir: string; node: NodeFile }[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return []; // there never were any
  }
  return names.flatMap((name) => {
    const dir = join(folder, name);
    const node = runningNode(dir);
    return node === undefined ? [] : [{ dir, node }];
  });
}

function kill(pid: number): true {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile.
  }
  return true;
}

class Further {
  readonly #wanted: FurtherProcess;
  readonly #parts: ProcessesParts;
  #child: ChildProcess | undefined;
  #end: Promise<void> = Promise.resolve();
  #isKept = false;
  #pauseMs = PAUSE_MIN_MS;
  #timer: Timer | undefined;
  restarts = 0;

  constructor(wanted: FurtherProcess, parts: ProcessesParts) {
    this.#wanted = wanted;
    this.#parts = parts;
  }

  get name(): string {
    return this.#wanted.name;
  }

  get isUp(): boolean {
    const node = runningNode(this.#wanted.dataDir);
    return this.#child !== undefined && node?.pid === this.#child.pid && node?.state === 'running';
  }

  start(): void {
    const { clock, log, command } = this.#parts;
    const [program, ...words] = command;
    const begunMs = clock.monotonicMs();
    // A session of its own: the terminal's Ctrl-C is for the first process, which ends the others in order.
    const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'], detached: true, env: this.#surroundings() });
    child.stdio[LAUNCHER_FD]?.on('error', () => undefined);
    this.#child = child;
    const end = Promise.withResolvers<void>();
    this.#end = end.promise;
    const onEnd = (why: object): void => {
      if (this.#child !== child) return;
      this.#child = undefined;
      end.resolve();
      if (!this.#isKept) return;
      if (clock.monotonicMs() - begunMs > SETTLED_MS) this.#pauseMs = PAUSE_MIN_MS;
      log.error('a further process ended; it is started again', { name: this.name, pid: child.pid, afterMs: this.#pauseMs, ...why });
      this.#startLater();
    };
    child.once('error', (error) => onEnd({ error }));
    child.once('exit', (code, signal) => onEnd({ code, signal }));
  }

  /** Resolves when it is up for the first time. */
  async up(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!this.isUp) {
      if (this.#child === undefined) {
        throw new Fault('unavailable', 'process.ended', `The further process ${this.name} ended before it was up; its log is in ${this.#wanted.dataDir}.`);
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }

  /** From now on it is started again when it ends. */
  keep(): void {
    this.#isKept = true;
    if (this.#child === undefined) this.#startLater(); // it ended between its being up and now
  }

  /** It may end. */
  let(): void {
    this.#isKept = false;
    this.#timer?.cancel();
  }

  async stop(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts;
    const child = this.#child;
    if (child === undefined) return;
    const cut = (): void => {
      log.warn('a further process did not stop in time', { name: this.name, pid: child.pid });
      child.kill('SIGKILL');
    };
    const limit = clock.after(STOP_EACH_MS, cut);
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) child.kill('SIGKILL');
    else child.kill('SIGTERM');
    await this.#end;
    limit.cancel();
    signal.removeEventListener('abort', cut);
  }

  #startLater(): void {
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pauseMs, PAUSE_MAX_MS);
    this.#timer = this.#parts.clock.after(pauseMs, () => {
      if (!this.#isKept) return;
      this.restarts++;
      this.start();
    });
  }

  #surroundings(): NodeJS.ProcessEnv {
    const others = Object.entries(process.env).filter(([name]) => !name.startsWith(OWN_PREFIX));
    return { ...Object.fromEntries(others), NOVACT_LAUNCHER_FD: String(LAUNCHER_FD), ...this.#wanted.variables };
  }
}
