import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestContext } from 'vitest';
import type { Cloud } from './cloud.ts';
import { openCloud, PASSWORDS, REGION } from './cloud.ts';

const CLIENT = '/usr/bin/openstack';
const PYTHON = '/usr/bin/python3';
const run = promisify(execFile);
const LONG_MS = 120_000;

/** The programs that people use, unchanged, against the embedded services. */
describe('the openstack client', () => {
  let cloud: Cloud | undefined;
  beforeAll(async () => {
    if (existsSync(CLIENT)) cloud = await openCloud();
  }, 60_000);
  afterAll(async () => {
    await cloud?.close();
  });

  function here(ctx: TestContext): Cloud {
    if (!cloud && !process.env['CI']) ctx.skip('needs the openstack client');
    if (!cloud) throw new Error('the openstack client is not installed');
    return cloud;
  }
  function environment({ identityUrl }: Cloud, user: string, project: string, path = '/v3'): NodeJS.ProcessEnv {
    return {
      PATH: '/usr/bin:/bin',
      HOME: '/nonexistent',
      OS_AUTH_URL: `${identityUrl}${path}`,
      OS_USERNAME: user,
      OS_PASSWORD: PASSWORDS[user],
      OS_PROJECT_NAME: project,
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_REGION_NAME: REGION,
      OS_IDENTITY_API_VERSION: '3',
    };
  }
  async function openstack(at: Cloud, who: readonly [string, string], ...args: string[]): Promise<string> {
    return (await run(CLIENT, args, { env: environment(at, ...who) })).stdout;
  }
  const ADMIN = ['admin', 'admin'] as const;
  const DEMO = ['demo', 'demo'] as const;

  it(
    'logs in, with and without the version in the address',
    async (ctx) => {
      const at = here(ctx);
      const token = JSON.parse(await openstack(at, DEMO, 'token', 'issue', '-f', 'json')) as { project_id: string };
      expect(token.project_id).toBe(at.seeded.demoProjectId);
      const { stdout } = await run(CLIENT, ['project', 'list', '-f', 'value', '-c', 'Name'], { env: environment(at, 'demo', 'demo', '') });
      expect(stdout.trim()).toBe('demo');
    },
    LONG_MS,
  );

  it(
    'makes a project, a user and a grant, and takes them back',
    async (ctx) => {
      const at = here(ctx);
      await openstack(at, ADMIN, 'project', 'create', '--description', 'made by a client', 'made');
      await openstack(at, ADMIN, 'user', 'create', '--project', 'made', '--password', 'made', 'maker');
      await openstack(at, ADMIN, 'role', 'add', '--project', 'made', '--user', 'maker', 'member');
      expect(await openstack(at, ADMIN, 'role', 'assignment', 'list', '--names', '--project', 'made', '-f', 'value')).toContain('maker@Default');
      const issued = await run(CLIENT, ['token', 'issue', '-f', 'value', '-c', 'id'], { env: { ...environment(at, 'maker', 'made'), OS_PASSWORD: 'made' } });
      expect(issued.stdout.trim()).toHaveLength(43);
      expect(await openstack(at, ADMIN, 'user', 'list', '-f', 'value', '-c', 'Name')).toContain('maker');
      expect(await openstack(at, ADMIN, 'role', 'list', '-f', 'value', '-c', 'Name')).toContain('manager');
      await openstack(at, ADMIN, 'role', 'remove', '--project', 'made', '--user', 'maker', 'member');
      await openstack(at, ADMIN, 'user', 'delete', 'maker');
      await openstack(at, ADMIN, 'project', 'delete', 'made');
      expect(await openstack(at, ADMIN, 'project', 'list', '-f', 'value', '-c', 'Name')).not.toContain('made');
    },
    LONG_MS,
  );

  it(
    'uploads, shows, changes, saves and deletes an image',
    async (ctx) => {
      const at = here(ctx);
      const [source, saved] = [join(at.rig.directory, 'source.raw'), join(at.rig.directory, 'saved.raw')];
      await writeFile(source, randomBytes(3_000_000));
      await openstack(
        at,
        DEMO,
        'image',
        'create',
        '--file',
        source,
        '--disk-format',
        'raw',
        '--container-format',
        'bare',
        '--property',
        'hw_disk_bus=virtio',
        '--tag',
        'first',
        'mine',
      );
      expect(await openstack(at, DEMO, 'image', 'list', '--long', '-f', 'value')).toMatch(/mine raw bare 3000000 .* active shared False/);
      await openstack(at, DEMO, 'image', 'set', '--name', 'renamed', '--property', 'os_distro=none', '--min-disk', '1', '--tag', 'second', 'mine');
      await openstack(at, DEMO, 'image', 'unset', '--property', 'hw_disk_bus', '--tag', 'first', 'renamed');
      const shown = JSON.parse(await openstack(at, DEMO, 'image', 'show', '-f', 'json', 'renamed')) as { min_disk: number; tags: string[]; properties: object };
      expect([shown.min_disk, shown.tags]).toEqual([1, ['second']]);
      expect(shown.properties).toMatchObject({ os_distro: 'none', os_hash_algo: 'sha512' });
      expect(shown.properties).not.toHaveProperty('hw_disk_bus');
      await openstack(at, DEMO, 'image', 'save', '--file', saved, 'renamed');
      expect((await readFile(saved)).equals(await readFile(source))).toBe(true);
      await openstack(at, DEMO, 'image', 'delete', 'renamed');
      expect(await openstack(at, DEMO, 'image', 'list', '-f', 'value', '-c', 'Name')).toBe('tiny\n');
      await expect(openstack(at, DEMO, 'image', 'delete', 'tiny')).rejects.toThrow();
    },
    LONG_MS,
  );

  it(
    'works through the Python library too: checksums compared, images found, shared and downloaded',
    async (ctx) => {
      const at = here(ctx);
      const script = join(at.rig.directory, 'sdk.py');
      await writeFile(script, SDK);
      const { stdout } = await run(PYTHON, [script], { env: environment(at, 'admin', 'demo') });
      expect(JSON.parse(stdout)).toEqual({
        same: true,
        found: true,
        members: ['pending'],
        tiny: 'active',
        users: ['admin', 'demo', 'nova'],
        roles: true,
        gone: true,
      });
    },
    LONG_MS,
  );
});

const SDK = `
import hashlib, json, openstack
cloud = openstack.connect()
data = b'novact' * 1000
image = cloud.create_image('by-sdk', data=data, disk_format='raw', container_format='bare', wait=True, tags=['x'], allow_duplicates=True)
image = cloud.image.get_image(image.id)
member = cloud.image.add_member(image, member_id='other-project')
cloud.image.update_image(image, min_ram=5, hw_machine_type='q35')
out = {
    'same': cloud.image.download_image(image).content == data and image.checksum == hashlib.md5(data).hexdigest(),
    'found': cloud.image.find_image('by-sdk').hw_machine_type == 'q35',
    'members': [m.status for m in cloud.image.members(image)],
    'tiny': [i.status for i in cloud.image.images(name='tiny')][0],
    'users': sorted(u.name for u in cloud.identity.users()),
    'roles': cloud.identity.find_role('member') is not None,
}
cloud.delete_image(image.id, wait=True)
out['gone'] = cloud.get_image(image.id) is None
print(json.dumps(out))
`;
