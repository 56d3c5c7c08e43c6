/** Two image services of one cloud: the same records, a folder each. */
import { createHash, randomBytes } from 'node:crypto';
import { readdir, rm, writeFile } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IMAGE_SETTINGS, imageApi } from '../../../../http/embedded/image/api.ts';
import { seedImage } from '../../../../http/embedded/image/seed.ts';
import { systemClock, type Clock } from '../../../../runtime/base/clock.ts';
import { silentLog } from '../../../../runtime/base/log.ts';
import { systemRandom } from '../../../../runtime/base/random.ts';
import { listenerOf, openCloud, type Cloud } from '../cloud.ts';
import { call, listen, type Listening } from '../rig.ts';

/** Whether rounds come; when they do, at once. */
let isQuick = false;
const clock: Clock = {
  ...systemClock,
  after: (delayMs, run) => systemClock.after(delayMs === 5_000 ? 10 : delayMs, () => (delayMs === 5_000 ? void whenQuick(run) : run())),
};
async function whenQuick(run: () => void): Promise<void> {
  while (!isQuick) await systemClock.sleep(5);
  run();
}

describe('two image services', () => {
  let cloud: Cloud;
  let second: Listening;
  let closeSecond: () => Promise<void>;
  let folder: string;
  let token: string;

  beforeAll(async () => {
    cloud = await openCloud({ clock });
    folder = join(cloud.rig.directory, 'second');
    const late: { app?: RequestListener } = {};
    second = await listen((request, response) => late.app?.(request, response));
    const { actors } = cloud.rig;
    const { tickets, tokens } = cloud;
    const opened = await imageApi({
      actors,
      node: 'two',
      url: second.url,
      tickets,
      tokens,
      blobs: folder,
      clock,
      random: systemRandom,
      log: silentLog,
      settings: IMAGE_SETTINGS,
    });
    late.app = listenerOf(opened.app);
    closeSecond = opened.close;
    token = await cloud.login('demo', 'demo');
  }, 60_000);
  afterAll(async () => {
    isQuick = true;
    await closeSecond?.();
    await second?.close();
    await cloud?.close();
  });

  async function uploaded(bytes: Buffer, url = cloud.imageUrl): Promise<{ id: string; hash: string }> {
    const made = await call('POST', `${url}/v2/images`, { token, body: { disk_format: 'raw', container_format: 'bare' } });
    const id = String(made.body['id']);
    const headers = { 'x-auth-token': token, 'content-type': 'application/octet-stream' };
    const answer = await fetch(`${url}/v2/images/${id}/file`, { method: 'PUT', headers, body: new Uint8Array(bytes) });
    expect(answer.status).toBe(204);
    return { id, hash: createHash('sha512').update(bytes).digest('hex') };
  }
  const get = (url: string, id: string, by = token, headers = {}): Promise<Response> =>
    fetch(`${url}/v2/images/${id}/file`, { headers: { 'x-auth-token': by, ...headers } });
  const bytesOf = async (answer: Response): Promise<Buffer> => Buffer.from(await answer.arrayBuffer());

  it('serve what the other one took, whole and in parts, and say the same about it', async () => {
    const bytes = randomBytes(3 * 2 ** 20 + 1);
    const { id } = await uploaded(bytes);
    const whole = await get(second.url, id);
    expect([whole.status, whole.headers.get('content-length'), whole.headers.get('content-md5')]).toEqual([
      200,
      String(bytes.length),
      createHash('md5').update(bytes).digest('hex'),
    ]);
    expect((await bytesOf(whole)).equals(bytes)).toBe(true);
    const part = await get(second.url, id, token, { range: 'bytes=100-199' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 100-199/${bytes.length}`]);
    expect((await bytesOf(part)).equals(bytes.subarray(100, 200))).toBe(true);
  });

  it('pass on no bytes that are not those of the image, and keep no copy of them', async () => {
    const bytes = randomBytes(400_000);
    const { id, hash } = await uploaded(bytes);
    await writeFile(join(cloud.blobs, hash), randomBytes(400_000));
    await expect(get(second.url, id).then(bytesOf)).rejects.toThrow();
    await onRounds(async () => expect(await readdir(folder)).not.toContain(hash));
    await rm(join(cloud.blobs, hash));
    expect((await get(second.url, id)).status).toBe(503);
    expect((await get(cloud.imageUrl, id)).status).toBe(503);
  });

  it('honour a ticket for its image and nothing else', async () => {
    const { id } = await uploaded(Buffer.from('bytes'));
    const { token: ticket } = cloud.tickets.issue('host', id);
    expect((await bytesOf(await get(second.url, id, ticket))).toString()).toBe('bytes');
    expect((await get(second.url, cloud.tinyId, ticket)).status).toBe(401);
    expect((await call('GET', `${second.url}/v2/images/${id}`, { token: ticket })).status).toBe(401);
    expect((await call('DELETE', `${second.url}/v2/images/${id}`, { token: ticket })).status).toBe(401);
    // Another image service is given what lies here, and never sent on: two that believe each other end.
    expect((await get(second.url, id, cloud.tickets.issue('copy', id).token)).status).toBe(404);
  });

  it('copy what the other one holds, and serve it when that is gone', async () => {
    const bytes = randomBytes(700_000);
    const { id, hash } = await uploaded(bytes);
    await onRounds(() => until(async () => (await readdir(folder)).includes(hash)));
    await rm(join(cloud.blobs, hash));
    for (const url of [second.url, cloud.imageUrl]) expect((await bytesOf(await get(url, id))).equals(bytes)).toBe(true);
  });

  it('keep one file for images of the same bytes, until the last of them is deleted', async () => {
    const bytes = randomBytes(1_000);
    const [one, other] = [await uploaded(bytes), await uploaded(bytes)];
    expect(one.hash).toBe(other.hash);
    await onRounds(() => until(async () => (await readdir(folder)).includes(one.hash)));
    const remove = async (id: string): Promise<void> => expect((await call('DELETE', `${cloud.imageUrl}/v2/images/${id}`, { token })).status).toBe(204);
    await remove(one.id);
    expect((await bytesOf(await get(cloud.imageUrl, other.id))).equals(bytes)).toBe(true);
    await remove(other.id);
    expect(await readdir(cloud.blobs)).not.toContain(one.hash);
    await onRounds(() => until(async () => !(await readdir(folder)).includes(one.hash)));
  });

  it('take an upload for lost when its node does not carry it on, and not otherwise', async () => {
    const made = await call('POST', `${cloud.imageUrl}/v2/images`, { token, body: { disk_format: 'raw', container_format: 'bare' } });
    const id = String(made.body['id']);
    const em = cloud.rig.orm.em.fork();
    const saving = async (node: string): Promise<void> =>
      void (await em.execute(`update image set status = 'saving', upload_id = 'x', upload_node = ? where id = ?`, [node, id]));
    const status = async (): Promise<string> => String((await call('GET', `${cloud.imageUrl}/v2/images/${id}`, { token })).body['status']);
    await saving('two');
    await onRounds(() => until(async () => (await status()) === 'queued'));
    await em.execute(`insert into image_door (node, url) values ('third', 'http://127.0.0.1:1')`);
    await saving('third');
    await onRounds(() => systemClock.sleep(100));
    expect(await status()).toBe('saving');
    await em.execute(`update image_door set seen_at = seen_at - interval '1 hour' where node = 'third'`);
    await onRounds(() => until(async () => (await status()) === 'queued'));
  });

  it('make one first image between them, whole', async () => {
    const admin = await cloud.login('admin', 'admin');
    expect((await call('DELETE', `${cloud.imageUrl}/v2/images/${cloud.tinyId}`, { token: admin })).status).toBe(204);
    const seed = (node: string, blobs: string, url: string) =>
      seedImage(cloud.rig.actors, { blobs, owner: cloud.seeded.adminProjectId, clock, random: systemRandom, node, url });
    const ids = await Promise.all([seed('one', cloud.blobs, cloud.imageUrl), seed('two', folder, second.url), seed('one', cloud.blobs, cloud.imageUrl)]);
    expect(new Set(ids).size).toBe(1);
    const { body } = await call('GET', `${second.url}/v2/images?name=tiny`, { token });
    expect(body['images']).toMatchObject([{ id: ids[0], status: 'active' }]);
    for (const url of [second.url, cloud.imageUrl]) expect((await get(url, ids[0] ?? '')).status).toBe(200);
  });

  async function onRounds(work: () => Promise<unknown>): Promise<void> {
    isQuick = true;
    await systemClock.sleep(60);
    await work();
    isQuick = false;
  }
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await systemClock.sleep(5);
}
