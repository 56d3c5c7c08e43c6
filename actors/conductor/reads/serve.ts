/** Joins the reads to the messages that ask for them. Reads take no lock and wake no actor. */
import type pg from 'pg';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { QuotaLimits } from '../../model/quota.ts';
import type { ReadProtocol } from '../messages/read.ts';
import { readEvents, readRevision } from './events.ts';
import { readHosts, readZones } from './hosts.ts';
import { readMigrations } from './migrations.ts';
import { readNodeServices } from './node-services.ts';
import { openQuery } from './query.ts';
import { readQuota } from './quota.ts';
import { openServerReads } from './servers.ts';
import { readUse } from './usage.ts';

export type ReadParts = {
  readonly pool: pg.Pool;
  readonly clock: Clock;
  readonly settings: {
    /** Configured defaults of quotas. */
    readonly quotas: QuotaLimits;
    /** A service is shown as down when its last beat is older. */
    readonly serviceDownMs: number;
    readonly defaultZone: string;
  };
};

export function readServe({ pool, settings }: ReadParts): ServiceKind<ReadProtocol>['serve'] {
  const query = openQuery(pool);
  const servers = openServerReads(query);
  const { serviceDownMs } = settings;
  return {
    listServers: (order) => servers.list(order),
    showServer: ({ id }) => servers.show(id),
    listServersOfHosts: ({ hosts }) => servers.ofHosts(hosts),
    listHosts: ({ withDeleted }) => readHosts(query, { withDeleted: withDeleted ?? false, serviceDownMs }),
    listNodeServices: () => readNodeServices(query, serviceDownMs),
    listZones: () => readZones(query, settings.defaultZone),
    showQuota: ({ projectId, userId }) => readQuota(query, projectId, userId, settings.quotas),
    listMigrations: (order) => readMigrations(query, order),
    listServerUse: (body) => readUse(query, body),
    history: (body) => readEvents(pool, body),
    revision: () => readRevision(pool, query),
  };
}
