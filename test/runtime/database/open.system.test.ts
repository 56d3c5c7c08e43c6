/** A commit that no standby has is not acknowledged, whatever the server says. On a real server that waits for one that never comes. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { OutcomeUnknown } from '../../../runtime/database/batch.ts';
import { Session } from '../../../runtime/database/open.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

const TIMEOUTS = { statementMs: 500, idleInTransactionMs: 500, connectMs: 2_000 };
const WAITING = `select pid from pg_stat_activity where application_name = 'novact-writer' and wait_event = 'SyncRep'`;

let postgres: TestPostgres | undefined;
let watcher: pg.Client;
let session: Session;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  await postgres.run('create table kept (n integer)', postgres.url);
  await postgres.run(`alter system set synchronous_standby_names = 'nobody'`);
  await postgres.run('select pg_reload_conf()');
  await postgres.run(`alter database ${new URL(postgres.url).pathname.slice(1)} set synchronous_commit = on`);
  watcher = new pg.Client({ connectionString: postgres.url });
  watcher.on('error', () => undefined); // the server ends before it
  await watcher.connect();
  session = new Session({ url: postgres.url, name: 'writer', clock: systemClock, log: silentLog, timeouts: TIMEOUTS });
});

afterAll(async () => {
  await watcher?.end();
  await session?.close();
  await postgres?.close();
});

describe.skipIf(mayLackPostgres())('a commit that waits for its standby', () => {
  it('has an unknown outcome when the wait is longer than a statement may take', async () => {
    await expect(session.run('keep', 'insert into kept values ($1)', [1])).rejects.toBeInstanceOf(OutcomeUnknown);
    await ended();
  });

  it('has an unknown outcome when the wait is cancelled, although the server then says done', async () => {
    const writing = session.run('keep', 'insert into kept values ($1)', [2]);
    writing.catch(() => undefined); // awaited below
    await ended();
    await expect(writing).rejects.toMatchObject({ name: 'OutcomeUnknown', cause: { message: expect.stringContaining('standby') } });
    const { rows } = await watcher.query<{ n: number }>('select n from kept order by n');
    expect(rows.map(({ n }) => n)).toEqual([1, 2]); // here, and nowhere else
  });

  it('leaves a session that reads on', async () => {
    expect((await session.run('count', 'select count(*)::int as n from kept', [])).rows).toEqual([{ n: 2 }]);
  });
});

/** Cancels what waits, as an operator may, once there is something. */
async function ended(): Promise<void> {
  for (;;) {
    const { rows } = await watcher.query<{ pid: number }>(WAITING);
    if (rows.length > 0) return void (await watcher.query(`select pg_cancel_backend($1)`, [rows[0]?.pid]));
    await systemClock.sleep(10);
  }
}
