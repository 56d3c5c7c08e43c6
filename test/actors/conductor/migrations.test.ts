import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { migrate } from '../../../actors/conductor/migrations/migrate.ts';
import { openOrm } from '../../../actors/conductor/migrations/orm.ts';
import { STEP_NAMES } from '../../../actors/conductor/migrations/step-names.ts';
import { mayLackPostgres, startTestPostgres, type TestPostgres } from '../../doubles/postgres.ts';

let postgres: TestPostgres;

beforeAll(async () => {
  if (mayLackPostgres()) return;
  postgres = await startTestPostgres();
}, 60_000);
beforeEach((ctx) => ctx.skip(mayLackPostgres(), 'needs PostgreSQL'));
afterAll(() => postgres?.close());

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

describe('migrate', () => {
  it('makes the schema once, whoever starts at the same time', async () => {
    const url = await postgres.database();
    const ends = await Promise.all([1, 2, 3].map(() => migrate({ url })));
    expect(ends.flatMap((end) => end.applied)).toEqual([...STEP_NAMES]);
    const client = await connected(url);
    const { rows } = await client.query('select revision, last_number, (select count(*) from shard) as shards from cell');
    expect(rows).toEqual([{ revision: '0', last_number: '0', shards: '1024' }]);
  });

  it('changes nothing in a cell that is up to date', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    const state = async () => (await client.query('select * from schema_state, schema_step')).rows;
    const before = await state();
    expect(await migrate({ url })).toEqual({ applied: [] });
    expect(await state()).toEqual(before);
  });

  it('lets servers of a cell from before belong to groups', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    await client.query(`update schema_state set steps = array_remove(steps, '009-server-groups'); delete from schema_step where name = '009-server-groups';
      drop table server_group, security_group_rule, security_group; alter table instance drop column group_id`);
    expect((await migrate({ url })).applied).toEqual(['009-server-groups']);
    expect((await client.query('select i.group_id, g.policy, s.name from instance i, server_group g, security_group s')).rows).toEqual([]);
    const { rows } = await client.query("select indexdef from pg_indexes where indexname = 'instance_group'");
    expect(rows).toHaveLength(1);
  });

  it('lets endpoints that a start has made follow the node that is asked, and leaves what administrators made', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    await client.query(`update schema_state set steps = array_remove(steps, '004-many-doors'); delete from schema_step where name = '004-many-doors';
      alter table image drop column upload_node;
      insert into identity_region (id) values ('RegionOne');
      insert into identity_service (id, type, name) values ('c', 'compute', 'nova'), ('i', 'image', 'glance'), ('k', 'identity', 'keystone'), ('o', 'compute', 'other');
      insert into identity_endpoint (id, service_id, region_id, interface, url) values
        ('1', 'c', 'RegionOne', 'public', 'http://127.0.0.1:8774/v2.1'), ('2', 'i', 'RegionOne', 'public', 'http://[::1]:9292'),
        ('3', 'k', 'RegionOne', 'public', 'http://10.0.0.1:5000/v3'), ('4', 'o', 'RegionOne', 'public', 'http://10.0.0.1:8774/v2.1'),
        ('5', 'c', 'RegionOne', 'admin', 'https://compute.example.org/v2.1')`);
    expect((await migrate({ url })).applied).toEqual(['004-many-doors']);
    const { rows } = await client.query<{ url: string }>('select url from identity_endpoint order by id');
    expect(rows.map((row) => row.url)).toEqual(['{compute}/v2.1', '{image}', '{identity}/v3', 'http://10.0.0.1:8774/v2.1', 'https://compute.example.org/v2.1']);
    expect((await client.query('select upload_node from image')).rows).toEqual([]);
  });

  it('replaces functions whose text is not what this program wants', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    await client.query(`create or replace function novact_room(allowed bigint, used bigint, each_ bigint) returns bigint language sql as 'select -7'`);
    await client.query(`update schema_state set hash = 'of another text'`);
    expect(await migrate({ url })).toEqual({ applied: [] });
    expect((await client.query('select novact_room(10, 4, 2) as room')).rows).toEqual([{ room: '3' }]);
  });

  it('does not bring back a partition of events that was dropped', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    await client.query(`drop table event_0; update schema_state set hash = 'of another text'`);
    await migrate({ url });
    expect((await client.query(`select to_regclass('event_0') as event`)).rows).toEqual([{ event: null }]);
  });

  it('leaves a cell of a newer program as it is', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const client = await connected(url);
    await client.query(`update schema_state set steps = steps || '999-of-tomorrow'::text, hash = 'of tomorrow'`);
    expect(await migrate({ url })).toEqual({ applied: [] });
    expect((await client.query('select hash from schema_state')).rows).toEqual([{ hash: 'of tomorrow' }]);
  });

  it('fails as unavailable when the database is away', async () => {
    await expect(migrate({ url: 'postgres://nobody@127.0.0.1:1/none' })).rejects.toMatchObject({ code: 'unavailable', reason: 'store.away' });
  });
});

describe('the mapper', () => {
  it('has the short session timeouts of the store, since its changes hold the row of the cell', async () => {
    const orm = await openOrm(postgres.url);
    onTestFinished(() => orm.close(true));
    const rows = await orm.em
      .fork()
      .execute(`select current_setting('statement_timeout') as statement, current_setting('idle_in_transaction_session_timeout') as idle`);
    expect(rows).toEqual([{ statement: '2s', idle: '2s' }]);
  });

  it('maps only columns that the schema has', async () => {
    const url = await postgres.database();
    await migrate({ url });
    const orm = await openOrm(url);
    onTestFinished(() => orm.close(true));
    const client = await connected(url);
    const { rows } = await client.query<{ column: string }>(`select table_name || '.' || column_name as column from information_schema.columns`);
    const columns = new Set(rows.map((row) => row.column));
    const mapped = [...orm.getMetadata().getAll().values()].flatMap((meta) =>
      meta.props.filter((prop) => prop.persist !== false).flatMap((prop) => (prop.fieldNames ?? []).map((field) => `${meta.tableName}.${field}`)),
    );
    expect(mapped.length).toBeGreaterThan(40);
    expect(mapped.filter((column) => !columns.has(column))).toEqual([]);
  });
});
