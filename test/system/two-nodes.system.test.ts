/**
 * Two nodes, one cloud: they share the shards of one store and speak over the mesh. What one node's hosts run is
 * reached through the other's door; when a node is killed, the other takes its shards and what was accepted goes on.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startCloud, type Cloud } from '../doubles/cloud.ts';

type Server = { readonly id: string; readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string };

const WAIT_MS = 60_000;
const SERVERS = 12;

let first: Cloud;
let second: Cloud;
let token: string;
let servers: readonly Server[] = [];

beforeAll(async () => {
  first = await startCloud({ args: ['--set', 'name=first', '--set', 'hosts.0.name=first-{n}', '--hosts', '2'] });
  second = await startCloud({ args: secondNode(first) });
  token = await first.adminToken();
});

afterAll(async () => {
  await second?.close();
  await first?.close();
});

describe('two nodes on one store', () => {
  it('share the shards', async () => {
    await until('half of the shards each', async () => {
      const [one, other] = await Promise.all([owned(first), owned(second)]);
      return one === 512 && other === 512;
    });
  });

  it('run servers on the hosts of both, asked through one door', async () => {
    const image = await imageId();
    await until('hosts of both nodes known to the scheduler', async () => {
      const { body } = await first.api<{ hypervisors: { state: string }[] }>('GET', '/os-hypervisors', undefined, { token });
      return body.hypervisors.filter((host) => host.state === 'up').length === 4;
    });
    const order = { server: { name: 'shared', flavorRef: '42', imageRef: image, min_count: SERVERS, max_count: SERVERS } };
    await raiseQuota();
    const answer = await first.api('POST', '/servers', order, { token });
    expect(answer.status).toBe(202);
    await until('all are active', async () => (await list()).every((server) => server.status === 'ACTIVE'));
    servers = await list();
    expect(servers).toHaveLength(SERVERS);
    expect(new Set(servers.map((server) => server['OS-EXT-SRV-ATTR:host'].split('-')[0]))).toEqual(new Set(['first', 'second']));
  });

  it('tell what the other node commits to the streams of this one', async () => {
    const [server] = on('second');
    const { body: before } = await first.api<{ revision: number }>('GET', '/stream?wait=0&after=0', undefined, { token });
    await act(server?.id ?? '', 'os-stop');
    await until('the stop is told', async () => {
      const { body } = await first.api<{ events: { id: string; status: string }[] }>('GET', `/stream?wait=5&after=${before.revision ?? 0}`, undefined, {
        token,
      });
      return body.events.some((event) => event.id === server?.id && event.status === 'SHUTOFF');
    });
  });

  it('go on without the one that was killed', async () => {
    await second.kill9();
    await until('all shards are the first node’s', async () => (await owned(first)) === 1024);
    for (const { id } of on('first')) await act(id, 'os-stop');
    await until('its servers are stopped', async () =>
      (await list()).filter((server) => server['OS-EXT-SRV-ATTR:host'].startsWith('first')).every((server) => server.status === 'SHUTOFF'),
    );
  });

  it('share again when it comes back, and its guests are still there', async () => {
    await second.restart();
    await until('half of the shards each', async () => (await owned(first)) === 512 && (await owned(second)) === 512);
    const [, another] = on('second');
    await act(another?.id ?? '', 'os-stop');
    await until('a server of its host is stopped', async () => (await list()).some((server) => server.id === another?.id && server.status === 'SHUTOFF'));
    for (const { id } of servers) await first.api('DELETE', `/servers/${id}`, undefined, { token });
    await until('all are gone', async () => (await list()).length === 0);
  });

  it('leave what they have when they stop in order: nobody waits for a lease to end', async () => {
    const before = takenLate();
    await second.stop();
    await until('all shards are the first node’s', async () => (await owned(first)) === 1024);
    expect(takenLate()).toBe(before);
  });
});

/** Without doors: who asks, asks the first. */
function secondNode({ databaseUrl }: Cloud): string[] {
  return ['--roles', 'control,compute', '--set', 'name=second', '--set', `database.url=${databaseUrl}`, '--set', 'hosts.0.name=second-{n}', '--hosts', '2'];
}

/** How often the first node took shards of one whose lease had ended. */
function takenLate(): number {
  return readFileSync(join(first.dataDir, 'novact.log'), 'utf8').split('shards of a lapsed node taken').length - 1;
}

async function owned(cloud: Cloud): Promise<number> {
  const { body } = await cloud.api<{ parts: { shards: { owned: number } } }>('GET', cloud.urls.health, undefined, { token: null });
  return body.parts.shards.owned;
}

async function list(): Promise<readonly Server[]> {
  const { body } = await first.api<{ servers: Server[] }>('GET', '/servers/detail', undefined, { token });
  return body.servers;
}

function on(node: string): readonly Server[] {
  return servers.filter((server) => server['OS-EXT-SRV-ATTR:host'].startsWith(node));
}

async function act(id: string, action: string): Promise<void> {
  const { status } = await first.api('POST', `/servers/${id}/action`, { [action]: null }, { token });
  expect(status).toBe(202);
}

async function imageId(): Promise<string> {
  const { body } = await first.api<{ images: { id: string }[] }>('GET', `${first.urls.image}/v2/images`, undefined, { token });
  return body.images[0]?.id ?? '';
}

async function raiseQuota(): Promise<void> {
  const { body } = await first.api<{ token: { project: { id: string } } }>('GET', `${first.urls.identity}/auth/tokens`, undefined, {
    token,
    headers: { 'x-subject-token': token },
  });
  const project = body.token.project.id;
  const { status } = await first.api('PUT', `/os-quota-sets/${project}`, { quota_set: { instances: 100, cores: 100 } }, { token });
  expect(status).toBe(200);
}

async function until(what: string, isTrue: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + WAIT_MS;
  for (;;) {
    if (await isTrue().catch(() => false)) return;
    if (Date.now() > endMs) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
