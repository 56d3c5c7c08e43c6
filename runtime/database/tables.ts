/**
 * The tables of the runtime: the cell's revision row, nodes and their beats, shards and their epochs, events.
 * The cloud's tables stand beside them (actors/conductor/tables). All statements can be run again.
 *
 * Locking: every change of a cell's records takes the row of `cell` first, so batches are serial, revision order is
 * commit order without gaps, and there are no deadlocks. Beats and reads never take it.
 */
export const RUNTIME_SCHEMA = `
create table if not exists cell (
  one boolean primary key default true check (one),
  revision bigint not null default 0,
  incarnation uuid not null default gen_random_uuid(),
  last_number bigint not null default 0
) with (fillfactor = 10);
insert into cell default values on conflict do nothing;

create table if not exists node (
  name text primary key,
  boot text not null,
  endpoint text not null,
  public_key text not null,
  roles text[] not null,
  beat bigint not null default 0,
  started_at timestamptz not null default clock_timestamp(),
  beat_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

create table if not exists shard (
  id smallint primary key,
  owner text,
  boot text,
  epoch bigint not null default 0
) with (fillfactor = 50);
insert into shard (id) select generate_series(0, 1023) on conflict do nothing;

create table if not exists event (
  revision bigint not null,
  ord smallint not null,
  id uuid not null,
  project_id text not null,
  body json not null,
  primary key (revision, ord)
) partition by range (revision);
create table if not exists event_0 partition of event for values from (0) to (1000000);
`;

/** Keys of nodes that hold no credentials of the store. The cluster's own number keeps apart what must not meet. */
export const NODE_KEY_SCHEMA = `
create table if not exists node_key (
  name text primary key,
  public_key text not null unique,
  roles text[] not null,
  created_at timestamptz not null default clock_timestamp()
);
alter table cell add column if not exists cluster uuid not null default gen_random_uuid();
`;

/** Revisions per partition; old partitions are dropped whole. */
export const EVENT_PARTITION = 1_000_000;
