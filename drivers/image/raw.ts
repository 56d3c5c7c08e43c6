/**
 * What has no header of an image format: partition tables, optical discs, encrypted volumes, plain bytes. And the
 * formats that other tools would recognise although we know nothing more of them: never to be taken for raw (S2).
 */
import { refused, type FormatReader, type ImageInspection } from './probe.ts';

/** Magic bytes of formats that image tools open by themselves when they are left to guess. */
const FOREIGN: readonly { readonly at: number; readonly magic: Buffer; readonly name: string }[] = [
  { at: 0, magic: Buffer.from('QED\0'), name: 'QED' },
  { at: 0, magic: Buffer.from('WithoutFreeSpace'), name: 'Parallels' },
  { at: 0, magic: Buffer.from('WithouFreSpacExt'), name: 'Parallels' },
  { at: 0, magic: Buffer.from('Bochs Virtual HD Image'), name: 'Bochs' },
  { at: 0, magic: Buffer.from('#!/bin/sh\n#V2.0 Format\nmodprobe cloop'), name: 'cloop' },
  { at: 0, magic: Buffer.from('OOOM'), name: 'cowloop' },
];
const DMG_TRAILER_BYTES = 512;

export const readForeign: FormatReader = async (image) => {
  const head = await image.piece(0, 512);
  for (const { at, magic, name } of FOREIGN) {
    if (head.subarray(at, at + magic.length).equals(magic)) return refused('other', image.size, `is a ${name} image`);
  }
  const tail = image.size >= DMG_TRAILER_BYTES ? await image.piece(image.size - DMG_TRAILER_BYTES, 4) : head;
  return tail.toString('latin1', 0, 4) === 'koly' ? refused('other', image.size, 'is a DMG image') : undefined;
};

export const readLuks: FormatReader = async (image) => {
  const head = await image.piece(0, 8);
  const isLuks = head.subarray(0, 6).equals(Buffer.from('LUKS\xba\xbe', 'latin1'));
  return isLuks ? { format: 'luks', virtualBytes: image.size } : undefined;
};

const ISO_DESCRIPTOR_AT = 32_768;

export const readIso: FormatReader = async (image) => {
  const descriptor = await image.piece(ISO_DESCRIPTOR_AT, 8);
  return descriptor.toString('latin1', 1, 6) === 'CD001' ? { format: 'iso', virtualBytes: image.size } : undefined;
};

const SECTOR_BYTES = [512, 4096];
const MBR_ENTRIES = [446, 462, 478, 494];

/** Whatever is left: gpt, mbr or raw. Never undefined. */
export async function readPlain(image: Parameters<FormatReader>[0]): Promise<ImageInspection> {
  for (const sector of SECTOR_BYTES) {
    if ((await image.piece(sector, 8)).toString('latin1') === 'EFI PART') return { format: 'gpt', virtualBytes: image.size };
  }
  const head = await image.piece(0, 512);
  return { format: hasPartition(head) ? 'mbr' : 'raw', virtualBytes: image.size };
}

/** The boot mark alone is no table: a file system with a boot sector carries it too. */
function hasPartition(head: Buffer): boolean {
  if (head.readUInt16LE(510) !== 0xaa55) return false;
  const entries = MBR_ENTRIES.map((at) => ({ status: head.readUInt8(at), type: head.readUInt8(at + 4), sectors: head.readUInt32LE(at + 12) }));
  const wellFormed = entries.every(({ status }) => status === 0 || status === 0x80);
  return wellFormed && entries.some(({ type, sectors }) => type !== 0 && sectors !== 0);
}
