/**
 * The mapper over all record tables of a cell. Its connections have the store's short session timeouts, since a
 * change of records holds the cell's row. State writes, events and lists never go through it.
 */
import pg from 'pg';
import { MikroORM } from '@mikro-orm/postgresql';
import { must } from '../../../runtime/base/check.ts';
import { silentLog, type Log } from '../../../runtime/base/log.ts';
import { SESSION_TIMEOUTS } from '../../../runtime/database/open.ts';
import { reach } from '../../../runtime/database/primary.ts';
import { RECORD_ENTITIES } from '../records/entities.ts';
import { IDENTITY_ENTITIES } from '../tables/identity.ts';
import { IMAGE_ENTITIES } from '../tables/image.ts';

/** Records change rarely, and one at a time per cell: more connections would only wait for the cell's row. */
const CONNECTIONS_MAX = 4;

/** Opens no connection yet. Close it with `orm.close()`. */
export async function openOrm(url: string, log: Log = silentLog): Promise<MikroORM> {
  return MikroORM.init({
    dbName: databaseOf(url),
    entities: [...RECORD_ENTITIES, ...IDENTITY_ENTITIES, ...IMAGE_ENTITIES],
    pool: { min: 0, max: CONNECTIONS_MAX },
    driverOptions: {
      ...reach(url), // read by the driver alone, so that sockets and certificates work as they do elsewhere
      application_name: 'novact-records',
      statement_timeout: SESSION_TIMEOUTS.statementMs,
      idle_in_transaction_session_timeout: SESSION_TIMEOUTS.idleInTransactionMs,
      connectionTimeoutMillis: SESSION_TIMEOUTS.connectMs,
      keepAlive: true,
    },
    forceUtcTimezone: true,
    colors: false,
    logger: (message) => log.warn('records', { message }),
  });
}

/** The database that a connection by this url would open. */
export function databaseOf(url: string): string {
  return must(new pg.Client({ connectionString: reach(url).connectionString }).database, 'the url of a store names its database');
}
