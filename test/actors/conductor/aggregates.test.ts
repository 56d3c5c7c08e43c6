import type { MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { imageTicketServe } from '../../../actors/conductor/image-ticket.ts';
import { imageWantServe } from '../../../actors/conductor/image-wants.ts';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { openOrm } from '../../../actors/conductor/migrations/orm.ts';
import type { AggregateProtocol } from '../../../actors/conductor/messages/aggregate.ts';
import { openQuery } from '../../../actors/conductor/reads/query.ts';
import { readServe } from '../../../actors/conductor/reads/serve.ts';
import { recordServe } from '../../../actors/conductor/records/serve.ts';
import { QUOTA_DEFAULTS } from '../../../actors/model/quota.ts';
import type { MessageWith } from '../../../runtime/actor/protocol.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';
import { insertHost, insertInstances, instanceRecord } from './rows.ts';

const CONTEXT = { signal: new AbortController().signal, commandId: undefined };
const IMAGE = { id: '70a599e0-31e7-49b7-b260-868f441e862b', diskFormat: 'qcow2', sizeBytes: 5, hash: null, properties: {} };

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

/** Three hosts in zone `nova`; `busy` has a server. */
async function threeHosts() {
  const url = await postgres.database(template);
  const pool = new pg.Pool({ connectionString: url, max: 3 });
  pool.on('error', () => {});
  const orm: MikroORM = await openOrm(url);
  onTestFinished(async () => {
    await orm.close(true);
    await pool.end();
  });
  const settings = { quotas: QUOTA_DEFAULTS, serviceDownMs: 60_000, defaultZone: 'nova' };
  const serve = recordServe({ pool, orm, clock: systemClock, settings });
  const ask = <T extends keyof AggregateProtocol>(message: MessageWith<AggregateProtocol, T>) =>
    serve[message.type](message as never, CONTEXT) as Promise<AggregateProtocol[T]['reply']>;
  for (const name of ['a', 'b', 'busy']) await insertHost(pool, name);
  const server = instanceRecord(1, { host: 'busy' });
  await insertInstances(pool, [server], 1);
  await pool.query(`insert into claim values ($1, 1, 'busy', 'active', 1, 512, 1)`, [server.id]);
  const epochs = async () =>
    Object.fromEntries((await pool.query<{ name: string; epoch: string }>('select name, epoch from host')).rows.map((row) => [row.name, Number(row.epoch)]));
  return { pool, serve, ask, epochs, reads: readServe({ pool, clock: systemClock, settings }), server };
}

describe('an aggregate', () => {
  it('is made, shown, renamed and removed; a name is given once', async () => {
    const { ask } = await threeHosts();
    const made = await ask({ type: 'createAggregate', name: 'ssd', zone: null });
    expect(made).toMatchObject({ id: 1, name: 'ssd', metadata: {}, hosts: [], updatedAt: null });
    await expect(ask({ type: 'createAggregate', name: 'ssd', zone: 'x' })).rejects.toMatchObject({ code: 'conflict', reason: 'aggregate.name' });
    const other = await ask({ type: 'createAggregate', name: 'east', zone: 'east' });
    await expect(ask({ type: 'updateAggregate', id: other.id, change: { name: 'ssd' } })).rejects.toMatchObject({ code: 'conflict' });
    expect(await ask({ type: 'updateAggregate', id: 1, change: { name: 'fast', zone: 'west' } })).toMatchObject({
      name: 'fast',
      metadata: { availability_zone: 'west' },
    });
    expect(await ask({ type: 'listAggregates' })).toMatchObject([{ name: 'fast' }, { name: 'east' }]);
    await ask({ type: 'deleteAggregate', id: 1 });
    expect(await ask({ type: 'showAggregate', id: 1 })).toBeNull();
    await expect(ask({ type: 'deleteAggregate', id: 1 })).rejects.toMatchObject({ code: 'notFound' });
  });

  it('takes words and lets them go', async () => {
    const { ask } = await threeHosts();
    await ask({ type: 'createAggregate', name: 'ssd', zone: 'east' });
    expect(await ask({ type: 'setAggregateWords', id: 1, set: { ssd: 'true', gone: 'x' }, drop: [] })).toMatchObject({
      metadata: { ssd: 'true', gone: 'x', availability_zone: 'east' },
    });
    expect(await ask({ type: 'setAggregateWords', id: 1, set: { ssd: 'false' }, drop: ['gone', 'availability_zone'] })).toMatchObject({
      metadata: { ssd: 'false' },
    });
    await ask({ type: 'addAggregateHost', id: 1, host: 'a' });
    const long = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`${i}`.padEnd(255, 'k'), 'v'.repeat(255)]));
    await expect(ask({ type: 'setAggregateWords', id: 1, set: long, drop: [] })).rejects.toMatchObject({ code: 'invalid' });
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, 'v']));
    await expect(ask({ type: 'setAggregateWords', id: 1, set: many, drop: [] })).rejects.toMatchObject({ code: 'invalid' });
  });

  it('is not removed while it has hosts, and knows only hosts that there are', async () => {
    const { ask } = await threeHosts();
    await ask({ type: 'createAggregate', name: 'ssd', zone: null });
    expect(await ask({ type: 'addAggregateHost', id: 1, host: 'a' })).toMatchObject({ hosts: ['a'] });
    await expect(ask({ type: 'addAggregateHost', id: 1, host: 'a' })).rejects.toMatchObject({ code: 'conflict', reason: 'aggregate.has' });
    await expect(ask({ type: 'addAggregateHost', id: 1, host: 'nobody' })).rejects.toMatchObject({ code: 'notFound', reason: 'host.unknown' });
    await expect(ask({ type: 'removeAggregateHost', id: 1, host: 'b' })).rejects.toMatchObject({ code: 'notFound', reason: 'aggregate.host' });
    await expect(ask({ type: 'deleteAggregate', id: 1 })).rejects.toMatchObject({ code: 'invalid', reason: 'aggregate.hosts' });
    expect(await ask({ type: 'removeAggregateHost', id: 1, host: 'a' })).toMatchObject({ hosts: [] });
    await ask({ type: 'deleteAggregate', id: 1 });
  });
});

describe('the zone of a host', () => {
  it('comes from its aggregate, with a new epoch, so that what it promised before is refused', async () => {
    const { ask, reads, epochs } = await threeHosts();
    const before = await epochs();
    await ask({ type: 'createAggregate', name: 'east', zone: 'east' });
    await ask({ type: 'addAggregateHost', id: 1, host: 'a' });
    expect((await epochs())['a']).toBe((before['a'] ?? 0) + 1);
    expect((await epochs())['b']).toBe(before['b']);
    expect(await reads.listZones({ type: 'listZones' } as never, CONTEXT)).toMatchObject([
      { name: 'east', hosts: ['a'] },
      { name: 'nova', hosts: ['b', 'busy'] },
    ]);
    await ask({ type: 'updateAggregate', id: 1, change: { zone: 'west' } });
    const hosts = await reads.listHosts({ type: 'listHosts' } as never, CONTEXT);
    expect(hosts.map(({ host, zone }) => [host, zone])).toEqual([
      ['a', 'west'],
      ['b', 'nova'],
      ['busy', 'nova'],
    ]);
  });

  it('is one: a host that another zone has is refused, whichever way it would come there', async () => {
    const { ask } = await threeHosts();
    for (const zone of ['east', 'west']) await ask({ type: 'createAggregate', name: zone, zone });
    await ask({ type: 'createAggregate', name: 'plain', zone: null });
    await ask({ type: 'addAggregateHost', id: 1, host: 'a' });
    await ask({ type: 'addAggregateHost', id: 3, host: 'a' });
    const refused = { code: 'conflict', message: expect.stringContaining('already in availability zone(s) east, west') };
    await expect(ask({ type: 'addAggregateHost', id: 2, host: 'a' })).rejects.toMatchObject(refused);
    await expect(ask({ type: 'setAggregateWords', id: 3, set: { availability_zone: 'west' }, drop: [] })).rejects.toMatchObject({ code: 'invalid' });
    await expect(ask({ type: 'updateAggregate', id: 3, change: { zone: 'west' } })).rejects.toMatchObject({ code: 'invalid' });
    expect(await ask({ type: 'updateAggregate', id: 3, change: { zone: 'east' } })).toMatchObject({ metadata: { availability_zone: 'east' } });
    expect(await ask({ type: 'showAggregate', id: 2 })).toMatchObject({ hosts: [] });
  });

  it('stays as it is while servers are there; an aggregate of the same zone may take the host', async () => {
    const { ask, epochs } = await threeHosts();
    const before = await epochs();
    await ask({ type: 'createAggregate', name: 'east', zone: 'east' });
    await ask({ type: 'createAggregate', name: 'nova', zone: 'nova' });
    await expect(ask({ type: 'addAggregateHost', id: 1, host: 'busy' })).rejects.toMatchObject({ code: 'conflict', reason: 'aggregate.zone' });
    await ask({ type: 'addAggregateHost', id: 2, host: 'busy' });
    await expect(ask({ type: 'updateAggregate', id: 2, change: { zone: 'east' } })).rejects.toMatchObject({ code: 'invalid', reason: 'aggregate.zone' });
    await expect(ask({ type: 'setAggregateWords', id: 2, set: { availability_zone: 'x', a: 'b' }, drop: [] })).rejects.toMatchObject({ code: 'invalid' });
    expect(await ask({ type: 'setAggregateWords', id: 2, set: { a: 'c' }, drop: ['availability_zone'] })).toMatchObject({ metadata: { a: 'c' } });
    expect(await epochs()).toEqual(before);
  });

  it('is its own again when its service is removed', async () => {
    const { ask, pool, serve } = await threeHosts();
    await ask({ type: 'createAggregate', name: 'east', zone: 'east' });
    await ask({ type: 'addAggregateHost', id: 1, host: 'a' });
    const { rows } = await pool.query<{ uuid: string }>(`select service_uuid as uuid from host where name = 'a'`);
    await serve.deleteService({ type: 'deleteService', uuid: rows[0]?.uuid ?? '' } as never, CONTEXT);
    expect(await ask({ type: 'showAggregate', id: 1 })).toMatchObject({ hosts: [] });
  });
});

describe('images that hosts are to fetch', () => {
  it('are remembered until the host has them, and it gets tickets for them alone', async () => {
    const { ask, pool } = await threeHosts();
    await ask({ type: 'createAggregate', name: 'ssd', zone: null });
    for (const host of ['a', 'b']) await ask({ type: 'addAggregateHost', id: 1, host });
    expect(await ask({ type: 'wantImages', id: 1, images: [IMAGE] })).toEqual({ hosts: ['a', 'b'] });
    await ask({ type: 'wantImages', id: 1, images: [IMAGE] });
    const wants = imageWantServe(openQuery(pool));
    expect(await wants.hostWantedImages({ host: 'a' } as never, CONTEXT)).toEqual([IMAGE]);
    const ways = { open: async () => ({ urls: ['http://image.test/1'], token: 't', expiresAtMs: 1 }) };
    const tickets = imageTicketServe({ pool, ways });
    const ticketOf = (host: string) => tickets.hostImageTicket({ host, imageId: IMAGE.id, again: false } as never, CONTEXT);
    expect(await ticketOf('a')).toMatchObject({ token: 't', sizeBytes: 5, hash: null });
    await expect(ticketOf('busy')).rejects.toMatchObject({ code: 'forbidden' });
    await wants.hostImageDone({ host: 'a', imageId: IMAGE.id } as never, CONTEXT);
    expect(await wants.hostWantedImages({ host: 'a' } as never, CONTEXT)).toEqual([]);
    await expect(ticketOf('a')).rejects.toMatchObject({ code: 'forbidden' });
    expect(await wants.hostWantedImages({ host: 'b' } as never, CONTEXT)).toHaveLength(1);
  });
});

describe('figures for operators', () => {
  it('count what projects were promised on a host, and the servers of a period where they were', async () => {
    const { serve, pool } = await threeHosts();
    expect(await serve.hostUse({ host: 'busy' } as never, CONTEXT)).toEqual([{ projectId: 'blue', promised: { vcpus: 1, memoryMiB: 512, diskGiB: 1 } }]);
    expect(await serve.hostUse({ host: 'a' } as never, CONTEXT)).toEqual([]);
    await pool.query(`update host set created_at = '2025-01-01'`);
    const event = { event: 'spawn', startedAt: '2026-01-01T00:00:00.000Z', finishedAt: null, result: null, host: 'b', fault: null };
    const action = { requestId: 'r', action: 'create', userId: 'u', projectId: 'p', startedAt: '', updatedAt: '', message: null, events: [event] };
    await insertInstances(
      pool,
      [
        instanceRecord(2, {
          deleted: true,
          vmState: 'deleted',
          host: null,
          actions: [action],
          launchedAt: '2026-01-01T00:00:02.000Z',
          terminatedAt: '2026-01-02T00:00:00.000Z',
        }),
      ],
      2,
    );
    const at = (beginMs: number, endMs: number) => serve.serversInPeriod({ beginMs, endMs } as never, CONTEXT);
    const year = await at(Date.UTC(2026, 0, 1), Date.UTC(2027, 0, 1));
    expect(year).toEqual([
      { host: 'a', servers: 0 },
      { host: 'b', servers: 1 },
      { host: 'busy', servers: 1 },
    ]);
    expect(await at(Date.UTC(2026, 0, 3), Date.UTC(2026, 0, 4))).toMatchObject([{ servers: 0 }, { servers: 0 }, { host: 'busy', servers: 1 }]);
    expect(await at(Date.UTC(2024, 0, 1), Date.UTC(2024, 1, 1))).toEqual([]);
  });
});
