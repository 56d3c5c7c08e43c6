/**
 * Groups of hosts: what operators say of several at once. The zone of a host is what one of its aggregates names, else
 * what the host's own row says; the zone stands in the metadata alone, so that the two can never differ.
 * `image_wanted` remembers what hosts were asked to fetch ahead of time until they did.
 */
export const AGGREGATE_SCHEMA = `
create table if not exists aggregate (
  id serial primary key,
  uuid uuid not null default gen_random_uuid() unique,
  name text not null unique,
  metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz
);

create table if not exists aggregate_host (
  aggregate integer not null references aggregate (id),
  host text not null references host (name),
  primary key (aggregate, host)
);
create index if not exists aggregate_host_host on aggregate_host (host);

create table if not exists image_wanted (
  host text not null references host (name),
  image_id text not null,
  image json not null,
  asked_at timestamptz not null default clock_timestamp(),
  primary key (host, image_id)
);
`;

/** SQL: the zone of a host. Both arguments are SQL too: the host's name, and the zone of its own row. */
export function zoneOf(host: string, own: string): string {
  return `coalesce((select a.metadata->>'availability_zone' from aggregate_host m join aggregate a on a.id = m.aggregate
    where m.host = ${host} and a.metadata->>'availability_zone' is not null order by a.id limit 1), ${own})`;
}

/** SQL: the aggregates of a host as schedulers know them. */
export function aggregatesOf(host: string): string {
  return `coalesce((select json_agg(json_build_object('id', a.id, 'metadata', a.metadata) order by a.id)
    from aggregate_host m join aggregate a on a.id = m.aggregate where m.host = ${host}), '[]')`;
}
