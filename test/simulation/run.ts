/**
 * Runs of the simulated cell from the command line. A run that breaks a promise prints its seed and the one command
 * that replays it.
 *
 *   node test/simulation/run.ts --seed 1 --count 1000
 *   node test/simulation/run.ts --seed 4711 --trace      every point and fault of one run
 *   node test/simulation/run.ts --crash create           a crash at each point of one scenario in turn
 *   node test/simulation/run.ts --crash create --at 17 --trace
 */
import { parseArgs } from 'node:util';
import { crashRun, crashRuns, isScenario, randomRun, SCENARIOS, type RunResult } from './runs.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '0' },
    crash: { type: 'string' },
    at: { type: 'string' },
    trace: { type: 'boolean', default: false },
  },
});
const met = new Map<string, number>();
let runs = 0;
let broken = 0;
let virtualMs = 0;

function count({ problems, world }: RunResult, replay: string): void {
  runs += 1;
  virtualMs += world.time.nowMs;
  for (const [what, times] of world.met) met.set(what, (met.get(what) ?? 0) + times);
  if (values.trace) process.stdout.write(`${world.faults.trace.join('\n')}\n`);
  if (problems.length === 0) return;
  broken += 1;
  process.stdout.write(`BROKEN, replay with: node test/simulation/run.ts ${replay} --trace\n${problems.map((problem) => `  ${problem}\n`).join('')}`);
}

async function runSeeds(): Promise<void> {
  const from = Number(values.seed);
  const untilMs = performance.now() + Number(values.seconds) * 1_000;
  const until = from + Number(values.count);
  for (let seed = from; seed < until || performance.now() < untilMs; seed++) count(await randomRun(seed), `--seed ${seed}`);
}

async function runCrashes(scenario: string): Promise<void> {
  if (!isScenario(scenario)) throw new Error(`no scenario ${scenario}: there are ${Object.keys(SCENARIOS).join(', ')}`);
  if (values.at !== undefined) return count(await crashRun(scenario, Number(values.at)), `--crash "${scenario}" --at ${values.at}`);
  for await (const { at, result } of crashRuns(scenario)) count(result, `--crash "${scenario}" --at ${at}`);
}

const begunMs = performance.now();
await (values.crash === undefined ? runSeeds() : runCrashes(values.crash));
for (const [what, times] of [...met].sort()) process.stdout.write(`${String(times).padStart(8)}  ${what}\n`);
const seconds = (performance.now() - begunMs) / 1_000;
process.stdout.write(`${runs} runs, ${broken} broken; ${Math.round(virtualMs / 1_000)} virtual seconds in ${seconds.toFixed(1)} s\n`);
process.exitCode = broken === 0 ? 0 : 1;
