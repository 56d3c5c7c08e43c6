/** Joins the plain records to the messages that ask for them and change them. */
import type { MikroORM } from '@mikro-orm/postgresql';
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import type { AggregateProtocol } from '../messages/aggregate.ts';
import type { OperatorProtocol } from '../messages/operator.ts';
import type { RecordProtocol } from '../messages/record.ts';
import { hostUse, serversInPeriod } from '../reads/operator.ts';
import { openQuery } from '../reads/query.ts';
import type { ReadParts } from '../reads/serve.ts';
import { aggregateServe } from './aggregates.ts';
import { flavorServe } from './flavors.ts';
import { keyPairServe } from './key-pairs.ts';
import { networkServe } from './networks.ts';
import { quotaServe } from './quotas.ts';
import { securityGroupServe } from './security-groups.ts';
import { serverGroupServe } from './server-groups.ts';
import { serviceServe } from './services.ts';

export type RecordParts = ReadParts & { readonly orm: MikroORM };

export function recordServe({ orm, pool, clock, settings }: RecordParts): ServiceKind<RecordProtocol & AggregateProtocol & OperatorProtocol>['serve'] {
  const query = openQuery(pool);
  return {
    ...flavorServe(orm, query),
    ...keyPairServe(orm, query, settings.quotas),
    ...quotaServe(orm, query),
    ...serverGroupServe(orm, query, settings.quotas),
    ...securityGroupServe(orm, query, settings.quotas),
    ...networkServe(query),
    ...aggregateServe(orm, query),
    hostUse: ({ host }) => hostUse(query, host),
    serversInPeriod: (period) => serversInPeriod(query, period),
    ...serviceServe({ orm, query, clock, serviceDownMs: settings.serviceDownMs }),
  };
}
