/**
 * The cloud's tables that state writes touch. `instance.record` is the truth of one instance; the columns beside it
 * are what lists filter and sort by, written from it in the same statement (tables/instance-row.ts).
 * Constraints make a wrong commit fail instead of corrupting.
 */
export const COMPUTE_SCHEMA = `
create table if not exists instance (
  id uuid primary key,
  number bigint not null unique,
  shard smallint not null,
  version bigint not null,
  revision bigint not null,
  project_id text not null,
  user_id text not null,
  name text not null,
  hostname text not null,
  vm_state text not null check (vm_state in ('building','active','paused','suspended','stopped','rescued','resized',
    'soft-delete','deleted','error','shelved','shelved_offloaded')),
  task_state text,
  power_state text not null,
  host text,
  generation integer not null default 0 check (generation >= 0),
  zone text,
  flavor_id text not null,
  image_id text not null,
  key_name text,
  reservation_id text not null,
  launch_index integer not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  launched_at timestamptz,
  terminated_at timestamptz,
  deleted boolean not null default false,
  locked boolean not null default false,
  config_drive boolean not null default false,
  tags text[] not null default '{}',
  addresses text[] not null default '{}',
  open boolean not null,
  due_at_ms bigint,
  group_id uuid,
  record json not null,
  check (not deleted or vm_state = 'deleted'),
  check (not deleted or not open)
) with (fillfactor = 60, toast_tuple_target = 4080); -- a record of 2 KiB is not worth compressing at each change
create index if not exists instance_list on instance (project_id, created_at desc, id desc) where not deleted;
create index if not exists instance_list_all on instance (created_at desc, id desc) where not deleted;
create index if not exists instance_changes on instance (project_id, updated_at);
create index if not exists instance_open on instance (shard, created_at, id) where open;
create index if not exists instance_due on instance (shard, due_at_ms) where due_at_ms is not null;
create index if not exists instance_host on instance (host) where host is not null;
create index if not exists instance_group on instance (group_id) where group_id is not null;
create index if not exists instance_used on instance (project_id, id) where launched_at is not null;

create table if not exists server_group (
  id uuid primary key,
  project_id text not null,
  user_id text not null,
  name text not null,
  policy text not null check (policy in ('affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity')),
  per_host integer check (per_host > 0),
  created_at timestamptz not null default clock_timestamp()
);
create index if not exists server_group_project on server_group (project_id, created_at, id);

create table if not exists security_group (
  id uuid primary key,
  project_id text not null,
  user_id text not null,
  name text not null,
  description text not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (project_id, name)
);

create table if not exists security_group_rule (
  id uuid primary key,
  group_id uuid not null references security_group (id) on delete cascade,
  protocol text,
  from_port integer,
  to_port integer,
  cidr text,
  source_group uuid references security_group (id) on delete cascade,
  created_at timestamptz not null default clock_timestamp(),
  check (cidr is null or source_group is null)
);
create index if not exists security_group_rule_group on security_group_rule (group_id);
create index if not exists security_group_rule_source on security_group_rule (source_group) where source_group is not null;

create table if not exists host (
  name text primary key,
  id serial unique,
  uuid uuid not null default gen_random_uuid() unique,
  service_id serial unique,
  service_uuid uuid not null default gen_random_uuid() unique,
  node text not null,
  epoch bigint not null default 0,
  driver text not null,
  zone text not null,
  inventory json not null,
  vcpus integer not null check (vcpus >= 0),
  memory_mib bigint not null check (memory_mib >= 0),
  disk_gib bigint not null check (disk_gib >= 0),
  used_vcpus integer not null default 0 check (used_vcpus >= 0),
  used_memory_mib bigint not null default 0 check (used_memory_mib >= 0),
  used_disk_gib bigint not null default 0 check (used_disk_gib >= 0),
  claims integer not null default 0 check (claims >= 0),
  disabled boolean not null default false,
  disabled_reason text,
  forced_down boolean not null default false,
  deleted boolean not null default false,
  beat_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp()
) with (fillfactor = 30);

create table if not exists claim (
  instance_id uuid not null references instance (id),
  generation integer not null check (generation > 0),
  host text not null references host (name),
  role text not null check (role in ('active', 'standby', 'doomed')),
  vcpus integer not null check (vcpus >= 0),
  memory_mib bigint not null check (memory_mib >= 0),
  disk_gib bigint not null check (disk_gib >= 0),
  primary key (instance_id, generation)
);
create unique index if not exists claim_active on claim (instance_id) where role = 'active';
create index if not exists claim_host on claim (host);

-- Moves of servers, evacuations among them: what os-migrations shows. Never deleted with its server.
create table if not exists migration (
  id serial primary key,
  uuid uuid not null unique,
  instance_id uuid not null,
  type text not null check (type in ('migration', 'resize', 'live-migration', 'evacuation')),
  status text not null,
  source text not null,
  dest text,
  old_flavor_id text not null,
  new_flavor_id text not null,
  user_id text not null,
  project_id text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  progress json
) with (fillfactor = 70);
create index if not exists migration_instance on migration (instance_id);
create index if not exists migration_updated on migration (updated_at);

create table if not exists quota_use (
  project_id text not null,
  user_id text not null,
  instances integer not null default 0 check (instances >= 0),
  cores integer not null default 0 check (cores >= 0),
  ram bigint not null default 0 check (ram >= 0),
  primary key (project_id, user_id)
) with (fillfactor = 30);

create table if not exists quota_limit (
  project_id text not null,
  user_id text not null default '',
  name text not null,
  value bigint not null check (value >= -1),
  primary key (project_id, user_id, name)
);

create index if not exists quota_limit_fixed_ips on quota_limit (project_id) where name = 'fixed_ips' and value >= 0;

create table if not exists quota_class (
  class text not null,
  name text not null,
  value bigint not null check (value >= -1),
  primary key (class, name)
);

create table if not exists network (
  id uuid primary key,
  label text not null unique,
  cidr cidr not null,
  gateway inet,
  project_id text
);

create table if not exists fixed_ip (
  network_id uuid not null references network (id),
  address inet not null,
  instance_id uuid not null references instance (id),
  mac text not null,
  primary key (network_id, address),
  unique (network_id, mac)
);
create index if not exists fixed_ip_instance on fixed_ip (instance_id);

create table if not exists idempotency (
  project_id text not null,
  key text not null,
  body_hash text not null,
  instances uuid[] not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (project_id, key)
);

create table if not exists flavor (
  id serial primary key,
  flavor_id text not null unique,
  name text not null unique,
  vcpus integer not null check (vcpus > 0),
  memory_mib integer not null check (memory_mib > 0),
  root_gib integer not null check (root_gib >= 0),
  ephemeral_gib integer not null default 0 check (ephemeral_gib >= 0),
  swap_mib integer not null default 0 check (swap_mib >= 0),
  rxtx_factor real not null default 1,
  is_public boolean not null default true,
  disabled boolean not null default false,
  description text,
  extra_specs json not null default '{}',
  created_at timestamptz not null default clock_timestamp()
);

-- Images that are made of servers, until they have all their bytes, and those that shelved servers come back from.
create table if not exists snapshot_image (
  image_id uuid primary key,
  instance_id uuid not null,
  made_at timestamptz not null default clock_timestamp()
);

-- Generations when the store was restored: a guest of a higher one may be of the history that was lost.
create table if not exists restored (
  instance_id uuid primary key,
  generation integer not null
);

create table if not exists flavor_access (
  flavor integer not null references flavor (id) on delete cascade,
  project_id text not null,
  primary key (flavor, project_id)
);

create table if not exists key_pair (
  id serial primary key,
  user_id text not null,
  name text not null,
  type text not null check (type in ('ssh', 'x509')),
  public_key text not null,
  fingerprint text not null,
  created_at timestamptz not null default clock_timestamp(),
  unique (user_id, name)
);
`;
