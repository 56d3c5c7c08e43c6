import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { snapshotServe, type ImageDesk } from '../../../actors/conductor/snapshot-images.ts';
import { snapshotRows } from '../../../actors/conductor/snapshot-rows.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Operation } from '../../../actors/model/operation.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';
import { insertHost, insertInstances, instanceRecord, uuidOf } from './rows.ts';

const CONTEXT = { signal: new AbortController().signal, commandId: undefined };
const SERVER = uuidOf(1);
const IMAGE = uuidOf(700);
const DRAFT = { id: IMAGE, name: 'copy', owner: 'blue', minDiskGiB: 1, minMemoryMiB: 0, properties: { instance_uuid: SERVER } };
const REF = { ...instanceRecord(1).image, id: IMAGE };

let postgres: TestPostgres;
let pool: pg.Pool;
/** Images by id: whether they have bytes. */
const images = new Map<string, boolean>();
const desk: ImageDesk = {
  make: async ({ id }) => void (images.has(id) || images.set(id, false)),
  describe: async () => {},
  show: async (id) => (images.has(id) ? { image: { ...REF, id }, hasBytes: images.get(id) === true } : null),
  write: async () => ({ urls: ['http://image'], token: 't', expiresAtMs: 7 }),
  backups: async () => [...images.keys()].reverse(),
  drop: async (id) => void images.delete(id),
};
const serve = () => snapshotServe({ rows: snapshotRows(pool), desk, log: silentLog });
const make = () => serve().snapshotImage({ type: 'snapshotImage', instanceId: SERVER, imageId: IMAGE }, CONTEXT);
const left = () => serve().snapshotLeft({ type: 'snapshotLeft', imageId: IMAGE }, CONTEXT);
const ticket = (host: string) => serve().hostUploadTicket({ type: 'hostUploadTicket', host, instanceId: SERVER, imageId: IMAGE, again: false }, CONTEXT);
const settle = (isKept = false, rotate: { backupType: string; rotation: number } | null = null) =>
  serve().snapshotSettle({ type: 'snapshotSettle', instanceId: SERVER, imageId: IMAGE, rotate, isKept }, CONTEXT);
const remembered = async (): Promise<number> => (await pool.query('select 1 from snapshot_image')).rowCount ?? 0;

/** The server, with or without an operation that is about the image. */
async function server(more: Partial<InstanceRecord>): Promise<void> {
  await pool.query('delete from claim; delete from instance');
  await insertInstances(pool, [instanceRecord(1, more)], 1);
  await pool.query(`insert into claim (instance_id, generation, host, role, vcpus, memory_mib, disk_gib) values ($1, 1, 'h1', 'active', 1, 1, 1)`, [SERVER]);
}
const making = { operation: { name: 'createImage', args: { image: DRAFT } } as unknown as Operation };

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  await migrate({ url: postgres.url });
  pool = new pg.Pool({ connectionString: postgres.url, max: 6 });
  pool.on('error', () => {});
  await insertHost(pool, 'h1');
  await insertHost(pool, 'h2');
}, 60_000);
beforeEach(async (ctx) => {
  ctx.skip(mayLackPostgres(), 'needs PostgreSQL');
  images.clear();
  await pool.query('delete from snapshot_image');
  await server(making);
});
afterAll(async () => {
  await pool?.end();
  await postgres?.close();
});

describe('an image of a server', () => {
  it('is made while an open operation is about it, and looked after from before it is there', async () => {
    await make();
    await make();
    expect([[...images], await remembered()]).toEqual([[[IMAGE, false]], 1]);
    await server({ operation: null });
    await expect(make()).rejects.toMatchObject({ code: 'conflict', reason: 'snapshot.over' });
  });

  it('is written by the host that has the server, and nobody else; a whole one needs nothing more', async () => {
    await make();
    expect(await ticket('h1')).toEqual({ is: 'open', urls: ['http://image'], token: 't', expiresAtMs: 7 });
    await expect(ticket('h2')).rejects.toMatchObject({ code: 'forbidden' });
    images.set(IMAGE, true);
    expect(await ticket('h1')).toEqual({ is: 'done' });
    images.clear();
    await expect(ticket('h1')).rejects.toMatchObject({ code: 'notFound' });
    await server({ operation: null });
    await expect(ticket('h1')).rejects.toMatchObject({ code: 'forbidden' });
  });

  it('belongs to its project alone once it is whole, and is never removed then', async () => {
    await make();
    await expect(settle()).rejects.toMatchObject({ code: 'conflict' });
    images.set(IMAGE, true);
    expect(await settle()).toMatchObject({ id: IMAGE });
    await server({ operation: null });
    await left();
    expect([images.get(IMAGE), await remembered()]).toEqual([true, 0]);
  });

  it('is left alone while somebody needs it: an open operation, a shelved server', async () => {
    await make();
    await left();
    expect(images.has(IMAGE)).toBe(true);
    images.set(IMAGE, true);
    await settle(true);
    await server({ vmState: 'shelved_offloaded', operation: null, shelved: { image: REF, offloadDueMs: null } });
    await left();
    expect([images.has(IMAGE), await remembered()]).toEqual([true, 1]);
  });

  it('goes when nobody needs it any more, and is looked after until what comes late has come', async () => {
    for (const more of [{ operation: null }, { ...making, deleted: true, vmState: 'deleted', operation: null }] as const) {
      await server(making);
      await make();
      await server(more);
      await left();
      expect([images.size, await remembered()]).toEqual([0, 1]);
    }
    images.set(IMAGE, false); // made late, by an ask of before
    await left();
    expect(images.size).toBe(0);
    await pool.query(`update snapshot_image set made_at = made_at - interval '3 minutes'`);
    await left();
    expect(await remembered()).toBe(0);
  });

  it('takes the place of the oldest backups beyond those that are to be left', async () => {
    for (const n of [1, 2, 3]) images.set(uuidOf(700 + n), true);
    images.set(IMAGE, true);
    await settle(false, { backupType: 'daily', rotation: 2 });
    expect([...images.keys()]).toEqual([uuidOf(703), IMAGE]);
  });
});
