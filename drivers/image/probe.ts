/**
 * What every format's reader shares: bounded reads from an open file, and the answer's shape. Readers look at a few
 * headers only; none follows a name that it finds in an image.
 */
import type { FileHandle } from 'node:fs/promises';

export type ImageFormat =
  | 'raw'
  | 'mbr'
  | 'gpt'
  | 'qcow2'
  | 'vmdk'
  | 'vdi'
  | 'vhd'
  | 'vhdx'
  | 'iso'
  | 'luks'
  /** Known to image tools but not to us: qed, parallels, bochs, dmg, cloop, older qcow and vmdk. */
  | 'other';

export type ImageInspection = {
  readonly format: ImageFormat;
  /** The size of the disk that a guest would see. */
  readonly virtualBytes: number;
  /** Why nobody should open it, in a few words; absent when nothing speaks against it. */
  readonly problem?: string;
};

/** No reader looks at a larger piece at once. */
export const PIECE_MAX_BYTES = 1 << 20;

export class ImageBytes {
  readonly size: number;
  readonly #file: FileHandle;

  constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.size = size;
  }

  /** `length` bytes at `offset`; zeros where the file has none. */
  async piece(offset: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(Math.min(length, PIECE_MAX_BYTES));
    if (offset < 0 || offset >= this.size) return bytes;
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes;
  }
}

/** A format's reader: undefined when the file isn't of this format. */
export type FormatReader = (image: ImageBytes) => Promise<ImageInspection | undefined>;

/** A 64-bit number as a plain one; what is larger than can be exact becomes infinite, so that every limit refuses it. */
export function toNumber(value: bigint): number {
  return value > BigInt(Number.MAX_SAFE_INTEGER) ? Number.POSITIVE_INFINITY : Number(value);
}

export function refused(format: ImageFormat, virtualBytes: number, problem: string): ImageInspection {
  return { format, virtualBytes, problem };
}
