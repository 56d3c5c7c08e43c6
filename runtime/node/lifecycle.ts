/**
 * Start and stop in order. Stages come up one after the other, each within its limit; what came up goes down in
 * reverse, also when a later stage failed. A stage that does not go down in time is named and left: a stop ends.
 */
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';

/** Takes down what a stage brought up. `signal` fires when its time is over. */
export type Undo = (signal: AbortSignal) => Promise<void>;

export type Stage = {
  /** As people read it: `database`, `mesh`. */
  readonly name: string;
  readonly startLimitMs: number;
  readonly stopLimitMs: number;
  /** `signal` fires when its time is over or the start is broken off; it must then clean up after itself and reject. */
  start(signal: AbortSignal): Promise<Undo | undefined>;
};

export type Progress = (step: {
  readonly stage: string;
  readonly state: 'starting' | 'up' | 'failed' | 'stopping' | 'down' | 'left';
  readonly tookMs: number;
}) => void;

/** What a stage that ignores its signal gets beyond its limit before it is left. */
const GRACE_MS = 2_000;

type Up = { readonly stage: Stage; readonly undo: Undo };

export class Lifecycle {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #progress: Progress;
  readonly #up: Up[] = [];
  readonly #stopping = new AbortController();
  #starting: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(parts: { clock: Clock; log: Log; progress?: Progress }) {
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#progress = parts.progress ?? (() => undefined);
  }

  /** Fires when a stop was asked for, also in the middle of the start. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Brings all stages up, or none: what was up is taken down before it rejects. Fault `cancelled` when stopped meanwhile. */
  start(stages: readonly Stage[]): Promise<void> {
    this.#starting = this.#start(stages);
    return this.#starting;
  }

  /** Takes everything down; breaks a start off first. Never rejects: what cannot be taken down is logged and left. */
  stop(): Promise<void> {
    this.#stopping.abort(new Fault('cancelled', 'node.stopping', 'The node is stopping.'));
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #start(stages: readonly Stage[]): Promise<void> {
    try {
      for (const stage of stages) await this.#bringUp(stage);
    } catch (error) {
      await this.#takeDown();
      throw error;
    }
  }

  async #bringUp(stage: Stage): Promise<void> {
    this.#stopping.signal.throwIfAborted();
    const begun = this.#clock.monotonicMs();
    this.#progress({ stage: stage.name, state: 'starting', tookMs: 0 });
    try {
      const undo = await this.#limited(`${stage.name} did not start`, stage.startLimitMs, this.#stopping.signal, (signal) => stage.start(signal));
      if (undo !== undefined) this.#up.push({ stage, undo });
      const tookMs = this.#clock.monotonicMs() - begun;
      this.#log.info('stage up', { stage: stage.name, tookMs });
      this.#progress({ stage: stage.name, state: 'up', tookMs });
    } catch (error) {
      this.#progress({ stage: stage.name, state: 'failed', tookMs: this.#clock.monotonicMs() - begun });
      throw error;
    }
  }

  async #stop(): Promise<void> {
    await this.#starting?.catch(() => undefined); // its caller hears of it
    await this.#takeDown();
  }

  async #takeDown(): Promise<void> {
    for (let up = this.#up.pop(); up !== undefined; up = this.#up.pop()) {
      const { stage, undo } = up;
      const begun = this.#clock.monotonicMs();
      this.#progress({ stage: stage.name, state: 'stopping', tookMs: 0 });
      let state: 'down' | 'left' = 'down';
      try {
        await this.#limited(`${stage.name} did not stop`, stage.stopLimitMs, undefined, undo);
      } catch (error) {
        state = 'left';
        this.#log.error('stage left behind', { stage: stage.name, error });
      }
      const tookMs = this.#clock.monotonicMs() - begun;
      this.#log.info('stage down', { stage: stage.name, tookMs, state });
      this.#progress({ stage: stage.name, state, tookMs });
    }
  }

  /** Runs with a signal that fires at the limit; past the grace the work is left to itself and its end ignored. */
  async #limited<T>(complaint: string, limitMs: number, outer: AbortSignal | undefined, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = new AbortController();
    const late = new Fault('timeout', 'node.stage', `${complaint} within ${Math.round(limitMs / 100) / 10} s.`);
    const onLimit = this.#clock.after(limitMs, () => limit.abort(late));
    const onOuter = () => limit.abort(outer?.reason);
    outer?.addEventListener('abort', onOuter, { once: true });
    const abandoned = Promise.withResolvers<never>();
    limit.signal.addEventListener('abort', () => this.#clock.after(GRACE_MS, () => abandoned.reject(limit.signal.reason)), { once: true });
    try {
      return await Promise.race([run(limit.signal), abandoned.promise]);
    } finally {
      onLimit.cancel();
      outer?.removeEventListener('abort', onOuter);
    }
  }
}
