/**
 * Opens the store of a cell for a control node: schema, connections, write batch, reads, records, duties. What the
 * rest of the node gets is here; connections and their statements stay inside.
 */
import type { MikroORM } from '@mikro-orm/postgresql';
import type pg from 'pg';
import type { ServiceKind } from '../../runtime/actor/kind.ts';
import { must } from '../../runtime/base/check.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import type { Failpoint } from '../../runtime/base/failpoint.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { Random } from '../../runtime/base/random.ts';
import { nodeTable, type StoredNodeTable } from '../../runtime/database/node-table.ts';
import { openPool, Session, type SessionTimeouts } from '../../runtime/database/open.ts';
import { shardTable, type ShardTable } from '../../runtime/database/shard-table.ts';
import type { QuotaLimits } from '../model/quota.ts';
import { Duties } from './duties.ts';
import { Incarnation } from './incarnation.ts';
import { imageTicketServe, type ImageWays } from './image-ticket.ts';
import { imageWantServe } from './image-wants.ts';
import { conductorKind } from './kind.ts';
import { migrate } from './migrations/migrate.ts';
import { openOrm } from './migrations/orm.ts';
import type { ClusterView } from './node-door.ts';
import { openQuery } from './reads/query.ts';
import { readServe } from './reads/serve.ts';
import { identityServe } from './records/identity.ts';
import { imageServe } from './records/image.ts';
import { cellSecrets, type CellSecretParts } from './records/secrets.ts';
import { seedRecords } from './records/seed.ts';
import { LeftImages, snapshotServe, type ImageDesk } from './snapshot-images.ts';
import { snapshotRows } from './snapshot-rows.ts';
import { recordServe } from './records/serve.ts';
import { openPgStore, type CellStore } from './store.ts';

export type ConductorParts = {
  readonly url: string;
  readonly poolMax: number;
  readonly timeouts: SessionTimeouts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly failpoint: Failpoint;
  readonly quotas: QuotaLimits;
  readonly zone: string;
  readonly network: Parameters<typeof seedRecords>[0]['network'];
  /** A service is shown as down when its last beat is older. */
  readonly serviceDownMs: number;
  /** Where the node remembers how far it saw the store. */
  readonly memoryFile: string;
};

export type Conductor = {
  readonly store: CellStore;
  readonly nodes: StoredNodeTable;
  readonly shards: ShardTable;
  readonly kind: (view: Omit<ClusterView, 'nodes'>, ways: ImageWays & ImageDesk) => ServiceKind;
  readonly secrets: <Name extends string>(parts: Omit<CellSecretParts<Name>, 'pool'>) => Promise<{ readonly [name in Name]: string }>;
  /** Rejects when the database does not answer. */
  readonly check: () => Promise<void>;
  readonly close: () => Promise<void>;
};

export async function openConductor(parts: ConductorParts): Promise<Conductor> {
  const { url, clock, random, log, timeouts, quotas, failpoint } = parts;
  const orm: MikroORM = await openOrm(url, log);
  await seedRecords({ orm, network: parts.network, newId: () => random.uuid() });
  const pool = openPool({ url, max: parts.poolMax, log, timeouts });
  const session = (name: string): Session => new Session({ url, name, clock, log, timeouts });
  // A connection each: a beat never waits behind a change of owner, nor that behind a commit.
  const [writer, beats, owners, members] = [session('writer'), session('beats'), session('shards'), session('members')];
  const store = openPgStore({ pool, writer, clock, log, quotas, failpoint });
  const incarnation = new Incarnation({ pool, clock, log, file: parts.memoryFile });
  await incarnation.open();
  const duties = new Duties({ pool, clock, log });
  await duties.open();
  const nodes = nodeTable(beats, members);
  const settings = { quotas, serviceDownMs: parts.serviceDownMs, defaultZone: parts.zone };
  const records = {
    ...readServe({ pool, clock, settings }),
    ...recordServe({ pool, orm, clock, settings }),
    ...identityServe({ orm }),
    ...imageServe({ orm }),
    ...imageWantServe(openQuery(pool)),
  };
  let left: LeftImages | undefined;
  return {
    store,
    nodes,
    shards: shardTable(owners),
    kind(view, ways) {
      left ??= new LeftImages({ rows: snapshotRows(pool), desk: ways, clock, log });
      const images = { ...imageTicketServe({ pool, ways }), ...snapshotServe({ rows: snapshotRows(pool), desk: ways, log }) };
      return conductorKind(store, { ...records, ...images }, { ...view, nodes });
    },
    secrets: (wanted) => cellSecrets({ ...wanted, pool }),
    async check() {
      await pool.query('select 1');
    },
    async close() {
      await left?.close();
      await duties.close();
      await store.close();
      await incarnation.close();
      await Promise.all([writer.close(), beats.close(), owners.close(), members.close(), pool.end(), orm.close()]);
    },
  };
}

/** Brings the schema up to date; answers with the cluster's own number, by which nodes know one another. */
export async function openCell(url: string, log: Log): Promise<{ readonly cluster: string }> {
  await migrate({ url, log });
  const pool: pg.Pool = openPool({ url, max: 1, log });
  try {
    const { rows } = await pool.query<{ cluster: string }>('select cluster from cell');
    return { cluster: must(rows[0], 'a cell has its row').cluster };
  } finally {
    await pool.end();
  }
}
