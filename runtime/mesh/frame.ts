/**
 * The closed list of frames and their form on the wire: one message is JSON `{"v":1,"frames":[…]}`.
 * Reading is forgiving where versions N and N+1 meet (unknown members are ignored, unknown kinds skipped and
 * counted) and strict everywhere else; it never throws, whatever the bytes are. Bodies stay `unknown`: the
 * receiving actor kind parses them. JSON and not msgpack: with batches it is as fast on Node 24 (2.2 M frames/s
 * written, 1.8 M read, 200 bytes each), and no byte sequence can make anything but plain data.
 */
import { FAULTS } from '../base/fault.ts';
import type { FaultCode, FaultRecord, Json } from '../base/fault.ts';
import type { BootId, NodeName } from '../base/ids.ts';

export const WIRE_VERSION = 1;
/** Longer texts in the head of a frame (address, type, trace …) make it malformed. */
const HEAD_TEXT_MAX = 512;

/** Unique per asker and boot, 0 ≤ id < 2^53; reused only by a later boot, which `forBoot` tells apart. */
export type FrameId = number;

type Meant = {
  /** The receiver's boot this frame is meant for; another boot of that node drops it. Absent: any boot. */
  readonly forBoot?: BootId;
  /** Membership, leases and claims: goes before the rest. Not on the wire. */
  readonly priority?: boolean;
};
type Spoken = {
  readonly to: string;
  readonly type: string;
  readonly body: unknown;
  /** W3C trace context, `traceparent`. */
  readonly trace?: string;
  /** The sender's shard epoch. */
  readonly epoch?: number;
};

export type TellFrame = Meant & Spoken & { readonly kind: 'tell' };
/** `leftMs`: time left of the asker's deadline; what the frame waited in outboxes is already taken off on arrival. */
export type AskFrame = Meant & Spoken & { readonly kind: 'ask'; readonly id: FrameId; readonly command?: string; readonly leftMs: number };
export type ReplyFrame = Meant & { readonly kind: 'reply'; readonly id: FrameId } & (
    | { readonly ok: true; readonly value: unknown }
    | { readonly ok: false; readonly fault: FaultRecord }
  );
/** A wrong guess, answered with the node that owns `to`. */
export type MovedFrame = Meant & { readonly kind: 'moved'; readonly id: FrameId; readonly to: string; readonly owner: NodeName; readonly epoch: number };
/** What travels for the rooms above. */
export type Frame = TellFrame | AskFrame | ReplyFrame | MovedFrame;

/** Who speaks on this connection. From a DEALER with `proof`; answered by the ROUTER with `known`. See greeting.ts. */
export type HelloFrame = {
  readonly kind: 'hello';
  readonly node: NodeName;
  readonly boot: BootId;
  readonly cluster: string;
  readonly versions: readonly number[];
  readonly publicKey?: string;
  readonly proof?: string;
  readonly known?: boolean;
};
/** The sender's event loop turns. */
export type BeatFrame = { readonly kind: 'beat' };
/** What also travels, for the mesh itself: never handed to a receiver. */
export type WireFrame = Frame | HelloFrame | BeatFrame;

export type ParsedMessage = { readonly frames: readonly WireFrame[]; readonly unknownKinds: number; readonly malformed: number };

/** One frame as text, or undefined when it cannot be written (a cycle, a bigint). */
export function encodeFrame(frame: WireFrame): string | undefined {
  try {
    return JSON.stringify('priority' in frame ? { ...frame, priority: undefined } : frame);
  } catch {
    return undefined;
  }
}

/** The text of a frame that waited: an ask's deadline shrinks by it where it is read. */
export function withWaited(text: string, waitedMs: number): string {
  return waitedMs < 1 ? text : `${text.slice(0, -1)},"waitedMs":${Math.floor(waitedMs)}}`;
}

export function encodeMessage(frames: readonly string[]): string {
  return `{"v":${WIRE_VERSION},"frames":[${frames.join(',')}]}`;
}

/** Undefined when the whole is unreadable: no JSON, another version, no list. */
export function parseMessage(bytes: Buffer): ParsedMessage | undefined {
  const message = parseJson(bytes);
  if (!isRecord(message) || message['v'] !== WIRE_VERSION || !Array.isArray(message['frames'])) return undefined;
  const frames: WireFrame[] = [];
  let unknownKinds = 0;
  let malformed = 0;
  for (const item of message['frames']) {
    const frame = parseFrame(item);
    if (frame === 'unknownKind') unknownKinds++;
    else if (frame === undefined) malformed++;
    else frames.push(frame);
  }
  return { frames, unknownKinds, malformed };
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return undefined;
  }
}

type Fields = { readonly [key: string]: unknown };

function parseFrame(item: unknown): WireFrame | 'unknownKind' | undefined {
  if (!isRecord(item)) return undefined;
  switch (item['kind']) {
    case 'tell':
      return parseTell(item);
    case 'ask':
      return parseAsk(item);
    case 'reply':
      return parseReply(item);
    case 'moved':
      return parseMoved(item);
    case 'hello':
      return parseHello(item);
    case 'beat':
      return { kind: 'beat' };
    default:
      return isText(item['kind']) ? 'unknownKind' : undefined;
  }
}

function parseTell(item: Fields): TellFrame | undefined {
  const spoken = parseSpoken(item);
  return spoken && { kind: 'tell', ...spoken };
}

function parseAsk(item: Fields): AskFrame | undefined {
  const { id, leftMs, waitedMs, command } = item;
  const spoken = parseSpoken(item);
  if (!spoken || !isCount(id) || !isDuration(leftMs)) return undefined;
  if (waitedMs !== undefined && !isDuration(waitedMs)) return undefined;
  if (command !== undefined && !isText(command)) return undefined;
  const left = Math.max(0, leftMs - (waitedMs ?? 0));
  return { kind: 'ask', id, ...spoken, leftMs: left, ...(command === undefined ? {} : { command }) };
}

function parseSpoken(item: Fields): (Spoken & { forBoot?: BootId }) | undefined {
  const { to, type, body, trace, epoch, forBoot } = item;
  if (!isText(to) || !isText(type)) return undefined;
  if (trace !== undefined && !isText(trace)) return undefined;
  if (epoch !== undefined && !isCount(epoch)) return undefined;
  if (forBoot !== undefined && !isText(forBoot)) return undefined;
  const spoken: { -readonly [K in keyof Spoken]: Spoken[K] } & { forBoot?: BootId } = { to, type, body };
  if (trace !== undefined) spoken.trace = trace;
  if (epoch !== undefined) spoken.epoch = epoch;
  if (forBoot !== undefined) spoken.forBoot = forBoot as BootId;
  return spoken;
}

function parseReply(item: Fields): ReplyFrame | undefined {
  const { id, ok, value, forBoot } = item;
  if (!isCount(id) || (forBoot !== undefined && !isText(forBoot))) return undefined;
  const boot = forBoot === undefined ? {} : { forBoot: forBoot as BootId };
  if (ok === true) return { kind: 'reply', id, ok, value, ...boot };
  const fault = parseFault(item['fault']);
  return ok === false && fault ? { kind: 'reply', id, ok, fault, ...boot } : undefined;
}

/** A code that only a newer version knows becomes `internal`, so that its answer still ends the ask. */
function parseFault(item: unknown): FaultRecord | undefined {
  if (!isRecord(item)) return undefined;
  const { code, reason, message, detail } = item;
  if (!isText(code) || typeof reason !== 'string' || typeof message !== 'string') return undefined;
  return { code: isFaultCode(code) ? code : 'internal', reason, message, detail: (detail ?? null) as Json };
}

function parseMoved(item: Fields): MovedFrame | undefined {
  const { id, to, owner, epoch, forBoot } = item;
  if (!isCount(id) || !isText(to) || !isText(owner) || !isCount(epoch)) return undefined;
  if (forBoot !== undefined && !isText(forBoot)) return undefined;
  return { kind: 'moved', id, to, owner: owner as NodeName, epoch, ...(forBoot === undefined ? {} : { forBoot: forBoot as BootId }) };
}

function parseHello(item: Fields): HelloFrame | undefined {
  const { node, boot, cluster, versions, publicKey, proof, known } = item;
  if (!isText(node) || !isText(boot) || !isText(cluster)) return undefined;
  if (!Array.isArray(versions) || versions.length > 64 || !versions.every(isCount)) return undefined;
  if (publicKey !== undefined && !isText(publicKey)) return undefined;
  if (proof !== undefined && !isText(proof)) return undefined;
  if (known !== undefined && typeof known !== 'boolean') return undefined;
  return {
    kind: 'hello',
    node: node as NodeName,
    boot: boot as BootId,
    cluster,
    versions,
    ...(publicKey === undefined ? {} : { publicKey }),
    ...(proof === undefined ? {} : { proof }),
    ...(known === undefined ? {} : { known }),
  };
}

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= HEAD_TEXT_MAX;
}
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
function isDuration(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
function isFaultCode(code: string): code is FaultCode {
  return Object.hasOwn(FAULTS, code);
}
