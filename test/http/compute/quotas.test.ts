import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { IMAGE_ID, openRig, OTHER_PROJECT, PROJECT, type Rig } from './rig.ts';

let rig: Rig;
const asked: string[] = [];
let known: boolean | null = true;
beforeAll(async () => {
  rig = await openRig({}, { exists: async (id) => (asked.push(id), known) });
});
beforeEach(() => {
  rig.cloud.limits.clear();
  rig.cloud.servers.clear();
  rig.cloud.keyPairs.clear();
  asked.length = 0;
  known = true;
});
afterAll(() => rig.close());

const set = (quota_set: object, query = '', project = PROJECT) =>
  rig.ask('PUT', `/v2.1/os-quota-sets/${project}${query}`, { token: 'admin', body: { quota_set } });

describe('quota sets', () => {
  it('of projects that Identity does not know are refused, and nobody asks for the caller’s own', async () => {
    known = false;
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['GET', '/detail', undefined],
      ['GET', '/defaults', undefined],
      ['PUT', '', { quota_set: {} }],
    ] as const) {
      const refused = await rig.ask(method, `/v2.1/os-quota-sets/nowhere${path}`, { token: 'admin', ...(body && { body }) });
      expect([refused.status, refused.at('badRequest', 'message')]).toEqual([400, 'Project ID nowhere is not a valid project.']);
    }
    expect((await rig.ask('GET', `/v2.1/os-quota-sets/${PROJECT}`)).status).toBe(200);
    expect(asked).toEqual(['nowhere', 'nowhere', 'nowhere', 'nowhere']);
    known = null; // it cannot be asked
    expect((await rig.ask('GET', `/v2.1/os-quota-sets/${OTHER_PROJECT}`, { token: 'admin' })).status).toBe(200);
  });

  it('are not set below what is used or given to users, unless forced, nor to less than none', async () => {
    await rig.server();
    await rig.server();
    const below = await set({ instances: 1 });
    expect([below.status, below.at('badRequest', 'message')]).toEqual([
      400,
      'Quota limit 1 for instances must be greater than or equal to already used and reserved 2.',
    ]);
    expect((await set({ instances: 1, force: 'True' })).at('quota_set', 'instances')).toBe(1);
    expect((await set({ cores: 7 }, '?user_id=ann')).status).toBe(200);
    expect((await set({ cores: 6 })).status).toBe(400);
    expect((await set({ cores: -2 })).status).toBe(400);
    expect((await set({ coffee: 2 })).status).toBe(400);
    expect((await set({ cores: -1 })).at('quota_set', 'cores')).toBe(-1);
  });

  it('of a user are at most the project’s', async () => {
    await set({ key_pairs: 5 });
    const above = await set({ key_pairs: 6 }, '?user_id=ann');
    expect([above.status, above.at('badRequest', 'message')]).toEqual([400, 'Quota limit 6 for key_pairs must be less than or equal to 5.']);
    expect((await set({ key_pairs: -1 }, '?user_id=ann')).status).toBe(400);
    expect((await set({ key_pairs: 6, force: true }, '?user_id=ann')).at('quota_set', 'key_pairs')).toBe(6);
    const shown = async (query: string) => (await rig.ask('GET', `/v2.1/os-quota-sets/${PROJECT}${query}`)).at('quota_set', 'key_pairs');
    expect([await shown('?user_id=ann'), await shown('?user_id=bob'), await shown('')]).toEqual([6, 5, 5]);
    expect((await rig.ask('DELETE', `/v2.1/os-quota-sets/${PROJECT}?user_id=ann`, { token: 'admin' })).status).toBe(202);
    expect(await shown('?user_id=ann')).toBe(5);
  });

  it('of a user hold for what the user makes', async () => {
    const query = '?user_id=user-member';
    await set({ key_pairs: 0, metadata_items: 1, injected_files: 0 }, query);
    const pair = await rig.ask('POST', '/v2.1/os-keypairs', { body: { keypair: { name: 'k' } } });
    expect([pair.status, pair.at('forbidden', 'message')]).toEqual([403, 'Quota exceeded, too many key pairs.']);
    const create = (more: object) => rig.ask('POST', '/v2.1/servers', { body: { server: { name: 'a', imageRef: IMAGE_ID, flavorRef: '1', ...more } } });
    expect((await create({ metadata: { a: 'b', c: 'd' } })).at('forbidden', 'message')).toBe('Maximum number of metadata items exceeds 1');
    expect((await create({ personality: [{ path: '/a', contents: 'YQ==' }] })).status).toBe(403);
    const id = await rig.server();
    expect((await rig.ask('POST', `/v2.1/servers/${id}/metadata`, { body: { metadata: { a: 'b', c: 'd' } } })).status).toBe(403);
  });
});

describe('rate limits', () => {
  it('are none unless they are set', async () => {
    expect((await rig.ask('GET', '/v2.1/limits')).at('limits', 'rate')).toEqual([]);
  });

  it('hold per project, tell when to come again, and are shown', async () => {
    const limits = [
      { verb: 'POST', uri: '*/servers', regex: '^/servers', value: 2, unit: 'MINUTE' },
      { verb: 'GET', uri: '*changes-since*', regex: 'changes-since', value: 1, unit: 'HOUR' },
    ] as const;
    const limited = await openRig({ rateLimits: limits });
    try {
      limited.tokens.add('stranger', { projectId: OTHER_PROJECT });
      const create = (token: string) => limited.ask('POST', '/v2.1/servers', { token, body: {} });
      expect([(await create('member')).status, (await create('member')).status]).toEqual([400, 400]);
      const refused = await create('member');
      expect([refused.status, refused.at('overLimit', 'message')]).toEqual([429, 'Only 2 POST request(s) can be made to */servers every minute.']);
      const wait = Number(refused.headers['retry-after']);
      expect([wait > 25 && wait <= 30, refused.at('overLimit', 'retryAfter')]).toEqual([true, String(wait)]);
      expect((await create('stranger')).status).toBe(400);
      expect((await limited.ask('GET', '/v2.1/servers?changes-since=2026-01-01T00:00:00Z')).status).toBe(200);
      expect((await limited.ask('GET', '/v2.1/servers?changes-since=2026-01-01T00:00:00Z')).status).toBe(429);
      expect((await limited.ask('GET', '/v2.1/servers')).status).toBe(200);
      expect((await limited.ask('GET', '/v2.1/limits')).at('limits', 'rate')).toEqual([
        {
          uri: '*/servers',
          regex: '^/servers',
          limit: [{ verb: 'POST', value: 2, remaining: 0, unit: 'MINUTE', 'next-available': expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) }],
        },
        expect.objectContaining({ uri: '*changes-since*', limit: [expect.objectContaining({ remaining: 0, unit: 'HOUR' })] }),
      ]);
    } finally {
      await limited.close();
    }
  });
});
