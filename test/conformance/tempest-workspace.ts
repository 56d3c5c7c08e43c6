/**
 * A Tempest workspace for a cloud of our own: what the tests may use, and what the cloud can do. A feature that is off
 * here has its reason in `skips.ts`.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Cloud } from '../doubles/cloud.ts';

type Admin = { readonly username: string; readonly password: string; readonly project_name: string };
type Image = { readonly id: string; readonly status: string };
type Flavor = { readonly id: string; readonly ram: number; readonly disk: number };

/** What the simulated hosts do, by Tempest's names. */
const FEATURES = {
  resize: true,
  cold_migration: true,
  pause: true,
  suspend: true,
  shelve: true,
  snapshot: true,
  live_migration: true,
  block_migration_for_live_migration: true,
  live_migrate_back_and_forth: true,
  console_output: true,
  vnc_console: false,
  rescue: true,
  change_password: true,
  interface_attach: false,
  attach_encrypted_volume: false,
  config_drive: false,
  personality: true,
  metadata_service: false,
  swap_volume: false,
  volume_multiattach: false,
  xenapi_apis: true,
};

export async function writeWorkspace(folder: string, cloud: Cloud, hosts: number): Promise<void> {
  for (const name of ['etc', 'logs', 'lock']) mkdirSync(join(folder, name), { recursive: true });
  const token = await cloud.adminToken();
  const { body: listed } = await cloud.api<{ images: Image[] }>('GET', `${cloud.urls.image}/v2/images`, undefined, { token });
  const other = await uploaded(cloud, token);
  const { body } = await cloud.api<{ flavors: Flavor[] }>('GET', '/flavors/detail', undefined, { token });
  const [small, larger] = body.flavors.sort((a, b) => a.ram - b.ram || a.disk - b.disk);
  if (!small || !larger || !listed.images[0]) throw new Error('the cloud has fewer than two flavors or no image');
  const clouds = parse(readFileSync(join(cloud.dataDir, 'clouds.yaml'), 'utf8')) as { clouds: { 'novact-admin': { auth: Admin } } };
  const { username, password, project_name: project } = clouds.clouds['novact-admin'].auth;
  const sections = {
    DEFAULT: { log_dir: join(folder, 'logs'), log_file: 'tempest.log' },
    oslo_concurrency: { lock_path: join(folder, 'lock') },
    auth: {
      use_dynamic_credentials: true,
      create_isolated_networks: false,
      admin_username: username,
      admin_password: password,
      admin_project_name: project,
      admin_domain_name: 'Default',
      default_credentials_domain_name: 'Default',
      tempest_roles: 'member',
    },
    identity: { auth_version: 'v3', uri_v3: cloud.urls.identity, v3_endpoint_type: 'public', region: 'RegionOne', default_domain_id: 'default' },
    compute: {
      region: 'RegionOne',
      endpoint_type: 'public',
      image_ref: listed.images[0].id,
      image_ref_alt: other,
      flavor_ref: small.id,
      flavor_ref_alt: larger.id,
      build_interval: 1,
      build_timeout: 120,
      ready_wait: 0,
      min_compute_nodes: hosts,
      max_microversion: 'latest',
      hypervisor_type: 'simulated',
    },
    'compute-feature-enabled': FEATURES,
    validation: { run_validation: false },
    service_available: { nova: true, glance: true, neutron: false, cinder: false, swift: false, horizon: false },
    'image-feature-enabled': { api_v2: true, import_image: false },
    enforce_scope: { nova: false },
  };
  writeFileSync(join(folder, 'etc', 'tempest.conf'), render(sections), { mode: 0o600 });
  const stestr = { test_path: '/usr/lib/python3/dist-packages/tempest/test_discover', top_dir: '/usr/lib/python3/dist-packages', group_regex: '([^\\.]*\\.)*' };
  writeFileSync(join(folder, '.stestr.conf'), render({ DEFAULT: stestr }));
}

/** Another image than the one that is there from the beginning. */
async function uploaded(cloud: Cloud, token: string): Promise<string> {
  const meta = { name: 'other', disk_format: 'raw', container_format: 'bare', visibility: 'public' };
  const made = await cloud.api<Image>('POST', `${cloud.urls.image}/v2/images`, meta, { token });
  const answer = await fetch(`${cloud.urls.image}/v2/images/${made.body.id}/file`, {
    method: 'PUT',
    headers: { 'x-auth-token': token, 'content-type': 'application/octet-stream' },
    body: new Uint8Array(randomBytes(65_536)),
  });
  if (answer.status !== 204) throw new Error(`the second image was not taken: ${answer.status}`);
  return made.body.id;
}

function render(sections: { readonly [section: string]: { readonly [key: string]: string | number | boolean } }): string {
  return Object.entries(sections)
    .map(
      ([name, entries]) =>
        `[${name}]\n${Object.entries(entries)
          .map(([key, value]) => `${key} = ${value}\n`)
          .join('')}`,
    )
    .join('\n');
}
