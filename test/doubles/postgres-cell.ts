/** The rig of the store's suite on a database of a real PostgreSQL. */
import pg from 'pg';
import { migrate } from '../../actors/conductor/migrations/migrate.ts';
import { openPgStore } from '../../actors/conductor/store.ts';
import { QUOTA_DEFAULTS } from '../../actors/model/quota.ts';
import type { Claim } from '../../actors/model/placement.ts';
import { systemClock } from '../../runtime/base/clock.ts';
import { noFailpoint } from '../../runtime/base/failpoint.ts';
import { silentLog } from '../../runtime/base/log.ts';
import { Session } from '../../runtime/database/open.ts';
import type { CellDump, StoreRig } from '../contract/store-rig.ts';
import type { TestPostgres } from './postgres.ts';

/** Makes the database that the rigs of one file use one after the other: emptying it is faster than making another. */
export async function migratedDatabase(postgres: TestPostgres): Promise<string> {
  const url = await postgres.database();
  await migrate({ url });
  return url;
}

export async function postgresRig(url: string): Promise<StoreRig & { readonly url: string; readonly pool: pg.Pool }> {
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  pool.on('error', () => {}); // the server may be closed meanwhile
  await pool.query(EMPTY);
  const sessions: Session[] = [];
  const limit = (table: string, keys: string[], values: string[], limits: object) =>
    Promise.all(
      Object.entries(limits).map(([name, value]) =>
        pool.query(
          `insert into ${table} (${keys.join(', ')}, name, value) values (${values.map((_, i) => `$${i + 1}`).join(', ')}, $${values.length + 1}, $${values.length + 2})
           on conflict (${keys.join(', ')}, name) do update set value = excluded.value`,
          [...values, name, value],
        ),
      ),
    );
  return {
    url,
    pool,
    async open() {
      const writer = new Session({ url, name: 'write', clock: systemClock, log: silentLog });
      sessions.push(writer);
      return openPgStore({ pool, writer, clock: systemClock, log: silentLog, quotas: QUOTA_DEFAULTS, failpoint: noFailpoint });
    },
    async take() {
      await pool.query('with cell_row as (select revision from cell for update) update shard set epoch = epoch + 1 from cell_row');
      const { rows } = await pool.query<{ epoch: string }>('select epoch from shard where id = 0');
      return Number(rows[0]?.epoch);
    },
    async addNetwork({ id, label, cidr, gateway, projectId }) {
      await pool.query('insert into network (id, label, cidr, gateway, project_id) values ($1, $2, $3, $4, $5)', [id, label, cidr, gateway, projectId]);
    },
    async addAggregate({ id, metadata, hosts }) {
      await pool.query('insert into aggregate (id, name, metadata) values ($1, $2, $3)', [id, `aggregate-${id}`, JSON.stringify(metadata)]);
      await pool.query('insert into aggregate_host (aggregate, host) select $1, unnest($2::text[])', [id, hosts]);
    },
    setLimit: async (project, user, limits) => void (await limit('quota_limit', ['project_id', 'user_id'], [project, user], limits)),
    async addGroup({ id, projectId, userId, name, policy, perHost }) {
      const text = 'insert into server_group (id, project_id, user_id, name, policy, per_host) values ($1, $2, $3, $4, $5, $6)';
      await pool.query(text, [id, projectId, userId, name, policy, perHost]);
    },
    async addSecurityGroup(project, name) {
      await pool.query("insert into security_group (id, project_id, user_id, name, description) values (gen_random_uuid(), $1, '', $2, '')", [project, name]);
    },
    setDefaultClass: async (limits) => void (await limit('quota_class', ['class'], ['default'], limits)),
    dump: () => dumpDatabase(pool),
    async close() {
      for (const session of sessions) await session.close();
      await pool.end();
    },
  };
}

const EMPTY = `truncate aggregate, aggregate_host, image_wanted, instance, host, host_beat, claim, quota_use, quota_limit, quota_class, network, fixed_ip, idempotency, event, migration, server_group, security_group, security_group_rule;
  update cell set revision = 0, last_number = 0; update shard set epoch = 0;`;

/** One snapshot of everything, so that it can be taken while others write. */
async function dumpDatabase(pool: pg.Pool): Promise<CellDump> {
  const { rows } = await pool.query<{ dump: CellDump }>(DUMP);
  const [row] = rows;
  if (!row) throw new Error('a dump is one row');
  const { dump } = row;
  const instances = dump.instances.map((found) => ({ ...found, record: { ...found.record, number: found.number } }));
  return { ...dump, instances, claims: dump.claims as Claim[] };
}

const list = (select: string, order: string): string => `(select coalesce(json_agg(row_to_json(x)), '[]') from (${select} order by ${order}) x)`;
const DUMP = `select json_build_object(
  'revision', (select revision from cell), 'lastNumber', (select last_number from cell),
  'instances', ${list('select id, number, version, revision, open, due_at_ms as "dueAtMs", deleted, generation, host, record from instance', 'id')},
  'hosts', ${list(`select name, epoch, json_build_object('vcpus', used_vcpus, 'memoryMiB', used_memory_mib, 'diskGiB', used_disk_gib) as used, claims from host`, 'name')},
  'claims', ${list(`select instance_id as "instanceId", generation, host, role, json_build_object('vcpus', vcpus, 'memoryMiB', memory_mib, 'diskGiB', disk_gib) as need from claim`, 'instance_id, generation')},
  'quota', ${list('select project_id as project, user_id as "user", instances, cores, ram from quota_use', 'project_id, user_id')},
  'fixedIps', ${list('select network_id as "networkId", host(address) as address, instance_id as "instanceId", mac from fixed_ip', 'network_id, host(address)')},
  'events', ${list('select revision, ord, id, project_id as "projectId", body from event', 'revision, ord')},
  'idempotency', ${list('select project_id as project, key, body_hash as "bodyHash", instances from idempotency', 'project_id, key')},
  'migrations', ${list('select uuid, instance_id as "instanceId", type, status, source, dest from migration', 'uuid')}
) as dump`;
