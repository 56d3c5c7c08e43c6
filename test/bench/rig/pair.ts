/**
 * Clouds of several control nodes on this machine: the first is a whole cloud with the embedded store, the others join
 * its store. Each is a process of its own that ends with this one, however it ends (test/doubles/cloud.ts).
 */
import pg from 'pg';
import type { Account } from './cloud.ts';
import { sleep } from './http-load.ts';
import { passwordsOf, startCloud, type Cloud } from '../../doubles/cloud.ts';

/** Room for tens of thousands of the smallest servers. */
const CAPACITY = { vcpus: 8_192, memoryMiB: 16_777_216, diskGiB: 1_048_576 };
const WAIT_MS = 60_000;
const LOOK_MS = 50;

export type Pair = { readonly first: Cloud; readonly others: readonly Cloud[]; readonly pool: pg.Pool; close(): Promise<void> };

/** `more` control nodes beside the first; `roles` are theirs. */
export async function openPair({
  more,
  roles = 'control',
  hosts = 2,
  args = [],
}: {
  more: number;
  roles?: string;
  hosts?: number;
  args?: readonly string[];
}): Promise<Pair> {
  const opened: Cloud[] = [];
  const pools: pg.Pool[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(pools.map((pool) => pool.end()));
    for (const cloud of opened.toReversed()) await cloud.close();
  };
  try {
    const capacity = Object.entries(CAPACITY).flatMap(([name, amount]) => ['--set', `hosts.0.driver.capacity.${name}=${amount}`]);
    const first = await startCloud({ args: ['--set', 'name=first', '--hosts', String(hosts), ...capacity, ...args] });
    opened.push(first);
    const pool = new pg.Pool({ connectionString: first.databaseUrl, max: 2 });
    pool.on('error', () => undefined); // the server ends with the cloud
    pools.push(pool);
    for (let nth = 1; nth <= more; nth++)
      opened.push(await startCloud({ args: ['--roles', roles, '--set', `name=other-${nth}`, '--set', `database.url=${first.databaseUrl}`, ...args] }));
    const pair = { first, others: opened.slice(1), pool, close };
    await untilShared(pair, more + 1);
    return pair;
  } catch (error) {
    await close();
    throw error;
  }
}

/** Until the living nodes share all shards, none with more than its part. */
export async function untilShared({ pool }: Pick<Pair, 'pool'>, nodes: number): Promise<void> {
  await until(`${nodes} nodes share the shards`, async () => {
    const { rows } = await pool.query<{ owner: string | null; count: string }>('select owner, count(*) from shard group by owner');
    const parts = rows.map((row) => Number(row.count));
    return rows.every((row) => row.owner !== null) && rows.length === nodes && Math.max(...parts) <= Math.ceil(1_024 / nodes);
  });
}

export async function until(what: string, isSo: () => Promise<boolean>, lookMs = LOOK_MS): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await sleep(lookMs);
  }
}

export function accountOf({ dataDir, urls }: Cloud): Account {
  return {
    authUrl: urls.identity,
    username: 'admin',
    password: passwordsOf(dataDir).admin,
    project: 'admin',
    userDomain: 'Default',
    projectDomain: 'Default',
    region: undefined,
  };
}
