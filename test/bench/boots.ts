/**
 * Boots: single POSTs, 16 at a time, until every server is seen ACTIVE by a poller; then the same at half of the rate
 * that was reached. Simulated driver, default filters, exact quota, an address for each server, fsync on, one
 * subscriber of the status stream. CPU is that of all service processes, PostgreSQL's included, and of what the load
 * itself asks of them (polls and the stream).
 */
import { ActiveWatch } from './rig/active-watch.ts';
import { madeId, type Compute } from './rig/compute.ts';
import { round, spread, tally, type Figures } from './rig/figures.ts';
import { atRate, inLanes, type Answer } from './rig/http-load.ts';
import { ownCpuMs } from './rig/processes.ts';
import { StreamReader } from './rig/stream-reader.ts';
import { withCloud, type Options, type Subject } from './rig/subject.ts';

const SERVERS = 2_000;
const WARM_UP = 300;
const HALF_SECONDS_MAX = 5;
const ACTIVE_LIMIT_MS = 60_000;

type Run = {
  readonly answers: readonly Answer[];
  readonly toActiveMs: readonly number[];
  readonly tookMs: number;
  readonly missing: number;
  readonly watch: ActiveWatch;
};

export function boots(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    const n = options.n ?? SERVERS;
    const stream = await StreamReader.open(compute);
    options.progress(`warming up with ${WARM_UP} servers${stream === undefined ? '; there is no stream to subscribe to' : ''}`);
    await bootAll(compute, (create) => inLanes(numbers(WARM_UP), options.c, create));
    options.progress(`${n} servers, ${options.c} at a time`);
    const full = await measured({ compute, usage }, () => bootAll(compute, (create) => inLanes(numbers(n), options.c, create)));
    const perSecond = full.bootsPerSecond;
    const halfRate = Math.max(1, perSecond / 2);
    const halfCount = Math.ceil(Math.min(n / 2, halfRate * HALF_SECONDS_MAX));
    options.progress(`${halfCount} servers at ${Math.round(halfRate)} per second`);
    let latestMs = 0;
    const half = await bootAll(compute, async (create) => void ({ latestMs } = await atRate(halfRate, halfCount, (index) => create(index))));
    const streamed = stream?.events.filter(({ status }) => status === 'ACTIVE').length;
    stream?.close();
    return {
      servers: n,
      concurrency: options.c,
      ...full,
      halfLoadPerSecond: round(halfRate),
      ...spread(
        'halfLoadPost',
        half.answers.map(({ tookMs }) => tookMs),
      ),
      ...spread('halfLoadToActive', half.toActiveMs),
      halfLoadLatestStartMs: round(latestMs),
      ...(streamed === undefined ? { stream: 'absent' } : { streamedActive: streamed }),
    };
  });
}

async function measured({ usage }: Subject, run: () => Promise<Run>): Promise<{ bootsPerSecond: number } & Figures> {
  const before = usage();
  const ownBefore = ownCpuMs();
  const { answers, toActiveMs, tookMs, missing, watch } = await run();
  const after = usage();
  const count = toActiveMs.length;
  return {
    bootsPerSecond: round((count / tookMs) * 1_000),
    answers: tally(answers.map(({ status }) => status)),
    notActive: missing,
    ...spread(
      'post',
      answers.map((answer) => answer.tookMs),
    ),
    ...spread('toActive', toActiveMs),
    ...(before && after
      ? {
          cpuMsPerBoot: round((after.cpuMs - before.cpuMs) / count),
          postgresCpuMsPerBoot: round((after.postgresCpuMs - before.postgresCpuMs) / count),
        }
      : {}),
    loadCpuMsPerBoot: round((ownCpuMs() - ownBefore) / count),
    polls: watch.polls,
    pollGapP50Ms: round(watch.gapP50Ms),
  };
}

/** `load` starts the creates; resolves when the last server was seen ACTIVE. */
async function bootAll(compute: Compute, load: (create: (index: number) => Promise<void>) => Promise<void>): Promise<Run> {
  const watch = new ActiveWatch(compute);
  const answers: Answer[] = [];
  const sentMs = new Map<string, number>();
  const beginMs = performance.now();
  await load(async (index) => {
    const answer = await compute.create(`bench-${index}`);
    answers.push(answer);
    const id = madeId(answer);
    if (id !== undefined) sentMs.set(id, answer.sentMs);
  });
  const missing = await watch.until(new Set(sentMs.keys()), ACTIVE_LIMIT_MS);
  await watch.close();
  const toActiveMs: number[] = [];
  let lastMs = beginMs;
  for (const [id, atMs] of sentMs) {
    const seenMs = watch.seenMs(id);
    if (seenMs === undefined) continue;
    lastMs = Math.max(lastMs, seenMs);
    toActiveMs.push(seenMs - atMs);
  }
  return { answers, toActiveMs, tookMs: lastMs - beginMs, missing, watch };
}

function numbers(n: number): number[] {
  return Array.from({ length: n }, (_, index) => index);
}
