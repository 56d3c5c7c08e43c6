import { mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { acceptDisk, inspectImage, type ImageInspection } from '../../../drivers/image/inspect.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { gpt, iso, mbr, qcow2, vmdk, vmdkDescriptor } from './headers.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'novact-image-'));
});
afterAll(() => rm(folder, { recursive: true }));

let count = 0;
async function look(bytes: Buffer | string): Promise<ImageInspection> {
  const path = join(folder, String(count++));
  await writeFile(path, bytes);
  return inspectImage(path);
}
function verdict(seen: ImageInspection, declared: string, rootBytes?: number): string {
  try {
    acceptDisk(seen, declared, rootBytes);
    return 'accepted';
  } catch (error) {
    if (!Fault.is(error, 'invalid')) throw error;
    return error.reason;
  }
}
const CANARY = '/etc/passwd';

describe('S1: a QCOW2 with an external data file', () => {
  const DATA_FILE = 0x44415441;

  it.each([
    ['by its feature bit', { features: 4n }],
    ['by name', { extensions: [{ type: DATA_FILE, value: CANARY }] }],
    ['by both', { features: 4n, extensions: [{ type: DATA_FILE, value: CANARY }] }],
    [
      'behind other extensions',
      {
        extensions: [
          { type: 0x6803f857, value: 'x'.repeat(48) },
          { type: DATA_FILE, value: CANARY },
        ],
      },
    ],
    ['behind extensions without end', { endless: true }],
    ['in a version 2 header, where there are no feature bits', { version: 2, extensions: [{ type: DATA_FILE, value: CANARY }] }],
  ])('is refused %s', async (_how, lies) => {
    expect(verdict(await look(qcow2(lies)), 'qcow2')).toBe('image.unsafe');
  });

  it('passes without one, in both versions and with harmless extensions', async () => {
    for (const lies of [
      {},
      { version: 2 },
      { features: 1n | 8n | 16n },
      {
        extensions: [
          { type: 0x6803f857, value: 'x'.repeat(48) },
          { type: 0xe2792aca, value: 'raw' },
        ],
      },
    ]) {
      const seen = await look(qcow2(lies));
      expect(seen).toEqual({ format: 'qcow2', virtualBytes: 1 << 20 });
      expect(verdict(seen, 'qcow2')).toBe('accepted');
    }
  });
});

describe('S2: an image that is not what it is declared to be', () => {
  const twoThings = (): Buffer => {
    const both = iso();
    qcow2().copy(both, 0, 0, 512);
    return both;
  };
  const ofVhd = (at: number, type: number): Buffer => {
    const disk = Buffer.alloc(1 << 20);
    disk.write('conectix', at, 'latin1');
    disk.writeBigUInt64BE(1n << 20n, at + 48);
    disk.writeUInt32BE(type, at + 60);
    return disk;
  };
  const ofVdi = (): Buffer => {
    const disk = Buffer.alloc(1 << 20);
    disk.writeUInt32LE(0xbeda107f, 64);
    disk.writeUInt32LE(1, 76);
    disk.writeBigUInt64LE(1n << 20n, 368);
    return disk;
  };
  const REAL: [string, () => Buffer, string[]][] = [
    ['plain bytes', () => Buffer.alloc(1 << 20, 'x'), ['raw', 'ami']],
    ['a partitioned disk (MBR)', mbr, ['raw', 'ami']],
    ['a partitioned disk (GPT)', gpt, ['raw', 'ami']],
    ['QCOW2 version 2', () => qcow2({ version: 2 }), ['qcow2']],
    ['QCOW2 version 3', () => qcow2(), ['qcow2']],
    ['a sparse VMDK', () => vmdk(), ['vmdk']],
    ['a VMDK descriptor', () => Buffer.from(vmdkDescriptor()), []],
    ['a fixed VHD', () => ofVhd((1 << 20) - 512, 2), ['vhd']],
    ['a dynamic VHD', () => ofVhd(0, 3), ['vhd']],
    ['a VDI', ofVdi, ['vdi']],
    ['an optical disc', iso, ['iso']],
    ['an optical disc that is a partitioned disk, too', () => Buffer.concat([mbr().subarray(0, 32_768), iso().subarray(32_768)]), ['iso']],
    ['an encrypted volume', () => Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x02', 'latin1'), Buffer.alloc(8192)]), []],
    ['a QED image', () => Buffer.concat([Buffer.from('QED\0'), Buffer.alloc(8192)]), []],
    ['an old QCOW', () => qcow2({ version: 1 }), []],
    ['QCOW2 and optical disc at once', twoThings, []],
    ['nothing', () => Buffer.alloc(0), []],
  ];
  const DECLARED = ['raw', 'ami', 'qcow2', 'vmdk', 'vdi', 'vhd', 'vhdx', 'iso', 'luks', 'ploop', 'constructor'];

  it.each(REAL)('%s passes only as what it is', async (_name, make, allowed) => {
    const seen = await look(make());
    expect(DECLARED.filter((declared) => verdict(seen, declared) === 'accepted')).toEqual(allowed);
  });

  it('is refused when its disk is larger than the flavor allows, and passes when it just fits', async () => {
    const seen = await look(qcow2({ virtualBytes: 1n << 29n }));
    expect(verdict(seen, 'qcow2', 2 ** 29 - 1)).toBe('image.tooLarge');
    expect(verdict(seen, 'qcow2', 2 ** 29)).toBe('accepted');
    const terabytes = await look(qcow2({ virtualBytes: 100n << 40n, clusterBits: 21, l1Entries: 200 }));
    expect(verdict(terabytes, 'qcow2')).toBe('image.tooLarge'); // also where the flavor sets no size
    expect(verdict(await look(qcow2({ virtualBytes: (1n << 64n) - 1n })), 'qcow2')).toBe('image.unsafe');
  });
});

describe('S3: a VMDK that names another file', () => {
  it.each([
    ['a flat extent with a path', { subtype: 'monolithicFlat', extents: [`RW 2048 FLAT "${CANARY}" 0`] }],
    ['a flat extent under an allowed sub-type', { extents: [`RW 2048 FLAT "${CANARY}" 0`] }],
    ['a sparse extent with a path', { extents: [`RW 2048 SPARSE "${CANARY}"`] }],
    ['a second extent', { extents: ['RW 2048 SPARSE "disk.vmdk"', `RW 1 FLAT "${CANARY}" 0`] }],
    ['a parent', { parent: '12345678' }],
    ['a parent by name only', { more: `parentFileNameHint="${CANARY}"` }],
    ['a device as sub-type', { subtype: 'fullDevice' }],
    ['no capacity, so that its descriptor counts', { capacity: 0n }],
    ['another header at its end', { footer: 'other' as const }],
    ['a promised header at its end that is missing', { footer: 'none' as const }],
  ])('is refused: %s', async (_what, lies) => {
    expect(verdict(await look(vmdk(lies)), 'vmdk')).toBe('image.unsafe');
  });

  it.each([
    ['plain', vmdkDescriptor({ extents: [`RW 2048 FLAT "${CANARY}" 0`] })],
    ['behind comments and empty lines', `# hello\n\n  # there\n\nversion=1\ncreateType="monolithicFlat"\n`],
  ])('is refused as a mere descriptor: %s', async (_what, textOf) => {
    expect((await look(textOf)).problem).toBeDefined();
    expect(verdict(await look(textOf), 'vmdk')).toBe('image.unsafe');
    expect(verdict(await look(textOf), 'raw')).toBe('image.unsafe');
  });

  it('passes when it stands alone', async () => {
    expect(verdict(await look(vmdk()), 'vmdk')).toBe('accepted');
    expect(verdict(await look(vmdk({ subtype: 'streamOptimized', footer: 'same' })), 'vmdk')).toBe('accepted');
  });
});

describe('S7: a QCOW2 with a backing file', () => {
  it.each(['/etc/passwd', 'base.qcow2', 'json:{"driver":"file","filename":"/etc/passwd"}', 'nbd:127.0.0.1:10809', 'http://127.0.0.1/x', 'fd:3'])(
    'is refused: %s',
    async (backing) => {
      expect(verdict(await look(qcow2({ backing })), 'qcow2')).toBe('image.unsafe');
      expect(verdict(await look(qcow2({ version: 2, backing })), 'qcow2')).toBe('image.unsafe');
    },
  );

  it('passes without one', async () => {
    expect(verdict(await look(qcow2()), 'qcow2')).toBe('accepted');
  });
});

describe('inspecting', () => {
  it.each([
    ['encryption', { crypt: 2 }],
    ['a corrupt mark', { features: 2n }],
    ['an unknown feature', { features: 1n << 40n }],
    ['many snapshots', { snapshots: 1_000_000 }],
    ['impossible clusters', { clusterBits: 40 }],
    ['an impossible header', { headerBytes: 8000 }],
    ['a huge mapping table', { l1Entries: 0x7fffffff }],
    ['a mapping table past the end', { l1Entries: 100_000 }],
  ])('refuses a QCOW2 with %s', async (_what, lies) => {
    expect((await look(qcow2(lies))).problem).toBeDefined();
  });

  it('always ends with an answer, whatever the bytes are', async () => {
    const starts = fc.constantFrom('QFI\xfb\0\0\0\x03', 'QFI\xfb\0\0\0\x02', 'KDMV\x01\0\0\0', 'vhdxfile', 'conectix', 'LUKS\xba\xbe', '', '# Disk Des');
    await fc.assert(
      fc.asyncProperty(starts, fc.uint8Array({ maxLength: 600 }), async (start, rest) => {
        const seen = await look(Buffer.concat([Buffer.from(start, 'latin1'), Buffer.from(rest)]));
        expect(typeof seen.virtualBytes).toBe('number');
      }),
      { numRuns: 300 },
    );
  });

  it('does not follow a link and does not read a huge file through', async () => {
    await symlink(CANARY, join(folder, 'link'));
    await expect(inspectImage(join(folder, 'link'))).rejects.toThrow();
    await writeFile(join(folder, 'huge'), '');
    await truncate(join(folder, 'huge'), 2 ** 40);
    expect(await inspectImage(join(folder, 'huge'))).toEqual({ format: 'raw', virtualBytes: 2 ** 40 });
  });
});
