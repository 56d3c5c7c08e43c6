/** What many runs together have met: for the summary, and for tests that want a simulation to meet something. */
import type { RunResult } from './runs.ts';

/** What is told of a run: small enough to be sent between processes. */
export type Finding = {
  readonly problems: readonly string[];
  readonly met: readonly (readonly [string, number])[];
  readonly virtualMs: number;
  readonly cpuMs: number;
};

/** Prefixes of what was met that are faults, and what they are called in the summary. */
const FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^node: crashed$/, 'crash'],
  [/^node: gone$/, 'crash for good'],
  [/^struck: /, 'hypervisor'],
  [/^store: /, 'store'],
  [/^message: /, 'message'],
  [/^misfortune: node is paused$/, 'pause'],
  [/^machine: lost/, 'power loss'],
  [/^misfortune: node is cut off/, 'cut from store'],
  [/^misfortune: the store is away$/, 'store away'],
  [/^misfortune: node (is alone|>|\|)/, 'partition'],
  [/^forged: /, 'forged message'],
  [/^misfortune: jump$/, 'clock jump'],
  [/^misfortune: (rolling )?restart$/, 'restart'],
];

export function toFinding({ problems, world, cpuMs = 0 }: RunResult): Finding {
  return { problems, met: [...world.met], virtualMs: world.time.nowMs, cpuMs };
}

export class Tally {
  runs = 0;
  broken = 0;
  readonly met = new Map<string, number>();
  #virtualMs = 0;
  #cpuMs = 0;

  add({ problems, met, virtualMs, cpuMs }: Finding): void {
    this.runs += 1;
    this.broken += problems.length > 0 ? 1 : 0;
    this.#virtualMs += virtualMs;
    this.#cpuMs += cpuMs;
    for (const [what, times] of met) this.met.set(what, (this.met.get(what) ?? 0) + times);
  }

  metText(): string {
    return [...this.met]
      .sort()
      .map(([what, times]) => `${String(times).padStart(8)}  ${what}\n`)
      .join('');
  }

  summary(seconds: number): string {
    const kinds = FAULTS.flatMap(([pattern, name]) => {
      const times = [...this.met].reduce((sum, [what, count]) => sum + (pattern.test(what) ? count : 0), 0);
      return times === 0 ? [] : [{ name, times }];
    });
    const total = kinds.reduce((sum, { times }) => sum + times, 0);
    const byKind = kinds.map(({ name, times }) => `${name} ${times}`).join(', ');
    const hours = (this.#virtualMs / 3_600_000).toFixed(2);
    const perSeed = (this.#cpuMs / 1_000 / Math.max(1, this.runs)).toFixed(3);
    return `${this.runs} seeds, ${total} faults (${byKind || 'none'}), ${hours} virtual hours, ${seconds.toFixed(1)} s, ${perSeed} core-seconds per seed, anomalies: ${this.broken}`;
  }
}
