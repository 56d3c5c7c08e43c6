import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backingOf } from '../../../drivers/image/backing.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-backing-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

function disk(name: string, length = name.length, magic = 0x514649fb): Buffer {
  const header = Buffer.alloc(72);
  header.writeUInt32BE(magic, 0);
  header.writeBigUInt64BE(name === '' ? 0n : 72n, 8);
  header.writeUInt32BE(length, 16);
  return Buffer.concat([header, Buffer.from(name)]);
}

describe('what a disk was made from', () => {
  it('stands in its header', async () => {
    const path = join(folder, 'disk');
    await writeFile(path, disk('/images/one'));
    expect(await backingOf(path)).toBe('/images/one');
  });

  it('is nothing of a disk that stands alone, of another file, of half a header, of a link, or of none', async () => {
    const files = {
      alone: disk(''),
      other: disk('/images/one', 11, 1),
      short: disk('/images/one').subarray(0, 40),
      cut: disk('/images/one', 500),
      long: disk('x', 5_000),
    };
    for (const [name, bytes] of Object.entries(files)) {
      await writeFile(join(folder, name), bytes);
      expect([name, await backingOf(join(folder, name))]).toEqual([name, undefined]);
    }
    await writeFile(join(folder, 'whole'), disk('/images/one'));
    await symlink(join(folder, 'whole'), join(folder, 'link'));
    expect([await backingOf(join(folder, 'link')), await backingOf(join(folder, 'none'))]).toEqual([undefined, undefined]);
  });
});
