/** The rows of the security table about images (S1 to S7) that need more than one format: parents, polyglots, bombs, tools. */
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acceptDisk, DISK_MAX_BYTES, inspectImage } from '../../../drivers/image/inspect.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { both, gpt, iso, luks, mbr, qcow2, vdi, vhd, vhdx, vmdk } from './headers.ts';

const ROOT = join(import.meta.dirname, '../../..');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-rows-'));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function verdict(bytes: Buffer, declared: string, rootBytes?: number): Promise<string> {
  const path = join(folder, String(count++));
  await writeFile(path, bytes);
  try {
    acceptDisk(await inspectImage(path), declared, rootBytes);
    return 'accepted';
  } catch (error) {
    if (!Fault.is(error, 'invalid')) throw error;
    return error.reason;
  }
}

describe('S1, S7: an image that leans on another one', () => {
  it.each([
    ['a VHD with a parent', vhd({ type: 4 }), 'vhd'],
    ['a VDI with a parent, by type', vdi({ type: 4 }), 'vdi'],
    ['a VDI that is linked to another', vdi({ link: true }), 'vdi'],
    ['a VDI that names its parent', vdi({ parent: true }), 'vdi'],
    ['a VHDX with a parent', vhdx({ parent: true }), 'vhdx'],
    ['a VHDX whose metadata lie outside', vhdx({ place: 1n << 60n }), 'vhdx'],
    ['a VHDX without metadata', vhdx({ items: 0 }), 'vhdx'],
    ['a VMDK with two sub-types', vmdk({ more: 'createType="monolithicFlat"' }), 'vmdk'],
    ['a VMDK with two parents', vmdk({ more: 'PARENTCID=12345678' }), 'vmdk'],
  ])('is refused: %s', async (_what, bytes, declared) => {
    expect(await verdict(bytes, declared)).toBe('image.unsafe');
  });

  it.each([
    ['a VHD of fixed size', vhd(), 'vhd'],
    ['a VHD that grows', vhd({ type: 3 }), 'vhd'],
    ['a VDI', vdi(), 'vdi'],
    ['a VHDX', vhdx(), 'vhdx'],
    ['a VMDK', vmdk({ more: 'ddb.adapterType = "ide"' }), 'vmdk'],
  ])('passes when it stands alone: %s', async (_what, bytes, declared) => {
    expect(await verdict(bytes, declared, 1 << 20)).toBe('accepted');
  });
});

describe('S2: a file that is two formats at once', () => {
  const MAKERS: readonly (readonly [string, () => Buffer, boolean])[] = [
    ['qcow2', qcow2, false],
    ['vmdk', vmdk, false],
    ['iso', iso, false],
    ['vhd', vhd, true],
    ['vdi', vdi, false],
    ['luks', luks, false],
    ['vhdx', vhdx, false],
  ];
  const PAIRS = MAKERS.flatMap((first, i) => MAKERS.slice(i + 1).map((second) => [first, second] as const));
  const startsSame = (a: Buffer, b: Buffer): boolean => (a[0] ?? 0) !== 0 && (b[0] ?? 0) !== 0;

  it.each(PAIRS.map(([first, second]) => [`${first[0]} and ${second[0]}`, first, second] as const))(
    'passes as neither, and as nothing else: %s',
    async (_name, first, second) => {
      const [a, b] = [first[1](), second[1]()];
      if (startsSame(a, b)) return; // no file can begin with two marks
      const file = both(a, b, second[2]);
      for (const declared of ['raw', first[0], second[0]]) {
        if (declared === 'luks') continue; // never a disk format here
        expect(await verdict(file, declared), declared).toMatch(/^image\.(unsafe|mismatch)$/);
      }
    },
  );

  it('an optical disc with a table of partitions is an optical disc, as every bootable one is', async () => {
    for (const table of [mbr(), gpt()]) {
      const disc = both(iso(), table.subarray(0, 1024));
      expect([await verdict(disc, 'iso'), await verdict(disc, 'raw')]).toEqual(['accepted', 'image.mismatch']);
    }
  });

  it('an encrypted volume passes as nothing', async () => {
    for (const declared of ['raw', 'luks', 'qcow2']) expect(await verdict(luks(), declared)).not.toBe('accepted');
  });
});

describe('S6: an image that grows beyond measure', () => {
  const PETABYTES = 10n << 50n;

  it.each([
    ['qcow2', qcow2({ virtualBytes: PETABYTES, clusterBits: 21, l1Entries: 30_000 }), 'qcow2'],
    ['vmdk', vmdk({ capacity: PETABYTES / 512n }), 'vmdk'],
    ['vmdk past all numbers', vmdk({ capacity: (1n << 64n) - 1n }), 'vmdk'],
    ['vhd', vhd({ virtualBytes: PETABYTES }), 'vhd'],
    ['vdi', vdi({ virtualBytes: PETABYTES }), 'vdi'],
    ['vhdx', vhdx({ virtualBytes: (1n << 64n) - 1n }), 'vhdx'],
  ])('is refused whatever the flavor says: %s of ten petabytes', async (_name, bytes, declared) => {
    expect(await verdict(bytes, declared)).toMatch(/^image\.(tooLarge|unsafe)$/);
    expect(await verdict(bytes, declared, 2 ** 30)).toMatch(/^image\.(tooLarge|unsafe)$/);
  });

  it.each([
    ['snapshots without number', qcow2({ snapshots: 65_536 })],
    ['a mapping table of gigabytes', qcow2({ l1Entries: 1 << 28 })],
    ['extensions without end', qcow2({ endless: true })],
  ])('is refused before a tool works on it: %s', async (_name, bytes) => {
    expect(await verdict(bytes, 'qcow2')).toBe('image.unsafe');
  });

  it('passes to the last byte that the flavor has', async () => {
    expect(await verdict(vhdx({ virtualBytes: 1n << 30n }), 'vhdx', 2 ** 30)).toBe('accepted');
    expect(await verdict(vhdx({ virtualBytes: (1n << 30n) + 512n }), 'vhdx', 2 ** 30)).toBe('image.tooLarge');
    expect(await verdict(vhdx({ virtualBytes: BigInt(DISK_MAX_BYTES) }), 'vhdx')).toBe('accepted');
  });
});

describe('S4, S5: a tool that guesses the format of a disk', () => {
  const sources = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.ts'], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter((path) => path !== '' && !path.startsWith('test/'));

  it('is run in one place, which refuses to run it without a format', async () => {
    const runners: string[] = [];
    for (const path of sources) {
      const code = (await readFile(join(ROOT, path), 'utf8')).replaceAll(/\/\*[\s\S]*?\*\//g, '').replaceAll(/(^|\s)\/\/.*$/gm, '');
      if (/['"`](qemu-(img|io|nbd)|guestmount|virt-[a-z]+)['"`]/.test(code)) runners.push(path);
    }
    expect(runners).toEqual(['drivers/image/qemu-img.ts']);
    expect(await readFile(join(ROOT, 'drivers/image/qemu-img.ts'), 'utf8')).toContain("args.includes('-f')");
  });

  it('finds the format of each disk in the definition of its guest', async () => {
    const code = await readFile(join(ROOT, 'drivers/libvirt/domain-xml.ts'), 'utf8');
    const drivers = [...code.matchAll(/element\(\s*'driver',\s*\{[^}]*\}/g)].map(([text]) => text).filter((text) => text.includes("'qemu'"));
    expect(drivers.length).toBeGreaterThan(0);
    expect(drivers.filter((text) => !/\btype\b/.test(text))).toEqual([]);
  });
});
