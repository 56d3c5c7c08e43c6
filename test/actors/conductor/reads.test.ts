import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { SERVER_SORT_KEYS } from '../../../actors/conductor/messages/read.ts';
import type { ReadProtocol, ServerFilter, ServerSort } from '../../../actors/conductor/messages/read.ts';
import { openQuery } from '../../../actors/conductor/reads/query.ts';
import { RecordCache } from '../../../actors/conductor/reads/record-cache.ts';
import { readServe } from '../../../actors/conductor/reads/serve.ts';
import { serverOrder } from '../../../actors/conductor/reads/server-sort.ts';
import { listStatement, openServerReads } from '../../../actors/conductor/reads/servers.ts';
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import type { MessageWith } from '../../../runtime/actor/protocol.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';
import { ANY, insertHost, insertInstances, instanceRecord, updateInstance, uuidOf } from './rows.ts';

const CONTEXT = { signal: new AbortController().signal, commandId: undefined };
const SETTINGS = { quotas: QUOTA_DEFAULTS, serviceDownMs: 60_000, defaultZone: 'nova' };

let postgres: TestPostgres;
let template: string;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  template = postgres.url;
  await migrate({ url: template });
}, 60_000);
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(() => postgres?.close());

/** A migrated database of its own for one test. */
async function freshCell() {
  const pool = new pg.Pool({ connectionString: await postgres.database(template), max: 3 });
  pool.on('error', () => {});
  onTestFinished(async () => pool.end());
  const serve = readServe({ pool, clock: systemClock, settings: SETTINGS });
  const ask = <T extends keyof ReadProtocol>(message: MessageWith<ReadProtocol, T>) =>
    serve[message.type](message as never, CONTEXT) as Promise<ReadProtocol[T]['reply']>;
  const names = async (filter: Partial<ServerFilter>, sort: ServerSort[] = [{ key: 'createdAt', descending: false }]) => {
    const { servers } = await ask({ type: 'listServers', filter: { ...ANY, ...filter }, sort, marker: null, limit: 100 });
    return servers.map(({ record }) => record.name);
  };
  return { pool, ask, names };
}

describe('a list of servers', () => {
  it('comes newest first, with the number that the store gave and the revision of the cell', async () => {
    const { pool, ask } = await freshCell();
    await insertInstances(pool, [instanceRecord(1), instanceRecord(2), instanceRecord(3)], 7);
    const { servers, revision } = await ask({ type: 'listServers', filter: { ...ANY, projectId: 'blue' }, sort: [], marker: null, limit: 2 });
    expect(servers.map(({ record }) => record.id)).toEqual([uuidOf(3), uuidOf(2)]);
    expect(servers[0]).toMatchObject({ version: 1, revision: 7, record: { number: 1003 } });
    expect(revision).toBe(7);
  });

  it('that is empty still tells the revision', async () => {
    const { pool, ask } = await freshCell();
    await pool.query('update cell set revision = 5');
    expect(await ask({ type: 'listServers', filter: ANY, sort: [], marker: null, limit: 10 })).toEqual({ servers: [], revision: 5 });
    expect(await ask({ type: 'listServers', filter: ANY, sort: [], marker: null, limit: 0 })).toEqual({ servers: [], revision: 5 });
  });

  it('walked page by page in any order shows each server once', async () => {
    const { pool, ask } = await freshCell();
    const hosts = [null, 'h1', 'h2'];
    const records = Array.from({ length: 23 }, (_, i) =>
      instanceRecord(i, { host: hosts[i % 3] ?? null, createdAt: instanceRecord(i % 4).createdAt, launchedAt: i % 2 ? null : instanceRecord(i).createdAt }),
    );
    await insertInstances(pool, records, 1);
    const orders: ServerSort[][] = [
      [],
      [{ key: 'host', descending: false }],
      [
        { key: 'launchedAt', descending: true },
        { key: 'host', descending: false },
      ],
      [
        { key: 'createdAt', descending: false },
        { key: 'name', descending: true },
        { key: 'powerState', descending: false },
      ],
      ...SERVER_SORT_KEYS.map((key): ServerSort[] => [{ key, descending: key.length % 2 === 0 }]),
      [
        { key: 'id', descending: true },
        { key: 'name', descending: false },
      ],
    ];
    for (const sort of orders) {
      const whole = await ask({ type: 'listServers', filter: ANY, sort, marker: null, limit: 100 });
      const seen: string[] = [];
      for (let marker: string | null = null; ; marker = seen.at(-1) ?? null) {
        const { servers } = await ask({ type: 'listServers', filter: ANY, sort, marker, limit: 5 });
        seen.push(...servers.map(({ record }) => record.id));
        if (servers.length < 5) break;
      }
      expect(seen).toEqual(whole.servers.map(({ record }) => record.id));
      expect(new Set(seen).size).toBe(23);
    }
  });

  it('refuses a marker that names nothing visible', async () => {
    const { pool, ask } = await freshCell();
    await insertInstances(pool, [instanceRecord(1), instanceRecord(2, { projectId: 'red' })], 1);
    for (const marker of ['no uuid', uuidOf(99), uuidOf(2)]) {
      const asked = ask({ type: 'listServers', filter: { ...ANY, projectId: 'blue' }, sort: [], marker, limit: 5 });
      await expect(asked).rejects.toMatchObject({ code: 'invalid', reason: 'marker', message: `marker [${marker}] not found` });
    }
  });

  it('turns the page after its marker was deleted', async () => {
    const { pool, ask } = await freshCell();
    await insertInstances(pool, [instanceRecord(1), instanceRecord(2), instanceRecord(3)], 1);
    await updateInstance(pool, instanceRecord(2, { deleted: true, vmState: 'deleted', host: null }), 2);
    const { servers } = await ask({ type: 'listServers', filter: ANY, sort: [], marker: uuidOf(2), limit: 5 });
    expect(servers.map(({ record }) => record.id)).toEqual([uuidOf(1)]);
  });

  it('hides deleted servers unless they or changes are asked for', async () => {
    const { pool, names } = await freshCell();
    await insertInstances(pool, [instanceRecord(1), instanceRecord(2, { deleted: true, vmState: 'deleted' })], 1);
    expect(await names({})).toEqual(['server-1']);
    expect(await names({ deleted: true })).toEqual(['server-2']);
    expect(await names({ changedSinceMs: Date.UTC(2026, 0, 1) })).toEqual(['server-1', 'server-2']);
    expect(await names({ changedSinceMs: Date.UTC(2026, 0, 1), deleted: false })).toEqual(['server-1']);
    expect(await names({ changedSinceMs: Date.UTC(2026, 0, 1) + 2_000 })).toEqual(['server-2']);
    expect(await names({ changedBeforeMs: Date.UTC(2026, 0, 1) + 1_000 })).toEqual(['server-1']);
  });

  it('filters by every member', async () => {
    const { pool, names } = await freshCell();
    const nic = { networkId: uuidOf(5), label: 'n', prefix: 16, gateway: null, mac: 'm' };
    const odd = instanceRecord(1, {
      name: 'web_50%',
      hostname: 'web',
      projectId: 'red',
      userId: 'bob',
      host: 'h9',
      zone: 'z9',
      keyName: 'bobs-key',
      configDrive: true,
      locked: true,
      tags: ['a', 'b'],
      vmState: 'error',
      taskState: 'deleting',
      powerState: 'shutdown',
      nics: [
        { ...nic, address: '10.20.0.77' },
        { ...nic, address: 'fd00::77' },
      ],
      flavor: { ...instanceRecord(0).flavor, flavorId: '9' },
      image: { ...instanceRecord(0).image, id: uuidOf(800_000) },
    });
    await insertInstances(pool, [odd, instanceRecord(2, { name: 'webx50y', tags: ['c'] })], 1);
    const finds: Partial<ServerFilter>[] = [
      { projectId: 'red' },
      { userId: 'bob' },
      { host: 'h9' },
      { zone: 'z9' },
      { keyName: 'bobs' },
      { configDrive: true },
      { locked: true },
      { vmState: 'error' },
      { taskState: 'deleting' },
      { powerState: 'shutdown' },
      { flavorId: '9' },
      { imageId: uuidOf(800_000) },
      { name: '_50%' },
      { name: '^web_' },
      { name: '50%$' },
      { hostname: 'web', vmState: 'error' },
      { reservationId: 'r-1' },
      { ids: [uuidOf(1), 'no uuid'] },
      { ip: '0.77' },
      { ip6: '::77' },
      { tags: ['a', 'b'] },
      { tagsAny: ['b', 'x'] },
      { notTags: ['c'] },
      { notTagsAny: ['c', 'd'] },
      { states: [{ vmState: 'error', taskStates: null }] },
      { states: [{ vmState: 'error', taskStates: ['deleting'] }] },
    ];
    for (const filter of finds) expect.soft(await names(filter), JSON.stringify(filter)).toEqual(['web_50%']);
    const misses: Partial<ServerFilter>[] = [
      { ids: [] },
      { states: [] },
      { name: '^50' },
      { ip: '::77' },
      { ip6: '0.77' },
      { tags: ['a', 'c'] },
      { states: [{ vmState: 'error', taskStates: ['spawning'] }] },
    ];
    for (const filter of misses) expect.soft(await names(filter), JSON.stringify(filter)).toEqual([]);
  });

  it('takes text from a request as text only', async () => {
    const { pool, ask, names } = await freshCell();
    await insertInstances(pool, [instanceRecord(1)], 1);
    for (const text of [`'; drop table instance; --`, '%', '\\', '$1', '_']) expect(await names({ name: text, userId: text })).toEqual([]);
    expect(await names({})).toEqual(['server-1']);
    await expect(ask({ type: 'listServers', filter: { ...ANY, name: 'a\0b' }, sort: [], marker: null, limit: 5 })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('asked again reads only the records that changed', async () => {
    const { pool } = await freshCell();
    await insertInstances(pool, [instanceRecord(1), instanceRecord(2)], 1);
    const fetched: number[] = [];
    const query = openQuery(pool);
    const servers = openServerReads(async (statement) => {
      const rows = await query<never>(statement);
      if (statement.text.includes('record::text')) fetched.push(rows.length);
      return rows;
    });
    const page = { filter: ANY, sort: [], marker: null, limit: 10 };
    const first = await servers.list(page);
    expect((await servers.list(page)).servers[0]).toBe(first.servers[0]);
    await updateInstance(pool, instanceRecord(2, { name: 'renamed' }), 2);
    const last = await servers.list(page);
    expect(last.servers.map(({ record, version, revision }) => [record.name, version, revision])).toEqual([
      ['renamed', 2, 2],
      ['server-1', 1, 1],
    ]);
    expect(fetched).toEqual([2, 1]);
  });
});

describe('a list of servers among fifty thousand', () => {
  it('is served from an index for the shapes that clients poll', async () => {
    const { pool } = await freshCell();
    await insertInstances(pool, [instanceRecord(0)], 1);
    await pool.query(`insert into instance select r.* from instance i cross join generate_series(1, 50000) n
      cross join lateral jsonb_populate_record(i, jsonb_build_object('id', md5(n::text)::uuid, 'number', 5000 + n, 'project_id', 'p' || n % 20,
        'created_at', i.created_at + n * interval '1 second', 'updated_at', i.created_at + n * interval '1 second', 'deleted', n % 5 = 0,
        'vm_state', case when n % 5 = 0 then 'deleted' else 'active' end, 'record', '{}'::jsonb)) r`);
    await pool.query('vacuum analyze instance');
    const recent = Date.UTC(2026, 0, 1) + 49_900_000;
    const shapes: [string, Partial<ServerFilter>, string[] | null][] = [
      ['a project, newest first', { projectId: 'p3' }, null],
      ['a project, next page', { projectId: 'p3' }, ['2026-01-01 05:00:00+00', uuidOf(1)]],
      ['all projects, newest first', {}, null],
      ['all projects, next page', {}, ['2026-01-01 05:00:00+00', uuidOf(1)]],
      ['changes of a project', { projectId: 'p3', changedSinceMs: recent }, null],
      ['changes of all projects', { changedSinceMs: recent }, null],
      ['by ids', { ids: [uuidOf(0), uuidOf(1)] }, null],
      ['of a host', { host: 'h7' }, null],
    ];
    for (const [name, filter, place] of shapes) {
      const { text, values } = listStatement({ ...ANY, ...filter }, serverOrder([]), place, 50);
      const { rows } = await pool.query<{ 'QUERY PLAN': string }>(`explain (analyze, costs off, timing off, summary off) ${text}`, [...values]);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect.soft(plan, name).not.toMatch(/Seq Scan on instance/);
      if (filter.changedSinceMs === undefined && !filter.ids && !filter.host) expect.soft(plan, name).not.toMatch(/Sort Key: i\./);
    }
  }, 60_000);
});

describe('one server', () => {
  it('is shown in its newest revision, deleted or not', async () => {
    const { pool, ask } = await freshCell();
    await insertInstances(pool, [instanceRecord(1)], 1);
    const first = await ask({ type: 'showServer', id: uuidOf(1) });
    expect(first).toMatchObject({ version: 1, revision: 1, record: { name: 'server-1', number: 1001 } });
    expect(await ask({ type: 'showServer', id: uuidOf(1) })).toBe(first);
    await updateInstance(pool, instanceRecord(1, { deleted: true, vmState: 'deleted' }), 2);
    expect(await ask({ type: 'showServer', id: uuidOf(1) })).toMatchObject({ version: 2, revision: 2, record: { deleted: true } });
    expect(await ask({ type: 'showServer', id: uuidOf(2) })).toBeNull();
    expect(await ask({ type: 'showServer', id: 'no uuid' })).toBeNull();
  });
});

describe('the record cache', () => {
  it('forgets the record used longest ago when it is full', () => {
    const row = (nth: number) => ({ id: uuidOf(nth), number: '1', version: '1', revision: '1', record: JSON.stringify({ number: 1, pad: 'x'.repeat(40) }) });
    const cache = new RecordCache(row(1).record.length * 2);
    cache.add(row(1));
    cache.add(row(2));
    expect(cache.get(uuidOf(1), 1)).toBeDefined();
    cache.add(row(3));
    expect([1, 2, 3].map((nth) => cache.get(uuidOf(nth), 1) !== undefined)).toEqual([true, false, true]);
    expect(cache.get(uuidOf(1), 2)).toBeUndefined();
    expect(cache.chars).toBe(row(1).record.length * 2);
  });
});

describe('hosts and services', () => {
  it('are up while they beat, unless forced down', async () => {
    const { pool, ask } = await freshCell();
    await insertHost(pool, 'h1');
    await insertHost(pool, 'h2', { silentMs: 61_000, zone: 'west' });
    await insertHost(pool, 'h3', { zone: 'west' });
    await pool.query(`update host set forced_down = true, disabled = true, disabled_reason = 'worn', used_vcpus = 3, claims = 2 where name = 'h3'`);
    const hosts = await ask({ type: 'listHosts' });
    expect(hosts.map(({ host, up, enabled }) => [host, up, enabled])).toEqual([
      ['h1', true, true],
      ['h2', false, true],
      ['h3', false, false],
    ]);
    expect(hosts[2]).toMatchObject({
      binary: 'nova-compute',
      zone: 'west',
      disabledReason: 'worn',
      forcedDown: true,
      total: { vcpus: 8, memoryMiB: 16_384, diskGiB: 100 },
      used: { vcpus: 3, memoryMiB: 0, diskGiB: 0 },
      instances: 2,
      hypervisorType: 'simulated',
      cpu: { arch: 'x86_64' },
    });
    expect(await ask({ type: 'listZones' })).toEqual([
      { name: 'nova', available: true, hosts: ['h1'] },
      { name: 'west', available: true, hosts: ['h2', 'h3'] },
    ]);
    await pool.query(`update host set deleted = true where name <> 'h1'`);
    expect(await ask({ type: 'listHosts' })).toHaveLength(1);
    expect(await ask({ type: 'listHosts', withDeleted: true })).toHaveLength(3);
  });

  it('of nodes go by the names that clients know, with ids that stay', async () => {
    const { pool, ask } = await freshCell();
    expect(await ask({ type: 'listZones' })).toEqual([{ name: 'nova', available: false, hosts: [] }]);
    await pool.query(`insert into node (name, boot, endpoint, public_key, roles, beat_at) values
      ('n1', 'b', 'e', 'k', '{api,control,compute}', clock_timestamp()), ('n2', 'b', 'e', 'k', '{console}', clock_timestamp() - interval '1 hour')`);
    const services = await ask({ type: 'listNodeServices' });
    expect(services.map(({ host, binary, up, zone }) => [host, binary, up, zone])).toEqual([
      ['n1', 'nova-conductor', true, 'internal'],
      ['n1', 'nova-scheduler', true, 'internal'],
      ['n2', 'nova-console', false, 'internal'],
    ]);
    expect(new Set(services.flatMap(({ id, uuid }) => [id, uuid])).size).toBe(6);
    expect((await ask({ type: 'listNodeServices' })).map(({ id, uuid }) => [id, uuid])).toEqual(services.map(({ id, uuid }) => [id, uuid]));
  });

  it('name the live servers of hosts', async () => {
    const { pool, ask } = await freshCell();
    await insertInstances(
      pool,
      [instanceRecord(1), instanceRecord(2, { host: 'h2' }), instanceRecord(3, { host: 'h3' }), instanceRecord(4, { deleted: true, vmState: 'deleted' })],
      1,
    );
    expect(await ask({ type: 'listServersOfHosts', hosts: ['h1', 'h2'] })).toEqual([
      { host: 'h1', id: uuidOf(1), name: 'server-1' },
      { host: 'h2', id: uuidOf(2), name: 'server-2' },
    ]);
  });
});

describe('use of servers', () => {
  const at = (hour: number) => `2026-03-01T${String(hour).padStart(2, '0')}:00:00.500Z`;
  const window = (from: number, to: number, more: object = {}) =>
    ({ type: 'listServerUse', projectId: null, fromMs: Date.parse(at(from)), toMs: Date.parse(at(to)), marker: null, limit: 100, ...more }) as const;

  it('is of those that ran in the window, deleted ones too, by project and id', async () => {
    const { pool, ask } = await freshCell();
    const gone = { deleted: true, vmState: 'deleted', operation: null } as const;
    await insertInstances(
      pool,
      [
        instanceRecord(1, { projectId: 'red', launchedAt: at(1) }),
        instanceRecord(2, { launchedAt: at(2), terminatedAt: at(4), ...gone }),
        instanceRecord(3, { launchedAt: at(4) }),
        instanceRecord(4, { launchedAt: null }),
      ],
      1,
    );
    const ids = async (from: number, to: number, more: object = {}) => (await ask(window(from, to, more))).map(({ id }) => id);
    expect(await ids(3, 5)).toEqual([uuidOf(2), uuidOf(3), uuidOf(1)]);
    expect([await ids(4, 5), await ids(3, 4), await ids(0, 1)]).toEqual([[uuidOf(3), uuidOf(1)], [uuidOf(2), uuidOf(1)], []]);
    expect(await ids(3, 5, { projectId: 'blue' })).toEqual([uuidOf(2), uuidOf(3)]);
    expect([await ids(3, 5, { limit: 1 }), await ids(3, 5, { marker: uuidOf(2), limit: 1 })]).toEqual([[uuidOf(2)], [uuidOf(3)]]);
    await expect(ask(window(3, 5, { marker: uuidOf(9) }))).rejects.toMatchObject({ reason: 'marker' });
    await expect(ask(window(3, 5, { marker: 'x' }))).rejects.toMatchObject({ reason: 'marker' });
    expect((await ask(window(3, 4, { projectId: 'blue' })))[0]).toEqual({
      id: uuidOf(2),
      projectId: 'blue',
      name: 'server-2',
      vmState: 'deleted',
      flavorName: 'm1.tiny',
      vcpus: 1,
      memoryMiB: 512,
      diskGiB: 1,
      launchedAt: at(2),
      terminatedAt: at(4),
    });
  });
});

describe('quota', () => {
  it('takes the limit of the user, then of the project, the class, the configuration', async () => {
    const { pool, ask } = await freshCell();
    await pool.query(`insert into quota_class values ('default', 'cores', 40), ('default', 'ram', 1000), ('other', 'instances', 1)`);
    await pool.query(`insert into quota_limit values ('blue', '', 'ram', 2000), ('blue', '', 'key_pairs', 5), ('blue', 'ann', 'key_pairs', 6)`);
    await pool.query(`insert into quota_use values ('blue', '', 3, 6, 700), ('blue', 'ann', 1, 2, 300)`);
    await pool.query(`insert into key_pair (user_id, name, type, public_key, fingerprint) values ('ann', 'k', 'ssh', 'p', 'f')`);
    const project = await ask({ type: 'showQuota', projectId: 'blue', userId: null });
    expect(project).toEqual({
      limits: { ...QUOTA_DEFAULTS, cores: 40, ram: 2000, key_pairs: 5 },
      used: { instances: 3, cores: 6, ram: 700 },
      keyPairs: 0,
      serverGroups: 0,
      securityGroups: 0,
      fixedIps: 0,
      ofUsers: { key_pairs: 6 },
    });
    const user = await ask({ type: 'showQuota', projectId: 'blue', userId: 'ann' });
    expect(user).toMatchObject({ limits: { ram: 2000, key_pairs: 6 }, used: { instances: 1, cores: 2, ram: 300 }, keyPairs: 1 });
    expect((await ask({ type: 'showQuota', projectId: 'new', userId: 'bob' })).used).toEqual({ instances: 0, cores: 0, ram: 0 });
  });
});

describe('the stream', () => {
  it('gives events their revision, and tells where the cell stands', async () => {
    const { pool, ask } = await freshCell();
    await pool.query(`insert into event values (1, 1, $1, 'blue', '{"kind":"instance","change":"created"}'), (3, 1, $1, 'blue', '{"kind":"instance"}')`, [
      uuidOf(1),
    ]);
    await pool.query('update cell set revision = 4');
    expect(await ask({ type: 'history', after: 0, limit: 10 })).toEqual({
      events: [
        { kind: 'instance', change: 'created', revision: 1 },
        { kind: 'instance', revision: 3 },
      ],
      upTo: 4,
    });
    expect(await ask({ type: 'revision' })).toEqual({ revision: 4, oldest: 1, incarnation: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  });
});

describe('a read', () => {
  it('fails as unavailable when the database is away', async () => {
    const pool = new pg.Pool({ connectionString: 'postgres://nobody@127.0.0.1:1/none', connectionTimeoutMillis: 500 });
    const serve = readServe({ pool, clock: systemClock, settings: SETTINGS });
    await expect(serve.showServer({ type: 'showServer', id: uuidOf(1) }, CONTEXT)).rejects.toMatchObject({ code: 'unavailable' });
    await expect(serve.history({ type: 'history', after: 0, limit: 1 }, CONTEXT)).rejects.toMatchObject({ code: 'unavailable' });
    await pool.end();
  });
});
