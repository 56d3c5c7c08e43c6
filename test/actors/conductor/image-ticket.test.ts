import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { imageTicketServe } from '../../../actors/conductor/image-ticket.ts';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { cellSecrets } from '../../../actors/conductor/records/secrets.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';
import { insertHost, insertInstances, instanceRecord, uuidOf } from './rows.ts';

const CONTEXT = { signal: new AbortController().signal, commandId: undefined };
const IMAGE = uuidOf(700);
const KERNEL = uuidOf(701);
const RESCUE = uuidOf(703);

let postgres: TestPostgres;
let pool: pg.Pool;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  await migrate({ url: postgres.url });
  pool = new pg.Pool({ connectionString: postgres.url, max: 6 });
  pool.on('error', () => {});
}, 60_000);
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(async () => {
  await pool?.end();
  await postgres?.close();
});

describe('a ticket for an image', () => {
  const asked: { id: string; again: boolean }[] = [];
  const ask = (host: string, imageId: string, again = false) =>
    imageTicketServe({
      pool,
      ways: {
        async open({ id }, isAgain) {
          asked.push({ id, again: isAgain });
          return { urls: ['http://image'], token: 't', expiresAtMs: 7 };
        },
      },
    }).hostImageTicket({ type: 'hostImageTicket', host, imageId, again }, CONTEXT);

  it('is given to a host for what a server with a claim there is made from, with size and hash as the server has them', async () => {
    const usual = instanceRecord(1);
    const hash = { algorithm: 'sha512', hex: 'ab'.repeat(64) } as const;
    const image = { ...usual.image, id: IMAGE, sizeBytes: 77, hash };
    await insertHost(pool, 'h1');
    await insertHost(pool, 'h2');
    await insertInstances(pool, [{ ...usual, image, kernel: { ...image, id: KERNEL, sizeBytes: 5 } }], 1);
    await claim('h1', 'active');
    expect(await ask('h1', IMAGE)).toEqual({ urls: ['http://image'], token: 't', expiresAtMs: 7, sizeBytes: 77, hash });
    expect(await ask('h1', KERNEL, true)).toMatchObject({ sizeBytes: 5 });
    expect(asked).toEqual([
      { id: IMAGE, again: false },
      { id: KERNEL, again: true },
    ]);
  });

  it('is given for what a rescue boots, as long as that runs', async () => {
    const { image } = instanceRecord(1);
    const boot = { image: { ...image, id: RESCUE, sizeBytes: 9 }, kernel: null, ramdisk: null };
    const set = (operation: object | null) =>
      pool.query(`update instance set record = jsonb_set(record::jsonb, '{operation}', $2::jsonb)::json where id = $1`, [uuidOf(1), JSON.stringify(operation)]);
    await set({ name: 'rescue', args: boot });
    expect(await ask('h1', RESCUE)).toMatchObject({ sizeBytes: 9 });
    await set(null);
    await expect(ask('h1', RESCUE)).rejects.toMatchObject({ code: 'forbidden' });
    asked.pop();
  });

  it('is refused for any other image, to any other host, and when the claim is doomed', async () => {
    const refused = { code: 'forbidden', reason: 'image.notClaimed' };
    await expect(ask('h1', uuidOf(702))).rejects.toMatchObject(refused);
    await expect(ask('h2', IMAGE)).rejects.toMatchObject(refused);
    await pool.query(`update claim set role = 'doomed'`);
    await expect(ask('h1', IMAGE)).rejects.toMatchObject(refused);
    expect(asked).toHaveLength(2);
  });

  async function claim(host: string, role: string): Promise<void> {
    await pool.query('insert into claim (instance_id, generation, host, role, vcpus, memory_mib, disk_gib) values ($1, 1, $2, $3, 1, 1, 1)', [
      uuidOf(1),
      host,
      role,
    ]);
  }
});

describe('secrets of a cell', () => {
  const names = ['admin', 'service'] as const;
  let made = 0;
  const make = (): string => `made for this cell ${++made}`;
  const isOurs = async (password: string, hash: string): Promise<boolean> => hash === `hash of ${password}`;
  const read = (kept: { [name: string]: string } = {}) => cellSecrets({ pool, names, kept, isOurs, make });
  beforeEach(async () => {
    await pool?.query('delete from cell_secret; delete from identity_user; delete from identity_domain');
  });

  it('are the same for all nodes, whoever starts at the same time, and stay', async () => {
    const all = await Promise.all(Array.from({ length: 5 }, () => read()));
    expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(all[0]?.admin).not.toBe(all[0]?.service);
    expect(await read({ admin: 'of some other folder', service: 'of some other folder' })).toEqual(all[0]);
  });

  it('are those of the data folder that the cell was made with', async () => {
    await account('service kept here');
    const kept = { admin: 'admin kept here', service: 'service kept here' };
    expect(await read(kept)).toEqual(kept);
    expect(await read()).toEqual(kept);
  });

  it('are not made anew, nor taken from a strange folder, when accounts have them already', async () => {
    await account('known elsewhere');
    const refused = { code: 'conflict', reason: 'secrets.elsewhere' };
    await expect(read()).rejects.toMatchObject(refused);
    await expect(read({ admin: 'of another cloud', service: 'of another cloud' })).rejects.toMatchObject(refused);
    expect((await pool.query('select 1 from cell_secret')).rowCount).toBe(0);
  });

  async function account(password: string): Promise<void> {
    await pool.query(`insert into identity_domain (id, name) values ('default', 'Default')`);
    await pool.query(`insert into identity_user (id, name, domain_id, password_hash) values ('u', 'nova', 'default', $1)`, [`hash of ${password}`]);
  }
});
