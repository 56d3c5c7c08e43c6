/** Servers of groups whose host is lost: what was together is together again elsewhere, what was apart stays apart. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPair, type Pair } from './pair.ts';

const ON_LOST = 'nova:second-1';

describe('a host that is lost with servers of groups', () => {
  let pair: Pair;
  let image: string;
  beforeAll(async () => {
    pair = await openPair({ settings: ['leases.hostMs=3000'], firstHosts: 2, secondHosts: 1 });
    const { body } = await pair.first.api<{ images: { id: string }[] }>('GET', `${pair.first.urls.image}/v2/images`);
    image = body.images[0]?.id ?? '';
    await pair.until('its host is up', async () => (await pair.service('second-1')).state === 'up');
  });
  afterAll(async () => await pair?.close());

  const call = <Body>(path: string, body: object) => pair.first.api<Body>('POST', path, body, { microversion: '2.64' });
  async function group(policy: string): Promise<string> {
    return (await call<{ server_group: { id: string } }>('/os-server-groups', { server_group: { name: policy, policy } })).body.server_group.id;
  }
  /** Made again when its scheduler has not heard of the host yet. */
  async function make(member: string, zone: string): Promise<string> {
    const server = { name: 's', flavorRef: '42', imageRef: image, networks: 'auto', availability_zone: zone };
    let id = '';
    await pair.until('a member is active', async () => {
      id ||= (await call<{ server: { id: string } }>('/servers', { server, 'os:scheduler_hints': { group: member } })).body.server.id;
      const { status } = await pair.show(id);
      if (status === 'ERROR') {
        await pair.first.api('DELETE', `/servers/${id}`);
        id = '';
      }
      return status === 'ACTIVE';
    });
    return id;
  }
  const hosts = (ids: readonly string[]) => Promise.all(ids.map(async (id) => (await pair.show(id))['OS-EXT-SRV-ATTR:host']));

  it('is left by an affinity group for one host, and by a member of an anti-affinity group for one without the others', async () => {
    const [together, apart] = [await group('affinity'), await group('anti-affinity')];
    const pairs = [await make(together, ON_LOST), await make(together, ON_LOST)];
    const split = [await make(apart, ON_LOST), await make(apart, 'nova:first-1')];
    await pair.second.kill9();
    await pair.until('the service is down', async () => (await pair.service('second-1')).state === 'down');
    await pair.forceDown('second-1', true);
    const lost = [...pairs, split[0] ?? ''];
    expect((await Promise.all(lost.map((id) => pair.evacuate(id)))).map(({ status }) => status)).toEqual([200, 200, 200]);
    await pair.until('all are active elsewhere', async () => {
      const seen = await Promise.all(lost.map((id) => pair.show(id)));
      return seen.every((server) => server.status === 'ACTIVE' && server['OS-EXT-SRV-ATTR:host'].startsWith('first'));
    });
    expect(new Set(await hosts(pairs)).size).toBe(1);
    expect((await hosts(split)).sort()).toEqual(['first-1', 'first-2']);
  });

  it('has no place for a member of an anti-affinity group when each other host has one', async () => {
    const apart = await group('anti-affinity');
    const there = [await make(apart, 'nova:first-1'), await make(apart, 'nova:first-2')];
    expect((await hosts(there)).sort()).toEqual(['first-1', 'first-2']);
    const server = { name: 's', flavorRef: '42', imageRef: image, networks: 'auto', availability_zone: 'nova:first-1' };
    const { body } = await call<{ server: { id: string } }>('/servers', { server, 'os:scheduler_hints': { group: apart } });
    await pair.until('it ends', async () => (await pair.show(body.server.id)).status === 'ERROR');
    const shown = await pair.first.api<{ server: { fault: { message: string } } }>('GET', `/servers/${body.server.id}`);
    expect(shown.body.server.fault.message).toContain('ServerGroupAntiAffinityFilter');
  });
});
