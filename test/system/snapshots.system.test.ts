/** Images of servers, rebuilt and shelved ones, on a whole cloud with its own image service. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import pg from 'pg';
import { systemClock } from '../../runtime/base/clock.ts';
import { startCloud, type Cloud } from '../doubles/cloud.ts';

const LIMIT_MS = 60_000;
const MICROVERSION = '2.93';

type Server = {
  id: string;
  status: string;
  addresses: { private?: { addr: string }[] };
  image: { id: string };
  'OS-EXT-SRV-ATTR:host': string | null;
  'OS-EXT-STS:task_state': string | null;
};
type Image = {
  id: string;
  status: string;
  name: string;
  size: number;
  disk_format: string | null;
  visibility: string;
  owner: string;
  [property: string]: unknown;
};

let cloud: Cloud;
let imageRef = '';
beforeAll(async () => {
  cloud = await startCloud();
  imageRef = (await images())[0]?.id ?? '';
}, 120_000);
afterAll(() => cloud?.close());

async function images(query = ''): Promise<Image[]> {
  return (await cloud.api<{ images: Image[] }>('GET', `${cloud.urls.image}/v2/images${query}`)).body.images;
}
async function show(id: string): Promise<Server> {
  return (await cloud.api<{ server: Server }>('GET', `/servers/${id}`, undefined, { microversion: MICROVERSION })).body.server;
}
async function until<T>(look: () => Promise<T>, fits: (seen: T) => boolean): Promise<T> {
  const endMs = performance.now() + LIMIT_MS;
  for (;;) {
    const seen = await look();
    if (fits(seen)) return seen;
    if (performance.now() > endMs) throw new Error(`it did not come to be: ${JSON.stringify(seen)}`);
    await systemClock.sleep(50);
  }
}
const becomes = (id: string, status: string): Promise<Server> =>
  until(
    () => show(id),
    (seen) => seen.status === status && seen['OS-EXT-STS:task_state'] === null,
  );
async function make(image = imageRef): Promise<string> {
  const { body } = await cloud.api<{ server: Server }>('POST', '/servers', { server: { name: 'web', flavorRef: '1', imageRef: image } });
  await becomes(body.server.id, 'ACTIVE');
  return body.server.id;
}
async function act<Body = { image_id: string }>(id: string, body: object, microversion = MICROVERSION): Promise<Body> {
  const answer = await cloud.api<Body>('POST', `/servers/${id}/action`, body, { microversion });
  if (answer.status !== 202) throw new Error(`${JSON.stringify(body)}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}
const image = async (id: string): Promise<Image> => (await cloud.api<Image>('GET', `${cloud.urls.image}/v2/images/${id}`)).body;

describe('a whole cloud', { timeout: 180_000 }, () => {
  it('makes an image of a server, from which other servers are made', async () => {
    const id = await make();
    const { image_id: made } = await act(id, { createImage: { name: 'copy', metadata: { mine: 'yes' } } });
    expect((await image(made)).id).toBe(made);
    const whole = await until(
      () => image(made),
      ({ status }) => status === 'active',
    );
    expect(whole).toMatchObject({
      name: 'copy',
      disk_format: 'raw',
      visibility: 'private',
      mine: 'yes',
      instance_uuid: id,
      image_type: 'snapshot',
      base_image_ref: imageRef,
    });
    expect(whole.size).toBeGreaterThan(0);
    await becomes(id, 'ACTIVE');
    expect((await show(await make(made))).image.id).toBe(made);
  });

  it('keeps so many backups of a type as were asked for', async () => {
    const id = await make();
    const made: string[] = [];
    for (let i = 0; i < 4; i++) {
      made.push((await act(id, { createBackup: { name: `b${i}`, backup_type: 'daily', rotation: 2 } })).image_id);
      await becomes(id, 'ACTIVE');
    }
    const left = (await images(`?instance_uuid=${id}`)).map((one) => one.id);
    expect(left.sort()).toEqual(made.slice(2).sort());
    await act(id, { createBackup: { name: 'none', backup_type: 'daily', rotation: 0 } });
    await until(
      () => images(`?instance_uuid=${id}`),
      (seen) => seen.length === 0,
    );
  });

  it('shelves a server and brings it back with its address; the image goes, and nothing was in use meanwhile', async () => {
    const id = await make();
    const before = await show(id);
    await act(id, { shelve: null });
    const off = await becomes(id, 'SHELVED_OFFLOADED');
    expect([off['OS-EXT-SRV-ATTR:host'], off.addresses]).toEqual([null, before.addresses]);
    expect(await claims(id)).toBe(0);
    const [copy] = await images(`?instance_uuid=${id}`);
    expect(copy).toMatchObject({ name: 'web-shelved', status: 'active' });
    await act(id, { unshelve: null });
    const back = await becomes(id, 'ACTIVE');
    expect([back.addresses, back.image.id]).toEqual([before.addresses, imageRef]);
    expect(await claims(id)).toBe(1);
    await until(
      () => images(`?instance_uuid=${id}`),
      (seen) => seen.length === 0,
    );
  });

  it('removes the image of a shelved server that is deleted', async () => {
    const id = await make();
    await act(id, { shelve: null });
    await becomes(id, 'SHELVED_OFFLOADED');
    expect((await cloud.api('DELETE', `/servers/${id}`)).status).toBe(204);
    await until(
      () => images(`?instance_uuid=${id}`),
      (seen) => seen.length === 0,
    );
  });

  it('rebuilds a server where it is', async () => {
    const id = await make();
    const before = await show(id);
    const { image_id: made } = await act(id, { createImage: { name: 'other' } });
    await becomes(id, 'ACTIVE');
    await act(id, { rebuild: { imageRef: made, name: 'anew' } });
    const after = await becomes(id, 'ACTIVE');
    expect(after).toMatchObject({ name: 'anew', image: { id: made }, addresses: before.addresses, 'OS-EXT-SRV-ATTR:host': before['OS-EXT-SRV-ATTR:host'] });
  });

  it('leaves no image without bytes when servers are deleted, or it is killed, in the middle of it', async () => {
    const ids = await Promise.all([make(), make(), make()]);
    const [first, second, third] = ids;
    await act(first, { createImage: { name: 'cut off' } });
    await cloud.api('DELETE', `/servers/${first}`);
    await act(second, { createImage: { name: 'killed' } });
    await act(third, { shelve: null });
    await cloud.restart();
    await becomes(second, 'ACTIVE');
    await becomes(third, 'SHELVED_OFFLOADED');
    await until(
      () => images(`?instance_uuid=${first}`),
      (seen) => seen.every(({ status }) => status === 'active') && seen.length === 0,
    );
    expect((await images(`?instance_uuid=${second}`)).map(({ status }) => status)).toEqual(['active']);
  });
});

async function claims(id: string): Promise<number> {
  const client = new pg.Client({ connectionString: cloud.databaseUrl });
  await client.connect();
  try {
    return (await client.query('select 1 from claim where instance_id = $1', [id])).rowCount ?? 0;
  } finally {
    await client.end();
  }
}
