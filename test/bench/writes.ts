/** Writes: servers by the hundred in one request, deletes, and whether a quota is exact under concurrency. */
import { ActiveWatch } from './rig/active-watch.ts';
import { madeId } from './rig/compute.ts';
import { round, spread, tally, type Figures } from './rig/figures.ts';
import { inLanes, sleep, type Answer } from './rig/http-load.ts';
import { fill, withCloud, type Options } from './rig/subject.ts';

const MULTI_SERVERS = 2_000;
const MULTI_EACH = 100;
const MULTI_LANES = 2;
const DELETE_SERVERS = 1_000;
const QUOTA = 20;
const QUOTA_REQUESTS = 40;
const WARM_UP = 300;
const LIMIT_MS = 60_000;
const LOOK_MS = 5;
const WATCH_START_MS = 1_000;

export function multi(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    await fill(compute, WARM_UP);
    const n = options.n ?? MULTI_SERVERS;
    const requests = Math.ceil(n / MULTI_EACH);
    options.progress(`${requests} requests of ${MULTI_EACH} servers each`);
    const watch = new ActiveWatch(compute);
    await sleep(WATCH_START_MS); // the warm-up's servers are in the first poll
    const seenBefore = watch.count;
    const before = usage();
    const beginMs = performance.now();
    const answers: Answer[] = [];
    let accepted = 0;
    await inLanes(Array.from({ length: requests }), MULTI_LANES, async (_, index) => {
      const answer = await compute.create(`bench-multi-${index}`, MULTI_EACH);
      answers.push(answer);
      if (madeId(answer) !== undefined) accepted++;
    });
    const wanted = accepted * MULTI_EACH;
    const endMs = performance.now() + LIMIT_MS;
    while (watch.count - seenBefore < wanted && performance.now() < endMs) await sleep(LOOK_MS);
    const active = watch.count - seenBefore;
    const tookMs = performance.now() - beginMs;
    const after = usage();
    await watch.close();
    return {
      servers: wanted,
      each: MULTI_EACH,
      bootsPerSecond: round((active / tookMs) * 1_000),
      notActive: wanted - active,
      ...spread(
        'post',
        answers.map((answer) => answer.tookMs),
      ),
      answers: tally(answers.map(({ status }) => status)),
      ...(before && after
        ? { cpuMsPerBoot: round((after.cpuMs - before.cpuMs) / active), postgresCpuMsPerBoot: round((after.postgresCpuMs - before.postgresCpuMs) / active) }
        : {}),
    };
  });
}

/** `gonePerSecond` counts to the moment when the list shows none of them. */
export function deletes(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    const ids = await fill(compute, options.n ?? DELETE_SERVERS);
    options.progress(`${ids.length} deletes, ${options.c} at a time`);
    const before = usage();
    const beginMs = performance.now();
    const answers: Answer[] = [];
    await inLanes(ids, options.c, async (id) => void answers.push(await compute.write('DELETE', `/servers/${id}`)));
    const allGone = await compute.untilGone(new Set(ids), LIMIT_MS);
    const tookMs = performance.now() - beginMs;
    const after = usage();
    return {
      servers: ids.length,
      concurrency: options.c,
      gonePerSecond: round((ids.length / tookMs) * 1_000),
      allGone,
      ...spread(
        'delete',
        answers.map((answer) => answer.tookMs),
      ),
      answers: tally(answers.map(({ status }) => status)),
      ...(before && after ? { cpuMsPerDelete: round((after.cpuMs - before.cpuMs) / ids.length) } : {}),
    };
  });
}

/** As many at once as twice the quota: exactly the quota is accepted, and all of those become ACTIVE. */
export function quota(options: Options): Promise<Figures> {
  return withCloud({ ...options, c: QUOTA_REQUESTS }, async ({ compute }) => {
    const inUse = (await compute.listed()).length;
    await compute.setQuota(inUse + QUOTA, -1);
    options.progress(`${QUOTA_REQUESTS} creates at once under a quota of ${QUOTA}`);
    const watch = new ActiveWatch(compute);
    const answers: Answer[] = [];
    await inLanes(Array.from({ length: QUOTA_REQUESTS }), QUOTA_REQUESTS, async (_, index) => void answers.push(await compute.create(`bench-quota-${index}`)));
    const made = new Set(answers.flatMap((answer) => madeId(answer) ?? []));
    const missing = await watch.until(made, LIMIT_MS);
    await watch.close();
    await compute.setQuota(-1, -1);
    return {
      quota: QUOTA,
      requests: QUOTA_REQUESTS,
      accepted: made.size,
      active: made.size - missing,
      exact: made.size === QUOTA && missing === 0,
      answers: tally(answers.map(({ status }) => status)),
    };
  });
}
