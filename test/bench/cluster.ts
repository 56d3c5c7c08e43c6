/**
 * Boots per second with one, two and three control nodes, each with an API of its own: single POSTs in turn to all doors,
 * until every server is seen ACTIVE. All nodes, their PostgreSQL and the load share this machine: `coresUsed` (of
 * `cores`) says when the machine is what limits, `…CpuMsPerBoot` what a boot costs there.
 */
import { availableParallelism } from 'node:os';
import { ActiveWatch } from './rig/active-watch.ts';
import { Compute, logIn, madeId } from './rig/compute.ts';
import { round, spread, tally, type Figures } from './rig/figures.ts';
import { inLanes, type Answer } from './rig/http-load.ts';
import { accountOf, openPair, type Pair } from './rig/pair.ts';
import { ownCpuMs, usageOf } from './rig/processes.ts';
import { fill, type Options } from './rig/subject.ts';

const NODES = [1, 2, 3];
const SERVERS = 400;
const WARM_UP = 200;
const ACTIVE_LIMIT_MS = 60_000;

export async function cluster(options: Options): Promise<Figures> {
  let figures: Figures = { cores: availableParallelism() };
  for (const nodes of NODES) {
    const pair = await openPair({ more: nodes - 1, roles: 'api,control' });
    try {
      const found = await measured(pair, options);
      options.progress(`${nodes} control nodes: ${found['bootsPerSecond']} boots/s, ${found['coresUsed']} cores`);
      figures = { ...figures, ...Object.fromEntries(Object.entries(found).map(([name, value]) => [`nodes${nodes}.${name}`, value])) };
    } finally {
      await pair.close();
    }
  }
  return figures;
}

async function measured({ first, others }: Pair, { n = SERVERS, c }: Options): Promise<Figures> {
  const login = await logIn(accountOf(first));
  const clouds = [first, ...others];
  const doors = clouds.map((cloud) => new Compute({ ...login, computeUrl: cloud.urls.compute }, Math.ceil(c / clouds.length), 'auto'));
  const [door] = doors;
  if (door === undefined) throw new Error('a cluster has a door');
  try {
    for (const each of doors) await each.prepare(login.imageUrl);
    await door.setQuota(-1, -1);
    await fill(door, WARM_UP);
    const roots = clouds.map((cloud) => cloud.pid());
    const [before, ownBefore, beginMs] = [usageOf(roots), ownCpuMs(), performance.now()];
    const watch = new ActiveWatch(door);
    const answers: Answer[] = [];
    const sentMs = new Map<string, number>();
    await inLanes(Array.from({ length: n }), c, async (_, index) => {
      const answer = await (doors[index % doors.length] ?? door).create(`bench-${index}`);
      answers.push(answer);
      const id = madeId(answer);
      if (id !== undefined) sentMs.set(id, answer.sentMs);
    });
    const missing = await watch.until(new Set(sentMs.keys()), ACTIVE_LIMIT_MS);
    const tookMs = performance.now() - beginMs;
    await watch.close();
    const after = usageOf(roots);
    const booted = sentMs.size - missing;
    const [cpuMs, ownMs] = [after.cpuMs - before.cpuMs, ownCpuMs() - ownBefore];
    return {
      servers: n,
      bootsPerSecond: round((booted / tookMs) * 1_000),
      notActive: missing,
      ...spread(
        'post',
        answers.map((answer) => answer.tookMs),
      ),
      ...spread('toActive', [...sentMs].map(([id, atMs]) => (watch.seenMs(id) ?? Number.NaN) - atMs).filter(Number.isFinite)),
      cpuMsPerBoot: round(cpuMs / booted),
      postgresCpuMsPerBoot: round((after.postgresCpuMs - before.postgresCpuMs) / booted),
      loadCpuMsPerBoot: round(ownMs / booted),
      coresUsed: round((cpuMs + ownMs) / tookMs),
      answers: tally(answers.map(({ status }) => status)),
    };
  } finally {
    await Promise.all(doors.map((each) => each.close()));
  }
}
