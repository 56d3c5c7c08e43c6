import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startCloud, type Cloud } from '../../doubles/cloud.ts';
import { Socket, type Message } from './rig.ts';

let cloud: Cloud;
beforeAll(async () => {
  cloud = await startCloud();
});
afterAll(() => cloud.close());

const place = (): { url: string } => ({ url: new URL(cloud.urls.compute).host });

async function open(token: string): Promise<Socket> {
  return Socket.open(place(), token);
}

async function create(name: string, token: string, count = 1): Promise<void> {
  const images = await cloud.api<{ images: { id: string }[] }>('GET', `${cloud.urls.image}/v2/images`);
  const flavors = await cloud.api<{ flavors: { id: string; name: string }[] }>('GET', '/flavors');
  const flavorRef = flavors.body.flavors.find((flavor) => flavor.name === 'm1.tiny')?.id ?? '';
  const server = { name, imageRef: images.body.images[0]?.id, flavorRef, min_count: count, max_count: count };
  expect((await cloud.api('POST', '/servers', { server }, { token })).status).toBe(202);
}

type Row = { revision: number; id: string; project: string; status: string };

async function eventRows(): Promise<Row[]> {
  const client = new pg.Client({ connectionString: cloud.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ revision: string; id: string; project: string; status: string }>(
      `select revision, id, project_id as project, body->>'status' as status from event order by revision, ord`,
    );
    return rows.map((row) => ({ ...row, revision: Number(row.revision) }));
  } finally {
    await client.end();
  }
}

const shown = (messages: readonly Message[]): [number, string, string][] =>
  messages.filter(({ type }) => type === 'event').map(({ revision, id, status }) => [revision, id, status]);

it('a running cloud tells every row of its history once, in order, over a kill and a restart, and no foreign project', async () => {
  const [demo, admin] = [await cloud.demoToken(), await cloud.adminToken()];
  const watcher = await open(demo);
  watcher.subscribe({ from: 'snapshot' });
  const all = await open(admin);
  all.subscribe({ scope: 'all' });
  const began = await watcher.next('synced');
  await all.next('synced');
  await create('mine', demo, 3);
  await create('theirs', admin, 2);
  for (let i = 0; i < 5; i++) await all.next('event', ({ was, status }) => was === 'BUILD' && status === 'ACTIVE');
  const { revision } = await watcher.next('bookmark', (bookmark) => bookmark['revision'] >= (shown(all.messages).at(-1)?.[0] ?? 0));
  const created = watcher.of('event').find(({ change }) => change === 'created');
  expect(created).toMatchObject({ was: null, status: 'BUILD', cause: { operation: 'create' }, record: { host: null } });
  expect(created?.['cause'].requestId).toMatch(/^req-/);

  await cloud.kill9();
  await Promise.all([watcher.closed, all.closed]);
  await cloud.restart();
  const again = await open(await cloud.demoToken());
  again.subscribe({ from: { revision, incarnation: began['incarnation'] } });
  await again.next('synced');
  const [server] = (await cloud.api<{ servers: { id: string }[] }>('GET', '/servers', undefined, { token: await cloud.demoToken() })).body.servers;
  await cloud.api('DELETE', `/servers/${server?.id}`, undefined, { token: await cloud.demoToken() });
  expect(await again.next('event', ({ change }) => change === 'deleted')).toMatchObject({ id: server?.id, status: 'DELETED' });
  const { revision: until } = await again.next('bookmark');

  const rows = await eventRows();
  const mine = new Set(watcher.of('event').map(({ record }) => record.projectId));
  expect(mine.size).toBe(1);
  const wanted = rows.filter((row) => mine.has(row.project) && row.revision > began['revision'] && row.revision <= until);
  expect([...shown(watcher.messages), ...shown(again.messages)]).toEqual(wanted.map((row) => [row.revision, row.id, row.status]));
  expect(shown(all.messages)).toEqual(rows.filter((row) => row.revision <= revision).map((row) => [row.revision, row.id, row.status]));
  const other = await open(await cloud.demoToken());
  other.subscribe({ from: 'snapshot' });
  await other.next('synced');
  expect(other.of('object').map(({ record }) => [record.status, record.projectId])).toEqual([1, 2].map(() => ['ACTIVE', [...mine][0]]));
});
