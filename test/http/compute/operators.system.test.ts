/** Zones, aggregates and hosts of a whole cloud: what operators say reaches schedulers, and outlives a crash. */
import { execFile } from 'node:child_process';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LAUNCHER, startCloud, type Cloud } from '../../doubles/cloud.ts';
import { memberOf } from './rig.ts';

const run = promisify(execFile);
const LIMIT_MS = 60_000;
const POLL_MS = 200;

let cloud: Cloud;
beforeAll(async () => void (cloud = await startCloud({ args: ['--hosts', '3'] })), 120_000);
afterAll(() => cloud?.close());

const at = (value: unknown, ...path: (string | number)[]): unknown => path.reduce(memberOf, value);
const ask = (method: string, path: string, body?: object, microversion = '2.1') => cloud.api(method, path, body, { microversion });
const act = (id: number, action: string, argument: object) => ask('POST', `/os-aggregates/${id}/action`, { [action]: argument });

/** Looks again until it is so. */
async function until<T>(look: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
  const stopMs = Date.now() + LIMIT_MS;
  for (;;) {
    const value = await look();
    if (holds(value) || Date.now() > stopMs) return value;
    await pause(POLL_MS);
  }
}

async function makeServer(more: object): Promise<unknown> {
  const { body: images } = await cloud.api('GET', `${cloud.urls.image}/v2/images`);
  const server = { name: 'one', imageRef: at(images, 'images', 0, 'id'), flavorRef: '1', ...more };
  const made = await ask('POST', '/servers', { server });
  if (made.status !== 202) return made.body;
  const id = String(at(made.body, 'server', 'id'));
  const done = await until(
    () => ask('GET', `/servers/${id}`),
    ({ body }) => at(body, 'server', 'status') !== 'BUILD',
  );
  return at(done.body, 'server');
}

describe('what operators say of hosts', () => {
  it('makes zones that servers can be asked into, which hosts with servers do not leave', async () => {
    const { body: hypervisors } = await ask('GET', '/os-hypervisors');
    const [one, two] = [0, 1].map((i) => String(at(hypervisors, 'hypervisors', i, 'hypervisor_hostname')));
    expect((await ask('POST', '/os-aggregates', { aggregate: { name: 'east', availability_zone: 'east' } })).status).toBe(200);
    expect((await act(1, 'add_host', { host: one ?? '' })).status).toBe(200);
    const server = await until(
      () => makeServer({ availability_zone: 'east' }),
      (made) => at(made, 'status') === 'ACTIVE',
    );
    expect([at(server, 'OS-EXT-AZ:availability_zone'), at(server, 'OS-EXT-SRV-ATTR:host')]).toEqual(['east', one]);
    expect((await act(1, 'remove_host', { host: one ?? '' })).status).toBe(409);
    expect((await ask('PUT', '/os-aggregates/1', { aggregate: { availability_zone: 'west' } })).status).toBe(400);
    const zones = at((await ask('GET', '/os-availability-zone')).body, 'availabilityZoneInfo') as { zoneName: string }[];
    expect(zones.map(({ zoneName }) => zoneName)).toEqual(['east', 'nova']);
    expect((await act(1, 'add_host', { host: two ?? '' })).status).toBe(200);
    await cloud.kill9();
    await cloud.restart();
    expect(at((await ask('GET', '/os-aggregates/1')).body, 'aggregate', 'hosts')).toEqual([one, two]);
    const again = await until(
      () => makeServer({ availability_zone: 'east' }),
      (made) => at(made, 'status') === 'ACTIVE',
    );
    expect(at(again, 'OS-EXT-AZ:availability_zone')).toBe('east');
    expect((await ask('DELETE', `/servers/${at(again, 'id')}`)).status).toBe(204);
  }, 180_000);

  it('keeps servers off a host that is disabled, and tells who uses what, and since when it is up', async () => {
    const { body } = await ask('GET', '/os-hypervisors/detail', undefined, '2.88');
    const uptimes = (at(body, 'hypervisors') as { uptime: string | null }[]).map(({ uptime }) => uptime);
    expect(uptimes).toEqual([expect.stringMatching(/ up /), expect.stringMatching(/ up /), expect.stringMatching(/ up /)]);
    const hosts = (at((await ask('GET', '/os-hosts?zone=east')).body, 'hosts') as { host_name: string }[]).map(({ host_name }) => host_name);
    for (const host of hosts) expect((await ask('PUT', `/os-hosts/${host}`, { status: 'disable' })).status).toBe(200);
    expect(at(await makeServer({ availability_zone: 'east' }), 'status')).toBe('ERROR');
    for (const host of hosts) await ask('PUT', `/os-hosts/${host}`, { status: 'enable' });
    const use = at((await ask('GET', `/os-hosts/${hosts[0]}`)).body, 'host') as { resource: { project: string; cpu: number } }[];
    expect(use.map(({ resource }) => resource.project).slice(0, 3)).toEqual(['(total)', '(used_now)', '(used_max)']);
    expect(use.at(-1)?.resource.cpu).toBe(1);
  }, 120_000);

  it('wants images on hosts, which fetch them and want them no more', async () => {
    const { body: images } = await cloud.api('GET', `${cloud.urls.image}/v2/images`);
    expect((await ask('POST', '/os-aggregates/1/images', { cache: [{ id: at(images, 'images', 0, 'id') }] }, '2.81')).status).toBe(202);
    const client = new pg.Client({ connectionString: cloud.databaseUrl });
    await client.connect();
    try {
      const left = async () => (await client.query<{ host: string }>('select host from image_wanted')).rows;
      expect(await until(left, (rows) => rows.length === 0)).toEqual([]);
    } finally {
      await client.end();
    }
  }, 90_000);

  it('takes a flavor out of use by a command', async () => {
    const words = [LAUNCHER, 'flavor'];
    const flags = ['--data', cloud.dataDir];
    const { stdout } = await run(process.execPath, [...words, 'disable', '1', ...flags]);
    expect(stdout).toBe('Flavor m1.tiny makes no new servers.\n');
    await until(
      () => makeServer({}),
      (made) => at(made, 'badRequest') !== undefined,
    );
    expect(at(await makeServer({}), 'badRequest', 'message')).toMatch(/Flavor 1 could not be found/);
    await run(process.execPath, [...words, 'enable', '1', ...flags]);
    await expect(run(process.execPath, [...words, 'disable', 'none', ...flags])).rejects.toMatchObject({ code: 1 });
  }, 120_000);
});
