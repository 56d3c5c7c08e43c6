/** Images made by hand, byte by byte, so that a test can lie in any field. */
export type Qcow2Lies = {
  version?: number;
  virtualBytes?: bigint;
  backing?: string;
  features?: bigint;
  crypt?: number;
  snapshots?: number;
  clusterBits?: number;
  headerBytes?: number;
  l1Entries?: number;
  extensions?: readonly { type: number; value: string }[];
  endless?: boolean;
};

/** A QCOW2 of four clusters with an empty mapping table; nothing is wrong with it unless asked. */
export function qcow2(lies: Qcow2Lies = {}): Buffer {
  const version = lies.version ?? 3;
  const headerBytes = lies.headerBytes ?? (version === 2 ? 72 : 104);
  const image = Buffer.alloc(4 << 16);
  image.write('QFI\xfb', 0, 'latin1');
  image.writeUInt32BE(version, 4);
  image.writeUInt32BE(lies.clusterBits ?? 16, 20);
  image.writeBigUInt64BE(lies.virtualBytes ?? 1n << 20n, 24);
  image.writeUInt32BE(lies.crypt ?? 0, 32);
  image.writeUInt32BE(lies.l1Entries ?? 1, 36);
  image.writeBigUInt64BE(3n << 16n, 40);
  image.writeBigUInt64BE(1n << 16n, 48);
  image.writeUInt32BE(1, 56);
  image.writeUInt32BE(lies.snapshots ?? 0, 60);
  if (version >= 3) {
    image.writeBigUInt64BE(lies.features ?? 0n, 72);
    image.writeUInt32BE(4, 96);
    image.writeUInt32BE(headerBytes, 100);
  }
  let at = headerBytes;
  for (const { type, value } of lies.extensions ?? []) {
    image.writeUInt32BE(type, at);
    image.writeUInt32BE(value.length, at + 4);
    image.write(value, at + 8, 'latin1');
    at += 8 + Math.ceil(value.length / 8) * 8;
  }
  if (lies.endless === true) image.fill(0x11, at, 1 << 16);
  if (lies.backing !== undefined) {
    image.writeBigUInt64BE(4096n, 8);
    image.writeUInt32BE(lies.backing.length, 16);
    image.write(lies.backing, 4096, 'latin1');
  }
  return image;
}

export type VmdkLies = { subtype?: string; extents?: readonly string[]; parent?: string; more?: string; capacity?: bigint; footer?: 'same' | 'other' | 'none' };

export function vmdkDescriptor(lies: VmdkLies = {}): string {
  const extents = lies.extents ?? ['RW 2048 SPARSE "disk.vmdk"'];
  return [
    '# Disk DescriptorFile',
    'version=1',
    'CID=12345678',
    `parentCID=${lies.parent ?? 'ffffffff'}`,
    `createType="${lies.subtype ?? 'monolithicSparse'}"`,
    '# Extent description',
    ...extents,
    lies.more ?? '',
    '',
  ].join('\n');
}

/** A sparse VMDK with its descriptor inside. */
export function vmdk(lies: VmdkLies = {}): Buffer {
  const head = Buffer.alloc(512);
  head.write('KDMV', 0, 'latin1');
  head.writeUInt32LE(1, 4);
  head.writeBigUInt64LE(lies.capacity ?? 2048n, 12);
  head.writeBigUInt64LE(128n, 20);
  head.writeBigUInt64LE(1n, 28);
  head.writeBigUInt64LE(20n, 36);
  head.writeBigUInt64LE(lies.footer === undefined ? 26n : 0xffffffffffffffffn, 56);
  const descriptor = Buffer.alloc(20 * 512);
  descriptor.write(vmdkDescriptor(lies), 0, 'latin1');
  const body = Buffer.alloc(64 << 10);
  if (lies.footer === undefined || lies.footer === 'none') return Buffer.concat([head, descriptor, body]);
  const footer = Buffer.from(head);
  if (lies.footer === 'other') footer.writeBigUInt64LE(5n, 28);
  return Buffer.concat([head, descriptor, body, footer, Buffer.alloc(512)]);
}

export function mbr(): Buffer {
  const disk = Buffer.alloc(1 << 20);
  disk.writeUInt8(0x80, 446);
  disk.writeUInt8(0x83, 450);
  disk.writeUInt32LE(2048, 458);
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}

export function gpt(): Buffer {
  const disk = mbr();
  disk.write('EFI PART', 512, 'latin1');
  return disk;
}

export function iso(): Buffer {
  const disc = Buffer.alloc(64 << 10);
  disc.write('\x01CD001\x01', 32_768, 'latin1');
  return disc;
}

/** A VHD: the footer of a fixed disk at its end, or the copy of a growing one at its start. */
export function vhd(lies: { type?: number; virtualBytes?: bigint } = {}): Buffer {
  const type = lies.type ?? 2;
  const disk = Buffer.alloc(1 << 20);
  const at = type === 2 ? disk.length - 512 : 0;
  disk.write('conectix', at, 'latin1');
  disk.writeBigUInt64BE(lies.virtualBytes ?? 1n << 20n, at + 48);
  disk.writeUInt32BE(type, at + 60);
  return disk;
}

export function vdi(lies: { type?: number; virtualBytes?: bigint; link?: boolean; parent?: boolean } = {}): Buffer {
  const disk = Buffer.alloc(1 << 20);
  disk.writeUInt32LE(0xbeda107f, 64);
  disk.writeUInt32LE(lies.type ?? 1, 76);
  disk.writeBigUInt64LE(lies.virtualBytes ?? 1n << 20n, 368);
  if (lies.link === true) disk.fill(0x11, 424, 440);
  if (lies.parent === true) disk.fill(0x11, 440, 456);
  return disk;
}

const VHDX_METADATA = Buffer.from('06a27c8b90479a4bb8fe575f050f886e', 'hex');
const VHDX_PARAMETERS = Buffer.from('3767a1ca36fa434db3b633f0aa44e76b', 'hex');
const VHDX_SIZE = Buffer.from('2442a52f1bcd7648b2115dbed83bf4b8', 'hex');

/** A VHDX with one region and two items in its metadata. */
export function vhdx(lies: { virtualBytes?: bigint; parent?: boolean; items?: number; place?: bigint } = {}): Buffer {
  const disk = Buffer.alloc(1 << 20);
  disk.write('vhdxfile', 0, 'latin1');
  const table = 192 << 10;
  disk.write('regi', table, 'latin1');
  disk.writeUInt32LE(1, table + 8);
  VHDX_METADATA.copy(disk, table + 16);
  const place = 512 << 10;
  disk.writeBigUInt64LE(lies.place ?? BigInt(place), table + 32);
  disk.write('metadata', place, 'latin1');
  disk.writeUInt16LE(lies.items ?? 2, place + 10);
  VHDX_PARAMETERS.copy(disk, place + 32);
  disk.writeUInt32LE(64 << 10, place + 48);
  VHDX_SIZE.copy(disk, place + 64);
  disk.writeUInt32LE((64 << 10) + 8, place + 80);
  disk.writeUInt32LE(lies.parent === true ? 2 : 0, place + (64 << 10) + 4);
  disk.writeBigUInt64LE(lies.virtualBytes ?? 1n << 20n, place + (64 << 10) + 8);
  return disk;
}

/** The bytes of the second that are not zero, laid over the first; `atEnd`: so that both end together. */
export function both(first: Buffer, second: Buffer, atEnd = false): Buffer {
  const file = Buffer.alloc(Math.max(first.length, second.length));
  first.copy(file);
  const shift = atEnd ? file.length - second.length : 0;
  for (const [at, byte] of second.entries()) if (byte !== 0) file[at + shift] = byte;
  return file;
}

export function luks(): Buffer {
  return Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x02', 'latin1'), Buffer.alloc(1 << 20)]);
}
