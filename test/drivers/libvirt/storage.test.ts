import { createHash, randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GuestImage, ImageSource } from '../../../drivers/driver.ts';
import { BaseImages, cacheName } from '../../../drivers/libvirt/base-image.ts';
import { Storage } from '../../../drivers/libvirt/storage.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { simulatedSpec } from '../simulated/rig.ts';

const never = new AbortController().signal;
const faultOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'no fault',
    (error: unknown) => (Fault.is(error) ? `${error.code} ${error.reason}` : error),
  );
const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-storage-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe('base images', () => {
  let opened: string[];
  let source: (id: string) => Readable;

  beforeEach(() => {
    opened = [];
  });

  function open(): BaseImages {
    const images: ImageSource = { open: async (id) => (opened.push(id), source(id)) };
    return new BaseImages({ folder, images, clock: systemClock, random: systemRandom, reader: undefined });
  }
  const bytes = Buffer.from('some bytes of an image');
  const image = (more: Partial<GuestImage> = {}): GuestImage => ({
    id: 'one',
    diskFormat: 'raw',
    sizeBytes: bytes.length,
    hash: { algorithm: 'sha256', hex: sha256(bytes) },
    properties: {},
    ...more,
  });

  it('are fetched once for all who want the same bytes, also at the same time', async () => {
    source = () => Readable.from([bytes]);
    const bases = open();
    const paths = await Promise.all([bases.path(image(), never), bases.path(image({ id: 'two' }), never)]);
    expect(new Set([...paths, await open().path(image(), never)]).size).toBe(1);
    expect(opened).toEqual(['one']);
    expect(await readFile(paths[0] ?? '')).toEqual(bytes);
    expect(((await stat(paths[0] ?? '')).mode & 0o777).toString(8)).toBe('400');
  });

  it('with wrong bytes are refused and leave nothing', async () => {
    source = () => Readable.from([bytes]);
    const bases = open();
    expect(await faultOf(bases.path(image({ hash: { algorithm: 'sha256', hex: sha256(Buffer.from('others')) } }), never))).toBe('invalid image.bytes');
    expect(await faultOf(bases.path(image({ sizeBytes: 5 }), never))).toBe('invalid image.bytes');
    expect(await faultOf(bases.path(image({ sizeBytes: 500 }), never))).toBe('unavailable image.cutOff');
    expect(await readdir(folder)).toEqual([]);
  });

  it('of one hash are one file only when the hash is strong', () => {
    const weak = (id: string): GuestImage => image({ id, hash: { algorithm: 'md5', hex: '0'.repeat(32) } });
    expect(cacheName(image({ id: 'a' }))).toBe(cacheName(image({ id: 'b' })));
    expect(cacheName(weak('a'))).not.toBe(cacheName(weak('b')));
    expect(cacheName(image({ id: 'a', hash: null }))).not.toBe(cacheName(image({ id: 'b', hash: null })));
    expect(() => cacheName(image({ hash: { algorithm: 'sha256', hex: '../../../etc/passwd' } }))).toThrow(/malformed hash/);
  });

  it('stop being fetched when the last who wants them gives up, not before', async () => {
    const stream = new Readable({ read() {} });
    source = () => stream;
    const bases = open();
    const [first, second] = [new AbortController(), new AbortController()];
    const calls = [bases.path(image(), first.signal), bases.path(image(), second.signal)].map(faultOf);
    await expect.poll(() => opened).toEqual(['one']);
    first.abort();
    expect(await calls[0]).toBe('cancelled libvirt.cancelled');
    expect(stream.destroyed).toBe(false);
    second.abort();
    expect(await calls[1]).toBe('cancelled libvirt.cancelled');
    await expect.poll(async () => [stream.destroyed, await readdir(folder)]).toEqual([true, []]);
  });

  it('that a killed process left half done are swept', async () => {
    await writeFile(join(folder, '.new-abc'), 'half');
    await open().sweep();
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('storage', () => {
  const instanceId = randomUUID();
  const open = (): Promise<Storage> =>
    Storage.open({
      stateDir: folder,
      images: { open: () => Promise.reject(new Error('not wanted')) },
      clock: systemClock,
      random: systemRandom,
      qemu: undefined,
      ownFolders: false,
    });
  const place = (): string => join(folder, 'instances', instanceId);
  async function plant(record: string): Promise<void> {
    await rm(place(), { recursive: true, force: true });
    await mkdir(place());
    await writeFile(join(place(), 'instance.json'), record);
  }

  it('finds whose a folder is, and that its record was lost', async () => {
    const storage = await open();
    expect(await storage.find(instanceId)).toBeUndefined();
    await plant(JSON.stringify({ instanceId, generation: 4, name: 'instance-1' }));
    expect(await storage.list()).toEqual([{ instanceId, generation: 4, name: 'instance-1' }]);
    for (const torn of ['', '{"instanceId":', '[]', '{"generation":-1}']) {
      await plant(torn);
      expect(await storage.find(instanceId)).toEqual({ instanceId, generation: 0, name: '' });
    }
  });

  it('keeps a root disk on what it was made from, whatever image the server is said to be from', async () => {
    const storage = await open();
    await plant(JSON.stringify({ instanceId, generation: 4, name: 'instance-1' }));
    const base = join(folder, 'images', 'of-the-shelved');
    await writeFile(base, Buffer.alloc(512, 7));
    const named = Buffer.from(base);
    const header = Buffer.alloc(72);
    header.writeUInt32BE(0x514649fb, 0);
    header.writeBigUInt64BE(72n, 8);
    header.writeUInt32BE(named.length, 16);
    await writeFile(join(place(), 'disk.qcow2'), Buffer.concat([header, named]));
    const image = { id: randomUUID(), diskFormat: 'raw', sizeBytes: 512, hash: null, properties: {} };
    const { disks } = await storage.prepare({ ...simulatedSpec({ image }), instanceId, generation: 4, ephemeralGiB: 0, swapMiB: 0 }, never);
    expect(disks).toEqual([{ path: join(place(), 'disk.qcow2'), base: { path: base, format: 'raw' } }]);
  });

  it('removes a folder whole, and again without error', async () => {
    const storage = await open();
    await plant('{}');
    await storage.remove(instanceId);
    await storage.remove(instanceId);
    expect(await readdir(join(folder, 'instances'))).toEqual([]);
  });

  it('never leaves its own folder, whatever an instance is called (S12)', async () => {
    const storage = await open();
    await writeFile(join(folder, 'canary'), 'alive');
    for (const name of ['..', '../canary', '/etc', `${instanceId}/../..`, `${instanceId}\0`]) {
      await expect(storage.remove(name)).rejects.toThrow(/broken rule/);
      await expect(storage.find(name)).rejects.toThrow(/broken rule/);
    }
    expect(await readFile(join(folder, 'canary'), 'utf8')).toBe('alive');
  });

  it('gives the end of a console log, over its rotation too', async () => {
    const storage = await open();
    await plant('{}');
    expect((await storage.consoleTail(instanceId, 100)).toString()).toBe('');
    await writeFile(join(place(), 'console.log.0'), 'older-');
    await writeFile(join(place(), 'console.log'), 'newer');
    expect((await storage.consoleTail(instanceId, 100)).toString()).toBe('older-newer');
    expect((await storage.consoleTail(instanceId, 8)).toString()).toBe('er-newer');
    expect((await storage.consoleTail(instanceId, 3)).toString()).toBe('wer');
    expect((await storage.consoleTail(instanceId, 0)).toString()).toBe('');
  });

  it('does not follow a link that stands in for a console log', async () => {
    const storage = await open();
    await plant('{}');
    await writeFile(join(folder, 'secret'), 'secret');
    await symlink(join(folder, 'secret'), join(place(), 'console.log'));
    expect((await storage.consoleTail(instanceId, 100)).toString()).toBe('');
  });

  it('keeps its folders private (S13)', async () => {
    await open();
    for (const name of ['', 'instances', 'images']) expect(((await stat(join(folder, name))).mode & 0o077).toString(8)).toBe('0');
  });
});
