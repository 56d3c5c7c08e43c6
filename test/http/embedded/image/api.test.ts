import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, rename, stat, utimes, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IMAGE_SETTINGS, imageApi } from '../../../../http/embedded/image/api.ts';
import { seedImage } from '../../../../http/embedded/image/seed.ts';
import { tinyImage } from '../../../../http/embedded/image/tiny-image.ts';
import { systemClock } from '../../../../runtime/base/clock.ts';
import { silentLog } from '../../../../runtime/base/log.ts';
import { systemRandom } from '../../../../runtime/base/random.ts';
import { openCloud } from '../cloud.ts';
import type { Cloud } from '../cloud.ts';
import type { Answer } from '../rig.ts';
import { call } from '../rig.ts';

type Body = { [key: string]: Body & string & Body[] };
const bodyOf = (answer: Answer): Body => answer.body as unknown as Body;
const SIZE_MAX = 2 * 1_048_576;
const PATCH = { 'content-type': 'application/openstack-images-v2.1-json-patch' };
const BYTES = { 'content-type': 'application/octet-stream' };

describe('embedded image', () => {
  let cloud: Cloud;
  let url: string;
  let admin: string;
  let demo: string;
  let adminProject: string;
  beforeAll(async () => {
    cloud = await openCloud({ sizeMaxBytes: SIZE_MAX });
    url = `${cloud.imageUrl}/v2`;
    admin = await cloud.login('admin', 'admin');
    demo = await cloud.login('demo', 'demo');
    adminProject = cloud.seeded.adminProjectId;
  }, 60_000);
  afterAll(async () => {
    await cloud?.close();
  });

  const get = (path: string, token = demo, headers = {}): Promise<Answer> =>
    call('GET', `${url}${path}`, { token, headers: { accept: 'application/json', ...headers } });
  async function create(members: object = {}, token = demo): Promise<string> {
    const answer = await call('POST', `${url}/images`, { token, body: { disk_format: 'raw', container_format: 'bare', ...members } });
    expect(answer.status).toBe(201);
    return String(bodyOf(answer)['id']);
  }
  async function put(id: string, bytes: Buffer, token = demo): Promise<number> {
    const response = await fetch(`${url}/images/${id}/file`, { method: 'PUT', headers: { 'x-auth-token': token, ...BYTES }, body: new Uint8Array(bytes) });
    await response.arrayBuffer();
    return response.status;
  }
  async function fetched(id: string, token = demo, headers = {}): Promise<{ status: number; bytes: Buffer; headers: Headers }> {
    const response = await fetch(`${url}/images/${id}/file`, { headers: { 'x-auth-token': token, ...headers } });
    return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()), headers: response.headers };
  }
  async function uploaded(members: object = {}, bytes = randomBytes(10_000), token = demo): Promise<string> {
    const id = await create(members, token);
    expect(await put(id, bytes, token)).toBe(204);
    return id;
  }
  const unfinished = async (): Promise<string[]> => (await readdir(cloud.blobs)).filter((name) => name.startsWith('new-'));
  const patch = (id: string, body: unknown, token = demo): Promise<Answer> =>
    call('PATCH', `${url}/images/${id}`, { token, body, headers: { accept: 'application/json', ...PATCH } });

  it('is discovered: 300 at the root and at /v2, 200 at /versions', async () => {
    expect((await call('GET', `${cloud.imageUrl}/`)).status).toBe(300);
    expect((await call('GET', `${cloud.imageUrl}/v2/`)).status).toBe(300);
    const versions = await call('GET', `${cloud.imageUrl}/versions`);
    expect(versions.status).toBe(200);
    expect(bodyOf(versions)['versions']?.[0]).toMatchObject({ status: 'CURRENT', links: [{ rel: 'self', href: `${url}/` }] });
    expect((await get('/schemas/image')).status).toBe(200);
    expect(bodyOf(await get('/info/import'))['import-methods']).toHaveProperty('value', []);
  });

  it('wants a token for everything else', async () => {
    for (const path of ['/images', `/images/${cloud.tinyId}`, '/schemas/images', '/info/stores']) {
      expect((await call('GET', `${url}${path}`)).status).toBe(401);
      expect((await get(path, 'wrong')).status).toBe(401);
    }
  });

  it('takes an image through queued, bytes and active, and gives the same bytes back', async () => {
    const bytes = randomBytes(1_048_576 + 17);
    const id = await create({ name: 'one', min_disk: 2, min_ram: 64, tags: ['b', 'a', 'b'], hw_disk_bus: 'virtio' });
    const queued = bodyOf(await get(`/images/${id}`));
    expect(queued).toMatchObject({
      id,
      name: 'one',
      status: 'queued',
      visibility: 'shared',
      owner: cloud.seeded.demoProjectId,
      size: null,
      checksum: null,
      hw_disk_bus: 'virtio',
      tags: ['b', 'a'],
      min_disk: 2,
      min_ram: 64,
    });
    expect((await fetched(id)).status).toBe(204);
    expect(await put(id, bytes)).toBe(204);
    const active = bodyOf(await get(`/images/${id}`));
    expect(active).toMatchObject({
      status: 'active',
      size: bytes.length,
      checksum: createHash('md5').update(bytes).digest('hex'),
      os_hash_algo: 'sha512',
      os_hash_value: createHash('sha512').update(bytes).digest('hex'),
    });
    const back = await fetched(id);
    expect([back.status, back.bytes.equals(bytes), back.headers.get('content-md5'), back.headers.get('content-length')]).toEqual([
      200,
      true,
      active['checksum'],
      String(bytes.length),
    ]);
    expect(await put(id, bytes)).toBe(409);
    const { mode } = await stat(join(cloud.blobs, String(active['os_hash_value'])));
    expect([mode & 0o777, (await stat(cloud.blobs)).mode & 0o777]).toEqual([0o600, 0o700]);
  });

  it('serves a part', async () => {
    const bytes = randomBytes(5_000);
    const id = await uploaded({}, bytes);
    const part = await fetched(id, demo, { range: 'bytes=1000-1999' });
    expect([part.status, part.headers.get('content-range'), part.bytes.equals(bytes.subarray(1_000, 2_000))]).toEqual([206, 'bytes 1000-1999/5000', true]);
    expect((await fetched(id, demo, { range: 'bytes=-10' })).bytes.equals(bytes.subarray(4_990))).toBe(true);
    expect((await fetched(id, demo, { range: 'bytes=4999-' })).bytes.equals(bytes.subarray(4_999))).toBe(true);
    const outside = await fetched(id, demo, { range: 'bytes=5000-' });
    expect([outside.status, outside.headers.get('content-range')]).toEqual([416, 'bytes */5000']);
    const head = await call('HEAD', `${url}/images/${id}/file`, { token: demo });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '5000']);
  });

  it('answers 413 past the size limit, declared or not, and leaves the image queued without a file', async () => {
    const id = await create();
    expect(await put(id, Buffer.alloc(SIZE_MAX + 1))).toBe(413);
    const sent = await new Promise<number>((resolve, reject) => {
      const put = request(
        `${url}/images/${id}/file`,
        { method: 'PUT', headers: { 'x-auth-token': demo, ...BYTES, 'transfer-encoding': 'chunked' } },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      put.on('error', reject);
      put.end(Buffer.alloc(SIZE_MAX + 1));
    });
    expect(sent).toBe(413);
    expect(bodyOf(await get(`/images/${id}`))).toMatchObject({ status: 'queued', size: null });
    expect(await unfinished()).toEqual([]);
    expect(await put(id, Buffer.alloc(SIZE_MAX))).toBe(204);
  });

  it('goes back to queued when the client goes away in the middle', async () => {
    const id = await create();
    const put = request(`${url}/images/${id}/file`, { method: 'PUT', headers: { 'x-auth-token': demo, ...BYTES, 'content-length': 1_000_000 } });
    put.on('error', () => undefined);
    put.write(randomBytes(500_000));
    await until(async () => bodyOf(await get(`/images/${id}`))['status'] === 'saving');
    put.destroy();
    await until(async () => bodyOf(await get(`/images/${id}`))['status'] === 'queued');
    expect(await unfinished()).toEqual([]);
    const bytes = randomBytes(100);
    await until(async () => (await putStatus(id, bytes)) === 204);
    expect((await fetched(id)).bytes.equals(bytes)).toBe(true);
    async function putStatus(image: string, body: Buffer): Promise<number> {
      return (await fetch(`${url}/images/${image}/file`, { method: 'PUT', headers: { 'x-auth-token': demo, ...BYTES }, body: new Uint8Array(body) })).status;
    }
  });

  it('lets one of many uploads win', async () => {
    const id = await create();
    const bodies = Array.from({ length: 8 }, () => randomBytes(50_000));
    const answers = await Promise.all(bodies.map((body) => put(id, body)));
    expect(answers.filter((status) => status === 204)).toHaveLength(1);
    expect(answers.filter((status) => status === 409)).toHaveLength(7);
    expect((await fetched(id)).bytes.equals(bodies[answers.indexOf(204)] ?? Buffer.alloc(0))).toBe(true);
  });

  it('lets a delete win over an upload in flight, and leaves no file', async () => {
    const id = await create();
    const put = request(`${url}/images/${id}/file`, { method: 'PUT', headers: { 'x-auth-token': demo, ...BYTES, 'content-length': 1_000 } });
    put.on('error', () => undefined);
    put.write(randomBytes(500));
    await until(async () => bodyOf(await get(`/images/${id}`))['status'] === 'saving');
    expect((await call('DELETE', `${url}/images/${id}`, { token: demo })).status).toBe(204);
    put.end(randomBytes(500));
    const [response] = (await once(put, 'response')) as [{ statusCode: number; resume(): void }];
    response.resume();
    expect(response.statusCode).toBe(404);
    expect(await unfinished()).toEqual([]);
  });

  it('wants octets, and both formats before them', async () => {
    const id = await create();
    expect((await call('PUT', `${url}/images/${id}/file`, { token: demo, body: {} })).status).toBe(415);
    expect(await put(await create({ disk_format: null }), Buffer.from('x'))).toBe(400);
  });

  it('removes file and record, but not what is protected', async () => {
    const id = await uploaded({ protected: true });
    const file = String(bodyOf(await get(`/images/${id}`))['os_hash_value']);
    expect(await readdir(cloud.blobs)).toContain(file);
    expect((await call('DELETE', `${url}/images/${id}`, { token: demo })).status).toBe(403);
    expect((await patch(id, [{ op: 'replace', path: '/protected', value: false }])).status).toBe(200);
    expect((await call('DELETE', `${url}/images/${id}`, { token: demo })).status).toBe(204);
    expect((await get(`/images/${id}`)).status).toBe(404);
    expect(await readdir(cloud.blobs)).not.toContain(file);
  });

  it('takes an id of the client, once', async () => {
    const id = systemRandom.uuid();
    expect(await create({ id: id.toUpperCase() })).toBe(id);
    expect((await call('POST', `${url}/images`, { token: demo, body: { id } })).status).toBe(409);
    for (const bad of ['../../etc/passwd', 'x', 7, `${id}/..`])
      expect((await call('POST', `${url}/images`, { token: demo, body: { id: bad } })).status).toBe(400);
    for (const bad of ['..%2f..%2fetc', '%2e%2e', `${id}.x`]) expect((await get(`/images/${bad}/file`)).status).toBe(404);
  });

  describe('of others', () => {
    it('is 404 when private, whatever is tried', async () => {
      const id = await uploaded({ visibility: 'private' }, randomBytes(10), admin);
      const answers = [
        await get(`/images/${id}`),
        await get(`/images/${id}/file`),
        await get(`/images/${id}/members`),
        await patch(id, [{ op: 'replace', path: '/name', value: 'mine' }]),
        await call('DELETE', `${url}/images/${id}`, { token: demo }),
        await call('PUT', `${url}/images/${id}/tags/x`, { token: demo }),
        await call('POST', `${url}/images/${id}/actions/deactivate`, { token: demo }),
      ];
      expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 404));
      expect(await put(id, Buffer.from('x'))).toBe(404);
      expect(listed(await get('/images?limit=1000'))).not.toContain(id);
      expect(listed(await get('/images?limit=1000', admin))).toContain(id);
    });

    it('is seen, not changed, when public', async () => {
      expect((await get(`/images/${cloud.tinyId}`)).status).toBe(200);
      expect((await fetched(cloud.tinyId)).bytes.equals(tinyImage())).toBe(true);
      expect((await patch(cloud.tinyId, [{ op: 'replace', path: '/name', value: 'mine' }])).status).toBe(403);
      expect((await call('DELETE', `${url}/images/${cloud.tinyId}`, { token: demo })).status).toBe(403);
    });

    it('is listed when it is of the community only if asked for', async () => {
      const id = await uploaded({ visibility: 'community', name: 'ours' });
      const user = await secondUser();
      expect((await get(`/images/${id}`, user)).status).toBe(200);
      expect(listed(await get('/images?limit=1000', user))).not.toContain(id);
      expect(listed(await get('/images?visibility=community', user))).toContain(id);
    });

    it('is shared with a member that accepts', async () => {
      const id = await uploaded();
      const user = await secondUser();
      const member = userProject;
      expect((await get(`/images/${id}`, user)).status).toBe(404);
      const added = await call('POST', `${url}/images/${id}/members`, { token: demo, body: { member } });
      expect([added.status, bodyOf(added)['status']]).toEqual([200, 'pending']);
      expect((await call('POST', `${url}/images/${id}/members`, { token: demo, body: { member } })).status).toBe(409);
      expect((await get(`/images/${id}`, user)).status).toBe(200);
      expect(listed(await get('/images?limit=1000', user))).not.toContain(id);
      expect(listed(await get('/images?visibility=shared&member_status=pending', user))).toContain(id);
      expect((await call('PUT', `${url}/images/${id}/members/${member}`, { token: demo, body: { status: 'accepted' } })).status).toBe(403);
      expect((await call('PUT', `${url}/images/${id}/members/${member}`, { token: user, body: { status: 'perhaps' } })).status).toBe(400);
      expect((await call('PUT', `${url}/images/${id}/members/${member}`, { token: user, body: { status: 'accepted' } })).status).toBe(200);
      expect(listed(await get('/images?limit=1000', user))).toContain(id);
      expect((await fetched(id, user)).status).toBe(200);
      expect((await call('POST', `${url}/images/${id}/members`, { token: user, body: { member: 'third' } })).status).toBe(403);
      expect((await call('DELETE', `${url}/images/${id}/members/${member}`, { token: demo })).status).toBe(204);
      expect((await get(`/images/${id}`, user)).status).toBe(404);
    });

    it('shows a member only itself', async () => {
      const id = await uploaded();
      const user = await secondUser();
      for (const member of ['another', userProject]) await call('POST', `${url}/images/${id}/members`, { token: demo, body: { member } });
      const seen = async (token: string): Promise<number | undefined> => bodyOf(await get(`/images/${id}/members`, token))['members']?.length;
      expect([await seen(demo), await seen(user), (await get(`/images/${id}/members/another`, user)).status]).toEqual([2, 1, 404]);
    });
  });

  it('leaves publishing, owners and deactivation to administrators', async () => {
    const id = await uploaded();
    expect((await call('POST', `${url}/images`, { token: demo, body: { visibility: 'public' } })).status).toBe(403);
    expect((await call('POST', `${url}/images`, { token: demo, body: { owner: adminProject } })).status).toBe(403);
    expect((await patch(id, [{ op: 'replace', path: '/visibility', value: 'public' }])).status).toBe(403);
    expect((await patch(id, [{ op: 'replace', path: '/owner', value: adminProject }])).status).toBe(403);
    expect((await call('POST', `${url}/images/${id}/actions/deactivate`, { token: demo })).status).toBe(403);
    expect((await call('POST', `${url}/images/${id}/actions/deactivate`, { token: admin })).status).toBe(204);
    expect([bodyOf(await get(`/images/${id}`))['status'], (await fetched(id)).status, (await fetched(id, admin)).status]).toEqual(['deactivated', 403, 200]);
    expect((await call('POST', `${url}/images/${id}/actions/reactivate`, { token: admin })).status).toBe(204);
    expect((await fetched(id)).status).toBe(200);
    expect((await call('POST', `${url}/images/${await create()}/actions/deactivate`, { token: admin })).status).toBe(403);
    expect((await patch(id, [{ op: 'replace', path: '/visibility', value: 'public' }], admin)).status).toBe(200);
  });

  it('patches members and properties, all or nothing', async () => {
    const id = await uploaded({ name: 'before', gone: 'soon' });
    const done = await patch(id, [
      { op: 'replace', path: '/name', value: 'after' },
      { op: 'add', path: '/os_distro', value: 'none' },
      { op: 'remove', path: '/gone' },
      { op: 'add', path: '/a~1b~0c', value: 'escaped' },
      { op: 'replace', path: '/tags', value: ['x'] },
      { op: 'replace', path: '/os_hidden', value: true },
    ]);
    expect([done.status, bodyOf(done)]).toMatchObject([200, { name: 'after', os_distro: 'none', 'a/b~c': 'escaped', tags: ['x'], os_hidden: true }]);
    expect(bodyOf(done)).not.toHaveProperty('gone');
    const half = await patch(id, [
      { op: 'replace', path: '/name', value: 'half' },
      { op: 'replace', path: '/checksum', value: 'x' },
    ]);
    expect([half.status, bodyOf(await get(`/images/${id}`))['name']]).toEqual([403, 'after']);
    expect(listed(await get('/images?limit=1000'))).not.toContain(id);
    expect(listed(await get('/images?os_hidden=true'))).toContain(id);
  });

  it('loses no change of many at once', async () => {
    const id = await create();
    const answers = await Promise.all(Array.from({ length: 4 }, (_, n) => patch(id, [{ op: 'add', path: `/key${n}`, value: 'x' }])));
    const kept = answers.filter((answer) => answer.status === 200).length;
    expect(answers.every(({ status }) => status === 200 || status === 409)).toBe(true);
    expect(Object.keys(bodyOf(await get(`/images/${id}`))).filter((key) => key.startsWith('key'))).toHaveLength(kept);
  });

  it.each([
    ['a read-only member', [{ op: 'replace', path: '/status', value: 'active' }], 403],
    ['a reserved name', [{ op: 'add', path: '/os_glance_x', value: 'y' }], 403],
    ['locations', [{ op: 'add', path: '/locations/-', value: {} }], 400],
    ['removal of a base member', [{ op: 'remove', path: '/name' }], 403],
    ['a format of an active image', [{ op: 'replace', path: '/disk_format', value: 'qcow2' }], 403],
    ['an unknown format', [{ op: 'replace', path: '/disk_format', value: 'floppy' }], 403],
    ['a property that is not there', [{ op: 'replace', path: '/missing', value: 'x' }], 409],
    ['a property that is no text', [{ op: 'add', path: '/number', value: 7 }], 400],
    ['a prototype', [{ op: 'add', path: '/__proto__', value: { admin: true } }], 400],
    ['an operation of no kind', [{ op: 'move', path: '/name', from: '/x' }], 400],
    ['no list', { op: 'add' }, 400],
    ['too many properties', Array.from({ length: 129 }, (_, n) => ({ op: 'add', path: `/p${n}`, value: 'x' })), 413],
  ])('refuses a patch with %s', async (_, body, status) => {
    const id = await uploaded();
    expect((await patch(id, body)).status).toBe(status);
  });

  it('wants the patch dialect', async () => {
    const answer = await call('PATCH', `${url}/images/${await create()}`, { token: demo, body: [] });
    expect([answer.status, answer.headers.get('accept-patch')?.includes('v2.1')]).toEqual([415, true]);
  });

  it.each([
    ['a list', []],
    ['an unknown format', { disk_format: 'floppy' }],
    ['a negative size', { min_disk: -1 }],
    ['a fraction', { min_ram: 1.5 }],
    ['protected as text', { protected: 'yes' }],
    ['a long name', { name: 'x'.repeat(256) }],
    ['a long tag', { tags: ['x'.repeat(256)] }],
    ['a property that is no text', { a: { b: 1 } }],
    ['an unknown visibility', { visibility: 'secret' }],
  ])('refuses to create from %s', async (_, body) => {
    expect((await call('POST', `${url}/images`, { token: demo, body })).status).toBe(400);
  });

  it('adds and removes tags', async () => {
    const id = await create();
    for (const tag of ['one', 'two', 'one', 'with%20space']) expect((await call('PUT', `${url}/images/${id}/tags/${tag}`, { token: demo })).status).toBe(204);
    expect(bodyOf(await get(`/images/${id}`))['tags']).toEqual(['one', 'two', 'with space']);
    expect((await call('DELETE', `${url}/images/${id}/tags/one`, { token: demo })).status).toBe(204);
    expect((await call('DELETE', `${url}/images/${id}/tags/one`, { token: demo })).status).toBe(404);
    expect(listed(await get('/images?tag=two&tag=with%20space'))).toEqual([id]);
  });

  it('pages through everything once, in every order', async () => {
    const mark = systemRandom.uuid();
    const made: string[] = [];
    for (let i = 0; i < 7; i++)
      made.push(i < 4 ? await uploaded({ name: `n${i % 3}`, mark }, randomBytes(10 + (i % 2))) : await create({ name: i === 4 ? null : `n${i % 3}`, mark }));
    for (const order of [
      '',
      '&sort=name:asc,size:desc',
      '&sort_key=size&sort_dir=asc',
      '&sort=id',
      '&sort=updated_at:asc',
      '&sort=disk_format:desc,name:asc',
    ]) {
      const seen: string[] = [];
      let next: string | undefined = `/images?mark=${mark}&limit=2${order}`;
      while (next !== undefined && seen.length < 20) {
        const page: Answer = await get(next.replace(/^\/v2/, ''));
        seen.push(...listed(page));
        next = bodyOf(page)['next'] as string | undefined;
      }
      expect(seen.toSorted()).toEqual(made.toSorted());
    }
  });

  it('filters', async () => {
    const mark = systemRandom.uuid();
    const small = await uploaded({ name: 'small, "one"', mark, visibility: 'private' }, randomBytes(10));
    const large = await uploaded({ name: 'large', mark, min_disk: 3, protected: true }, randomBytes(1_000));
    const found = async (query: string): Promise<string[]> => listed(await get(`/images?mark=${mark}&${query}`));
    expect(await found('name=large')).toEqual([large]);
    expect(await found(`name=in:large,other`)).toEqual([large]);
    expect(await found(`name=${encodeURIComponent('in:"small, \\"one\\"",x')}`)).toEqual([small]);
    expect(await found(`id=in:${small},${large}&sort=size:asc`)).toEqual([small, large]);
    expect(await found('id=not-a-uuid')).toEqual([]);
    expect(await found('size_min=100')).toEqual([large]);
    expect(await found('size_max=100')).toEqual([small]);
    expect(await found('visibility=private')).toEqual([small]);
    expect(await found('protected=true')).toEqual([large]);
    expect(await found('min_disk=3')).toEqual([large]);
    expect(await found('status=queued')).toEqual([]);
    expect(await found(`owner=${adminProject}`)).toEqual([]);
    expect(await found('mark=other')).toEqual([]);
    expect(await found('created_at=gt:2000-01-01T00:00:00Z&sort=size:asc')).toEqual([small, large]);
    expect(await found('updated_at=lt:2000-01-01T00:00:00')).toEqual([]);
    expect(await found('limit=0')).toEqual([]);
    for (const wrong of [
      'limit=-1',
      'limit=x',
      'sort=colour',
      'sort=name:up',
      'visibility=secret',
      'size_min=x',
      'created_at=gt:noon',
      `marker=${systemRandom.uuid()}`,
      'marker=x',
      'protected=perhaps',
    ]) {
      expect([wrong, (await get(`/images?${wrong}`)).status]).toEqual([wrong, 400]);
    }
    expect((await patch(large, [{ op: 'replace', path: '/protected', value: false }])).status).toBe(200);
  });

  it('says errors as the client reads: JSON, a page with everything escaped, or text', async () => {
    const path = `${url}/images/%3Cscript%3E`;
    const json = await call('GET', path, { token: demo, headers: { accept: 'application/json' } });
    expect(bodyOf(json)).toEqual({ message: 'No image found with ID <script>', code: '404 Not Found', title: 'Not Found' });
    const page = await call('GET', path, { token: demo, headers: { accept: '*/*' } });
    expect(page.headers.get('content-type')).toContain('text/html');
    expect(page.text).toContain('<h1>404 Not Found</h1>\n  No image found with ID &lt;script&gt;');
    const text = await call('GET', path, { token: demo, headers: { accept: 'text/plain' } });
    expect(text.text).toBe('404 Not Found\n\nNo image found with ID <script>\n');
  });

  it('seeds its first image once', async () => {
    const again = await seedImage(cloud.rig.actors, {
      blobs: cloud.blobs,
      owner: adminProject,
      clock: systemClock,
      random: systemRandom,
      node: 'one',
      url: cloud.imageUrl,
    });
    expect(again).toBe(cloud.tinyId);
    expect(listed(await get('/images?name=tiny'))).toEqual([cloud.tinyId]);
  });

  it('puts a directory in order that a killed process left behind', async () => {
    const kept = await uploaded();
    const formerly = await uploaded();
    const hashOf = async (id: string): Promise<string> => String(bodyOf(await get(`/images/${id}`))['os_hash_value']);
    const bytes = await readFile(join(cloud.blobs, await hashOf(kept)));
    const halfway = await create();
    const lost = systemRandom.uuid();
    await cloud.rig.orm.em.fork().execute(`update image set status = 'saving', upload_id = 'dead' where id = ?`, [halfway]);
    const stray = createHash('sha512').update('left').digest('hex');
    for (const name of [lost, stray, `new-${lost}`, `${halfway}.${systemRandom.uuid()}`, halfway]) await writeFile(join(cloud.blobs, name), 'left');
    const aged = createHash('sha512').update('aged').digest('hex');
    await writeFile(join(cloud.blobs, aged), 'aged');
    await utimes(join(cloud.blobs, aged), 0, 0);
    await rename(join(cloud.blobs, await hashOf(formerly)), join(cloud.blobs, formerly));
    await writeFile(join(cloud.blobs, 'not ours'), 'kept');
    const { close } = await imageApi({
      actors: cloud.rig.actors,
      node: 'one',
      url: cloud.imageUrl,
      tickets: cloud.tickets,
      blobs: cloud.blobs,
      tokens: cloud.tokens,
      clock: systemClock,
      random: systemRandom,
      log: silentLog,
      settings: IMAGE_SETTINGS,
    });
    await close();
    const names = await readdir(cloud.blobs);
    expect(names.filter((name) => name.startsWith(halfway) || name.includes(lost) || name === aged || name === formerly)).toEqual([]);
    // Nobody knows it, but the store may have been restored from a backup that is older.
    expect(names).toContain(stray);
    expect(names).toContain('not ours');
    expect((await fetched(kept)).bytes.equals(bytes)).toBe(true);
    expect((await fetched(formerly)).status).toBe(200);
    expect(bodyOf(await get(`/images/${halfway}`))['status']).toBe('queued');
    expect(await put(halfway, Buffer.from('now'))).toBe(204);
  });

  it('never complained about a bug', () => {
    expect(cloud.complaints).toEqual([]);
  });

  let userToken: string | undefined;
  let userProject = '';
  async function secondUser(): Promise<string> {
    if (userToken !== undefined) return userToken;
    const identity = `${cloud.identityUrl}/v3`;
    const roles = bodyOf(await call('GET', `${identity}/roles?name=member`, { token: admin }))['roles'];
    userProject = String(bodyOf(await call('POST', `${identity}/projects`, { token: admin, body: { project: { name: 'second' } } }))['project']?.['id']);
    const user = bodyOf(await call('POST', `${identity}/users`, { token: admin, body: { user: { name: 'second', password: 'second' } } }))['user'];
    await call('PUT', `${identity}/projects/${userProject}/users/${user?.['id']}/roles/${roles?.[0]?.['id']}`, { token: admin });
    return (userToken = await cloud.login('second', 'second'));
  }
});

function listed(answer: Answer): string[] {
  return (bodyOf(answer)['images'] ?? []).map((image) => String(image['id']));
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await systemClock.sleep(5);
}
