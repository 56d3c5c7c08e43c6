/**
 * One process that looks for the bug that is planted in it (or for any, when none is): runs of one suite, from one seed
 * on, until a promise is broken. Prints one line of JSON. The suites are general:
 *
 *   cell     what `run.ts --seed N` runs: clients, faults of all kinds, all checkers
 *   goals    the same without faults of hypervisors and with room for all: then every operation must reach its goal
 *   contention  no fault at all, and many who want the same few places: refusals must be clean and true
 */
import { parseArgs } from 'node:util';
import { isPlanted } from './hook.ts';
import type { Found, Hunted, Suite } from './bug.ts';

const { values } = parseArgs({
  options: {
    suite: { type: 'string', default: 'cell' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
  },
});

/** What they import is loaded here, after the hook is in place, and patched. */
const RUNS: { readonly [suite in Suite]: () => Promise<(seed: number) => Promise<{ readonly problems: readonly string[] }>> } = {
  cell: async () => (await import('../runs.ts')).randomRun,
  goals: async () => (await import('./goals.ts')).goalRun,
  contention: async () => (await import('./contention.ts')).contentionRun,
};

async function hunt(suite: Suite, from: number, count: number): Promise<Hunted> {
  const begunMs = performance.now();
  const runOf = await RUNS[suite]();
  let runs = 0;
  let found: Found | null = null;
  for (let seed = from; seed < from + count && !found; seed++) {
    runs += 1;
    const { problems } = await runOf(seed).catch((error: unknown) => ({ problems: [`the run threw: ${String(error)}`] }));
    const [problem] = problems;
    if (problem !== undefined) found = { seed, problem };
  }
  return { found, runs, seconds: (performance.now() - begunMs) / 1_000 };
}

const hunted = await hunt(values.suite as Suite, Number(values.from), Number(values.count));
const isBroken = (process.env['NOVACT_PLANTED'] ?? '') !== '';
if (isBroken && !isPlanted()) throw new Error('the file of the planted bug was not loaded');
process.stdout.write(`${JSON.stringify(hunted)}\n`);
