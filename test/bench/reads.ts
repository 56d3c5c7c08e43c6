/** Reads: one server by its id at a fixed rate and as fast as it goes, and a page of a thousand in detail. */
import { round, spread, tally, type Figures } from './rig/figures.ts';
import { atRate, forMs, type Answer } from './rig/http-load.ts';
import { ownCpuMs } from './rig/processes.ts';
import { fill, withCloud, type Options, type Subject } from './rig/subject.ts';

const GET_SERVERS = 500;
const RATE = 1_000;
const RATE_SECONDS = 5;
const LOOP_MS = 5_000;
const LIST_SERVERS = 1_000;
const LIST_ROUNDS = 60;
const WARM_UP_MS = 1_500;

export function get(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    const ids = await fill(compute, options.n ?? GET_SERVERS);
    let next = 0;
    const one = (): Promise<Answer> => compute.get(`/servers/${ids[next++ % ids.length]}`);
    await forMs(options.c, WARM_UP_MS, async () => void (await one()));
    options.progress(`GET one, ${RATE} per second for ${RATE_SECONDS} s`);
    const rated: Answer[] = [];
    const meter = startMeter(usage);
    const { latestMs } = await atRate(RATE, RATE * RATE_SECONDS, async () => void rated.push(await one()));
    const atRateCpu = meter(rated.length);
    options.progress(`GET one, ${options.c} at a time for ${LOOP_MS / 1_000} s`);
    const looped: Answer[] = [];
    const loopMeter = startMeter(usage);
    await forMs(options.c, LOOP_MS, async () => void looped.push(await one()));
    return {
      servers: ids.length,
      rate: RATE,
      ...spread(
        'rate',
        rated.map(({ tookMs }) => tookMs),
      ),
      rateLatestStartMs: round(latestMs),
      ...prefixed('rate', atRateCpu),
      concurrency: options.c,
      perSecond: round((looped.length / LOOP_MS) * 1_000),
      ...spread(
        'loop',
        looped.map(({ tookMs }) => tookMs),
      ),
      ...prefixed('loop', loopMeter(looped.length)),
      answers: tally([...rated, ...looped].map(({ status }) => status)),
      bytes: looped[0]?.bytes.length ?? 0,
    };
  });
}

export function list(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    const n = options.n ?? LIST_SERVERS;
    await fill(compute, n);
    const one = (): Promise<Answer> => compute.get(`/servers/detail?limit=${n}`);
    const [first] = [await one()];
    await forMs(1, WARM_UP_MS, async () => void (await one()));
    options.progress(`${LIST_ROUNDS} lists of ${n}, one after another`);
    const answers: Answer[] = [];
    const meter = startMeter(usage);
    for (let round = 0; round < LIST_ROUNDS; round++) answers.push(await one());
    return {
      servers: n,
      ...spread(
        'list',
        answers.map(({ tookMs }) => tookMs),
      ),
      firstMs: round(first.tookMs),
      ...meter(answers.length),
      bytes: first.bytes.length,
      answers: tally(answers.map(({ status }) => status)),
    };
  });
}

/** CPU per request since the meter was started. */
function startMeter(usage: Subject['usage']): (count: number) => { [name: string]: number } {
  const before = usage();
  const ownBefore = ownCpuMs();
  return (count) => {
    const after = usage();
    return {
      ...(before && after ? { cpuMs: round((after.cpuMs - before.cpuMs) / count) } : {}),
      loadCpuMs: round((ownCpuMs() - ownBefore) / count),
    };
  };
}

function prefixed(prefix: string, figures: { readonly [name: string]: number }): Figures {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [prefix + name.charAt(0).toUpperCase() + name.slice(1), value]));
}
