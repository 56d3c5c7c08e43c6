/**
 * Tells what an image file really is before any tool opens it, by reading a few headers itself: bounded in bytes and
 * time, following no name, running nothing. A file that is two things at once is a problem of its own.
 * `acceptDisk` is the rule of the drivers: what was declared must be what is there, alone, and not too large.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { Fault } from '../../runtime/base/fault.ts';
import { ImageBytes, refused, type FormatReader, type ImageFormat, type ImageInspection } from './probe.ts';
import { readQcow2 } from './qcow2.ts';
import { readForeign, readIso, readLuks, readPlain } from './raw.ts';
import { readVdi, readVhd, readVhdx } from './vhd.ts';
import { readVmdk } from './vmdk.ts';

export type { ImageFormat, ImageInspection } from './probe.ts';

const READERS: readonly FormatReader[] = [readQcow2, readVmdk, readVhdx, readVdi, readVhd, readLuks, readIso, readForeign];

/** Names of the image service's disk formats and what the file then may be. */
const DECLARED: ReadonlyMap<string, readonly ImageFormat[]> = new Map(
  Object.entries<readonly ImageFormat[]>({
    raw: ['raw', 'mbr', 'gpt'],
    ami: ['raw', 'mbr', 'gpt'],
    aki: ['raw', 'mbr', 'gpt'],
    ari: ['raw', 'mbr', 'gpt'],
    qcow2: ['qcow2'],
    vmdk: ['vmdk'],
    vdi: ['vdi'],
    vhd: ['vhd'],
    vhdx: ['vhdx'],
    iso: ['iso'],
  }),
);

/** Throws only when the file can't be read. A link is not followed. */
export async function inspectImage(path: string): Promise<ImageInspection> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const seen = await file.stat();
    if (!seen.isFile()) return refused('other', 0, 'is not a plain file');
    return await inspectBytes(new ImageBytes(file, seen.size));
  } finally {
    await file.close();
  }
}

async function inspectBytes(image: ImageBytes): Promise<ImageInspection> {
  const found: ImageInspection[] = [];
  for (const read of READERS) {
    const answer = await read(image);
    if (answer !== undefined) found.push(answer);
  }
  const [only, second] = found;
  if (only === undefined) return readPlain(image);
  if (second === undefined) return only;
  return refused(only.format, only.virtualBytes, `is ${found.map(({ format }) => format).join(' and ')} at once`);
}

/**
 * Refuses (Fault `invalid`) what isn't what it claims to be or can't be trusted alone. `rootBytes` is the largest
 * disk that may come of it, or undefined when the image's own size counts.
 */
export function acceptDisk(inspection: ImageInspection, diskFormat: string, rootBytes: number | undefined): void {
  const refuse = (reason: string, message: string): never => {
    throw new Fault('invalid', `image.${reason}`, message, { detail: { ...inspection, diskFormat } });
  };
  const allowed = DECLARED.get(diskFormat);
  if (allowed === undefined) return refuse('format', 'Images of this disk format are not supported.');
  if (inspection.problem !== undefined) return refuse('unsafe', `The image is not acceptable: it ${inspection.problem}.`);
  if (!allowed.includes(inspection.format)) return refuse('mismatch', 'The image is not of the disk format that it is declared to be.');
  if (inspection.virtualBytes === 0) return refuse('empty', 'The image is empty.');
  if (inspection.virtualBytes > (rootBytes ?? DISK_MAX_BYTES)) return refuse('tooLarge', 'The disk of the image is larger than the root disk of the flavor.');
}

/** No guest gets a larger disk, whatever an image says of itself. */
export const DISK_MAX_BYTES = 64 * 2 ** 40;
