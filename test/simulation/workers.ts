/**
 * Runs on every core: worker processes that take one seed after the other. A worker that ends by itself, or that says
 * nothing for long, was ended by the seed that it had: that is an anomaly like any other, and another worker goes on.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { randomRun } from './runs.ts';
import { toFinding, type Finding } from './tally.ts';

const RUN = new URL('./run.ts', import.meta.url);
/** Far more than any run takes on a busy machine. */
const SILENCE_MS = 120_000;

export type NextSeed = () => number | undefined;
type Found = { readonly seed: number; readonly finding: Finding };

/** `count` seeds from the first one on, and more until the moment on the process's clock. */
export function seedsFrom(from: number, count: number, untilMs: number): NextSeed {
  let next = from;
  return () => (next < from + count || performance.now() < untilMs ? next++ : undefined);
}

export async function runOnWorkers(seeds: NextSeed, workers: number, found: (seed: number, finding: Finding) => void): Promise<void> {
  await Promise.all(Array.from({ length: workers }, () => runOnOne(seeds, found)));
}

/** In a worker: runs what it is sent until its parent lets go. */
export async function answerSeeds(): Promise<void> {
  process.on('message', (seed: number) => {
    void findingOf(seed).then((finding) => process.send?.({ seed, finding } satisfies Found));
  });
  await new Promise<void>((resolve) => process.once('disconnect', resolve));
}

async function findingOf(seed: number): Promise<Finding> {
  try {
    return toFinding(await randomRun(seed));
  } catch (error) {
    return failed(`the run threw: ${error instanceof Error ? error.stack : String(error)}`);
  }
}

async function runOnOne(seeds: NextSeed, found: (seed: number, finding: Finding) => void): Promise<void> {
  for (;;) {
    const ended = await untilTheWorkerEnds(seeds, found);
    if (ended === 'done') return;
    found(ended.seed, failed(ended.why));
  }
}

/** `done`: no seed was left. Else the seed that it did not survive. */
function untilTheWorkerEnds(seeds: NextSeed, found: (seed: number, finding: Finding) => void): Promise<'done' | { seed: number; why: string }> {
  const first = seeds();
  if (first === undefined) return Promise.resolve('done');
  const worker: ChildProcess = fork(RUN, ['--worker'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  let seed: number = first;
  let why = 'its process ended';
  let isDone = false;
  return new Promise((resolve) => {
    const silence = setTimeout(() => {
      why = `it ran for more than ${SILENCE_MS} ms`;
      worker.kill('SIGKILL');
    }, SILENCE_MS);
    worker.on('message', ({ seed: ran, finding }: Found) => {
      found(ran, finding);
      silence.refresh();
      const next = seeds();
      if (next === undefined) {
        isDone = true;
        return worker.disconnect();
      }
      seed = next;
      worker.send(seed);
    });
    worker.once('error', (error) => (why = error.message));
    worker.once('exit', () => {
      clearTimeout(silence);
      resolve(isDone ? 'done' : { seed, why });
    });
    worker.send(seed);
  });
}

function failed(why: string): Finding {
  return { problems: [why], met: [], virtualMs: 0, cpuMs: 0 };
}
