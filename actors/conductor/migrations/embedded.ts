/**
 * The tables of the embedded Identity and Image services, and of what their nodes share. Every statement can be run again.
 *
 * The schema is the contract: names are unique where the services promise it, and what hangs on a user, project or
 * image goes with it. A grant points at its project or domain by its own column, so that both have foreign keys.
 */
export const EMBEDDED_SCHEMA = `
create table if not exists identity_revision (
  one boolean primary key default true check (one),
  revision bigint not null default 1
) with (fillfactor = 10);
insert into identity_revision default values on conflict do nothing;

create table if not exists identity_domain (
  id text primary key check (length(id) between 1 and 64),
  name text not null unique check (length(name) between 1 and 64),
  description text not null default '',
  enabled boolean not null default true
);

create table if not exists identity_project (
  id text primary key check (length(id) between 1 and 64),
  name text not null check (length(name) between 1 and 64),
  domain_id text not null references identity_domain (id),
  description text not null default '',
  enabled boolean not null default true,
  unique (domain_id, name)
);

create table if not exists identity_user (
  id text primary key check (length(id) between 1 and 64),
  name text not null check (length(name) between 1 and 255),
  domain_id text not null references identity_domain (id),
  enabled boolean not null default true,
  default_project_id text references identity_project (id) on delete set null,
  email text,
  description text,
  password_hash text,
  unique (domain_id, name)
);
create index if not exists identity_user_project on identity_user (default_project_id) where default_project_id is not null;

create table if not exists identity_role (
  id text primary key check (length(id) between 1 and 64),
  name text not null unique check (length(name) between 1 and 255),
  description text
);

create table if not exists identity_grant (
  id bigint generated always as identity primary key,
  user_id text not null references identity_user (id) on delete cascade,
  role_id text not null references identity_role (id) on delete cascade,
  project_id text references identity_project (id) on delete cascade,
  domain_id text references identity_domain (id) on delete cascade,
  check (project_id is null or domain_id is null),
  unique nulls not distinct (user_id, role_id, project_id, domain_id)
);
create index if not exists identity_grant_project on identity_grant (project_id);
create index if not exists identity_grant_role on identity_grant (role_id);

create table if not exists identity_token (
  hash text primary key check (length(hash) = 64),
  user_id text not null references identity_user (id) on delete cascade,
  scope text not null check (scope in ('project', 'domain', 'system', 'unscoped')),
  project_id text references identity_project (id) on delete cascade,
  domain_id text references identity_domain (id) on delete cascade,
  methods text[] not null,
  audit_ids text[] not null,
  issued_at timestamptz not null,
  expires_at timestamptz not null,
  check ((scope = 'project') = (project_id is not null)),
  check ((scope = 'domain') = (domain_id is not null))
);
create index if not exists identity_token_expiry on identity_token (expires_at);
create index if not exists identity_token_user on identity_token (user_id, issued_at);
create index if not exists identity_token_project on identity_token (project_id) where project_id is not null;

create table if not exists identity_region (
  id text primary key check (length(id) between 1 and 255),
  description text not null default ''
);

create table if not exists identity_service (
  id text primary key check (length(id) between 1 and 64),
  type text not null check (length(type) between 1 and 255),
  name text not null default '',
  description text not null default '',
  enabled boolean not null default true
);

create table if not exists identity_endpoint (
  id text primary key check (length(id) between 1 and 64),
  service_id text not null references identity_service (id) on delete cascade,
  region_id text not null references identity_region (id),
  interface text not null check (interface in ('public', 'internal', 'admin')),
  url text not null,
  enabled boolean not null default true
);
create index if not exists identity_endpoint_service on identity_endpoint (service_id);

create table if not exists identity_ec2_key (
  access text primary key,
  secret text not null,
  user_id text not null references identity_user (id) on delete cascade,
  project_id text not null references identity_project (id) on delete cascade
);
create index if not exists identity_ec2_key_user on identity_ec2_key (user_id);

create table if not exists image (
  id uuid primary key,
  name text check (length(name) <= 255),
  status text not null check (status in ('queued', 'saving', 'active', 'deactivated')),
  visibility text not null check (visibility in ('public', 'community', 'shared', 'private')),
  owner text,
  protected boolean not null default false,
  hidden boolean not null default false,
  disk_format text,
  container_format text,
  min_disk_gib integer not null default 0 check (min_disk_gib >= 0),
  min_memory_mib integer not null default 0 check (min_memory_mib >= 0),
  size_bytes bigint check (size_bytes >= 0),
  virtual_size_bytes bigint check (virtual_size_bytes >= 0),
  checksum text,
  hash text,
  tags text[] not null default '{}',
  properties jsonb not null default '{}' check (jsonb_typeof(properties) = 'object'),
  upload_id text,
  upload_node text,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  version bigint not null default 1,
  check ((status = 'saving') = (upload_id is not null)),
  check (status in ('queued', 'saving') or (size_bytes is not null and checksum is not null and hash is not null))
);
create index if not exists image_created on image (created_at, id);
create index if not exists image_owner on image (owner);
create index if not exists image_name on image (name);
create index if not exists image_hash on image (hash) where hash is not null;
create index if not exists image_tags on image using gin (tags);
create index if not exists image_properties on image using gin (properties jsonb_path_ops);

create table if not exists image_member (
  image_id uuid not null references image (id) on delete cascade,
  project_id text not null check (length(project_id) between 1 and 255),
  status text not null check (status in ('pending', 'accepted', 'rejected')),
  created_at timestamptz not null,
  updated_at timestamptz not null,
  primary key (image_id, project_id)
);
create index if not exists image_member_project on image_member (project_id, status);

-- Nodes that answer the Image API, and which bytes (by their SHA-512) lie in whose folder.
create table if not exists image_door (
  node text primary key,
  url text not null,
  seen_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);

create table if not exists image_copy (
  hash text not null,
  node text not null,
  primary key (hash, node)
);
create index if not exists image_copy_node on image_copy (node);

-- Passwords and keys that the nodes of one cloud share: made once, by whichever comes first.
create table if not exists cell_secret (
  name text primary key,
  value text not null
);
`;
