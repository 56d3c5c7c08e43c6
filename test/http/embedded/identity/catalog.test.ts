import { expect, it } from 'vitest';
import type { IdentityEndpoint } from '../../../../actors/conductor/messages/identity.ts';
import { atThisNode, loadCatalog, renderCatalog } from '../../../../http/embedded/identity/catalog.ts';
import type { Actors } from '../../../../runtime/actor/ask.ts';

const ADDRESSES = { image: 'http://10.0.0.2:9292', compute: 'http://10.0.0.2:8774' };

function endpoint(url: string): IdentityEndpoint {
  return { id: url, serviceId: 's', regionId: 'r', interface: 'public', url, enabled: true };
}

it('an endpoint that a start has made has the address of the node that is asked; any other stays as it is', () => {
  expect(atThisNode(endpoint('{compute}/v2.1'), ADDRESSES).url).toBe('http://10.0.0.2:8774/v2.1');
  expect(atThisNode(endpoint('{image}'), ADDRESSES).url).toBe('http://10.0.0.2:9292');
  for (const url of ['https://image.example.org', 'http://10.0.0.1:8774/v2.1/$(project_id)s', '{volume}/v3', '{toString}']) {
    expect(atThisNode(endpoint(url), ADDRESSES).url).toBe(url);
  }
});

it('a catalog leaves out what this node does not answer', async () => {
  const service = { id: 's', type: 'x', name: 'x', description: '', enabled: true };
  const ask = async (_: string, { type }: { type: string }): Promise<unknown> =>
    type === 'identityListService' ? [service] : ['{image}', '{volume}/v3', 'http://elsewhere/'].map(endpoint);
  const catalog = await loadCatalog({ tell: () => undefined, ask } as unknown as Actors, ADDRESSES);
  expect(renderCatalog(catalog, null)).toMatchObject([{ endpoints: [{ url: 'http://10.0.0.2:9292' }, { url: 'http://elsewhere/' }] }]);
});
