/**
 * Answers have the members and types of recorded exchanges of the Compute API. The records are not part of the
 * project: where they are absent the tests are skipped by name.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HOST_ID, hostView, migrationView, NETWORK_ID } from './memory-cloud.ts';
import { IMAGE_ID, openRig, PROJECT } from './rig.ts';
import type { Answer, AskOptions, Rig } from './rig.ts';

/** The directory of the recorded exchanges. */
const SAMPLES = process.env['NOVACT_API_SAMPLES'];

let rig: Rig;
let serverId = '';
const ACTION = 'req-0d819d5c-1527-4669-bdf0-ffad31b5105b';
const PUBLIC_KEY = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${'A'.repeat(43)} me`;

beforeAll(async () => {
  rig = await openRig();
  rig.images.add({ id: IMAGE_ID, properties: { architecture: 'x86_64' } });
  serverId = await rig.server({ name: 'new-server-test', metadata: { foo: 'Foo Value' }, user_data: 'ZWNobw==', networks: [{ uuid: NETWORK_ID }] });
  const at = '2026-11-22T10:00:00.123Z';
  rig.cloud.change(serverId, {
    host: 'host1',
    zone: 'nova',
    requestedZone: 'nova',
    schedulerHints: { same_host: [] },
    launchedAt: '2020-11-22T10:00:00.123Z',
    actions: [
      {
        requestId: ACTION,
        action: 'stop',
        userId: 'u',
        projectId: PROJECT,
        startedAt: at,
        updatedAt: at,
        message: null,
        events: [{ event: 'compute_stop_instance', startedAt: at, finishedAt: at, result: 'Success', host: 'host1', fault: null }],
      },
    ],
  });
  rig.cloud.hosts = [hostView('host1', 1), hostView('host2', 2)];
  const progress = { memoryTotal: 2, memoryDone: 1, diskTotal: 2, diskDone: 1 };
  rig.cloud.migrations = [migrationView(serverId, { type: 'live-migration', status: 'running', progress })];
  rig.cloud.flavors.set('7', {
    ...rig.cloud.addFlavor({ flavorId: '7', name: 'm1.small.description' }),
    extraSpecs: { 'hw:numa_nodes': '1' },
    description: 'some',
  });
  rig.cloud.addFlavor({ flavorId: '12', name: 'private', isPublic: false });
  await rig.ask('POST', '/v2.1/os-keypairs', { token: 'admin', body: { keypair: { name: 'one', public_key: PUBLIC_KEY } } });
  await rig.ask('POST', '/v2.1/os-keypairs', { token: 'admin', body: { keypair: { name: 'two', public_key: PUBLIC_KEY } } });
});
afterAll(() => rig.close());

type Case = readonly [sample: string, method: string, path: string, options?: AskOptions & { readonly as?: string }];

const EVENTS = { events: [{ name: 'network-changed', status: 'completed', tag: 'foo', server_uuid: ':server' }] };
/** In the order in which one aggregate lives. */
const AGGREGATE_CASES: readonly Case[] = ['', 'v2.81/'].flatMap((folder, i) => {
  const [dir, one] = [`os-aggregates/${folder}`, `/os-aggregates/${i + 1}`];
  const host = (action: string): AskOptions => ({ token: 'admin', body: { [action]: { host: 'host1' } } });
  const cases: readonly Case[] = [
    [`${dir}aggregate-post-resp.json`, 'POST', '/os-aggregates', { token: 'admin', as: `${dir}aggregate-post-req.json` }],
    [`${dir}aggregates-add-host-post-resp.json`, 'POST', `${one}/action`, host('add_host')],
    [`${dir}aggregates-metadata-post-resp.json`, 'POST', `${one}/action`, { token: 'admin', as: `${dir}aggregate-metadata-post-req.json` }],
    [`${dir}aggregates-get-resp.json`, 'GET', one, { token: 'admin' }],
    [`${dir}aggregates-list-get-resp.json`, 'GET', '/os-aggregates', { token: 'admin' }],
    [`${dir}aggregates-remove-host-post-resp.json`, 'POST', `${one}/action`, host('remove_host')],
    [`${dir}aggregate-update-post-resp.json`, 'PUT', one, { token: 'admin', as: `${dir}aggregate-update-post-req.json` }],
  ];
  return cases;
});

/** `:server`, `:flavor` are replaced when the case runs. The version is that of the sample's folder. */
const CASES: readonly Case[] = [
  ['versions/versions-get-resp.json', 'GET', '!/'],
  ['versions/v21-version-get-resp.json', 'GET', '!/v2.1/'],
  ['versions/v2-version-get-resp.json', 'GET', '!/v2/'],
  ['extension-info/extensions-list-resp.json', 'GET', '/extensions'],
  ['extension-info/extensions-get-resp.json', 'GET', '/extensions/os-agents'],
  ['servers/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.3/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.16/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.63/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.71/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.73/server-get-resp.json', 'GET', '/servers/:server', { token: 'admin' }],
  ['servers/v2.98/server-get-resp.json', 'GET', '/servers/:server'],
  ['servers/v2.100/server-get-resp.json', 'GET', '/servers/:server'],
  ['servers/servers-details-resp.json', 'GET', '/servers/detail?limit=1', { token: 'admin' }],
  ['servers/v2.3/servers-details-resp.json', 'GET', '/servers/detail?limit=1', { token: 'admin' }],
  ['servers/v2.16/servers-details-resp.json', 'GET', '/servers/detail?limit=1', { token: 'admin' }],
  ['servers/v2.73/servers-details-resp.json', 'GET', '/servers/detail?limit=1', { token: 'admin' }],
  ['servers/v2.100/servers-details-resp.json', 'GET', '/servers/detail?limit=1'],
  ['servers/servers-list-resp.json', 'GET', '/servers?limit=1'],
  ['servers/v2.3/servers-list-resp.json', 'GET', '/servers?limit=1'],
  ['servers/servers-list-status-resp.json', 'GET', '/servers?limit=1&status=active'],
  ['servers/server-create-resp.json', 'POST', '/servers', { body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1' } } }],
  ['servers/v2.100/server-create-resp.json', 'POST', '/servers', { body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1', networks: 'auto' } } }],
  [
    'os-multiple-create/multiple-create-post-resp.json',
    'POST',
    '/servers',
    { body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1', min_count: '1', max_count: '2', return_reservation_id: 'True' } } },
  ],
  [
    'os-multiple-create/multiple-create-no-resv-post-resp.json',
    'POST',
    '/servers',
    { body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1', min_count: '1', max_count: '2' } } },
  ],
  ['servers/server-update-resp.json', 'PUT', '/servers/:server', { body: { server: { name: 'new-server-test' } } }],
  ['servers/v2.100/server-update-resp.json', 'PUT', '/servers/:server', { body: { server: { name: 'new-server-test' } } }],
  ['server-metadata/server-metadata-all-resp.json', 'GET', '/servers/:server/metadata'],
  ['server-metadata/server-metadata-resp.json', 'GET', '/servers/:server/metadata/foo'],
  ['server-ips/server-ips-resp.json', 'GET', '/servers/:server/ips'],
  ['server-ips/server-ips-network-resp.json', 'GET', '/servers/:server/ips/private'],
  ...(['', 'v2.54/', 'v2.57/', 'v2.63/', 'v2.71/', 'v2.73/', 'v2.94/', 'v2.98/', 'v2.100/'] as const).map((folder): Case => [
    `servers/${folder}server-action-rebuild-resp.json`,
    'POST',
    '/servers/:server/action',
    { body: { rebuild: { imageRef: IMAGE_ID } } },
  ]),
  [
    'os-preserve-ephemeral-rebuild/server-action-rebuild-preserve-ephemeral-resp.json',
    'POST',
    '/servers/:server/action',
    { body: { rebuild: { imageRef: IMAGE_ID, preserve_ephemeral: false } } },
  ],
  ['os-create-backup/v2.45/create-backup-resp.json', 'POST', '/servers/:server/action', { as: 'os-create-backup/v2.45/create-backup-req.json' }],
  ['os-console-output/console-output-post-resp.json', 'POST', '/servers/:server/action', { body: { 'os-getConsoleOutput': { length: 50 } } }],
  ['os-rescue/server-rescue.json', 'POST', '/servers/:server/action', { as: 'os-rescue/server-rescue-req-with-image-ref.json' }],
  ['os-instance-actions/v2.21/instance-actions-list-resp.json', 'GET', '/servers/:server/os-instance-actions', { token: 'admin' }],
  ['os-instance-actions/v2.21/instance-action-get-resp.json', 'GET', `/servers/:server/os-instance-actions/${ACTION}`, { token: 'admin' }],
  ['os-instance-actions/v2.51/instance-action-get-non-admin-resp.json', 'GET', `/servers/:server/os-instance-actions/${ACTION}`],
  ['os-instance-actions/v2.58/instance-actions-list-resp.json', 'GET', '/servers/:server/os-instance-actions'],
  ['os-instance-actions/v2.58/instance-actions-list-with-limit-resp.json', 'GET', '/servers/:server/os-instance-actions?limit=1'],
  ['os-instance-actions/v2.58/instance-action-get-resp.json', 'GET', `/servers/:server/os-instance-actions/${ACTION}`, { token: 'admin' }],
  ['os-instance-actions/v2.84/instance-action-get-resp.json', 'GET', `/servers/:server/os-instance-actions/${ACTION}`, { token: 'admin' }],
  ['os-instance-actions/v2.84/instance-action-get-non-admin-resp.json', 'GET', `/servers/:server/os-instance-actions/${ACTION}`],
  ['flavors/flavors-list-resp.json', 'GET', '/flavors'],
  ['flavors/flavors-detail-resp.json', 'GET', '/flavors/detail'],
  ['flavors/flavor-get-resp.json', 'GET', '/flavors/1'],
  ['flavors/v2.55/flavors-list-resp.json', 'GET', '/flavors'],
  ['flavors/v2.55/flavors-detail-resp.json', 'GET', '/flavors/detail'],
  ['flavors/v2.61/flavors-detail-resp.json', 'GET', '/flavors/detail'],
  ['flavors/v2.61/flavor-get-resp.json', 'GET', '/flavors/7'],
  ['flavors/v2.75/flavors-detail-resp.json', 'GET', '/flavors/detail'],
  ['flavors/v2.75/flavor-get-resp.json', 'GET', '/flavors/7'],
  ['flavor-manage/flavor-create-post-resp.json', 'POST', '/flavors', { token: 'admin', as: 'flavor-manage/flavor-create-post-req.json' }],
  ['flavor-manage/v2.61/flavor-update-resp.json', 'PUT', '/flavors/7', { token: 'admin', as: 'flavor-manage/v2.61/flavor-update-req.json' }],
  ['flavor-extra-specs/flavor-extra-specs-list-resp.json', 'GET', '/flavors/7/os-extra_specs'],
  ['flavor-extra-specs/flavor-extra-specs-get-resp.json', 'GET', '/flavors/7/os-extra_specs/hw:numa_nodes'],
  [
    'flavor-extra-specs/flavor-extra-specs-create-resp.json',
    'POST',
    '/flavors/1/os-extra_specs',
    { token: 'admin', as: 'flavor-extra-specs/flavor-extra-specs-create-req.json' },
  ],
  ['flavor-access/flavor-access-add-tenant-resp.json', 'POST', '/flavors/12/action', { token: 'admin', as: 'flavor-access/flavor-access-add-tenant-req.json' }],
  ['flavor-access/flavor-access-list-resp.json', 'GET', '/flavors/12/os-flavor-access', { token: 'admin' }],
  [
    'flavor-access/flavor-access-remove-tenant-resp.json',
    'POST',
    '/flavors/12/action',
    { token: 'admin', as: 'flavor-access/flavor-access-remove-tenant-req.json' },
  ],
  ['images/images-list-get-resp.json', 'GET', '/images'],
  ['images/images-details-get-resp.json', 'GET', '/images/detail'],
  ['images/image-get-resp.json', 'GET', `/images/${IMAGE_ID}`],
  ['images/image-metadata-get-resp.json', 'GET', `/images/${IMAGE_ID}/metadata`],
  ['images/image-meta-key-get.json', 'GET', `/images/${IMAGE_ID}/metadata/architecture`],
  ['images/image-metadata-post-resp.json', 'POST', `/images/${IMAGE_ID}/metadata`, { token: 'admin', as: 'images/image-metadata-post-req.json' }],
  ['images/image-meta-key-put-resp.json', 'PUT', `/images/${IMAGE_ID}/metadata/auto_disk_config`, { token: 'admin', as: 'images/image-meta-key-put-req.json' }],
  ['limits/limit-get-resp.json', 'GET', '/limits'],
  ['limits/v2.36/limit-get-resp.json', 'GET', '/limits'],
  ['limits/v2.39/limit-get-resp.json', 'GET', '/limits'],
  ['limits/v2.57/limit-get-resp.json', 'GET', '/limits'],
  ['os-keypairs/v2.2/keypairs-list-resp.json', 'GET', '/os-keypairs', { token: 'admin' }],
  ['os-keypairs/v2.2/keypairs-get-resp.json', 'GET', '/os-keypairs/one', { token: 'admin' }],
  ['os-keypairs/v2.2/keypairs-post-resp.json', 'POST', '/os-keypairs', { token: 'admin', body: { keypair: { name: 'made', type: 'ssh' } } }],
  [
    'os-keypairs/v2.2/keypairs-import-post-resp.json',
    'POST',
    '/os-keypairs',
    { token: 'admin', body: { keypair: { name: 'three', type: 'ssh', public_key: PUBLIC_KEY } } },
  ],
  ['os-keypairs/v2.10/keypairs-get-resp.json', 'GET', '/os-keypairs/one', { token: 'admin' }],
  ['os-keypairs/v2.35/keypairs-list-resp.json', 'GET', '/os-keypairs?limit=1', { token: 'admin' }],
  ['os-keypairs/v2.92/keypairs-import-post-resp.json', 'POST', '/os-keypairs', { token: 'admin', as: 'os-keypairs/v2.92/keypairs-import-post-req.json' }],
  ['os-quota-sets/v2.36/quotas-show-get-resp.json', 'GET', `/os-quota-sets/${PROJECT}`],
  ['os-quota-sets/v2.36/quotas-show-detail-get-resp.json', 'GET', `/os-quota-sets/${PROJECT}/detail`],
  ['os-quota-sets/v2.36/quotas-show-defaults-get-resp.json', 'GET', `/os-quota-sets/${PROJECT}/defaults`],
  [
    'os-quota-sets/v2.36/quotas-update-post-resp.json',
    'PUT',
    `/os-quota-sets/${PROJECT}`,
    { token: 'admin', as: 'os-quota-sets/v2.36/quotas-update-post-req.json' },
  ],
  ['os-quota-sets/v2.57/quotas-show-get-resp.json', 'GET', `/os-quota-sets/${PROJECT}`],
  ['os-quota-sets/v2.57/quotas-show-detail-get-resp.json', 'GET', `/os-quota-sets/${PROJECT}/detail`],
  [
    'os-quota-sets/v2.57/quotas-update-force-post-resp.json',
    'PUT',
    `/os-quota-sets/${PROJECT}`,
    { token: 'admin', as: 'os-quota-sets/v2.57/quotas-update-force-post-req.json' },
  ],
  ['os-quota-class-sets/v2.50/quota-classes-show-get-resp.json', 'GET', '/os-quota-class-sets/default', { token: 'admin' }],
  ['os-quota-class-sets/v2.57/quota-classes-show-get-resp.json', 'GET', '/os-quota-class-sets/default', { token: 'admin' }],
  [
    'os-quota-class-sets/v2.57/quota-classes-update-post-resp.json',
    'PUT',
    '/os-quota-class-sets/default',
    { token: 'admin', as: 'os-quota-class-sets/v2.57/quota-classes-update-post-req.json' },
  ],
  ['os-server-groups/server-groups-post-resp.json', 'POST', '/os-server-groups', { as: 'os-server-groups/server-groups-post-req.json' }],
  ['os-server-groups/v2.13/server-groups-post-resp.json', 'POST', '/os-server-groups', { as: 'os-server-groups/v2.13/server-groups-post-req.json' }],
  ['os-server-groups/server-groups-list-resp.json', 'GET', '/os-server-groups'],
  ['os-server-groups/v2.13/server-groups-list-resp.json', 'GET', '/os-server-groups'],
  ['os-server-groups/server-groups-get-resp.json', 'GET', '/os-server-groups/:group'],
  ['os-server-groups/v2.13/server-groups-get-resp.json', 'GET', '/os-server-groups/:group'],
  ['os-simple-tenant-usage/simple-tenant-usage-get.json', 'GET', `/os-simple-tenant-usage?start=2021-01-01T00:00:00`, { token: 'admin' }],
  ['os-simple-tenant-usage/simple-tenant-usage-get-detail.json', 'GET', `/os-simple-tenant-usage?detailed=1&start=2021-01-01T00:00:00`, { token: 'admin' }],
  ['os-simple-tenant-usage/simple-tenant-usage-get-specific.json', 'GET', `/os-simple-tenant-usage/${PROJECT}?start=2021-01-01T00:00:00`],
  ['os-simple-tenant-usage/v2.40/simple-tenant-usage-get.json', 'GET', `/os-simple-tenant-usage?limit=1&start=2021-01-01T00:00:00`, { token: 'admin' }],
  [
    'os-simple-tenant-usage/v2.40/simple-tenant-usage-get-detail.json',
    'GET',
    `/os-simple-tenant-usage?limit=1&detailed=1&start=2021-01-01T00:00:00`,
    { token: 'admin' },
  ],
  ['os-simple-tenant-usage/v2.40/simple-tenant-usage-get-specific.json', 'GET', `/os-simple-tenant-usage/${PROJECT}?limit=1&start=2021-01-01T00:00:00`],
  ['os-security-groups/security-groups-list-get-resp.json', 'GET', '/os-security-groups'],
  ['os-security-groups/security-groups-create-resp.json', 'POST', '/os-security-groups', { as: 'os-security-groups/security-group-post-req.json' }],
  ['os-security-groups/server-security-groups-list-resp.json', 'GET', '/servers/:server/os-security-groups'],
  ['os-server-password/get-password-resp.json', 'GET', '/servers/:server/os-server-password'],
  ['os-server-topology/v2.78/servers-topology-resp-user.json', 'GET', '/servers/:server/topology'],
  ['os-hypervisors/hypervisors-list-resp.json', 'GET', '/os-hypervisors', { token: 'admin' }],
  ['os-hypervisors/hypervisors-detail-resp.json', 'GET', '/os-hypervisors/detail', { token: 'admin' }],
  ['os-hypervisors/hypervisors-show-resp.json', 'GET', '/os-hypervisors/1', { token: 'admin' }],
  ['os-hypervisors/hypervisors-search-resp.json', 'GET', '/os-hypervisors/host1/search', { token: 'admin' }],
  ['os-hypervisors/hypervisors-with-servers-resp.json', 'GET', '/os-hypervisors/host1/servers', { token: 'admin' }],
  ['os-hypervisors/hypervisors-without-servers-resp.json', 'GET', '/os-hypervisors/host2/servers', { token: 'admin' }],
  ['os-hypervisors/hypervisors-statistics-resp.json', 'GET', '/os-hypervisors/statistics', { token: 'admin' }],
  ['os-hypervisors/hypervisors-uptime-resp.json', 'GET', '/os-hypervisors/1/uptime', { token: 'admin' }],
  ['os-hypervisors/v2.33/hypervisors-detail-resp.json', 'GET', '/os-hypervisors/detail?limit=1', { token: 'admin' }],
  ['os-hypervisors/v2.33/hypervisors-list-resp.json', 'GET', '/os-hypervisors?limit=1', { token: 'admin' }],
  ['os-migrations/migrations-get.json', 'GET', '/os-migrations', { token: 'admin' }],
  ['os-migrations/v2.23/migrations-get.json', 'GET', '/os-migrations', { token: 'admin' }],
  ['os-migrations/v2.59/migrations-get.json', 'GET', '/os-migrations', { token: 'admin' }],
  ['os-migrations/v2.59/migrations-get-with-limit.json', 'GET', '/os-migrations?limit=1', { token: 'admin' }],
  ['os-migrations/v2.80/migrations-get.json', 'GET', '/os-migrations', { token: 'admin' }],
  ['os-migrations/v2.80/migrations-get-with-limit.json', 'GET', '/os-migrations?limit=1', { token: 'admin' }],
  ['server-migrations/v2.59/migrations-index.json', 'GET', '/servers/:server/migrations', { token: 'admin' }],
  ['server-migrations/v2.59/migrations-get.json', 'GET', '/servers/:server/migrations/1', { token: 'admin' }],
  ...AGGREGATE_CASES,
  ['os-server-external-events/event-create-resp.json', 'POST', '/os-server-external-events', { token: 'admin', body: EVENTS }],
  ['os-hypervisors/hypervisors-uptime-resp.json', 'GET', '/os-hypervisors/1/uptime', { token: 'admin' }],
  ['os-services/v2.53/services-list-get-resp.json', 'GET', '/os-services', { token: 'admin' }],
  ['os-services/v2.53/service-disable-put-resp.json', 'PUT', '/os-services/:service', { token: 'admin', as: 'os-services/v2.53/service-disable-put-req.json' }],
  [
    'os-services/v2.53/service-disable-log-put-resp.json',
    'PUT',
    '/os-services/:service',
    { token: 'admin', as: 'os-services/v2.53/service-disable-log-put-req.json' },
  ],
  [
    'os-services/v2.53/service-force-down-put-resp.json',
    'PUT',
    '/os-services/:service',
    { token: 'admin', as: 'os-services/v2.53/service-force-down-put-req.json' },
  ],
  ['os-services/v2.53/service-enable-put-resp.json', 'PUT', '/os-services/:service', { token: 'admin', as: 'os-services/v2.53/service-enable-put-req.json' }],
];

describe('answers have the members and types of recorded ones', () => {
  for (const [sample, method, path, options = {}] of CASES) {
    it(`${method} ${path.replace('!', '')} as ${sample}`, async (context) => {
      const wanted = read(sample);
      if (wanted === undefined) return context.skip(`needs the recorded sample ${sample}`);
      const { as, ...rest } = options;
      rig.cloud.change(serverId, { taskState: null });
      const place = path
        .replace(':server', serverId)
        .replace(':group', [...rig.cloud.serverGroups.keys()][0] ?? '')
        .replace(':service', rig.cloud.hosts[0]?.uuid ?? HOST_ID);
      const version = /v(2\.\d+)\//.exec(sample)?.[1] ?? '2.1';
      const answer: Answer = await rig.ask(method, place.startsWith('!') ? place.slice(1) : `/v2.1${place}`, {
        version,
        ...rest,
        ...(as === undefined ? {} : { body: read(as) }),
        ...(rest.body === undefined ? {} : { body: JSON.parse(JSON.stringify(rest.body).replaceAll(':server', serverId)) as unknown }),
      });
      expect([answer.status, answer.text.slice(0, 200)]).toEqual([expect.toSatisfy((status: number) => status >= 200 && status < 300), expect.anything()]);
      expect(differences(wanted, answer.body, '')).toEqual([]);
      return undefined;
    });
  }
});

function read(sample: string): unknown {
  if (SAMPLES === undefined) return undefined;
  const file = join(SAMPLES, sample);
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** Maps whose keys are the users' own. */
const FREE = /(^|\.)(metadata|addresses|extra_specs|properties|scheduler_hints|meta|cpu_info|hosts)$/;
/** Members that depend on what else is in the cloud, not on the version. */
const OPTIONAL = new Set([
  'servers_links',
  'flavors_links',
  'keypairs_links',
  'hypervisors_links',
  'images_links',
  'migrations_links',
  'links',
  'server',
  'OS-DCF:diskConfig',
  'extra_specs',
  'disabled_reason',
  'tenant_usages_links',
  'tenant_usage_links',
]);

function differences(wanted: unknown, got: unknown, path: string): string[] {
  if (wanted === null || got === null) return []; // null stands for a value that is unset
  if (Array.isArray(wanted)) {
    if (!Array.isArray(got)) return [`${path}: an array is wanted, got ${typeof got}`];
    return wanted.length > 0 && got.length > 0 ? differences(wanted[0], got[0], `${path}[]`) : [];
  }
  if (typeof wanted !== 'object') {
    return typeof wanted === typeof got ? [] : [`${path}: ${typeof wanted} is wanted, got ${typeof got} ${JSON.stringify(got)}`];
  }
  if (typeof got !== 'object' || Array.isArray(got)) return [`${path}: an object is wanted, got ${JSON.stringify(got)}`];
  if (FREE.test(path)) return [];
  const found: string[] = [];
  const answered = Object.entries(got);
  for (const [name, value] of Object.entries(wanted)) {
    const own = answered.find(([key]) => key === name);
    const isFreeKey = path.endsWith('specs') || isAddressList(value);
    if (own === undefined) {
      if (!OPTIONAL.has(name) && !isFreeKey) found.push(`${path}.${name} is missing`);
    } else found.push(...differences(value, own[1], `${path}.${name}`));
  }
  for (const [name, value] of answered) {
    if (!Object.hasOwn(wanted, name) && !OPTIONAL.has(name) && path !== '' && !isAddressList(value)) found.push(`${path}.${name} is too much`);
  }
  return found;
}

function isAddressList(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && typeof value[0] === 'object' && value[0] !== null && 'addr' in value[0];
}
