/** The openstack client of the distribution, unchanged, with the files that the start writes: as people use the cloud. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { settled } from '../chaos/checkers.ts';
import { lacks, startCloud, type Cloud } from '../doubles/cloud.ts';

const run = promisify(execFile);
const CLIENT = '/usr/bin/openstack';
const MIB = 1024 * 1024;
const LONG_MS = 240_000;

describe('the openstack client', { timeout: LONG_MS }, () => {
  let cloud: Cloud;
  let folder: string;
  beforeAll(async () => {
    if (!existsSync(CLIENT)) return;
    folder = mkdtempSync(join(tmpdir(), 'novact-client-'));
    cloud = await startCloud();
  });
  afterAll(async () => {
    await cloud?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });
  beforeEach((ctx) => {
    if (!existsSync(CLIENT)) lacks(ctx.skip, 'the openstack client');
  });

  async function openstack(...words: string[]): Promise<string> {
    const env = { PATH: '/usr/bin:/bin', HOME: folder, OS_CLIENT_CONFIG_FILE: join(cloud.dataDir, 'clouds.yaml'), OS_CLOUD: 'novact' };
    return (await run(CLIENT, words, { env, cwd: folder })).stdout.trim();
  }
  const value = (column: string, ...words: string[]): Promise<string> => openstack(...words, '-f', 'value', '-c', column);

  it('works as the summary of the start says, word for word', async () => {
    const lines = /with any OpenStack client:\n\n([^]*?)\n\n/.exec(cloud.output())?.[1]?.trim() ?? '';
    expect(lines.split('\n')).toHaveLength(3);
    const { stdout } = await run('sh', ['-e', '-c', lines], { env: { PATH: '/usr/bin:/bin', HOME: folder } });
    expect(stdout).toMatch(/\| first +\| ACTIVE \| private=10\.20\.\d+\.\d+ +\| tiny +\| m1\.tiny/);
    await openstack('server', 'delete', '--wait', 'first');
  });

  it('works with the variables of openrc', async () => {
    const script = `. ${join(cloud.dataDir, 'openrc')} && ${CLIENT} token issue -f value -c project_id && ${CLIENT} flavor list -f value -c Name`;
    const { stdout } = await run('sh', ['-e', '-c', script], { env: { PATH: '/usr/bin:/bin', HOME: folder, OS_CLOUD: 'of-another-cloud' } });
    expect(stdout).toMatch(/^[0-9a-f]{32}\n[^]*m1\.tiny\n[^]*m1\.xlarge/);
  });

  it('leads a server through its life', async () => {
    const disk = join(folder, 'disk.raw');
    writeFileSync(disk, Buffer.alloc(4 * MIB));
    await openstack('image', 'create', '--file', disk, '--disk-format', 'raw', '--container-format', 'bare', 'mine');
    expect(await value('status', 'image', 'show', 'mine')).toBe('active');
    writeFileSync(join(folder, 'key'), await openstack('keypair', 'create', 'mine'), { mode: 0o600 });
    expect((await run('ssh-keygen', ['-l', '-f', join(folder, 'key')])).stdout).toMatch(/^\d+ SHA256:/);

    const created = await openstack('server', 'create', '--flavor', 'm1.small', '--image', 'mine', '--key-name', 'mine', '--wait', '-f', 'json', 'life');
    expect(JSON.parse(created)).toMatchObject({ status: 'ACTIVE', key_name: 'mine', name: 'life' });
    expect(await openstack('server', 'list', '-f', 'value', '-c', 'Name', '-c', 'Status')).toBe('life ACTIVE');
    expect(JSON.parse(await openstack('server', 'show', '-f', 'json', 'life'))).toMatchObject({
      flavor: expect.stringContaining('m1.small'),
      image: expect.stringContaining('mine'),
    });
    expect(await openstack('console', 'log', 'show', 'life')).toMatch(/\S/);

    for (const [words, status] of [
      [['stop'], 'SHUTOFF'],
      [['start'], 'ACTIVE'],
      [['reboot', '--soft', '--wait'], 'ACTIVE'],
      [['reboot', '--hard', '--wait'], 'ACTIVE'],
    ] as const) {
      await openstack('server', ...words, 'life');
      expect(await settled(cloud, 30_000)).toEqual([]);
      expect([words, await value('status', 'server', 'show', 'life')]).toEqual([words, status]);
    }
    expect((await openstack('server', 'event', 'list', 'life', '-f', 'value', '-c', 'Action')).split('\n').sort()).toEqual([
      'create',
      'reboot',
      'reboot',
      'start',
      'stop',
    ]);

    await openstack('server', 'delete', '--wait', 'life');
    expect(await openstack('server', 'list', '-f', 'value')).toBe('');
    expect(await settled(cloud, 30_000)).toEqual([]);
  });

  it('is told why a server cannot be had', async () => {
    const wrong = openstack('server', 'create', '--flavor', 'm1.xlarge', '--image', 'tiny', '--min', '11', '--max', '11', 'many');
    await expect(wrong).rejects.toThrow(/Quota exceeded for .*instances.*403/);
    await expect(openstack('server', 'show', 'nowhere')).rejects.toThrow(/No [Ss]erver found for nowhere|No server with a name or ID of 'nowhere' exists/);
  });
});
