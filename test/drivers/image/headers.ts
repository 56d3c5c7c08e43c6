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
