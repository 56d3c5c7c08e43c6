/** Networks that servers can be attached to. */
import type { ServiceKind } from '../../../runtime/actor/kind.ts';
import type { NetworkRecord } from '../../model/addressing.ts';
import type { RecordProtocol } from '../messages/record.ts';
import type { Query } from '../reads/query.ts';

const NETWORKS_MAX = 10_000;

const NETWORKS = `select id, label, cidr::text as cidr, host(gateway) as gateway, project_id as "projectId" from network
  where $1::text is null or project_id is null or project_id = $1 order by label limit ${NETWORKS_MAX}`;

export function networkServe(query: Query): Pick<ServiceKind<RecordProtocol>['serve'], 'listNetworks'> {
  return { listNetworks: ({ projectId }) => query<NetworkRecord>({ text: NETWORKS, values: [projectId] }) };
}
