/**
 * Writes the archive format that a kernel takes as its initramfs (cpio, "newc": ASCII headers, everything padded
 * to four bytes). Only what the tiny guest needs: directories, files, symbolic links and character devices.
 */
export type CpioEntry = {
  readonly name: string;
  /** With the type bits: 0o040755 directory, 0o100755 program, 0o120777 link, 0o020600 character device. */
  readonly mode: number;
  readonly content?: Buffer;
  readonly device?: { readonly major: number; readonly minor: number };
};

export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Buffer[] = [];
  entries.forEach((entry, index) => parts.push(member(entry, index + 1)));
  parts.push(member({ name: 'TRAILER!!!', mode: 0 }, 0));
  return Buffer.concat(parts);
}

function member(entry: CpioEntry, inode: number): Buffer {
  const content = entry.content ?? Buffer.alloc(0);
  const name = Buffer.from(`${entry.name}\0`);
  const fields = [inode, entry.mode, 0, 0, 1, 0, content.length, 0, 0, entry.device?.major ?? 0, entry.device?.minor ?? 0, name.length, 0];
  const header = Buffer.from(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`);
  return Buffer.concat([padded(Buffer.concat([header, name])), padded(content)]);
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}
