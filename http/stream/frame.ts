/**
 * Events as bytes. An event is turned into JSON once per kind of reader (those who may see hosts, and those who may
 * not), and into a frame once per name of subscription; most readers use the same few names and share the very same
 * buffer. What one reader gets is a view of these bytes, never a copy of its own.
 *
 * Server frames carry no mask and we negotiate no compression, so a frame is the same for every socket (RFC 6455, 5.2).
 * Benchmark: test/bench/stream.ts.
 */
import type { CompactInstance, StatusEvent } from '../../actors/model/event.ts';
import type { ServerMessage } from './message.ts';

/** How a reader is written to: WebSocket frames, server-sent events, or members of a JSON list. */
export type Form = 'socket' | 'source' | 'list';

/** Frames of different names that an event keeps; past it they are written per reader. */
const FRAMES_MAX = 8;
const TEXT_FINAL = 0x81;

/** What all frames of one subscription have in common. */
export type Dress = {
  readonly form: Form;
  /** Hosts are operators' knowledge. */
  readonly seesHosts: boolean;
  readonly incarnation: string;
  readonly head: string;
  /** Of all but the last event of a revision: the revision is not complete yet. */
  readonly moreHead: string;
  readonly key: string;
  readonly moreKey: string;
};

export function dressOf(form: Form, sub: string, seesHosts: boolean, incarnation: string): Dress {
  const start = form === 'socket' ? `{"type":"event","sub":${JSON.stringify(sub)},` : form === 'source' ? '{"type":"event",' : '{';
  const name = `${form}/${seesHosts ? 'a' : 'u'}/${form === 'socket' ? sub : ''}`;
  return { form, seesHosts, incarnation, head: start, moreHead: `${start}"more":true,`, key: name, moreKey: `${name}/more` };
}

export class Entry {
  readonly event: StatusEvent;
  #forUsers: string | undefined;
  #forAdmins: string | undefined;
  #frames: Map<string, Buffer> | undefined;

  constructor(event: StatusEvent) {
    this.event = event;
  }

  frame(dress: Dress, more: boolean): Buffer {
    const key = more ? dress.moreKey : dress.key;
    const known = this.#frames?.get(key);
    if (known !== undefined) return known;
    const frame = this.#write(dress, more);
    this.#frames ??= new Map();
    if (this.#frames.size < FRAMES_MAX) this.#frames.set(key, frame);
    return frame;
  }

  #write(dress: Dress, more: boolean): Buffer {
    const text = (more ? dress.moreHead : dress.head) + this.#rest(dress.seesHosts);
    if (dress.form === 'socket') return textFrame(text);
    if (dress.form === 'list') return Buffer.from(text);
    // Without id where the revision goes on, so that a resume begins at a whole one.
    return Buffer.from(`${more ? '' : `id: ${this.event.revision}@${dress.incarnation}\n`}event: event\ndata: ${text}\n\n`);
  }

  /** The members after the head, with the closing brace. */
  #rest(seesHosts: boolean): string {
    if (seesHosts) return (this.#forAdmins ??= restOf(this.event, this.event.record));
    return (this.#forUsers ??= restOf(this.event, shownTo(false, this.event.record)));
  }
}

export function shownTo(seesHosts: boolean, record: CompactInstance): CompactInstance {
  return seesHosts || record.host === null ? record : { ...record, host: null };
}

function restOf(event: StatusEvent, record: CompactInstance): string {
  const { revision, change, id, was, status, at, cause } = event;
  return JSON.stringify({ revision, change, id, was, status, at, cause, record }).slice(1);
}

/** One of our other messages in the reader's form. */
export function messageFrame(form: Form, message: ServerMessage, incarnation = ''): Buffer {
  const text = JSON.stringify(message);
  if (form === 'socket') return textFrame(text);
  const place = message.type === 'bookmark' || message.type === 'synced' ? `id: ${message.revision}@${incarnation}\n` : '';
  return Buffer.from(`${place}event: ${message.type}\ndata: ${text}\n\n`);
}

export const PING_FRAME: Buffer = Buffer.from([0x89, 0x00]);

export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const offset = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(offset + length);
  frame[0] = TEXT_FINAL;
  if (offset === 2) frame[1] = length;
  else if (offset === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(0, 2);
    frame.writeUInt32BE(length, 6);
  }
  frame.write(text, offset, 'utf8');
  return frame;
}
