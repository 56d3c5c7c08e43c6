/**
 * XDR (RFC 4506), as far as libvirt's protocol uses it: a codec per type, made of smaller ones, that knows its
 * TypeScript type. Everything is big-endian and padded to four bytes. A reader never believes a length: each string
 * and list has a limit, and what is over it, cut off or left over is an error and not a value.
 */
export type Codec<T> = {
  write(writer: XdrWriter, value: T): void;
  read(reader: XdrReader): T;
};
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

/** What the other side sent is not what the protocol says. The connection can't be used any more. */
export class XdrError extends Error {}

export const STRING_MAX_BYTES = 4 << 20;
const PADDING = Buffer.alloc(4);

export class XdrWriter {
  #parts: Buffer[] = [];

  bytes(value: Buffer): void {
    const rest = value.length % 4;
    this.#parts.push(value);
    if (rest !== 0) this.#parts.push(PADDING.subarray(rest));
  }

  uint(value: number): void {
    const word = Buffer.alloc(4);
    word.writeUInt32BE(value);
    this.#parts.push(word);
  }

  uhyper(value: bigint): void {
    const word = Buffer.alloc(8);
    word.writeBigUInt64BE(value);
    this.#parts.push(word);
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

export class XdrReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  bytes(length: number): Buffer {
    const padded = Math.ceil(length / 4) * 4;
    if (padded > this.left) throw new XdrError(`${padded} bytes wanted, ${this.left} left`);
    const value = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += padded;
    return value;
  }

  uint(): number {
    return this.bytes(4).readUInt32BE();
  }

  uhyper(): bigint {
    return this.bytes(8).readBigUInt64BE();
  }

  /** A length word, not larger than `max`. */
  length(max: number): number {
    const length = this.uint();
    if (length > max) throw new XdrError(`length ${length} over the limit ${max}`);
    return length;
  }
}

export const uint: Codec<number> = { write: (w, value) => w.uint(value), read: (r) => r.uint() };
/** Also enum, bool, short and char: each takes four bytes. */
export const int: Codec<number> = { write: (w, value) => w.uint(value >>> 0), read: (r) => r.uint() | 0 };
export const uhyper: Codec<bigint> = { write: (w, value) => w.uhyper(value), read: (r) => r.uhyper() };
/** Nothing on the wire. */
export const nothing: Codec<undefined> = { write: () => {}, read: () => undefined };

export const string: Codec<string> = {
  write(w, value) {
    const bytes = Buffer.from(value);
    if (bytes.length > STRING_MAX_BYTES) throw new XdrError(`a string of ${bytes.length} bytes`);
    w.uint(bytes.length);
    w.bytes(bytes);
  },
  read: (r) => r.bytes(r.length(STRING_MAX_BYTES)).toString(),
};

/** A number or text of a type that is said before it, as statistics are told. It only comes. */
export const typedValue: Codec<number | bigint | string> = {
  write() {
    throw new XdrError('a typed value is never sent');
  },
  read(r) {
    const type = r.uint();
    switch (type) {
      case 1:
      case 6:
        return r.uint() | 0;
      case 2:
        return r.uint();
      case 3:
        return BigInt.asIntN(64, r.uhyper());
      case 4:
        return r.uhyper();
      case 5:
        return r.bytes(8).readDoubleBE();
      case 7:
        return string.read(r);
      default:
        throw new XdrError(`a value of the unknown type ${type}`);
    }
  },
};

/** 16 bytes on the wire, the usual text with dashes here. */
export const uuid: Codec<string> = {
  write(w, value) {
    const bytes = Buffer.from(value.replaceAll('-', ''), 'hex');
    if (bytes.length !== 16) throw new XdrError('not a uuid');
    w.bytes(bytes);
  },
  read(r) {
    const h = r.bytes(16).toString('hex');
    return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
  },
};

/** XDR's pointer: a word that says whether the value follows. */
export function optional<T>(codec: Codec<T>): Codec<T | null> {
  return {
    write(w, value) {
      w.uint(value === null ? 0 : 1);
      if (value !== null) codec.write(w, value);
    },
    read: (r) => (r.length(1) === 0 ? null : codec.read(r)),
  };
}

export function list<T>(codec: Codec<T>, max: number): Codec<readonly T[]> {
  return {
    write(w, values) {
      if (values.length > max) throw new XdrError(`${values.length} members in a list of ${max}`);
      w.uint(values.length);
      for (const value of values) codec.write(w, value);
    },
    read: (r) => Array.from({ length: r.length(max) }, () => codec.read(r)),
  };
}

/** `length` values one after the other, without a length word. */
export function fixed<T>(codec: Codec<T>, length: number): Codec<readonly T[]> {
  return {
    write(w, values) {
      if (values.length !== length) throw new XdrError(`${values.length} members instead of ${length}`);
      for (const value of values) codec.write(w, value);
    },
    read: (r) => Array.from({ length }, () => codec.read(r)),
  };
}

/** Members in the order in which they are named. */
export function struct<M extends { readonly [name: string]: Codec<unknown> }>(members: M): Codec<{ readonly [K in keyof M]: ValueOf<M[K]> }> {
  type Value = { readonly [K in keyof M]: ValueOf<M[K]> };
  const entries = Object.entries(members) as [keyof M, Codec<unknown>][];
  return {
    write(w, value) {
      for (const [name, codec] of entries) codec.write(w, value[name]);
    },
    read(r) {
      const value: Partial<Record<keyof M, unknown>> = {};
      for (const [name, codec] of entries) value[name] = codec.read(r);
      return value as Value;
    },
  };
}

export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter();
  codec.write(writer, value);
  return writer.finish();
}

/** The value that fills `bytes` exactly. */
export function decode<T>(codec: Codec<T>, bytes: Buffer): T {
  const reader = new XdrReader(bytes);
  const value = codec.read(reader);
  if (reader.left !== 0) throw new XdrError(`${reader.left} bytes left over`);
  return value;
}
