import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import { encodeFrame, encodeMessage, parseMessage, withWaited } from '../../../runtime/mesh/frame.ts';
import type { Frame, WireFrame } from '../../../runtime/mesh/frame.ts';

const ASK: Frame = {
  kind: 'ask',
  id: 7,
  to: 'thing/1',
  type: 'q',
  body: { n: 1 },
  command: 'c-1',
  leftMs: 5_000,
  trace: '00-ab',
  epoch: 3,
  forBoot: 'b-1' as BootId,
};
const FRAMES: readonly WireFrame[] = [
  { kind: 'hello', node: 'a' as NodeName, boot: 'a-1' as BootId, cluster: 'c', versions: [1], publicKey: 'k'.repeat(40), proof: 'f'.repeat(64) },
  { kind: 'hello', node: 'a' as NodeName, boot: 'a-1' as BootId, cluster: 'c', versions: [1, 2], known: false },
  { kind: 'beat' },
  { kind: 'tell', to: 'thing/1', type: 'note', body: ['x', { y: null }] },
  ASK,
  { kind: 'reply', id: 0, ok: true, value: 'Grüße 🌱', forBoot: 'a-1' as BootId },
  { kind: 'reply', id: 9, ok: false, fault: { code: 'overloaded', reason: 'mailbox', message: 'Later.', detail: [1] } },
  { kind: 'moved', id: 9, to: 'thing/1', owner: 'b' as NodeName, epoch: 0 },
];

function bytesOf(...texts: string[]): Buffer {
  return Buffer.from(encodeMessage(texts));
}
function written(frame: WireFrame): string {
  return encodeFrame(frame) ?? '';
}

describe('frames on the wire', () => {
  it('come back as they went', () => {
    const parsed = parseMessage(bytesOf(...FRAMES.map(written)));
    expect(parsed).toEqual({ frames: FRAMES, unknownKinds: 0, malformed: 0 });
  });

  it('lose nothing of any JSON body', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const body: unknown = JSON.parse(JSON.stringify(value)); // JSON knows no -0
        const parsed = parseMessage(bytesOf(written({ kind: 'tell', to: 'thing/1', type: 't', body })));
        expect(parsed?.frames).toEqual([{ kind: 'tell', to: 'thing/1', type: 't', body }]);
      }),
    );
  });

  it('do not carry the sender’s priority', () => {
    expect(written({ kind: 'tell', to: 't/1', type: 't', body: 1, priority: true })).not.toContain('priority');
  });

  it('ignore members that a newer version adds, and skip its kinds', () => {
    const newer = written(ASK).replace('{', '{"colour":"green",');
    expect(parseMessage(bytesOf(newer, '{"kind":"gossip","about":[1]}'))).toEqual({ frames: [ASK], unknownKinds: 1, malformed: 0 });
    expect(parseMessage(Buffer.from(`{"v":1,"hint":{},"frames":[${written(ASK)}]}`))?.frames).toEqual([ASK]);
  });

  it('read a fault code of a newer version as internal, so that the ask ends', () => {
    const text = '{"kind":"reply","id":1,"ok":false,"fault":{"code":"brandNew","reason":"r","message":"m","detail":null}}';
    expect(parseMessage(bytesOf(text))?.frames[0]).toMatchObject({ ok: false, fault: { code: 'internal', reason: 'r' } });
  });

  it('shorten an ask by what it waited, never below nothing', () => {
    const left = (waitedMs: number): unknown => parseMessage(bytesOf(withWaited(written(ASK), waitedMs)))?.frames[0];
    expect(left(0)).toEqual(ASK);
    expect(left(1_200.7)).toEqual({ ...ASK, leftMs: 3_800 });
    expect(left(9_000)).toEqual({ ...ASK, leftMs: 0 });
  });

  it('cannot be written when they are no JSON', () => {
    expect(encodeFrame({ kind: 'tell', to: 't/1', type: 't', body: 1n })).toBeUndefined();
  });
});

describe('malformed frames', () => {
  it.each([
    ['a tell without address', '{"kind":"tell","type":"t","body":1}'],
    ['an address that is too long', `{"kind":"tell","to":"${'x'.repeat(513)}","type":"t","body":1}`],
    ['an ask with an id past 2^53', '{"kind":"ask","id":9007199254740992,"to":"t","type":"t","body":1,"leftMs":1}'],
    ['an ask with negative time', '{"kind":"ask","id":1,"to":"t","type":"t","body":1,"leftMs":-1}'],
    ['an ask that waited a text', '{"kind":"ask","id":1,"to":"t","type":"t","body":1,"leftMs":1,"waitedMs":"2"}'],
    ['a reply that is neither', '{"kind":"reply","id":1,"ok":"yes"}'],
    ['a refusal without fault', '{"kind":"reply","id":1,"ok":false}'],
    ['a move to nobody', '{"kind":"moved","id":1,"to":"t","epoch":1}'],
    ['a hello with a number as name', '{"kind":"hello","node":1,"boot":"b","cluster":"c","versions":[1]}'],
    ['a boot that is no text', '{"kind":"tell","to":"t","type":"t","body":1,"forBoot":{}}'],
    ['a kind that is no text', '{"kind":1}'],
    ['no object', '[1]'],
    ['nothing', 'null'],
  ])('%s is dropped and counted, the rest is read', (_what, text) => {
    expect(parseMessage(bytesOf(text, written(ASK)))).toEqual({ frames: [ASK], unknownKinds: 0, malformed: 1 });
  });

  it.each(['', 'null', '[]', '{}', '{"v":1}', '{"v":2,"frames":[]}', '{"v":1,"frames":{}}', '{"v":"1","frames":[]}', '{"v":1,"frames":[}'])(
    '%j is no message',
    (text) => {
      expect(parseMessage(Buffer.from(text))).toBeUndefined();
    },
  );

  it('never throw: 10,000 each of random bytes, truncations and flipped bits', () => {
    const random = seededRandom(20_261_122);
    const whole = bytesOf(...FRAMES.map(written));
    const at = (length: number): number => Math.floor(random.next() * length);
    let unread = 0;
    for (let n = 0; n < 10_000; n++) {
      const flipped = Buffer.from(whole);
      for (let flips = 1 + at(8); flips > 0; flips--) flipped.writeUInt8(flipped.readUInt8(at(flipped.length)) ^ (1 << at(8)), at(flipped.length));
      for (const bytes of [random.bytes(at(300)), whole.subarray(0, at(whole.length)), flipped]) {
        const parsed = parseMessage(bytes);
        if (parsed === undefined) unread++;
        else for (const frame of parsed.frames) expect(encodeFrame(frame)).toBeTypeOf('string');
      }
    }
    expect(unread).toBeGreaterThan(20_000);
  });

  it('never throw for nesting deeper than any stack', () => {
    const deep = '['.repeat(400_000) + ']'.repeat(400_000);
    expect(() => parseMessage(Buffer.from(`{"v":1,"frames":[{"kind":"tell","to":"t/1","type":"t","body":${deep}}]}`))).not.toThrow();
    expect(() => parseMessage(Buffer.from('['.repeat(1_000_000)))).not.toThrow();
  });

  it('cannot reach a prototype', () => {
    parseMessage(bytesOf('{"kind":"tell","to":"t/1","type":"t","body":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1}}'));
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
