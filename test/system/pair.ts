/** Two nodes of one cloud for tests of lost hosts: the first has the doors and the database, the second only more hosts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { seenProcess } from '../../runtime/base/proc.ts';
import { endProcess, startCloud, type Cloud } from '../doubles/cloud.ts';

const WAIT_MS = 60_000;

export type Server = {
  readonly id: string;
  readonly status: string;
  readonly host_status: string;
  readonly 'OS-EXT-SRV-ATTR:host': string;
  readonly addresses: object;
};

export type Pair = {
  readonly first: Cloud;
  readonly second: Cloud;
  /** Makes active servers on a host. */
  serversOn(host: string, count: number): Promise<string[]>;
  show(id: string): Promise<Server>;
  evacuate(id: string): Promise<{ status: number; text: string }>;
  service(host: string): Promise<{ id: string; state: string; forced_down: boolean }>;
  forceDown(host: string, down: boolean): Promise<{ status: number }>;
  claims(host: string): Promise<{ id: string; generation: number; role: string }[]>;
  query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]>;
  until(what: string, isTrue: () => Promise<boolean>): Promise<void>;
  close(): Promise<void>;
};

export async function openPair(options: {
  readonly settings: readonly string[];
  readonly firstHosts: number;
  readonly secondHosts: number;
  readonly secondSettings?: readonly string[];
}): Promise<Pair> {
  const set = (settings: readonly string[]): string[] => settings.flatMap((one) => ['--set', one]);
  const hosts = ['--hosts', String(options.firstHosts), ...set(['name=first', 'hosts.0.name=first-{n}'])];
  const first = await startCloud({ args: [...hosts, ...set(options.settings)] });
  let second: Cloud | undefined;
  try {
    second = await startCloud({ args: [...secondNode(first, options.secondHosts), ...set(options.settings), ...set(options.secondSettings ?? [])] });
    return await opened(first, second);
  } catch (error) {
    await second?.close();
    await first.close();
    throw error;
  }
}

async function opened(first: Cloud, second: Cloud): Promise<Pair> {
  const pool = new pg.Pool({ connectionString: first.databaseUrl, max: 2 });
  pool.on('error', () => undefined);
  const image = (await first.api<{ images: { id: string }[] }>('GET', `${first.urls.image}/v2/images`)).body.images[0]?.id ?? '';
  const call = <Body>(method: string, path: string, body?: unknown, microversion = '2.90') => first.api<Body>(method, path, body, { microversion });
  const query = async <Row extends pg.QueryResultRow>(text: string): Promise<Row[]> => (await pool.query<Row>(text)).rows;
  const pair: Pair = {
    first,
    second,
    query,
    async serversOn(host, count) {
      await until(`${host} is up`, async () => (await pair.service(host)).state === 'up');
      const make = async (i: number): Promise<string> => {
        const order = { server: { name: `on-${host}-${i}`, flavorRef: '42', imageRef: image, availability_zone: `nova:${host}`, networks: 'auto' } };
        const { status, body } = await call<{ server: { id: string } }>('POST', '/servers', order);
        if (status !== 202) throw new Error(`not accepted: ${status} ${JSON.stringify(body)}`);
        return body.server.id;
      };
      const ids: string[] = [];
      for (let i = 0; i < count; i++) ids.push(await make(i));
      await until('all are active', async () => {
        const seen = await Promise.all(ids.map((id) => pair.show(id)));
        for (const [i, { id, status }] of seen.entries()) {
          if (status !== 'ERROR') continue;
          // A scheduler that moved a moment ago may not have heard of the host yet.
          await call('DELETE', `/servers/${id}`);
          ids[i] = await make(i);
        }
        return seen.every(({ status }) => status === 'ACTIVE');
      });
      return ids;
    },
    async show(id) {
      const { status, body } = await call<{ server: Server }>('GET', `/servers/${id}`);
      if (status !== 200) throw new Error(`server ${id}: ${status}`);
      return body.server;
    },
    async evacuate(id) {
      const { status, body } = await call('POST', `/servers/${id}/action`, { evacuate: {} });
      return { status, text: JSON.stringify(body ?? '') };
    },
    async service(host) {
      const { body } = await call<{ services: { id: string; state: string; forced_down: boolean }[] }>('GET', `/os-services?host=${host}`);
      const [service] = body.services;
      if (!service) throw new Error(`no service of ${host}`);
      return service;
    },
    async forceDown(host, down) {
      return call('PUT', `/os-services/${(await pair.service(host)).id}`, { forced_down: down });
    },
    claims: (host) => query(`select instance_id as id, generation, role from claim where host = '${host}'`),
    until,
    async close() {
      await pool.end();
      for (const cloud of [second, first]) {
        await cloud.close();
        await endGuard(cloud);
      }
    },
  };
  return pair;
}

/** A guard outlives its node on purpose. */
async function endGuard({ dataDir }: Cloud): Promise<void> {
  const pid = guardPid(dataDir);
  if (pid !== undefined && seenProcess(pid)?.command.some((word) => word.includes(dataDir))) await endProcess(pid);
}

export function guardPid(dataDir: string): number | undefined {
  try {
    return Number(readFileSync(join(dataDir, 'guard', 'guard'), 'utf8').split('/')[0]);
  } catch {
    return undefined;
  }
}

/** Without doors: who asks, asks the first. */
function secondNode({ databaseUrl }: Cloud, hosts: number): string[] {
  const settings = ['name=second', `database.url=${databaseUrl}`, 'hosts.0.name=second-{n}'];
  return ['--roles', 'control,compute', '--hosts', String(hosts), ...settings.flatMap((one) => ['--set', one])];
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS;
  for (;;) {
    if (await isTrue().catch(() => false)) return;
    if (performance.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
