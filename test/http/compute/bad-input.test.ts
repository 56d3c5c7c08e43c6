import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attemptsIn } from './bad-input.ts';
import { IMAGE_ID, openRig, OTHER_PROJECT } from './rig.ts';
import type { Rig } from './rig.ts';

let rig: Rig;
const ids = { own: '', foreign: '' };
const QUEUED = '30000000-0000-4000-8000-000000000001';
const FOREIGN = '30000000-0000-4000-8000-000000000002';
const LARGE = '30000000-0000-4000-8000-000000000003';
const PLACEHOLDER = { own: '10000000-0000-4000-8000-000000000001', foreign: '10000000-0000-4000-8000-000000000002' };

const world = {
  base: '/v2.1',
  imageId: IMAGE_ID,
  flavorId: '1',
  disabledFlavorId: '9',
  queuedImageId: QUEUED,
  foreignImageId: FOREIGN,
  largeImageId: LARGE,
  ownServerId: PLACEHOLDER.own,
  foreignServerId: PLACEHOLDER.foreign,
  tokens: { member: 'member', admin: 'admin', expired: 'expired', unscoped: 'unscoped' },
};

beforeAll(async () => {
  rig = await openRig();
  rig.cloud.addFlavor({ flavorId: '9', disabled: true });
  rig.images
    .add({ id: QUEUED, status: 'queued' })
    .add({ id: FOREIGN, visibility: 'private', owner: OTHER_PROJECT })
    .add({ id: LARGE, sizeBytes: 2 * 1024 ** 3 });
  ids.own = await rig.server();
  ids.foreign = await rig.server({}, { token: 'other' });
});
afterAll(() => rig.close());

describe('the door refuses', () => {
  for (const row of attemptsIn(world)) {
    it(row.name, async () => {
      const before = rig.cloud.servers.size;
      const real = (text: string): string => text.replace(PLACEHOLDER.own, ids.own).replace(PLACEHOLDER.foreign, ids.foreign);
      const answer = await rig.ask(row.method, real(row.path), row.options);
      expect(answer.status, answer.text.slice(0, 300)).toBe(row.status);
      expect(answer.at(row.member, 'code')).toBe(row.status);
      if (row.says) expect(answer.at(row.member, 'message')).toMatch(new RegExp(real(row.says.source)));
      expect(answer.headers['x-compute-request-id']).toMatch(/^req-[0-9a-f-]{36}$/);
      expect(rig.cloud.servers.size, 'nothing was made').toBe(before);
    });
  }
});

describe('the harmless twins pass', () => {
  it('takes names of 255 characters and bodies just below the limit', async () => {
    const answer = await rig.ask('POST', '/v2.1/servers', {
      body: {
        server: { name: 'n'.repeat(255), imageRef: IMAGE_ID, flavorRef: '1', metadata: { constructor: 'a', prototype: 'b' }, user_data: 'QUJD'.repeat(16_000) },
      },
    });
    expect(answer.status, answer.text).toBe(202);
  });

  it('answers an unknown server and a hidden one alike', async () => {
    const unknown = await rig.ask('GET', '/v2.1/servers/00000000-0000-4000-8000-00000000000f');
    const hidden = await rig.ask('GET', `/v2.1/servers/${ids.foreign}`);
    const shape = (text: string): string => text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID');
    expect(shape(hidden.text)).toBe(shape(unknown.text));
  });

  it('lets administrators see every project', async () => {
    expect((await rig.ask('GET', `/v2.1/servers/${ids.foreign}`, { token: 'admin' })).status).toBe(200);
  });

  it('never repeats a password that it refuses', async () => {
    const answer = await rig.ask('POST', '/v2.1/servers', { body: { server: { name: 'n', flavorRef: '1', adminPass: ['hunter2-canary'] } } });
    expect(answer.status).toBe(400);
    expect(answer.text).not.toContain('hunter2');
  });

  it('ends nothing when a quota is zero but refuses by name', async () => {
    await rig.ask('PUT', `/v2.1/os-quota-sets/${OTHER_PROJECT}`, { token: 'admin', body: { quota_set: { instances: 0, force: true } } });
    const answer = await rig.ask('POST', '/v2.1/servers', { token: 'other', body: { server: { name: 'n', imageRef: IMAGE_ID, flavorRef: '1' } } });
    expect([answer.status, answer.at('forbidden', 'message')]).toEqual([403, expect.stringContaining('instances')]);
  });

  it('says 503 and names the service when identity is down', async () => {
    rig.tokens.isDown = true;
    try {
      const answer = await rig.ask('GET', '/v2.1/servers');
      expect([answer.status, answer.at('serviceUnavailable', 'message')]).toEqual([503, expect.stringContaining('identity')]);
    } finally {
      rig.tokens.isDown = false;
    }
  });
});
