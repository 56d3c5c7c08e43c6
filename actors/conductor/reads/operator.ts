/** Figures for operators, counted when they are asked for: nothing is kept that could differ from the servers' records. */
import type { OperatorProtocol } from '../messages/operator.ts';
import type { Query } from './query.ts';

/** Projects with servers on one host. */
const PROJECTS_MAX = 10_000;

const USE = `select i.project_id as "projectId", json_build_object('vcpus', sum(c.vcpus)::integer, 'memoryMiB', sum(c.memory_mib)::bigint,
    'diskGiB', sum(c.disk_gib)::bigint) as promised
  from claim c join instance i on i.id = c.instance_id where c.host = $1 and c.role <> 'doomed'
  group by i.project_id order by i.project_id limit ${PROJECTS_MAX}`;

/** A server that is gone has no host any more: its history says where it was last. */
const IN_PERIOD = `with there as (
    select coalesce(i.host, (select e.value->>'host' from json_array_elements(i.record->'actions') with ordinality a(value, n),
        json_array_elements(a.value->'events') with ordinality e(value, n)
      where e.value->>'host' is not null order by a.n desc, e.n desc limit 1)) as host, count(*)::integer as servers
    from instance i
    where i.launched_at < $2::timestamptz and (i.terminated_at is null or i.terminated_at >= $1::timestamptz)
    group by 1)
  select h.name as host, coalesce(t.servers, 0) as servers
  from host h left join there t on t.host = h.name where not h.deleted and h.created_at < $2::timestamptz order by h.id`;

export function hostUse(query: Query, host: string): Promise<OperatorProtocol['hostUse']['reply']> {
  return query({ text: USE, values: [host] });
}

export function serversInPeriod(
  query: Query,
  { beginMs, endMs }: OperatorProtocol['serversInPeriod']['body'],
): Promise<OperatorProtocol['serversInPeriod']['reply']> {
  return query({ text: IN_PERIOD, values: [new Date(beginMs).toISOString(), new Date(endMs).toISOString()] });
}
