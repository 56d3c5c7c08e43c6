/** Images made by qemu-img itself: what it writes is recognised, and the exploits are real ones. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest';
import { acceptDisk, inspectImage } from '../../../drivers/image/inspect.ts';
import { createDisk } from '../../../drivers/image/qemu-img.ts';
import { hasTool } from '../../guest/build.ts';

const run = promisify(execFile);
const SIZE = 8 << 20;
let folder: string;
let isThere: boolean;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-image-'));
  isThere = await hasTool('qemu-img');
});
afterAll(() => rm(folder, { recursive: true }));

function need(ctx: TestContext): void {
  if (!isThere && process.env['CI'] === undefined) ctx.skip('needs qemu-img');
}
const qemuImg = (...args: string[]): Promise<unknown> => run('qemu-img', args, { cwd: folder });
const at = (name: string): string => join(folder, name);

const KINDS: [name: string, format: string, options: string, expected: string, isSafe: boolean][] = [
  ['raw', 'raw', '', 'raw', true],
  ['qcow2 version 2', 'qcow2', 'compat=0.10', 'qcow2', true],
  ['qcow2 version 3', 'qcow2', 'compat=1.1', 'qcow2', true],
  ['qcow2 with other compression', 'qcow2', 'compression_type=zstd', 'qcow2', true],
  ['qcow2 with extended entries', 'qcow2', 'extended_l2=on', 'qcow2', true],
  ['qcow2 with lazy counts', 'qcow2', 'lazy_refcounts=on', 'qcow2', true],
  ['vmdk', 'vmdk', '', 'vmdk', true],
  ['vmdk for streams', 'vmdk', 'subformat=streamOptimized', 'vmdk', true],
  ['vmdk with a flat file beside', 'vmdk', 'subformat=monolithicFlat', 'vmdk', false],
  ['vmdk in pieces', 'vmdk', 'subformat=twoGbMaxExtentSparse', 'vmdk', false],
  ['vdi', 'vdi', '', 'vdi', true],
  ['vhd', 'vpc', 'subformat=dynamic,force_size=on', 'vhd', true],
  ['vhd of fixed size', 'vpc', 'subformat=fixed,force_size=on', 'vhd', true],
  ['vhdx', 'vhdx', '', 'vhdx', true],
  ['qed', 'qed', '', 'other', false],
  ['parallels', 'parallels', '', 'other', false],
  ['old qcow', 'qcow', '', 'other', false],
];

describe('an image that qemu-img made', () => {
  it.for(KINDS)('is seen as what it is: %s', async ([name, format, options, expected, isSafe], ctx) => {
    need(ctx);
    const path = at(name.replaceAll(' ', '-'));
    await qemuImg('create', '-q', '-f', format, ...(options === '' ? [] : ['-o', options]), path, String(SIZE));
    const seen = await inspectImage(path);
    expect([seen.format, seen.problem === undefined]).toEqual([expected, isSafe]);
    if (isSafe) expect(seen.virtualBytes).toBe(SIZE);
  });

  it('of any format is never taken for raw (S2)', async (ctx) => {
    need(ctx);
    for (const [name] of KINDS.slice(1)) {
      const seen = await inspectImage(at(name.replaceAll(' ', '-')));
      expect(() => acceptDisk(seen, 'raw', undefined), name).toThrow();
    }
  });
});

describe('a canary file of the host', () => {
  it('is reached through qemu-img by a data file (S1) and a backing file (S7), and never through us', async (ctx) => {
    need(ctx);
    const canary = at('canary');
    await qemuImg('create', '-q', '-f', 'qcow2', '-o', `data_file=${canary},data_file_raw=on`, at('data-file'), '64k');
    await writeFile(canary, 'canary'.padEnd(65_536, '.'));
    await qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', canary, at('backing'));
    await qemuImg('create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', `json:{"driver":"raw","file":{"driver":"file","filename":"${canary}"}}`, at('json'));
    for (const exploit of ['data-file', 'backing', 'json']) {
      await qemuImg('convert', '-f', 'qcow2', '-O', 'raw', at(exploit), at('loot'));
      expect((await readFile(at('loot'))).toString('latin1', 0, 6), exploit).toBe('canary'); // the exploit is a real one
      const before = await old(canary);
      const seen = await inspectImage(at(exploit));
      expect(() => acceptDisk(seen, 'qcow2', undefined), exploit).toThrow(/not acceptable/);
      expect((await stat(canary)).atimeMs).toBe(before);
    }
  });
});

describe('a disk that the driver makes', () => {
  it('has its size, its base with a format, and is readable for nobody else when its place is private', async (ctx) => {
    need(ctx);
    await qemuImg('create', '-q', '-f', 'raw', at('base'), '1M');
    await createDisk({ path: at('layer'), sizeBytes: 2 << 20, base: { path: at('base'), format: 'raw' } }, new AbortController().signal);
    const { stdout } = await run('qemu-img', ['info', '-f', 'qcow2', '--output=json', at('layer')]);
    const told: unknown = JSON.parse(stdout);
    expect(told).toMatchObject({ 'virtual-size': 2 << 20, 'backing-filename': at('base'), 'backing-filename-format': 'raw' });
  });

  it('is never made from a name that is an option or a protocol', async () => {
    for (const path of ['-o', 'json:{}', 'nbd:x', 'relative']) {
      const disk = { path: at('x'), sizeBytes: 512, base: { path, format: 'raw' as const } };
      await expect(createDisk(disk, new AbortController().signal)).rejects.toThrow(/broken rule/);
    }
  });
});

/** Sets the time of last reading to long ago, so that any reading would be seen; gives that time. */
async function old(path: string): Promise<number> {
  await utimes(path, new Date(1_000_000_000_000), new Date());
  return (await stat(path)).atimeMs;
}
