/**
 * libvirt's RPC over one byte stream: frames, calls matched by serial, unasked messages, keep-alive. A frame is a
 * length word (itself included), six header words (program, version, procedure, type, serial, status) and XDR.
 *
 * A call ends by its reply, its deadline, its signal or the end of the stream, whichever is first; a reply that comes
 * later is dropped. What is malformed ends the stream: nothing after it could be believed.
 */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { cancelled, libvirtFault, unreachableHypervisor } from './errors.ts';
import { ERROR_PAYLOAD, KEEPALIVE, KEEPALIVE_PROGRAM, PROGRAM, PROGRAM_VERSION, type Procedure } from './procedures.ts';
import { XdrError, decode, encode } from './xdr.ts';

export type Frame = {
  readonly program: number;
  readonly version: number;
  readonly procedure: number;
  readonly type: number;
  readonly serial: number;
  readonly status: number;
  readonly payload: Buffer;
};

export const FRAME_TYPE = { call: 0, reply: 1, message: 2 } as const;
export const FRAME_STATUS = { ok: 0, error: 1 } as const;
/** libvirt's own limit of one message. */
export const FRAME_MAX_BYTES = 32 << 20;
const HEADER_BYTES = 28;
/** libvirtd works on five at a time and lets the rest wait; a longer line here means it hangs. */
const PENDING_MAX = 256;

export type CallOptions = { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined };
type Pending = { finish(frame: Frame | Fault): void };

export class RpcSession {
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #onMessage: (procedure: number, payload: Buffer) => void;
  readonly #pending = new Map<number, Pending>();
  #serial = 0;
  #ended: Fault | undefined;
  /** Resolves with the reason when the stream has ended; never rejects. */
  readonly ended: Promise<Fault>;
  #resolveEnded: (fault: Fault) => void = () => {};

  constructor(stream: Duplex, options: { clock: Clock; onMessage: (procedure: number, payload: Buffer) => void }) {
    this.#stream = stream;
    this.#clock = options.clock;
    this.#onMessage = options.onMessage;
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    const split = frameSplitter((frame) => this.#take(frame));
    stream.on('data', (chunk: Buffer) => {
      try {
        split(chunk);
      } catch (error) {
        this.end(unreachableHypervisor('malformed frame', error));
      }
    });
    stream.on('error', (error) => this.end(unreachableHypervisor(error.message, error)));
    stream.on('close', () => this.end(unreachableHypervisor('the connection was closed')));
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** Faults: those of libvirt, `timeout`, `cancelled`, `unavailable`, `overloaded`. */
  call<A, R>(procedure: Procedure<A, R>, args: A, options: CallOptions): Promise<R> {
    if (this.#ended !== undefined) return Promise.reject(this.#ended);
    if (options.signal?.aborted) return Promise.reject(cancelled());
    if (this.#pending.size >= PENDING_MAX) {
      return Promise.reject(new Fault('overloaded', 'libvirt.pending', 'The hypervisor is overloaded.'));
    }
    const serial = (this.#serial = (this.#serial % 0x7fffffff) + 1);
    const payload = encode(procedure.args, args);
    return new Promise<R>((resolve, reject) => {
      this.#expect(serial, options, (frame) => {
        if (frame instanceof Fault) return reject(frame);
        try {
          if (frame.status === FRAME_STATUS.error) reject(libvirtFault(decode(ERROR_PAYLOAD, frame.payload)));
          else resolve(decode(procedure.ret, frame.payload));
        } catch (error) {
          this.end(unreachableHypervisor('malformed reply', error));
          reject(this.#ended);
        }
      });
      const header = { program: PROGRAM, version: PROGRAM_VERSION, procedure: procedure.number };
      this.#stream.write(encodeFrame({ ...header, type: FRAME_TYPE.call, serial, status: FRAME_STATUS.ok, payload }));
    });
  }

  /** Ends the stream; all pending calls fail with `why`. */
  end(why: Fault): void {
    if (this.#ended !== undefined) return;
    this.#ended = why;
    this.#stream.destroy();
    for (const call of this.#pending.values()) call.finish(why);
    this.#resolveEnded(why);
  }

  #expect(serial: number, options: CallOptions, done: (frame: Frame | Fault) => void): void {
    const finish = (frame: Frame | Fault): void => {
      if (!this.#pending.delete(serial)) return;
      timer.cancel();
      options.signal?.removeEventListener('abort', abort);
      done(frame);
    };
    const abort = (): void => finish(cancelled());
    const timer = this.#clock.after(options.timeoutMs, () => {
      finish(new Fault('timeout', 'libvirt.timeout', 'The hypervisor did not answer in time.'));
    });
    this.#pending.set(serial, { finish });
    options.signal?.addEventListener('abort', abort, { once: true });
  }

  #take(frame: Frame): void {
    if (frame.program === KEEPALIVE_PROGRAM) {
      if (frame.procedure !== KEEPALIVE.ping) return;
      this.#stream.write(encodeFrame({ ...frame, procedure: KEEPALIVE.pong, type: FRAME_TYPE.message }));
      return;
    }
    if (frame.program !== PROGRAM) return;
    if (frame.type === FRAME_TYPE.reply) this.#pending.get(frame.serial)?.finish(frame);
    else if (frame.type === FRAME_TYPE.message) this.#onMessage(frame.procedure, frame.payload);
  }
}

export function encodeFrame(frame: Frame): Buffer {
  const length = HEADER_BYTES + frame.payload.length;
  if (length > FRAME_MAX_BYTES) throw new XdrError(`a frame of ${length} bytes`);
  const bytes = Buffer.alloc(length);
  const words = [length, frame.program, frame.version, frame.procedure, frame.type, frame.serial, frame.status];
  words.forEach((word, index) => bytes.writeUInt32BE(word, index * 4));
  frame.payload.copy(bytes, HEADER_BYTES);
  return bytes;
}

/** Gives each whole frame of a stream of chunks to `onFrame`. Throws at a length that can't be one. */
export function frameSplitter(onFrame: (frame: Frame) => void): (chunk: Buffer) => void {
  let chunks: Buffer[] = [];
  let total = 0;
  let wanted = 4;
  return (chunk) => {
    chunks.push(chunk);
    total += chunk.length;
    if (total < wanted) return; // copying only when a frame is whole keeps large frames linear
    let bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    wanted = 4;
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE(0);
      if (length < HEADER_BYTES || length > FRAME_MAX_BYTES) throw new XdrError(`a frame of ${length} bytes`);
      wanted = length;
      if (bytes.length < length) break;
      onFrame(parseFrame(bytes.subarray(0, length)));
      bytes = bytes.subarray(length);
      wanted = 4;
    }
    chunks = [bytes];
    total = bytes.length;
  };
}

function parseFrame(bytes: Buffer): Frame {
  const word = (index: number): number => bytes.readUInt32BE(index * 4);
  return {
    program: word(1),
    version: word(2),
    procedure: word(3),
    type: word(4),
    serial: word(5),
    status: word(6),
    payload: bytes.subarray(HEADER_BYTES),
  };
}
