/**
 * Durable claims: commits that place a server on a host, through the real store and its write batch (shard epoch, row
 * version, host epoch and host counters checked, an event written) on a PostgreSQL with fsync. Offered as fast as they are
 * answered, by so many writers at a time, and one after the other. Beside it runs the idle cloud whose server it is.
 */
import pg from 'pg';
import { migrate } from '../../actors/conductor/migrations/migrate.ts';
import { openPgStore, type CellStore } from '../../actors/conductor/store.ts';
import type { InstanceRecord, Stored } from '../../actors/model/instance.ts';
import { QUOTA_DEFAULTS } from '../../actors/model/quota.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import { noFailpoint } from '../../runtime/base/failpoint.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { Session } from '../../runtime/database/open.ts';
import { commit, create, placedOn, startHost } from '../contract/store-rig.ts';
import { startCloud, type Cloud } from '../doubles/cloud.ts';
import { round, spread, type Figures } from './rig/figures.ts';
import { inLanes } from './rig/http-load.ts';
import { ownCpuMs, usageOf } from './rig/processes.ts';
import type { Options } from './rig/subject.ts';

const SERVERS = 10_000;
const SINGLE = 500;
const WARM_UP = 1_000;
const HOSTS = 100;
const LANES = 400;
const ORDER = 100;
const CAPACITY = { vcpus: 100_000, memoryMiB: 100_000_000, diskGiB: 10_000_000 };
const DATABASE = 'claims';

type Server = Stored<InstanceRecord>;

export async function claims(options: Options): Promise<Figures> {
  const cloud = await startCloud();
  try {
    return await measured(cloud, options);
  } finally {
    await cloud.close();
  }
}

async function measured(cloud: Cloud, { n = SERVERS, progress }: Options): Promise<Figures> {
  const url = await freshDatabase(cloud.databaseUrl);
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on('error', () => undefined);
  const writer = new Session({ url, name: 'write', clock: systemClock, log: silentLog });
  const store = openPgStore({ pool, writer, clock: systemClock, log: silentLog, quotas: QUOTA_DEFAULTS, failpoint: noFailpoint });
  try {
    await pool.query('update shard set epoch = 1');
    await pool.query(`insert into quota_limit (project_id, name, value) select 'blue', name, -1 from unnest(array['instances', 'cores', 'ram']) name`);
    for (let host = 1; host <= HOSTS; host++) await startHost(store, `h${host}`, CAPACITY);
    progress(`accepting ${n + SINGLE + WARM_UP} servers`);
    const servers = await accepted(store, n + SINGLE + WARM_UP);
    await claimAll(store, servers.splice(0, WARM_UP), LANES);
    const single = await claimAll(store, servers.splice(0, SINGLE), 1);
    progress(`${servers.length} claims, ${LANES} at a time`);
    const [ownBefore, revisionBefore] = [ownCpuMs(), await revisionOf(pool)];
    const root = cloud.databasePid();
    const roots = root === undefined ? [] : [root];
    const postgresBefore = usageOf(roots).postgresCpuMs;
    const many = await claimAll(store, servers, LANES);
    const batches = (await revisionOf(pool)) - revisionBefore;
    return {
      claims: servers.length,
      hosts: HOSTS,
      writers: LANES,
      perSecond: round(many.perSecond),
      ...spread('claim', many.tookMs),
      claimsPerCommit: round(servers.length / batches),
      cpuMsPerClaim: round((ownCpuMs() - ownBefore) / servers.length),
      postgresCpuMsPerClaim: round((usageOf(roots).postgresCpuMs - postgresBefore) / servers.length),
      singlePerSecond: round(single.perSecond),
      ...spread('single', single.tookMs),
    };
  } finally {
    await store.close();
    await writer.close();
    await pool.end();
  }
}

async function claimAll(store: CellStore, servers: readonly Server[], lanes: number): Promise<{ perSecond: number; tookMs: number[] }> {
  const tookMs: number[] = [];
  const beginMs = performance.now();
  await inLanes(servers, lanes, async (server, index) => {
    const sentMs = performance.now();
    const answer = await commit(store, server, placedOn(server, `h${(index % HOSTS) + 1}`, 1));
    if (answer.is !== 'done') throw new Error(`a claim was not committed: ${JSON.stringify(answer)}`);
    tookMs.push(performance.now() - sentMs);
  });
  return { perSecond: (servers.length / (performance.now() - beginMs)) * 1_000, tookMs };
}

async function accepted(store: CellStore, count: number): Promise<Server[]> {
  const servers: Server[] = [];
  while (servers.length < count) {
    const nths = Array.from({ length: Math.min(ORDER, count - servers.length) }, (_, index) => servers.length + index + 1);
    servers.push(...(await create(store, nths)));
  }
  return servers;
}

async function revisionOf(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ revision: string }>('select revision from cell');
  return Number(rows[0]?.revision);
}

/** Beside the cloud's own, on its server. */
async function freshDatabase(cloudUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: cloudUrl });
  await client.connect();
  try {
    await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
  const url = cloudUrl.replace(/\/novact$/, `/${DATABASE}`);
  await migrate({ url });
  return url;
}
