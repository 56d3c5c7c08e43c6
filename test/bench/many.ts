/**
 * A store with 100,000 servers on 1,000 hosts: from the start of a node to correct reads, and what it weighs then. The
 * rows are copies of a real server's record, written straight into the tables (record, claims, hosts, quota, no rows of
 * addresses); their hosts are silent, so nothing is reconciled. Correct is: the very server, the very page, the very
 * servers of a name and of a host.
 */
import pg from 'pg';
import type { InstanceRecord } from '../../actors/model/instance.ts';
import { insertInstances } from '../actors/conductor/rows.ts';
import { startCloud, type Cloud } from '../doubles/cloud.ts';
import { bodyOf, Compute, logIn, madeId, type Login } from './rig/compute.ts';
import { percentile, round, spread, type Figures } from './rig/figures.ts';
import { sleep } from './rig/http-load.ts';
import { accountOf, until } from './rig/pair.ts';
import { usageOf } from './rig/processes.ts';
import type { Options } from './rig/subject.ts';

const SERVERS = 100_000;
const HOSTS = 1_000;
const CHUNK = 2_000;
const ROUNDS = 3;
const READS = 50;
const NAME_READS = 10;
const PAGE = 1_000;
const LOOK_MS = 5;
const REST_MS = 1_000;
const SECOND_MS = 1_000;

type Expected = { readonly one: InstanceRecord; readonly page: readonly string[]; readonly ofHost: ReadonlySet<string> };
type Start = { readonly answerMs: number; readonly oneMs: number; readonly pageMs: number; readonly filterMs: number };
type Read = { servers: { id: string; name: string; status: string }[] };

export async function many(options: Options): Promise<Figures> {
  const n = options.n ?? SERVERS;
  const cloud = await startCloud();
  try {
    const login = await logIn(accountOf(cloud));
    const empty = usageOf([cloud.pid()], true);
    options.progress(`writing ${n} rows`);
    const beginMs = performance.now();
    const expected = await fillStore(cloud, login, n);
    const fillMs = performance.now() - beginMs;
    const starts: Start[] = [];
    for (let nth = 1; nth <= ROUNDS; nth++) {
      await cloud.stop();
      const start = await startAndRead(cloud, login, expected);
      options.progress(`start ${nth}: one ${round(start.oneMs)}, page ${round(start.pageMs)}, filter ${round(start.filterMs)} ms`);
      starts.push(start);
    }
    const middle = (pick: (start: Start) => number): number => round(percentile(starts.map(pick), 0.5));
    const reads = await timed(login, expected);
    await sleep(REST_MS);
    const full = usageOf([cloud.pid()], true);
    return {
      servers: n,
      hosts: HOSTS,
      writeRowsMs: round(fillMs),
      starts: ROUNDS,
      toAnswerP50Ms: middle((start) => start.answerMs),
      toOneP50Ms: middle((start) => start.oneMs),
      toPageP50Ms: middle((start) => start.pageMs),
      toFilterP50Ms: middle((start) => start.filterMs),
      ...reads,
      emptyNodePssMiB: round(empty.pssMiB - empty.postgresPssMiB),
      nodePssMiB: round(full.pssMiB - full.postgresPssMiB),
      postgresPssMiB: round(full.postgresPssMiB),
    };
  } finally {
    await cloud.close();
  }
}

/** Makes one server as a user does, and all others of its record. */
async function fillStore(cloud: Cloud, login: Login, n: number): Promise<Expected> {
  const compute = new Compute(login, 1, 'auto');
  await compute.prepare(login.imageUrl);
  const id = madeId(await compute.create('bench-real')) ?? '';
  await until('the real server is active', async () => (await compute.statusOf(id)) === 'ACTIVE');
  await compute.close();
  const pool = new pg.Pool({ connectionString: cloud.databaseUrl, max: 1 });
  try {
    const { rows } = await pool.query<{ record: InstanceRecord; revision: string }>('select record, revision from instance where id = $1', [id]);
    const [row] = rows;
    if (row === undefined) throw new Error('the real server has no row');
    await pool.query(FAR_HOSTS, [HOSTS]);
    const ids: string[] = [];
    const ofHost = new Set<string>();
    let one = row.record;
    for (let from = 0; from < n; from += CHUNK) {
      const records = Array.from({ length: Math.min(CHUNK, n - from) }, (_, index) => copyOf(row.record, from + index));
      await insertInstances(pool, records, Number(row.revision));
      ids.push(...records.map((record) => record.id));
      for (const record of records) if (record.host === 'far-7') ofHost.add(record.id);
      one = records.at(-7) ?? one;
    }
    for (const statement of [CLAIMS, USED, QUOTA, 'analyze']) await pool.query(statement);
    return { one, page: ids.slice(-PAGE).toReversed(), ofHost };
  } finally {
    await pool.end();
  }
}

/** Each a second later than the one before, all of them later than the real one. */
function copyOf(record: InstanceRecord, nth: number): InstanceRecord {
  const at = new Date(new Date(record.createdAt).getTime() + (nth + 1) * SECOND_MS).toISOString();
  const id = crypto.randomUUID();
  return {
    ...record,
    id,
    name: `copy-${nth}`,
    hostname: `copy-${nth}`,
    host: `far-${nth % HOSTS}`,
    createdAt: at,
    updatedAt: at,
    launchedAt: at,
    reservationId: `r-${nth}`,
  };
}

async function startAndRead(cloud: Cloud, login: Login, expected: Expected): Promise<Start> {
  const beginMs = performance.now();
  const up = cloud.restart();
  const compute = new Compute(login, 1, 'auto');
  try {
    const since = async (what: string, isSo: () => Promise<boolean>): Promise<number> => {
      await until(what, isSo, LOOK_MS);
      return performance.now() - beginMs;
    };
    const answerMs = await since('an answer', async () => (await compute.get('/')).status > 0);
    const oneMs = await since('the server', () => isRight(compute, expected, 'one'));
    const pageMs = await since('the page', () => isRight(compute, expected, 'page'));
    const filterMs = await since('the filters', async () => (await isRight(compute, expected, 'name')) && (await isRight(compute, expected, 'host')));
    await up;
    return { answerMs, oneMs, pageMs, filterMs };
  } finally {
    up.catch(() => undefined);
    await compute.close();
  }
}

const PATHS = { page: `/servers?limit=${PAGE}`, host: '/servers?all_tenants=1&host=far-7' } as const;

async function isRight(compute: Compute, { one, page, ofHost }: Expected, what: 'one' | 'page' | 'name' | 'host'): Promise<boolean> {
  const path = what === 'one' ? `/servers/${one.id}` : what === 'name' ? `/servers?name=^${one.name}$` : PATHS[what];
  const answer = await compute.get(path);
  if (answer.status !== 200) return false;
  if (what === 'one') {
    const { server } = bodyOf(answer) as { server: Read['servers'][number] };
    return server.id === one.id && server.name === one.name && server.status === 'ACTIVE';
  }
  const { servers } = bodyOf(answer) as Read;
  if (what === 'page') return servers.length === page.length && servers.every(({ id }, index) => id === page[index]);
  return what === 'name' ? servers.length === 1 && servers[0]?.id === one.id : servers.length === ofHost.size && servers.every(({ id }) => ofHost.has(id));
}

/** One after the other. Servers of the page are read for the first time since the start. */
async function timed(login: Login, expected: Expected): Promise<Figures> {
  const compute = new Compute(login, 1, 'auto');
  try {
    const took = async (path: (nth: number) => string, reads = READS): Promise<number[]> => {
      const samples: number[] = [];
      for (let nth = 0; nth < reads; nth++) samples.push((await compute.get(path(nth))).tookMs);
      return samples;
    };
    return {
      ...spread('one', await took((nth) => `/servers/${expected.page[nth]}`)),
      ...spread('page', await took(() => PATHS.page)),
      ...spread('deepPage', await took(() => `${PATHS.page}&sort_key=created_at&sort_dir=asc&marker=${expected.page.at(-1)}`)),
      ...spread('host', await took(() => PATHS.host)),
      // A pattern has no index: all rows are looked through.
      ...spread('name', await took((nth) => `/servers?name=^copy-${nth}$`, NAME_READS)),
    };
  } finally {
    await compute.close();
  }
}

const FAR_HOSTS = `insert into host (name, node, driver, zone, inventory, vcpus, memory_mib, disk_gib)
  select 'far-' || n, 'far', driver, zone, inventory, 1000000, 1000000000, 1000000000 from generate_series(0, $1::int - 1) n, (select * from host limit 1) h`;
const CLAIMS = `insert into claim (instance_id, generation, host, role, vcpus, memory_mib, disk_gib)
  select i.id, i.generation, i.host, 'active', c.vcpus, c.memory_mib, c.disk_gib from instance i, (select * from claim limit 1) c where i.host like 'far-%'`;
const USED = `update host set used_vcpus = s.vcpus, used_memory_mib = s.memory, used_disk_gib = s.disk, claims = s.count from
  (select host, sum(vcpus) vcpus, sum(memory_mib) memory, sum(disk_gib) disk, count(*) count from claim group by host) s where s.host = host.name and host.name like 'far-%'`;
const QUOTA = `update quota_use set instances = instances * (select count(*) from instance), cores = cores * (select count(*) from instance), ram = ram * (select count(*) from instance)`;
