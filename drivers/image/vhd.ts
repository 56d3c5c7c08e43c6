/**
 * VHD, VHDX and VDI: formats that can name a parent image. One that does is a problem; one that doesn't stands alone.
 */
import { refused, toNumber, type FormatReader, type ImageBytes, type ImageInspection } from './probe.ts';

const VHD_FOOTER_BYTES = 512;
const VHD_TYPE = { fixed: 2, dynamic: 3 } as const;

/** The footer is the last sector of a fixed disk; of the others there is a copy at the start. */
export const readVhd: FormatReader = async (image) => {
  const start = await image.piece(0, VHD_FOOTER_BYTES);
  const end = image.size >= VHD_FOOTER_BYTES ? await image.piece(image.size - VHD_FOOTER_BYTES, VHD_FOOTER_BYTES) : start;
  const atStart = start.toString('latin1', 0, 8) === 'conectix';
  if (!atStart && end.toString('latin1', 0, 8) !== 'conectix') return undefined;
  const footer = atStart ? start : end;
  const type = footer.readUInt32BE(60);
  const virtualBytes = toNumber(footer.readBigUInt64BE(48));
  if (type !== (atStart ? VHD_TYPE.dynamic : VHD_TYPE.fixed)) return refused('vhd', virtualBytes, 'has a parent or an unknown type');
  return { format: 'vhd', virtualBytes };
};

const VDI_SIGNATURE = 0xbeda107f;
const VDI_TYPES_FINE = new Set([1, 2]); // dynamic, static; 4 is a difference to a parent

export const readVdi: FormatReader = async (image) => {
  const head = await image.piece(0, 512);
  if (head.readUInt32LE(64) !== VDI_SIGNATURE) return undefined;
  const virtualBytes = toNumber(head.readBigUInt64LE(368));
  if (!VDI_TYPES_FINE.has(head.readUInt32LE(76))) return refused('vdi', virtualBytes, 'has a parent or an unknown type');
  const parent = head.subarray(424, 456); // its link, and its parent
  if (parent.some((byte) => byte !== 0)) return refused('vdi', virtualBytes, 'has a parent');
  return { format: 'vdi', virtualBytes };
};

const VHDX_REGION_TABLE = 192 << 10;
const VHDX_REGIONS_MAX = 16;
const VHDX_ITEMS_MAX = 64;
const VHDX_METADATA_REGION = guid('8b7ca206-4790-4b9a-b8fe-575f050f886e');
const VHDX_FILE_PARAMETERS = guid('caa16737-fa36-4d43-b3b6-33f0aa44e76b');
const VHDX_DISK_SIZE = guid('2fa54224-cd1b-4876-b211-5dbed83bf4b8');

export const readVhdx: FormatReader = async (image) => {
  const head = await image.piece(0, 8);
  if (head.toString('latin1') !== 'vhdxfile') return undefined;
  const place = await metadataPlace(image);
  if (place === undefined) return refused('vhdx', image.size, 'has no readable metadata');
  return (await readMetadata(image, place)) ?? refused('vhdx', image.size, 'has no readable metadata');
};

async function metadataPlace(image: ImageBytes): Promise<number | undefined> {
  const table = await image.piece(VHDX_REGION_TABLE, 4096);
  if (table.toString('latin1', 0, 4) !== 'regi') return undefined;
  const count = Math.min(table.readUInt32LE(8), VHDX_REGIONS_MAX);
  for (let i = 0; i < count; i++) {
    const entry = table.subarray(16 + i * 32, 48 + i * 32);
    if (entry.subarray(0, 16).equals(VHDX_METADATA_REGION)) return toNumber(entry.readBigUInt64LE(16));
  }
  return undefined;
}

async function readMetadata(image: ImageBytes, place: number): Promise<ImageInspection | undefined> {
  const table = await image.piece(place, 32 + VHDX_ITEMS_MAX * 32);
  if (table.toString('latin1', 0, 8) !== 'metadata') return undefined;
  const count = Math.min(table.readUInt16LE(10), VHDX_ITEMS_MAX);
  let flags: number | undefined;
  let virtualBytes: number | undefined;
  for (let i = 0; i < count; i++) {
    const entry = table.subarray(32 + i * 32, 64 + i * 32);
    const item = await image.piece(place + entry.readUInt32LE(16), 8);
    const id = entry.subarray(0, 16);
    if (id.equals(VHDX_FILE_PARAMETERS)) flags = item.readUInt32LE(4);
    if (id.equals(VHDX_DISK_SIZE)) virtualBytes = toNumber(item.readBigUInt64LE(0));
  }
  if (flags === undefined || virtualBytes === undefined) return undefined;
  return (flags & 2) !== 0 ? refused('vhdx', virtualBytes, 'has a parent') : { format: 'vhdx', virtualBytes };
}

/** In the byte order in which these formats store it: the first three groups are little-endian. */
function guid(text: string): Buffer {
  const [a = '', b = '', c = '', d = '', e = ''] = text.split('-');
  const reversed = [a, b, c].map((group) => Buffer.from(group, 'hex').reverse());
  return Buffer.concat([...reversed, Buffer.from(d + e, 'hex')]);
}
