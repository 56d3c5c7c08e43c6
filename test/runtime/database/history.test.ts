import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keepPartitions, oldestRevision, readHistory } from '../../../runtime/database/history.ts';
import { RUNTIME_SCHEMA } from '../../../runtime/database/tables.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

let postgres: TestPostgres;
let template: string;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
  template = postgres.url;
  await postgres.run(RUNTIME_SCHEMA, template);
}, 60_000);
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(() => postgres?.close());

async function freshCell() {
  const pool = new pg.Pool({ connectionString: await postgres.database(template), max: 4 });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  /** As a batch does: all its events under the next revision. */
  const write = async (revision: number, events: number, at = new Date().toISOString()) => {
    await pool.query(
      `with raised as (update cell set revision = $1)
       insert into event select $1, n, gen_random_uuid(), 'blue', $3 from generate_series(1, $2) n`,
      [revision, events, JSON.stringify({ at })],
    );
  };
  const revisionsAfter = async (after: number, limit: number) => {
    const { rows, upTo } = await readHistory(pool, { after, limit });
    return { revisions: rows.map((row) => row.revision), upTo };
  };
  const partitions = async () => {
    const { rows } = await pool.query<{ name: string }>(`select relname as name from pg_class where relname ~ '^event_[0-9]+$' and relkind = 'r' order by 1`);
    return rows.map((row) => row.name);
  };
  return { pool, write, revisionsAfter, partitions };
}

describe('history', () => {
  it('never cuts a revision, and tells up to where it is whole', async () => {
    const { write, revisionsAfter } = await freshCell();
    await write(1, 2);
    await write(2, 3);
    await write(5, 1);
    expect(await revisionsAfter(0, 10)).toEqual({ revisions: [1, 1, 2, 2, 2, 5], upTo: 5 });
    expect(await revisionsAfter(0, 6)).toEqual({ revisions: [1, 1, 2, 2, 2, 5], upTo: 5 });
    expect(await revisionsAfter(0, 5)).toEqual({ revisions: [1, 1, 2, 2, 2], upTo: 4 });
    expect(await revisionsAfter(0, 4)).toEqual({ revisions: [1, 1], upTo: 1 });
    expect(await revisionsAfter(1, 1)).toEqual({ revisions: [2, 2, 2], upTo: 2 });
    expect(await revisionsAfter(5, 1)).toEqual({ revisions: [], upTo: 5 });
  });

  it('goes up to the revision of the cell when the last changes had no events', async () => {
    const { pool, write, revisionsAfter } = await freshCell();
    expect(await revisionsAfter(0, 10)).toEqual({ revisions: [], upTo: 0 });
    await write(1, 1);
    await pool.query('update cell set revision = 9');
    expect(await revisionsAfter(0, 10)).toEqual({ revisions: [1], upTo: 9 });
  });

  it('read in steps of any size while batches are written shows every event once, in order', async () => {
    const { write, revisionsAfter } = await freshCell();
    const writing = (async () => {
      for (let revision = 1; revision <= 60; revision += 1) await write(revision, 1 + (revision % 7));
    })();
    const seen: number[] = [];
    for (let after = 0, limit = 1; after < 60; limit = (limit % 9) + 1) {
      const page = await revisionsAfter(after, limit);
      expect(page.revisions.every((revision) => revision > after && revision <= page.upTo)).toBe(true);
      seen.push(...page.revisions);
      after = page.upTo;
    }
    await writing;
    const wanted = Array.from({ length: 60 }, (_, i) => Array.from({ length: 1 + ((i + 1) % 7) }, () => i + 1)).flat();
    expect(seen).toEqual(wanted);
  });
});

describe('partitions of events', () => {
  const OLD = '2020-01-01T00:00:00.000Z';

  it('are made a whole one ahead', async () => {
    const { pool, write, partitions } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    expect(await keepPartitions(pool, { partition: 10 })).toEqual({ made: ['event_10'], dropped: [] });
    await write(10, 1);
    expect(await keepPartitions(pool, { partition: 10 })).toEqual({ made: ['event_20'], dropped: [] });
    expect(await keepPartitions(pool, { partition: 10 })).toEqual({ made: [], dropped: [] });
    expect(await partitions()).toEqual(['event_0', 'event_10', 'event_20']);
    expect(await oldestRevision(pool)).toBe(1);
  });

  it('are dropped when they are old and enough newer events are kept, and then a cursor from before is answered gone', async () => {
    const { pool, write, partitions, revisionsAfter } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    await keepPartitions(pool, { partition: 10 });
    await write(3, 2, OLD);
    await write(12, 3, OLD);
    await keepPartitions(pool, { partition: 10 });
    await write(21, 3);
    const keep = { partition: 10, keepMs: 60_000 };
    expect((await keepPartitions(pool, { ...keep, keepEvents: 7 })).dropped).toEqual([]);
    expect((await keepPartitions(pool, { ...keep, keepEvents: 4 })).dropped).toEqual(['event_0']);
    expect(await oldestRevision(pool)).toBe(10);
    expect(await revisionsAfter(9, 10)).toMatchObject({ upTo: 21 });
    await expect(revisionsAfter(8, 10)).rejects.toMatchObject({ code: 'notFound', reason: 'stream.gone', detail: { oldest: 10 } });
    expect((await keepPartitions(pool, { ...keep, keepEvents: 1 })).dropped).toEqual(['event_10']);
    expect((await keepPartitions(pool, { ...keep, keepMs: 0, keepEvents: 1 })).dropped).toEqual([]); // the current one stays
    expect(await partitions()).toEqual(['event_20', 'event_30']);
  });

  it('of young events stay', async () => {
    const { pool, write } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    await keepPartitions(pool, { partition: 10 });
    await write(3, 2);
    await write(12, 9);
    expect((await keepPartitions(pool, { partition: 10, keepMs: 60_000, keepEvents: 1 })).dropped).toEqual([]);
  });

  it('that an ended call left half dropped are dropped by the next', async () => {
    const { pool, write, partitions } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    await keepPartitions(pool, { partition: 10 });
    await write(12, 1);
    await pool.query('alter table event detach partition event_0 concurrently');
    expect((await keepPartitions(pool, { partition: 10 })).dropped).toEqual(['event_0']);
    expect(await partitions()).toEqual(['event_10', 'event_20']);
  });

  it('are changed by one node at a time', async () => {
    const { pool } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    const ends = await Promise.all([1, 2, 3].map(() => keepPartitions(pool, { partition: 10 })));
    expect(ends.flatMap((end) => end.made)).toEqual(['event_10']);
  });

  it('are dropped while readers and writers go on', async () => {
    const { pool, write, revisionsAfter } = await freshCell();
    await pool.query('drop table event_0; create table event_0 partition of event for values from (0) to (10)');
    await keepPartitions(pool, { partition: 10 });
    await write(5, 1, OLD);
    await write(11, 1);
    const reader = await pool.connect();
    await reader.query('begin; select count(*) from event');
    const dropping = keepPartitions(pool, { partition: 10, keepEvents: 1 });
    const waits = `select count(*)::int as waits from pg_stat_activity where wait_event_type = 'Lock' and query like '%concurrently'`;
    for (let found = 0; found === 0;) found = (await pool.query<{ waits: number }>(waits)).rows[0]?.waits ?? 0;
    await write(12, 1);
    expect((await revisionsAfter(10, 10)).revisions).toEqual([11, 12]);
    await expect(revisionsAfter(5, 10)).rejects.toMatchObject({ reason: 'stream.gone' });
    await reader.query('commit');
    reader.release();
    expect((await dropping).dropped).toEqual(['event_0']);
  });
});
