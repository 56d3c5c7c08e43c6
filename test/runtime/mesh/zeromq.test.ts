import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Context, Dealer } from 'zeromq';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { newKeyPair, sharedSecret } from '../../../runtime/mesh/curve.ts';
import type { CurveKeyPair } from '../../../runtime/mesh/curve.ts';
import { encodeFrame, encodeMessage } from '../../../runtime/mesh/frame.ts';
import type { WireFrame } from '../../../runtime/mesh/frame.ts';
import { greet } from '../../../runtime/mesh/greeting.ts';
import type { Mesh } from '../../../runtime/mesh/mesh.ts';
import { A, B, bodiesOf, eventually, hear, meshContract, tell } from '../../contract/mesh.ts';
import { openZeromqRig, recordingLog } from './zeromq-rig.ts';
import type { ZeromqRig } from './zeromq-rig.ts';

meshContract('the ZeroMQ mesh', () => openZeromqRig());

const MALLORY = 'mallory' as NodeName;
const log = recordingLog();
let rig: ZeromqRig;
let raws: Dealer[];

beforeEach(async () => {
  log.lines.length = 0;
  raws = [];
  rig = await openZeromqRig(log);
});
afterEach(async () => {
  for (const raw of raws) raw.close();
  await rig.close();
});

/** A peer that speaks CURVE and ZeroMQ but otherwise says what it likes. */
function rawPeer(b: Mesh, serverKey: string, pair: CurveKeyPair | undefined, routingId: string): Dealer {
  const curve = pair ? { curveServerKey: serverKey, curvePublicKey: pair.publicKey, curveSecretKey: pair.secretKey } : {};
  const raw = new Dealer({ context: new Context({ blocky: false }), ...curve, routingId, linger: 0, immediate: true, sendTimeout: 10_000 });
  raws.push(raw);
  raw.connect(b.self.endpoint);
  return raw;
}

function eventOf(raw: Dealer, type: 'disconnect' | 'handshake:error:auth'): Promise<void> {
  return new Promise((resolve) => raw.events.on(type, () => resolve()));
}

function textOf(...frames: WireFrame[]): string {
  return encodeMessage(frames.map((frame) => encodeFrame(frame) ?? ''));
}

describe('who may speak', () => {
  it('refuses a connection whose key nobody knows, logs it, and hears nothing from it', async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const stranger = rawPeer(b, (await rig.keyOf('b')).publicKey, newKeyPair(), 'stranger');
    await eventOf(stranger, 'handshake:error:auth');
    await eventually(() => expect(log.lines.map(({ event }) => event)).toContain('mesh.turnedAway.unknownKey'));
    expect(b.counters()).toMatchObject({ turnedAway: 1, messagesIn: 0 });
    expect(heard).toEqual([]);
  });

  it('refuses a connection without CURVE', async () => {
    const b = await rig.open('b', 'b-1');
    const bare = rawPeer(b, '', undefined, 'bare');
    await eventOf(bare, 'disconnect');
    expect(b.counters().messagesIn).toBe(0);
  });

  it('survives a connection that speaks no ZeroMQ at all', async () => {
    const a = await rig.open('a', 'a-1');
    const b = await rig.open('b', 'b-1');
    const socket = connect(Number(b.self.endpoint.split(':').at(-1)), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write('GET / HTTP/1.1\r\n\r\n'.repeat(100));
    await new Promise((resolve) => socket.on('close', resolve));
    a.setPeers([await rig.keyOf('b')]);
    await eventually(() => expect(a.peers()[0]?.connected).toBe(true));
  });

  it('sends nothing to a process that does not hold the key we expect of it', async () => {
    const a = await rig.open('a', 'a-1');
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    a.setPeers([{ ...(await rig.keyOf('b')), publicKey: newKeyPair().publicKey }]);
    a.send(B, tell('secret'));
    // A right peer of the same process is served meanwhile, so the wrong one had its time.
    const c = await rig.open('c', 'c-1');
    c.setPeers([await rig.keyOf('b')]);
    c.send(B, tell('hello'));
    await eventually(() => expect(bodiesOf(heard)).toEqual(['hello']));
    expect(a.peers()[0]).toMatchObject({ connected: false, queued: 1 });
  });

  it('turns away a node of another cluster, whatever its key', async () => {
    const a = await rig.openWith('a', 'a-1', { cluster: 'elsewhere' });
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    a.setPeers([await rig.keyOf('b')]);
    a.send(B, tell(1));
    await eventually(() => expect(log.lines.map(({ event }) => event)).toContain('mesh.turnedAway.wrongCluster'));
    expect(a.peers()[0]?.connected).toBe(false);
    expect(heard).toEqual([]);
  });

  it('turns away an allowed key under the name of another node', async () => {
    const b = await rig.open('b', 'b-1');
    await rig.keyOf('a');
    const heard = hear(b);
    const liar = await rig.openWith('mallory', 'm-1', { self: A });
    liar.setPeers([await rig.keyOf('b')]);
    liar.send(B, tell(1));
    await eventually(() => expect(log.lines.map(({ event }) => event)).toContain('mesh.turnedAway.wrongName'));
    expect(heard).toEqual([]);
    expect(b.counters().framesIn).toBe(0);
  });

  it("turns away an admitted node that shows another node's public key, since it cannot prove to hold it", async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const [a, mallory] = [await rig.keyOf('a'), await rig.pairOf('mallory')];
    const key = await rig.keyOf('b');
    const own = sharedSecret(mallory, key.publicKey);
    const raw = rawPeer(b, key.publicKey, mallory, 'r1');
    const hello = greet({ node: A, boot: 'a-1' as BootId, cluster: 'rig' }, a.publicKey, own ?? Buffer.alloc(32), B, 'r1');
    await raw.send(textOf(hello, { kind: 'tell', to: 'thing/1', type: 'note', body: 'forged' }));
    await eventually(() => expect(log.lines.map(({ event }) => event)).toContain('mesh.turnedAway.wrongProof'));
    expect(heard).toEqual([]);
  });

  it('believes a greeting only on the connection it was made for', async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const [key, mallory] = [await rig.keyOf('b'), await rig.pairOf('mallory')];
    const hello = greet({ node: MALLORY, boot: 'm-1' as BootId, cluster: 'rig' }, mallory.publicKey, sharedSecret(mallory, key.publicKey)!, B, 'r1');
    const note: WireFrame = { kind: 'tell', to: 'thing/1', type: 'note', body: 'hi' };
    await rawPeer(b, key.publicKey, mallory, 'r2').send(textOf(hello, note));
    await eventually(() => expect(b.counters().turnedAway).toBe(1));
    await rawPeer(b, key.publicKey, mallory, 'r1').send(textOf(hello, note));
    await eventually(() => expect(bodiesOf(heard)).toEqual(['hi']));
    expect(heard[0]?.from).toEqual({ node: MALLORY, boot: 'm-1', roles: ['role-of-mallory'] });
  });

  it('does not believe frames before the greeting, and says so to the speaker', async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const raw = rawPeer(b, (await rig.keyOf('b')).publicKey, await rig.pairOf('mallory'), 'r1');
    await raw.send(textOf({ kind: 'tell', to: 'thing/1', type: 'note', body: 'hi' }));
    const [answer] = await raw.receive();
    expect(JSON.parse(String(answer))).toMatchObject({ frames: [{ kind: 'hello', node: 'b', known: false }] });
    expect(heard).toEqual([]);
    expect(b.counters().untrusted).toBe(1);
  });

  it('stops believing a key at once when it is taken back, and takes changed roles over', async () => {
    const [a, b] = [await rig.open('a', 'a-1'), await rig.open('b', 'b-1')];
    const heard = hear(b);
    a.setPeers([await rig.keyOf('b')]);
    const key = await rig.keyOf('a');
    a.send(B, tell(1));
    await eventually(() => expect(heard.length).toBe(1));
    rig.allowed.set(key.publicKey, { ...key, roles: ['fewer'] });
    a.send(B, tell(2));
    await eventually(() => expect(heard.map(({ from }) => from.roles)).toEqual([['role-of-a'], ['fewer']]));
    rig.allowed.delete(key.publicKey);
    a.send(B, tell(3));
    await eventually(() => expect(b.counters().untrusted).toBe(1));
    expect(heard.length).toBe(2);
  });

  it('lets a node in that becomes allowed after it was refused', async () => {
    const [a, b] = [await rig.open('a', 'a-1'), await rig.open('b', 'b-1')];
    const key = await rig.keyOf('a');
    rig.allowed.delete(key.publicKey);
    a.setPeers([await rig.keyOf('b')]);
    await eventually(() => expect(b.counters().turnedAway).toBeGreaterThan(0));
    rig.allowed.set(key.publicKey, key);
    await eventually(() => expect(a.peers()[0]?.connected).toBe(true));
  });
});

describe('malformed bytes from an admitted peer', () => {
  it('are counted, logged at a bounded rate, and end the trust until the next greeting', async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const [key, pair] = [await rig.keyOf('b'), await rig.pairOf('mallory')];
    const raw = rawPeer(b, key.publicKey, pair, 'r1');
    const hello = greet({ node: MALLORY, boot: 'm-1' as BootId, cluster: 'rig' }, pair.publicKey, sharedSecret(pair, key.publicKey)!, B, 'r1');
    const note = (body: unknown): WireFrame => ({ kind: 'tell', to: 'thing/1', type: 'note', body });
    await raw.send(textOf(hello, note(1)));
    for (let n = 0; n < 200; n++) await raw.send(n % 2 === 0 ? Buffer.from([0xff, n]) : ['two', 'parts']);
    await raw.send(textOf(note('after nonsense')));
    await raw.send(textOf(hello, note(2)));
    await eventually(() => expect(bodiesOf(heard)).toEqual([1, 2]));
    expect(b.counters()).toMatchObject({ malformed: 200, untrusted: 1 });
    expect(log.lines.filter(({ event }) => event === 'mesh.message.malformed').length).toBeLessThan(20);
  });

  it('cost the one frame alone when the rest of the message is sound, also a kind of a newer version', async () => {
    const b = await rig.open('b', 'b-1');
    const heard = hear(b);
    const [key, pair] = [await rig.keyOf('b'), await rig.pairOf('mallory')];
    const raw = rawPeer(b, key.publicKey, pair, 'r1');
    const hello = greet({ node: MALLORY, boot: 'm-1' as BootId, cluster: 'rig' }, pair.publicKey, sharedSecret(pair, key.publicKey)!, B, 'r1');
    const texts = [
      encodeFrame(hello) ?? '',
      '{"kind":"gossip","x":1}',
      '{"kind":"tell","to":5}',
      encodeFrame({ kind: 'tell', to: 't/1', type: 'n', body: 1 }) ?? '',
    ];
    await raw.send(encodeMessage(texts));
    await eventually(() => expect(bodiesOf(heard)).toEqual([1]));
    expect(b.counters()).toMatchObject({ malformed: 1, unknownKind: 1 });
  });
});

/** A wire between two nodes that can be listened to and go dead without being closed. */
async function openWire(to: string): Promise<{ endpoint: string; seen: () => Buffer; freeze(): void; close(): void }> {
  const bytes: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(Number(to.split(':').at(-1)), '127.0.0.1');
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(from);
      from.on('data', (chunk) => {
        bytes.push(chunk);
        into.write(chunk);
      });
      from.on('close', () => into.destroy());
      from.on('error', () => undefined);
    }
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    endpoint: `tcp://127.0.0.1:${address.port}`,
    seen: () => Buffer.concat(bytes),
    freeze() {
      for (const socket of sockets) socket.pause();
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe('the wire', () => {
  it('shows nothing of what is said, nor who says it', async () => {
    const [a, b] = [await rig.open('a', 'a-1'), await rig.open('b', 'b-1')];
    const wire = await openWire(b.self.endpoint);
    try {
      const heard = hear(b);
      a.setPeers([{ ...(await rig.keyOf('b')), endpoint: wire.endpoint }]);
      a.send(B, tell('a word nobody else may read'));
      await eventually(() => expect(heard.length).toBe(1));
      const seen = wire.seen().toString('latin1');
      expect(seen).toContain('CURVE');
      for (const word of ['nobody else', 'thing/1', 'a-1', 'hello', (await rig.keyOf('a')).publicKey]) expect(seen).not.toContain(word);
    } finally {
      wire.close();
    }
  });

  it('that goes dead without closing is noticed, and the peer is heard again over a new one while the old still hangs', async () => {
    const limits = { silenceMs: 200, beatMs: 50 };
    const a = await rig.open('a', 'a-1', limits);
    const b = await rig.open('b', 'b-1', limits);
    const wire = await openWire(b.self.endpoint);
    try {
      const heard = hear(b);
      a.setPeers([{ ...(await rig.keyOf('b')), endpoint: wire.endpoint }]);
      await eventually(() => expect(a.peers()[0]?.connected).toBe(true));
      wire.freeze();
      await eventually(() => expect(a.peers()[0]?.connected).toBe(false));
      await eventually(() => expect(a.peers()[0]?.connected).toBe(true));
      a.send(B, tell('over the new one'));
      await eventually(() => expect(bodiesOf(heard)).toEqual(['over the new one']));
    } finally {
      wire.close();
    }
  });
});

describe('opening and closing', () => {
  it('says in a fault that its port is taken', async () => {
    const b = await rig.open('b', 'b-1');
    await expect(rig.openWith('c', 'c-1', { bind: b.self.endpoint })).rejects.toMatchObject({ code: 'unavailable', reason: 'mesh.bind' });
  });

  it('frees its port at once', async () => {
    for (const boot of ['b-1', 'b-2', 'b-3']) await (await rig.open('b', boot)).close();
  });

  it('shows the chosen port, under the advertised host when one is given', async () => {
    const b = await rig.openWith('b', 'b-1', { bind: 'tcp://0.0.0.0:*', advertisedHost: 'b.example' });
    expect(b.self.endpoint).toMatch(/^tcp:\/\/b\.example:\d+$/);
  });

  it('keeps trying a peer whose endpoint makes no sense without harm to the others', async () => {
    const [a, b] = [await rig.open('a', 'a-1'), await rig.open('b', 'b-1')];
    const heard = hear(b);
    a.setPeers([{ ...(await rig.keyOf('c')), endpoint: 'nonsense' }, { ...(await rig.keyOf('d')), publicKey: 'short' }, await rig.keyOf('b')]);
    a.send(B, tell(1));
    await eventually(() => expect(bodiesOf(heard)).toEqual([1]));
  });
});
