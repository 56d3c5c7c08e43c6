/**
 * Runs of the simulated cluster from the command line (`npm run simulate -- …`). A run that breaks a promise prints its
 * seed and the one command that replays it; the last line sums up. Exit code 0: nothing was broken.
 *
 *   node test/simulation/run.ts --seeds 2000            seeds 1 to 2000, on every core
 *   node test/simulation/run.ts --seeds 500 --from 9000 --workers 0      in this process alone
 *   node test/simulation/run.ts --seconds 60            as many seeds as fit
 *   node test/simulation/run.ts --seed 4711 --trace     every point and fault of one run, and its hash
 *   node test/simulation/run.ts --crash create          a crash at each point of one scenario in turn
 *   node test/simulation/run.ts --crash create --at 17 --trace
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { crashRun, crashRuns, isScenario, randomRun, SCENARIOS, type RunResult } from './runs.ts';
import { Tally, toFinding, type Finding } from './tally.ts';
import { answerSeeds, runOnWorkers, seedsFrom } from './workers.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    seed: { type: 'string' },
    count: { type: 'string' },
    seconds: { type: 'string', default: '0' },
    workers: { type: 'string' },
    crash: { type: 'string' },
    at: { type: 'string' },
    nodes: { type: 'string' },
    trace: { type: 'boolean', default: false },
    met: { type: 'boolean', default: false },
    /** What the workers of a run are started with. */
    worker: { type: 'boolean', default: false },
  },
});

const count = Number(values.seeds ?? values.count ?? (Number(values.seconds) > 0 ? 0 : 1));
const from = Number(values.from ?? values.seed ?? 1);
const workers = Number(values.workers ?? (count === 1 || values.trace || values.crash !== undefined ? 0 : availableParallelism()));
const tally = new Tally();

function tell(finding: Finding, replay: string): void {
  tally.add(finding);
  if (finding.problems.length > 0) {
    const problems = finding.problems.map((problem) => `  ${problem}\n`).join('');
    show('');
    process.stdout.write(`BROKEN, replay with: node test/simulation/run.ts ${replay} --trace\n${problems}`);
  }
  show(`${tally.runs} runs, ${tally.broken} broken`);
}

/** One line that is written over, where somebody looks at it. */
function show(text: string): void {
  if (process.stdout.isTTY && !values.trace) process.stdout.write(`\r\u001b[K${text}`);
}

function tellRun(result: RunResult, replay: string): void {
  if (values.trace) process.stdout.write(`${result.world.faults.trace.join('\n')}\ntrace hash ${result.world.faults.hash}\n`);
  tell(toFinding(result), replay);
}

async function runSeeds(): Promise<void> {
  const seeds = seedsFrom(from, count, performance.now() + Number(values.seconds) * 1_000);
  if (workers > 0) return runOnWorkers(seeds, workers, (seed, finding) => tell(finding, `--seed ${seed}`));
  for (let seed = seeds(); seed !== undefined; seed = seeds()) tellRun(await randomRun(seed), `--seed ${seed}`);
}

async function runCrashes(scenario: string): Promise<void> {
  if (!isScenario(scenario)) throw new Error(`no scenario ${scenario}: there are ${Object.keys(SCENARIOS).join(', ')}`);
  const nodes = Number(values.nodes ?? 1);
  const replay = (at: number): string => `--crash "${scenario}" --at ${at}${nodes === 1 ? '' : ` --nodes ${nodes}`}`;
  if (values.at !== undefined) return tellRun(await crashRun(scenario, Number(values.at), nodes), replay(Number(values.at)));
  for await (const { at, result } of crashRuns(scenario, nodes)) tellRun(result, replay(at));
}

if (values.worker) await answerSeeds();
else {
  const begunMs = performance.now();
  await (values.crash === undefined ? runSeeds() : runCrashes(values.crash));
  show('');
  if (values.met) process.stdout.write(tally.metText());
  process.stdout.write(`${tally.summary((performance.now() - begunMs) / 1_000)}\n`);
  process.exitCode = tally.broken === 0 ? 0 : 1;
}
