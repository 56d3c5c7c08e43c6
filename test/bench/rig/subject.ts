/** What a benchmark gets: a cloud that runs, a user of it, and a meter on its processes. Afterwards all of it is gone. */
import { Compute, logIn, madeId } from './compute.ts';
import { foreignAccount, OwnCloud, type Started } from './cloud.ts';
import type { Figures } from './figures.ts';
import { inLanes, sleep } from './http-load.ts';
import { usageOf, type Usage } from './processes.ts';

export type Options = {
  /** Servers, where a benchmark makes some; each has a number of its own otherwise. */
  readonly n: number | undefined;
  /** Requests at a time. */
  readonly c: number;
  /** How long each part measures, where a benchmark measures for a time; each has a length of its own otherwise. */
  readonly seconds: number | undefined;
  /** One line for people. */
  readonly progress: (line: string) => void;
};

export type Benchmark = (options: Options) => Promise<Figures>;

export type Subject = {
  readonly compute: Compute;
  /** The service's own processes; undefined when nobody told which they are. */
  usage(withMemory?: boolean): Usage | undefined;
};

const FILL_BATCH = 100;
const FILL_LIMIT_MS = 120_000;

/** A cloud of our own, or the one that OS_* names (its processes are BENCH_PIDS); the quota is lifted. */
export async function withCloud(options: Options, run: (subject: Subject) => Promise<Figures>): Promise<Figures> {
  const foreign = foreignAccount(process.env);
  if (foreign !== undefined) {
    const pids = (process.env['BENCH_PIDS'] ?? '')
      .split(/[\s,]+/)
      .filter(Boolean)
      .map(Number);
    return withAccount({ account: foreign, computeUrl: '' }, options, pids, run);
  }
  const cloud = new OwnCloud();
  try {
    const started = await cloud.start();
    return await withAccount(started, options, cloud.pids, run);
  } finally {
    await cloud.close();
  }
}

async function withAccount({ account }: Started, { c }: Options, pids: readonly number[], run: (subject: Subject) => Promise<Figures>): Promise<Figures> {
  const isForeign = foreignAccount(process.env) !== undefined;
  const login = await logIn(account);
  const compute = new Compute(login, c, process.env['BENCH_NETWORKS'] ?? (isForeign ? 'none' : 'auto'));
  try {
    await compute.prepare(login.imageUrl);
    await compute.setQuota(-1, -1);
    const figures = await run({ compute, usage: (withMemory) => (pids.length === 0 ? undefined : usageOf(pids, withMemory)) });
    return figures;
  } finally {
    if (isForeign) await removeAll(compute, c);
    await compute.close();
  }
}

/** Makes servers by the hundred and waits until all are ACTIVE. Throws when one is not, in the end. */
export async function fill(compute: Compute, n: number): Promise<string[]> {
  const sinceMs = Date.now();
  const batches = Array.from({ length: Math.ceil(n / FILL_BATCH) }, (_, index) => Math.min(FILL_BATCH, n - index * FILL_BATCH));
  await inLanes(batches, 2, async (count) => {
    const answer = await compute.create('bench', count);
    if (madeId(answer) === undefined) throw new Error(`a create was refused: ${answer.status} ${answer.bytes.toString().slice(0, 200)}`);
  });
  const endMs = performance.now() + FILL_LIMIT_MS;
  while (performance.now() < endMs) {
    const active = await compute.changed('ACTIVE', sinceMs);
    if (active.length >= n) return active;
    await sleep(100);
  }
  throw new Error(`after ${FILL_LIMIT_MS} ms not all of ${n} servers are ACTIVE`);
}

async function removeAll(compute: Compute, c: number): Promise<void> {
  const ids = await compute.listed('&name=bench');
  await inLanes(ids, c, async (id) => void (await compute.write('DELETE', `/servers/${id}`)));
  await compute.untilGone(new Set(ids), FILL_LIMIT_MS);
}
