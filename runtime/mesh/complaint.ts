/**
 * Warnings about what others send, at a bounded rate: whoever floods us with nonsense fills no disk. Each event
 * (a closed list of names) is logged at most once per interval, with the number of those left out since.
 */
import type { Clock } from '../base/clock.ts';
import type { Log, LogFields } from '../base/log.ts';

const INTERVAL_MS = 1_000;

export class Complaints {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #last = new Map<string, { saidMs: number; leftOut: number }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  /** `event` is a fixed name, never text from outside: the memory per event stays. */
  warn(event: string, fields: LogFields): void {
    const nowMs = this.#clock.monotonicMs();
    const last = this.#last.get(event);
    if (last && nowMs - last.saidMs < INTERVAL_MS) {
      last.leftOut++;
      return;
    }
    this.#log.warn(event, last && last.leftOut > 0 ? { ...fields, leftOut: last.leftOut } : fields);
    this.#last.set(event, { saidMs: nowMs, leftOut: 0 });
  }
}
