/** Two real servers behind one URL; which of them takes writes is changed under open connections. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type pg from 'pg';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { openPool, Session } from '../../../runtime/database/open.ts';
import { checkDatabaseUrl } from '../../../runtime/database/server-check.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

const PASSWORD = 'shared';

let servers: TestPostgres[] = [];
let url = '';
let pool: pg.Pool;
let session: Session;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  servers = [await startTestPostgres(), await startTestPostgres()];
  for (const [i, server] of servers.entries()) {
    await server.run(`create table here (server integer); insert into here values (${i})`, server.url);
    await server.run(`alter role postgres password '${PASSWORD}'`, server.url);
  }
  const [one, two] = servers.map((server) => new URL(server.url));
  url = `postgresql://postgres:${PASSWORD}@${one?.host},${two?.host}${one?.pathname}?target_session_attrs=read-write`;
  await writable(1);
  pool = openPool({ url, max: 2, log: silentLog });
  session = new Session({ url, name: 'writer', clock: systemClock, log: silentLog });
}, 120_000);

afterAll(async () => {
  await session?.close();
  await pool?.end();
  await Promise.all(servers.map((server) => server.close()));
});

describe.skipIf(mayLackPostgres())('a URL that names several servers', () => {
  it('leads to the one that takes writes', async () => {
    expect(await readBy(() => pool.query('select server from here'))).toBe(1);
    expect(await readBy(() => session.run('where', 'select server from here', []))).toBe(1);
    expect(await checkDatabaseUrl({ url, clock: systemClock, signal: AbortSignal.timeout(20_000) })).toEqual({ version: expect.any(String) });
  });

  it('leads to the other one when a write is refused, and takes those who only read along', async () => {
    await writable(0);
    await told('on');
    // The former primary goes on answering, as one does that nobody could tell.
    expect(await readBy(() => pool.query('select server from here'))).toBe(1);
    await expect(session.run('mark', 'insert into here values (9)', [])).rejects.toMatchObject({ code: 'unavailable' });
    await session.run('mark', 'insert into here values (9)', []);
    expect(await readBy(() => session.run('where', 'select server from here where server < 9', []))).toBe(0);
    expect(await readBy(() => pool.query('select server from here where server < 9'))).toBe(0);
  });

  it('waits as unavailable while none takes writes', async () => {
    await writable(undefined);
    await told('on');
    await expect(session.run('mark', 'insert into here values (9)', [])).rejects.toMatchObject({ code: 'unavailable' });
    await expect(session.run('mark', 'insert into here values (9)', [])).rejects.toMatchObject({ code: 'unavailable', reason: 'store.away' });
    await writable(1);
    await session.run('mark', 'insert into here values (9)', []);
  });
});

/** A session hears of a setting between two of its statements, and not at once. */
async function told(setting: string): Promise<void> {
  for (;;) {
    const { rows } = await session.run<{ is: string }>('told', `select current_setting('default_transaction_read_only') as is`, []);
    if (rows[0]?.is === setting) return;
    await systemClock.sleep(10);
  }
}

async function readBy(read: () => Promise<pg.QueryResult<{ server: number }>>): Promise<number | undefined> {
  return (await read()).rows[0]?.server;
}

/** The sessions that are open see it, too: they have set nothing of their own. */
async function writable(which: number | undefined): Promise<void> {
  for (const [i, server] of servers.entries()) {
    const direct = `postgresql://postgres:${PASSWORD}@${new URL(server.url).host}/postgres`;
    await server.run(`alter system set default_transaction_read_only = ${i === which ? 'off' : 'on'}`, direct);
    await server.run('select pg_reload_conf()', direct);
  }
}
