/**
 * Finds every planted bug, each in processes of its own, two at a time, and says by which seed and which words. Then the
 * unbroken build runs the same seeds, and has to be clean.
 *
 *   node test/simulation/planted/run.ts                    every bug, from seed 1 on
 *   node test/simulation/planted/run.ts --only NAME --seeds 1000
 *   node test/simulation/planted/run.ts --near             as the test does: from a little before the seed that found it last
 *   node test/simulation/planted/run.ts --learn            remembers the seeds that found them, for --near
 *
 * Ends with 1 when a bug is missed, or the unbroken build is not clean.
 */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SUITES, type Hunted, type PlantedBug, type Suite } from './bug.ts';
import { CATALOGUE } from './catalogue.ts';

const AT_ONCE = 2;
const SEEDS = 400;
/** A hunt that takes longer spins: it is ended, and its bug is missed. */
const HUNT_LIMIT_MS = 600_000;
/** Seeds of the unbroken build per process. */
const CLEAN_STEP = 150;
const PROBLEM_MAX = 110;
/** How far before the seed that found a bug last the short hunt begins. */
const NEAR = 2;
const KNOWN_FILE = join(import.meta.dirname, 'known-seeds.json');

type Job = { readonly name: string; readonly suite: Suite; readonly from: number; readonly count: number };
type Ended = { readonly hunted: Hunted } | { readonly failed: string };

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      seeds: { type: 'string', default: String(SEEDS) },
      near: { type: 'boolean', default: false },
      learn: { type: 'boolean', default: false },
    },
  });
  const bugs = CATALOGUE.filter((bug) => values.only === undefined || values.only.includes(bug.name));
  if (bugs.length === 0) throw new Error(`no planted bug ${values.only?.join()}; there are ${CATALOGUE.map((bug) => bug.name).join(', ')}`);
  const known = JSON.parse(readFileSync(KNOWN_FILE, 'utf8')) as { [name: string]: number };
  const fromOf = (bug: PlantedBug): number => (values.near ? Math.max(1, (known[bug.name] ?? 1) - NEAR) : 1);
  const jobs = bugs.map((bug): Job => ({
    name: bug.name,
    suite: bug.suite ?? 'cell',
    from: fromOf(bug),
    count: Number(values.seeds),
  }));
  const used = new Map<Suite, Set<number>>(SUITES.map((suite) => [suite, new Set()]));
  let missed = 0;
  await eachOf(jobs, async (job, i) => {
    const ended = await run(job);
    const found = 'hunted' in ended ? ended.hunted.found : null;
    if (found) {
      for (let seed = job.from; seed <= found.seed; seed++) used.get(job.suite)?.add(seed);
      known[job.name] = found.seed;
    } else missed += 1;
    print(bugs[i] as PlantedBug, job, ended);
  });
  console.log(`${bugs.length - missed} of ${bugs.length} planted bugs found`);
  if (values.learn) writeFileSync(KNOWN_FILE, `${JSON.stringify(inOrder(known), null, 2)}\n`);
  const dirty = await unclean(used);
  return missed === 0 && dirty === 0 ? 0 : 1;
}

function inOrder(known: { readonly [name: string]: number }): object {
  return Object.fromEntries(CATALOGUE.flatMap(({ name }) => (known[name] === undefined ? [] : [[name, known[name]]])));
}

/** The unbroken build on every seed that was used. Answers with how many of the suites are not clean. */
async function unclean(used: ReadonlyMap<Suite, ReadonlySet<number>>): Promise<number> {
  const dirty = new Set<Suite>();
  const jobs = [...used].flatMap(([suite, seeds]) => rangesOf(seeds).map((range): Job => ({ name: '', suite, ...range })));
  await eachOf(jobs, async (job) => {
    const ended = await run(job);
    if ('hunted' in ended && ended.hunted.found === null) return;
    dirty.add(job.suite);
    console.log(`NOT CLEAN without a bug: ${job.suite}: ${'hunted' in ended ? JSON.stringify(ended.hunted.found) : ended.failed}`);
  });
  for (const [suite, seeds] of used)
    if (seeds.size > 0) console.log(`${suite}: ${seeds.size} seeds up to ${Math.max(...seeds)}, without a bug ${dirty.has(suite) ? 'NOT clean' : 'clean'}`);
  return dirty.size;
}

function rangesOf(seeds: ReadonlySet<number>): { from: number; count: number }[] {
  const ranges: { from: number; count: number }[] = [];
  for (const seed of [...seeds].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last.from + last.count === seed && last.count < CLEAN_STEP) last.count += 1;
    else ranges.push({ from: seed, count: 1 });
  }
  return ranges;
}

async function eachOf<T>(list: readonly T[], work: (one: T, i: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < list.length; i = next++) await work(list[i] as T, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

function run({ name, suite, from, count }: Job): Promise<Ended> {
  const args = [join(import.meta.dirname, 'hunt.ts'), '--suite', suite, '--from', String(from), '--count', String(count)];
  const child = spawn(process.execPath, args, { env: { ...process.env, NOVACT_PLANTED: name }, stdio: ['ignore', 'pipe', 'pipe'] });
  const limit = setTimeout(() => child.kill('SIGKILL'), HUNT_LIMIT_MS);
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err = (err + chunk.toString()).slice(-2_000)));
  return new Promise((resolve) => {
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      if (code === 0) resolve({ hunted: JSON.parse(out) as Hunted });
      else resolve({ failed: `ended with ${signal ?? code}: ${err.trim().split('\n').slice(0, 6).join(' | ')}` });
    });
  });
}

function print({ name, promise }: PlantedBug, { suite, from, count }: Job, ended: Ended): void {
  if ('failed' in ended) return console.log(`MISSED ${promise} ${name} (${suite}): ${ended.failed}`);
  const { found, seconds } = ended.hunted;
  if (!found) return console.log(`MISSED ${promise} ${name} (${suite}): not by the seeds ${from} to ${from + count - 1}, ${seconds.toFixed(1)} s`);
  const problem = found.problem.length > PROBLEM_MAX ? `${found.problem.slice(0, PROBLEM_MAX)}…` : found.problem;
  console.log(`${promise} ${name.padEnd(34)} ${suite.padEnd(7)} seed ${String(found.seed).padStart(4)} ${seconds.toFixed(1).padStart(5)} s  ${problem}`);
}

process.exitCode = await main();
