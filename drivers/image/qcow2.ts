/**
 * QCOW2 (versions 2 and 3; QEMU's docs/interop/qcow2.txt). Only an image that stands alone is fine: no backing file,
 * no external data file, no encryption, no feature that this page doesn't name (S1, S7).
 */
import { refused, toNumber, type FormatReader, type ImageBytes, type ImageInspection } from './probe.ts';

const MAGIC = 0x514649fb;
const HEADER_V2_BYTES = 72;
const HEADER_V3_BYTES = 104;
/** Headers with extensions fit in one cluster; no larger piece of it is looked at. */
const HEADER_AREA_BYTES = 64 << 10;
const EXTENSIONS_MAX = 64;
const SNAPSHOTS_MAX = 16;
/** A 10 MiB table of first level is enough for 640 TiB at the usual cluster size. */
const L1_ENTRIES_MAX = (10 << 20) / 8;

/** Incompatible features: dirty, corrupt, external data file, other compression, extended L2 entries. */
const FEATURE = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const FEATURES_FINE = FEATURE.dirty | FEATURE.compression | FEATURE.extendedL2;

const EXTENSION = { end: 0, dataFile: 0x44415441, luks: 0x0537be77 } as const;

export const readQcow2: FormatReader = async (image) => {
  const area = await image.piece(0, HEADER_AREA_BYTES);
  if (area.readUInt32BE(0) !== MAGIC) return undefined;
  const version = area.readUInt32BE(4);
  const virtualBytes = toNumber(area.readBigUInt64BE(24));
  if (version !== 2 && version !== 3) return refused('other', virtualBytes, `qcow version ${version}`);
  const problem = headerProblem(area, version) ?? extensionProblem(area, version) ?? sizeProblem(area, image);
  const found: ImageInspection = { format: 'qcow2', virtualBytes };
  return problem === undefined ? found : { ...found, problem };
};

function headerProblem(area: Buffer, version: number): string | undefined {
  if (area.readBigUInt64BE(8) !== 0n || area.readUInt32BE(16) !== 0) return 'has a backing file';
  if (area.readUInt32BE(32) !== 0) return 'is encrypted';
  const clusterBits = area.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) return 'has clusters of an impossible size';
  if (area.readUInt32BE(60) > SNAPSHOTS_MAX) return 'holds too many snapshots';
  if (version === 2) return undefined;
  const features = area.readBigUInt64BE(72);
  if ((features & FEATURE.dataFile) !== 0n) return 'has an external data file';
  if ((features & FEATURE.corrupt) !== 0n) return 'is marked as corrupt';
  if ((features & ~FEATURES_FINE) !== 0n) return 'has an unknown incompatible feature';
  if (area.readUInt32BE(96) > 6) return 'has reference counts of an impossible size';
  const headerBytes = area.readUInt32BE(100);
  if (headerBytes < HEADER_V3_BYTES || headerBytes > 4096 || headerBytes % 8 !== 0) return 'has a header of an impossible size';
  return undefined;
}

/** Walks type, length, value (padded to eight) until the end mark. */
function extensionProblem(area: Buffer, version: number): string | undefined {
  let at = version === 2 ? HEADER_V2_BYTES : area.readUInt32BE(100);
  for (let count = 0; count < EXTENSIONS_MAX && at + 8 <= area.length; count++) {
    const type = area.readUInt32BE(at);
    const length = area.readUInt32BE(at + 4);
    if (type === EXTENSION.end) return undefined;
    if (type === EXTENSION.dataFile) return 'names an external data file';
    if (type === EXTENSION.luks) return 'is encrypted';
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return 'has header extensions without an end';
}

/** The table that maps the disk must be inside the file and large enough for it, and not larger than sensible. */
function sizeProblem(area: Buffer, image: ImageBytes): string | undefined {
  const clusterBits = BigInt(area.readUInt32BE(20));
  const virtualBytes = area.readBigUInt64BE(24);
  const entries = BigInt(area.readUInt32BE(36));
  const offset = area.readBigUInt64BE(40);
  const entryBytes = area.readUInt32BE(4) === 3 && (area.readBigUInt64BE(72) & FEATURE.extendedL2) !== 0n ? 16n : 8n;
  const perEntry = (1n << clusterBits) * ((1n << clusterBits) / entryBytes);
  if (entries > BigInt(L1_ENTRIES_MAX)) return 'has a mapping table of an impossible size';
  if (entries * perEntry < virtualBytes) return 'has a mapping table that is too small';
  if (offset + entries * 8n > BigInt(image.size)) return 'is cut off';
  return undefined;
}
