import { once } from 'node:events';
import { connect as connectSocket, createServer } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { firstAnswering, LibvirtConnection, libvirtSockets, type ConnectionOptions } from '../../../drivers/libvirt/connection.ts';
import { KEEPALIVE, KEEPALIVE_PROGRAM, LIFECYCLE_MESSAGE, PROCEDURES } from '../../../drivers/libvirt/procedures.ts';
import { FRAME_MAX_BYTES, frameSplitter, encodeFrame, type Frame } from '../../../drivers/libvirt/rpc.ts';
import { encode } from '../../../drivers/libvirt/xdr.ts';
import { systemClock } from '../../../runtime/base/clock.ts';
import { Fault } from '../../../runtime/base/fault.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import { startFakeLibvirtd, type FakeLibvirtd } from './fake-libvirtd.ts';

const frame: Frame = { program: 1, version: 2, procedure: 3, type: 0, serial: 4, status: 0, payload: Buffer.from('payload!') };
const version = (value: bigint): Buffer => encode(PROCEDURES.connectGetVersion.ret, { version: value });
const LONG = { timeoutMs: 10_000 };

describe('frames', () => {
  it('come out whole however the bytes are cut', () => {
    const bytes = Buffer.concat([encodeFrame(frame), encodeFrame({ ...frame, serial: 5 }), encodeFrame({ ...frame, payload: Buffer.alloc(0) })]);
    for (const step of [1, 3, 7, 40, bytes.length]) {
      const serials: number[] = [];
      const split = frameSplitter((one) => serials.push(one.serial));
      for (let at = 0; at < bytes.length; at += step) split(bytes.subarray(at, at + step));
      expect(serials).toEqual([4, 5, 4]);
    }
  });

  it('of an impossible length are an error at once', () => {
    for (const length of [0, 27, FRAME_MAX_BYTES + 1]) {
      const word = Buffer.alloc(4);
      word.writeUInt32BE(length);
      expect(() => frameSplitter(() => {})(word)).toThrow(/a frame of/);
    }
  });
});

describe('a connection', () => {
  let fake: FakeLibvirtd;
  let open: LibvirtConnection[];

  beforeEach(async () => {
    fake = await startFakeLibvirtd();
    open = [];
  });
  afterEach(async () => {
    await Promise.all(open.map((one) => one.close()));
    await fake.close();
  });

  function connect(more: Partial<ConnectionOptions> = {}): LibvirtConnection {
    const one = new LibvirtConnection({ endpoint: { path: fake.path }, uri: 'test:///default', clock: systemClock, log: silentLog, ...more });
    open.push(one);
    return one;
  }
  const faultOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => 'no fault',
      (error: unknown) => (Fault.is(error) ? `${error.code} ${error.reason}` : error),
    );

  it('logs in and opens its URI once, before the first calls', async () => {
    fake.on('connectGetVersion', () => version(7002000n));
    const connection = connect();
    const calls = [1, 2, 3].map(() => connection.call(PROCEDURES.connectGetVersion, undefined, LONG));
    expect(await Promise.all(calls)).toEqual([1, 2, 3].map(() => ({ version: 7002000n })));
    expect(fake.asked).toEqual(['authList', 'connectOpen', 'connectGetVersion', 'connectGetVersion', 'connectGetVersion']);
  });

  it('gives replies to their calls, in whatever order they come', async () => {
    const waiting: string[] = [];
    fake.on('domainLookupByUuid', (args) => void waiting.push(JSON.stringify(args)));
    const connection = connect();
    const ids = ['11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222'];
    const calls = ids.map((uuid) => connection.call(PROCEDURES.domainLookupByUuid, { uuid }, LONG));
    await expect.poll(() => waiting.length).toBe(2);
    const reply = (serial: number, uuid: string): void =>
      fake.send({
        procedure: PROCEDURES.domainLookupByUuid.number,
        type: 1,
        serial,
        payload: encode(PROCEDURES.domainLookupByUuid.ret, { dom: { name: uuid.slice(0, 1), uuid, id: -1 } }),
      });
    reply(4, ids[1] ?? '');
    reply(3, ids[0] ?? '');
    expect((await Promise.all(calls)).map(({ dom }) => dom.name)).toEqual(['1', '2']);
  });

  it("turns libvirt's errors into faults whose text names no path", async () => {
    fake.on('domainLookupByUuid', () => ({ error: 42, text: 'Domain not found' }));
    fake.on('connectGetVersion', () => ({ error: 1, text: "can't open '/var/lib/secret'" }));
    const connection = connect();
    expect(await faultOf(connection.call(PROCEDURES.domainLookupByUuid, { uuid: '11111111-1111-4111-8111-111111111111' }, LONG))).toBe(
      'notFound libvirt.noDomain',
    );
    const error = await connection.call(PROCEDURES.connectGetVersion, undefined, LONG).catch((reason: unknown) => reason);
    expect(Fault.is(error, 'unavailable') && error.message).toBe('The hypervisor failed.');
    expect(Fault.is(error) && JSON.stringify(error.detail)).toContain('/var/lib/secret');
  });

  it('ends a call by its deadline and by its signal; a late reply harms nobody', async () => {
    fake.on('connectGetVersion', () => undefined);
    fake.on('connectGetLibVersion', () => version(1n));
    const connection = connect();
    expect(await faultOf(connection.call(PROCEDURES.connectGetVersion, undefined, { timeoutMs: 20 }))).toBe('timeout libvirt.timeout');
    const stop = new AbortController();
    const call = faultOf(connection.call(PROCEDURES.connectGetVersion, undefined, { ...LONG, signal: stop.signal }));
    stop.abort();
    expect(await call).toBe('cancelled libvirt.cancelled');
    fake.send({ procedure: PROCEDURES.connectGetVersion.number, type: 1, serial: 3, payload: version(9n) });
    expect(await connection.call(PROCEDURES.connectGetLibVersion, undefined, LONG)).toEqual({ version: 1n });
  });

  it('fails pending calls when libvirtd goes away, and works again when it is back', async () => {
    fake.on('connectGetVersion', () => undefined);
    const connection = connect();
    const pending = faultOf(connection.call(PROCEDURES.connectGetVersion, undefined, LONG));
    await expect.poll(() => fake.asked).toContain('connectGetVersion');
    await fake.drop();
    expect(await pending).toBe('unavailable libvirt.unreachable');
    expect(await faultOf(connection.call(PROCEDURES.connectGetVersion, undefined, LONG))).toBe('unavailable libvirt.unreachable');
    await fake.listen();
    fake.on('connectGetVersion', () => version(1n));
    expect(await connection.call(PROCEDURES.connectGetVersion, undefined, LONG)).toEqual({ version: 1n });
  });

  it('goes over TCP as well', async () => {
    fake.on('connectGetVersion', () => version(7n));
    const relay = createServer((socket) => {
      const inner = connectSocket(fake.path);
      socket.pipe(inner).pipe(socket);
      socket.on('close', () => inner.destroy());
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    try {
      const address = relay.address();
      if (address === null || typeof address === 'string') expect.fail('no port');
      const connection = connect({ endpoint: { host: '127.0.0.1', port: address.port } });
      expect(await connection.call(PROCEDURES.connectGetVersion, undefined, LONG)).toEqual({ version: 7n });
      await connection.close();
    } finally {
      relay.close();
    }
  });

  it('that is watched comes back by itself and prepares each session anew', async () => {
    let ups = 0;
    await connect({ onUp: async () => void ups++ }).open();
    expect(ups).toBe(1);
    await fake.drop();
    await fake.listen();
    await expect.poll(() => ups, { timeout: 10_000 }).toBe(2);
  });

  it('hands on messages, and answers keep-alive pings', async () => {
    const heard: number[] = [];
    await connect({ onMessage: (procedure) => heard.push(procedure) }).open();
    const pongs: Frame[] = [];
    for (const socket of fake.sockets)
      socket.on(
        'data',
        frameSplitter((one) => pongs.push(one)),
      );
    fake.send({ procedure: LIFECYCLE_MESSAGE.number });
    fake.send({ program: KEEPALIVE_PROGRAM, procedure: KEEPALIVE.ping });
    await expect.poll(() => pongs.map(({ program, procedure }) => [program, procedure])).toEqual([[KEEPALIVE_PROGRAM, KEEPALIVE.pong]]);
    expect(heard).toEqual([LIFECYCLE_MESSAGE.number]);
  });

  it('gives up a session that talks nonsense', async () => {
    const connection = connect();
    await connection.open();
    fake.on('connectGetVersion', () => Buffer.from('not a number'));
    expect(await faultOf(connection.call(PROCEDURES.connectGetVersion, undefined, LONG))).toBe('unavailable libvirt.unreachable');
  });

  it('does not log in where only logins are offered that it does not know', async () => {
    fake.on('authList', () => encode(PROCEDURES.authList.ret, { types: [1] }));
    expect(await faultOf(connect().open())).toBe('unavailable libvirt.unreachable');
  });

  it('is found by a probe where something answers, and nowhere else', async () => {
    expect(libvirtSockets({ XDG_RUNTIME_DIR: '/nowhere' }).session[0]).toBe('/nowhere/libvirt/libvirt-sock');
    expect(libvirtSockets({}).session).toEqual([]);
    const dead = [`${fake.path}-not-there`, import.meta.filename];
    expect(await firstAnswering(dead)).toBeUndefined();
    expect(await firstAnswering([...dead, fake.path])).toBe(fake.path);
  });
});
