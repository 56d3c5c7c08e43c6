/** What it costs to have a cloud: memory of all processes, and how long a start takes on an empty and on a used folder. */
import { foreignAccount, OwnCloud } from './rig/cloud.ts';
import { Compute, logIn, madeId } from './rig/compute.ts';
import { percentile, round, type Figures } from './rig/figures.ts';
import { forMs, HttpLoad, sleep } from './rig/http-load.ts';
import { fill, withCloud, type Options } from './rig/subject.ts';

const SERVERS = 1_000;
const LOAD_MS = 5_000;
const COLD_SERVERS = 200;
const COLD_ROUNDS = 3;
const LIMIT_MS = 60_000;
const LOOK_MS = 5;

/** Fresh, with servers, and after reads by many. */
export function memory(options: Options): Promise<Figures> {
  return withCloud(options, async ({ compute, usage }) => {
    const fresh = usage(true);
    if (fresh === undefined) return { skipped: 'nobody told which processes to look at (BENCH_PIDS)' };
    const ids = await fill(compute, options.n ?? SERVERS);
    const filled = usage(true);
    options.progress(`reads for ${LOAD_MS / 1_000} s`);
    let next = 0;
    await forMs(
      options.c,
      LOAD_MS,
      async () => void (await compute.get(next++ % 100 === 0 ? `/servers/detail?limit=${ids.length}` : `/servers/${ids[next % ids.length]}`)),
    );
    const loaded = usage(true);
    return {
      servers: ids.length,
      processes: loaded?.processes ?? 0,
      freshRssMiB: round(fresh.rssMiB),
      freshPssMiB: round(fresh.pssMiB),
      filledRssMiB: round(filled?.rssMiB ?? 0),
      filledPssMiB: round(filled?.pssMiB ?? 0),
      loadedRssMiB: round(loaded?.rssMiB ?? 0),
      loadedPssMiB: round(loaded?.pssMiB ?? 0),
      loadedPostgresPssMiB: round(loaded?.postgresPssMiB ?? 0),
    };
  });
}

/** From the start of the program to its first answer and to the first ACTIVE server, by a client with a token of before. */
export async function cold(options: Options): Promise<Figures> {
  if (foreignAccount(process.env) !== undefined) return { skipped: 'only a cloud of our own can be started' };
  const cloud = new OwnCloud();
  try {
    options.progress('first start, on an empty folder');
    const firstMs = performance.now();
    const { account } = await cloud.start();
    const firstStartMs = performance.now() - firstMs;
    const login = await logIn(account);
    const compute = new Compute(login, 4, 'auto');
    await compute.prepare(login.imageUrl);
    await compute.setQuota(-1, -1);
    await fill(compute, COLD_SERVERS);
    await compute.close();
    const rounds: Awaited<ReturnType<typeof startAgain>>[] = [];
    for (let round = 1; round <= COLD_ROUNDS; round++) {
      options.progress(`start ${round} on a folder with ${COLD_SERVERS} servers`);
      await cloud.stop();
      rounds.push(await startAgain(cloud, login));
    }
    const middle = (pick: (one: (typeof rounds)[number]) => number): number => round(percentile(rounds.map(pick), 0.5));
    return {
      servers: COLD_SERVERS,
      rounds: COLD_ROUNDS,
      firstStartMs: round(firstStartMs),
      toAnswerP50Ms: middle((one) => one.answerMs),
      toReadP50Ms: middle((one) => one.readMs),
      toActiveP50Ms: middle((one) => one.activeMs),
    };
  } finally {
    await cloud.close();
  }
}

/** Times since the program was started: any answer, the first read with a token, the first new server that runs. */
async function startAgain(cloud: OwnCloud, login: Awaited<ReturnType<typeof logIn>>): Promise<{ answerMs: number; readMs: number; activeMs: number }> {
  const beginMs = performance.now();
  cloud.launch();
  const sinceBegin = (): number => performance.now() - beginMs;
  const http = new HttpLoad(login.computeUrl, 1);
  const compute = new Compute(login, 1, 'auto');
  try {
    await until(async () => (await http.send({ method: 'GET', path: '/', headers: {} })).status > 0);
    const answerMs = sinceBegin();
    await until(async () => (await compute.get('/servers?limit=1')).status === 200);
    const readMs = sinceBegin();
    await compute.prepare(login.imageUrl);
    let id: string | undefined;
    await until(async () => (id = madeId(await compute.create('bench-cold'))) !== undefined);
    await until(async () => (await compute.statusOf(id ?? '')) === 'ACTIVE');
    return { answerMs, readMs, activeMs: sinceBegin() };
  } finally {
    await Promise.all([http.close(), compute.close()]);
  }
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + LIMIT_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error('the cloud did not come up');
    await sleep(LOOK_MS);
  }
}
