/**
 * What a qcow2 disk of our own says it was made from, read from its header alone: nothing is opened by that name here.
 * Who asks must not follow a name out of the folder that it keeps such files in.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

const MAGIC = 0x514649fb;
const HEADER_BYTES = 72;
/** As the format has it. */
const NAME_MAX_BYTES = 1_023;

/** The name in the header; undefined: there is no such file, it is no qcow2, or it stands alone. */
export async function backingOf(path: string): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const { buffer: header, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    if (bytesRead < HEADER_BYTES || header.readUInt32BE(0) !== MAGIC) return undefined;
    const at = header.readBigUInt64BE(8);
    const length = header.readUInt32BE(16);
    if (at === 0n || length === 0 || length > NAME_MAX_BYTES || at > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    const name = await file.read(Buffer.alloc(length), 0, length, Number(at));
    return name.bytesRead === length ? name.buffer.toString() : undefined;
  } finally {
    await file.close();
  }
}
