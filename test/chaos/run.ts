/**
 * Random chaos on real processes, for as long as wanted.
 *
 *   npm run chaos                                 10 minutes on a cluster of 3 control and 4 compute nodes
 *   npm run chaos -- --minutes 60 --seed 42       the same choices again (the machine's timing is not)
 *   npm run chaos -- --goal                       10,000 servers are ordered and deleted while one node after the other
 *                                                 is killed, paused or cut off
 *   npm run chaos -- --single --seconds 600       one process and its database, no root needed
 *
 * A cluster needs root and iproute2. Ends with 0 when nothing was wrong; with 1 after the first wrong thing, which it
 * tells with the command that repeats it; logs and guests are then kept.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { lacksCluster } from './cluster.ts';
import { GOAL_FAULTS } from './cluster/faults.ts';
import { runChaos, type ChaosPlan } from './cluster/run.ts';
import { runSingle } from './single.ts';

const GOAL_SERVERS = 10_000;
const HOUR_MS = 3_600_000;

async function cluster(plan: ChaosPlan, again: string): Promise<number> {
  const lacking = lacksCluster();
  if (lacking !== undefined) {
    console.error(`A cluster needs ${lacking}. Without: npm run chaos -- --single`);
    return 1;
  }
  console.log(`seed ${plan.seed}; repeat with: ${again}`);
  const { problems, summary, kept } = await runChaos(plan);
  console.log(summary);
  if (problems.length === 0) return 0;
  console.log(`WRONG; logs and guests kept in ${kept}; repeat with: ${again}\n${problems.join('\n')}`);
  return 1;
}

/** Ctrl-C ends the round and checks it; a second one ends at once, and what was made is removed all the same. */
function interrupted(): AbortSignal {
  const over = new AbortController();
  process.once('SIGINT', () => {
    console.log('ending in order; Ctrl-C again ends at once');
    over.abort();
  });
  return over.signal;
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    single: { type: 'boolean', default: false },
    goal: { type: 'boolean', default: false },
    controls: { type: 'string', default: '3' },
    computes: { type: 'string', default: '4' },
  },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
const totalSeconds = Number(values.seconds ?? Number(values.minutes ?? 10) * 60);
const shared = { controls: Number(values.controls), computes: Number(values.computes), seed, say: (line: string) => console.log(line) };

if (values.single) process.exitCode = await runSingle(totalSeconds, seed);
else if (values.goal) {
  const plan = {
    clients: 32,
    roundMs: HOUR_MS,
    totalMs: HOUR_MS,
    servers: GOAL_SERVERS,
    workShare: 0.05,
    faults: GOAL_FAULTS,
    faultsAtOnce: 2, // one that was killed may still be starting when the next one suffers
    calmMs: { from: 500, to: 4_000 },
    faultLastsMs: { from: 100, to: 12_000 },
  };
  process.exitCode = await cluster({ ...shared, ...plan, over: interrupted() }, `npm run chaos -- --goal --seed ${seed}`);
} else {
  const plan = { clients: 16, roundMs: 60_000, totalMs: totalSeconds * 1_000, workShare: 0.5, faultsAtOnce: 2, calmMs: { from: 200, to: 4_000 } };
  process.exitCode = await cluster({ ...shared, ...plan, over: interrupted() }, `npm run chaos -- --seconds ${totalSeconds} --seed ${seed}`);
}
