import { describe, expect, it } from 'vitest';
import type { Frame } from '../../../runtime/mesh/frame.ts';
import { MESH_LIMITS } from '../../../runtime/mesh/limits.ts';
import type { MeshLimits } from '../../../runtime/mesh/limits.ts';
import { Outbox } from '../../../runtime/mesh/outbox.ts';

function outboxWith(limits: Partial<MeshLimits>): Outbox {
  return new Outbox({ ...MESH_LIMITS, ...limits });
}
function tell(body: unknown, priority = false): Frame {
  return { kind: 'tell', to: 't/1', type: 't', body, priority };
}
function bodies(texts: readonly string[]): unknown[] {
  return texts.map((text) => (JSON.parse(text) as { body: unknown }).body);
}

describe('an outbox', () => {
  it('gives everything that waits in one batch, in order, urgent first', () => {
    const outbox = outboxWith({});
    for (const body of [1, 2, 3]) outbox.push(tell(body), 0);
    outbox.push(tell('lease', true), 0);
    expect(bodies(outbox.take(0))).toEqual(['lease', 1, 2, 3]);
    expect([outbox.queued, outbox.queuedBytes, outbox.take(0)]).toEqual([0, 0, []]);
  });

  it('cuts batches by frames and by bytes, passing the latter by one frame at most', () => {
    const outbox = outboxWith({ batchFramesMax: 3, batchBytesMax: 1_000 });
    for (let n = 0; n < 4; n++) outbox.push(tell(n), 0);
    for (let n = 0; n < 3; n++) outbox.push(tell('x'.repeat(900)), 0);
    expect([outbox.take(0).length, outbox.take(0).length, outbox.take(0).length, outbox.take(0).length]).toEqual([3, 3, 1, 0]);
  });

  it('is full at its frames, at its bytes, and lane by lane', () => {
    const outbox = outboxWith({ framesMax: 2, urgentFramesMax: 1 });
    expect([1, 2, 3].map((body) => outbox.push(tell(body), 0))).toEqual(['queued', 'queued', 'full']);
    expect([1, 2].map((body) => outbox.push(tell(body, true), 0))).toEqual(['queued', 'full']);
    const narrow = outboxWith({ bytesMax: 100 });
    expect([narrow.push(tell('ü'.repeat(20)), 0), narrow.push(tell('ü'.repeat(20)), 0)]).toEqual(['queued', 'full']);
  });

  it('counts bytes as they go on the wire', () => {
    const outbox = outboxWith({});
    outbox.push(tell('🌱'), 0);
    expect(outbox.queuedBytes).toBe(Buffer.byteLength('{"kind":"tell","to":"t/1","type":"t","body":"🌱"}'));
  });

  it('drops what waited too long: when taking, when asked, and to make room', () => {
    const outbox = outboxWith({ ageMaxMs: 100, framesMax: 2 });
    outbox.push(tell('old'), 0);
    outbox.push(tell('young'), 90);
    expect(bodies(outbox.take(101))).toEqual(['young']);
    outbox.push(tell('old'), 200);
    outbox.dropOld(300);
    expect(outbox.queued).toBe(1);
    outbox.dropOld(301);
    expect([outbox.queued, outbox.queuedBytes, outbox.aged]).toEqual([0, 0, 2]);
    outbox.push(tell(1), 400);
    outbox.push(tell(2), 400);
    expect([outbox.push(tell(3), 500), outbox.push(tell(3), 501)]).toEqual(['full', 'queued']);
    expect(outbox.aged).toBe(4);
  });

  it('drops an ask already at its own deadline and tells the others what they waited', () => {
    const outbox = outboxWith({ ageMaxMs: 1_000 });
    outbox.push({ kind: 'ask', id: 1, to: 't/1', type: 't', body: 1, leftMs: 50 }, 0);
    outbox.push({ kind: 'ask', id: 2, to: 't/1', type: 't', body: 2, leftMs: 5_000 }, 0);
    const texts = outbox.take(60);
    expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual([{ kind: 'ask', id: 2, to: 't/1', type: 't', body: 2, leftMs: 5_000, waitedMs: 60 }]);
    expect(outbox.aged).toBe(1);
  });

  it('takes in no frame that is too large or no JSON', () => {
    const outbox = outboxWith({ frameBytesMax: 100 });
    expect([outbox.push(tell('x'.repeat(100)), 0), outbox.push(tell(1n), 0), outbox.queued]).toEqual(['tooLarge', 'tooLarge', 0]);
  });
});
