/** Limits in force and what is used, in one statement. Limit: the user's row, else the project's, the class's, the configured one. */
import { must } from '../../../runtime/base/check.ts';
import { QUOTA_DEFAULTS, type QuotaLimits, type QuotaName, type QuotaNeed } from '../../model/quota.ts';
import type { QuotaView } from '../messages/read.ts';
import type { Query } from './query.ts';

/** The only class that counts. */
const CLASS = 'default';
/** In the tables: the project as a whole. */
const WHOLE_PROJECT = '';

type Limits = { readonly [name in QuotaName]?: number };
type QuotaRead = {
  of_user: Limits | null;
  of_project: Limits | null;
  of_class: Limits | null;
  used: QuotaNeed | null;
  key_pairs: string;
  groups: string;
  security: string;
  addresses: string;
  of_users: Limits | null;
};

const QUOTA = `select
  (select json_object_agg(name, value) from quota_limit where project_id = $1 and user_id = $2 and user_id <> '${WHOLE_PROJECT}') as of_user,
  (select json_object_agg(name, value) from quota_limit where project_id = $1 and user_id = '${WHOLE_PROJECT}') as of_project,
  (select json_object_agg(name, value) from quota_class where class = '${CLASS}') as of_class,
  (select json_build_object('instances', instances, 'cores', cores, 'ram', ram) from quota_use where project_id = $1 and user_id = $2) as used,
  (select count(*) from key_pair where user_id = $2 and user_id <> '${WHOLE_PROJECT}') as key_pairs,
  (select count(*) from server_group where project_id = $1 and ($2 = '${WHOLE_PROJECT}' or user_id = $2)) as groups,
  (select count(*) from security_group where project_id = $1 and ($2 = '${WHOLE_PROJECT}' or user_id = $2)) as security,
  (select count(*) from fixed_ip f join instance i on i.id = f.instance_id where i.project_id = $1 and ($2 = '${WHOLE_PROJECT}' or i.user_id = $2)) as addresses,
  (select json_object_agg(name, total) from (select name, sum(value)::bigint as total from quota_limit
    where project_id = $1 and user_id <> '${WHOLE_PROJECT}' and value > 0 group by name) u) as of_users`;

const NONE_USED: QuotaNeed = { instances: 0, cores: 0, ram: 0 };

export async function readQuota(query: Query, projectId: string, userId: string | null, configured: QuotaLimits): Promise<QuotaView> {
  const [row] = await query<QuotaRead>({ text: QUOTA, values: [projectId, userId ?? WHOLE_PROJECT] });
  const { of_user, of_project, of_class, used, key_pairs, groups, security, addresses, of_users } = must(row, 'a select without from has one row');
  const limits: Record<QuotaName, number> = { ...configured };
  for (const name of QUOTA_NAMES) limits[name] = of_user?.[name] ?? of_project?.[name] ?? of_class?.[name] ?? configured[name];
  return {
    limits,
    used: used ?? NONE_USED,
    keyPairs: Number(key_pairs),
    serverGroups: Number(groups),
    securityGroups: Number(security),
    fixedIps: Number(addresses),
    ofUsers: of_users ?? {},
  };
}

export const QUOTA_NAMES = Object.keys(QUOTA_DEFAULTS).filter((name): name is QuotaName => name in QUOTA_DEFAULTS);
