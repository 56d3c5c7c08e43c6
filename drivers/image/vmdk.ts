/**
 * VMDK: a sparse file with its descriptor inside, or a text that names other files. Only the two sub-types that stand
 * alone are fine, and only when their one extent is the file itself (S3).
 */
import { refused, toNumber, type FormatReader, type ImageBytes, type ImageInspection } from './probe.ts';

const SECTOR = 512;
const DESCRIPTOR_MAX_SECTORS = 128;
/** Other sub-types keep their bytes in files, or on devices, that the descriptor names. */
const SUBTYPES_FINE = new Set(['monolithicSparse', 'streamOptimized']);
/** The grain directory is named by a second header at the end. */
const GRAIN_DIRECTORY_AT_END = 0xffffffffffffffffn;

export const readVmdk: FormatReader = async (image) => {
  const head = await image.piece(0, 4096);
  const magic = head.toString('latin1', 0, 4);
  if (magic === 'COWD') return refused('other', image.size, 'is a VMDK of an old kind');
  if (magic === 'KDMV') return readSparse(image, head);
  return isDescriptor(head) ? refused('vmdk', image.size, 'is a descriptor that names other files') : undefined;
};

async function readSparse(image: ImageBytes, head: Buffer): Promise<ImageInspection> {
  const capacity = head.readBigUInt64LE(12);
  const virtualBytes = toNumber(capacity * BigInt(SECTOR));
  const found: ImageInspection = { format: 'vmdk', virtualBytes };
  const problem = headerProblem(head, capacity) ?? (await endProblem(image, head)) ?? (await descriptorProblem(image, head));
  return problem === undefined ? found : { ...found, problem };
}

function headerProblem(head: Buffer, capacity: bigint): string | undefined {
  const version = head.readUInt32LE(4);
  if (version < 1 || version > 3) return `has the unknown version ${version}`;
  if (capacity === 0n) return 'has no capacity of its own';
  if (head.readBigUInt64LE(28) !== 1n) return 'has its descriptor in an unusual place';
  const sectors = head.readBigUInt64LE(36);
  if (sectors === 0n || sectors > BigInt(DESCRIPTOR_MAX_SECTORS)) return 'has a descriptor of an impossible size';
  return undefined;
}

/** A second header at the end is believed by tools instead of the first: both must say the same. */
async function endProblem(image: ImageBytes, head: Buffer): Promise<string | undefined> {
  if (head.readBigUInt64LE(56) !== GRAIN_DIRECTORY_AT_END) return undefined;
  const tail = await image.piece(image.size - 2 * SECTOR, SECTOR);
  if (tail.toString('latin1', 0, 4) !== 'KDMV') return 'is cut off';
  const same = [
    [4, 8],
    [12, 28],
    [28, 36],
    [36, 44],
  ].every(([from, to]) => head.subarray(from, to).equals(tail.subarray(from, to)));
  return same ? undefined : 'has two headers that differ';
}

async function descriptorProblem(image: ImageBytes, head: Buffer): Promise<string | undefined> {
  const bytes = await image.piece(SECTOR, Number(head.readBigUInt64LE(36)) * SECTOR);
  const end = bytes.indexOf(0);
  const lines = bytes
    .toString('latin1', 0, end < 0 ? bytes.length : end)
    .split(/\r?\n/)
    .map((line) => line.trim());
  const value = (key: RegExp): string | undefined => lines.map((line) => key.exec(line)?.[1]).find((found) => found !== undefined);
  // Readers differ in which of two they believe.
  if (['createType', 'parentCID'].some((key) => lines.filter((line) => line.toLowerCase().startsWith(key.toLowerCase())).length > 1))
    return 'says the same thing twice';
  const subtype = value(/^createType\s*=\s*"?([^"]*)"?$/i);
  if (subtype === undefined || !SUBTYPES_FINE.has(subtype)) return 'is of a sub-type that is not allowed';
  if ((value(/^parentCID\s*=\s*(\w+)$/i) ?? '').toLowerCase() !== 'ffffffff') return 'has a parent';
  if (lines.some((line) => /^parentFileNameHint/i.test(line))) return 'has a parent';
  const extents = lines.filter((line) => /^(RW|RDONLY|NOACCESS)\s/i.test(line));
  if (extents.length !== 1) return 'has more than one extent';
  return /^RW \d+ SPARSE "[\w. -]+"$/.test(extents[0] ?? '') ? undefined : 'has an extent outside of itself';
}

/** As tools recognise it: comments and empty lines, then a version; or the usual first line. */
function isDescriptor(head: Buffer): boolean {
  const text = head.toString('latin1');
  if (/^\s*# Disk DescriptorFile/i.test(text)) return true;
  const first = text.split(/\r?\n/).find((line) => line.trim() !== '' && !line.trimStart().startsWith('#'));
  return first !== undefined && /^\s*version\s*=\s*[123]\s*$/.test(first);
}
