/** A libvirtd of a few lines on a real socket: it answers what a test scripted, and remembers what it was asked. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ERROR_PAYLOAD, PROCEDURES, PROGRAM, PROGRAM_VERSION, type Procedure } from '../../../drivers/libvirt/procedures.ts';
import { encodeFrame, FRAME_STATUS, FRAME_TYPE, frameSplitter, type Frame } from '../../../drivers/libvirt/rpc.ts';
import { decode, encode } from '../../../drivers/libvirt/xdr.ts';

type Name = keyof typeof PROCEDURES;
/** Undefined: no answer at all. */
type Answer = Buffer | { readonly error: number; readonly text?: string } | undefined;

export type FakeLibvirtd = {
  readonly path: string;
  readonly asked: Name[];
  readonly sockets: Set<Socket>;
  /** Answers `name` from now on; the arguments come decoded. */
  on<N extends Name>(name: N, answer: (args: unknown) => Answer): void;
  send(frame: Partial<Frame>): void;
  /** Ends every connection; `listen` again for a restart. */
  drop(): Promise<void>;
  listen(): Promise<void>;
  close(): Promise<void>;
};

const NAMES = new Map(Object.entries(PROCEDURES).map(([name, { number }]) => [number, name as Name]));

export async function startFakeLibvirtd(): Promise<FakeLibvirtd> {
  const folder = await mkdtemp(join(tmpdir(), 'nf-'));
  const path = join(folder, 'sock');
  const answers = new Map<Name, (args: unknown) => Answer>();
  const asked: Name[] = [];
  const sockets = new Set<Socket>();
  let server = createServer(accept);

  function accept(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    const split = frameSplitter((frame) => take(socket, frame));
    socket.on('data', split);
  }
  function take(socket: Socket, frame: Frame): void {
    const name = NAMES.get(frame.procedure);
    if (frame.program !== PROGRAM || name === undefined) return;
    asked.push(name);
    const procedure: Procedure<unknown, unknown> = PROCEDURES[name];
    const answer = answers.get(name)?.(decode(procedure.args, frame.payload));
    if (answer === undefined) return;
    const isError = !Buffer.isBuffer(answer);
    const payload = isError ? errorPayload(answer.error, answer.text ?? '') : answer;
    socket.write(encodeFrame({ ...frame, type: FRAME_TYPE.reply, status: isError ? FRAME_STATUS.error : FRAME_STATUS.ok, payload }));
  }
  async function listen(): Promise<void> {
    server = createServer(accept).listen(path);
    await once(server, 'listening');
  }
  async function drop(): Promise<void> {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  const fake: FakeLibvirtd = {
    path,
    asked,
    sockets,
    drop,
    listen,
    on: (name, answer) => void answers.set(name, answer),
    send(frame) {
      const whole = {
        program: PROGRAM,
        version: PROGRAM_VERSION,
        procedure: 0,
        type: FRAME_TYPE.message,
        serial: 0,
        status: 0,
        payload: Buffer.alloc(0),
        ...frame,
      };
      for (const socket of sockets) socket.write(encodeFrame(whole));
    },
    async close() {
      if (server.listening) await drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
  fake.on('authList', () => encode(PROCEDURES.authList.ret, { types: [0] }));
  fake.on('connectOpen', () => Buffer.alloc(0));
  await listen();
  return fake;
}

function errorPayload(code: number, message: string): Buffer {
  return encode(ERROR_PAYLOAD, {
    code,
    domain: 10,
    message,
    level: 2,
    dom: null,
    str1: null,
    str2: null,
    str3: null,
    int1: 0,
    int2: 0,
    net: null,
  });
}
