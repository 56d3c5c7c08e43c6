/** What every mesh promises, run on each implementation: `meshContract(name, openRig)`. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BootId, NodeName } from '../../runtime/base/ids.ts';
import type { Frame, TellFrame } from '../../runtime/mesh/frame.ts';
import type { MeshLimits } from '../../runtime/mesh/limits.ts';
import type { FrameSender, Mesh, PeerKey } from '../../runtime/mesh/mesh.ts';

/** Opens nodes that may talk to each other; a node keeps its key and endpoint over its boots. */
export type MeshRig = {
  /** Known before the node is open, so that others can wait for it. */
  keyOf(node: string): Promise<PeerKey>;
  open(node: string, boot: string, limits?: Partial<MeshLimits>): Promise<Mesh>;
  close(): Promise<void>;
};

export const A = 'a' as NodeName;
export const B = 'b' as NodeName;
const C = 'c' as NodeName;
const PATIENCE = { timeout: 10_000, interval: 3 };

export type Heard = { readonly from: FrameSender; readonly frame: Frame };

export function tell(body: unknown, more: Partial<TellFrame> = {}): Frame {
  return { kind: 'tell', to: 'thing/1', type: 'note', body, ...more };
}

/** Collects what a mesh receives. */
export function hear(mesh: Mesh): Heard[] {
  const heard: Heard[] = [];
  mesh.onFrame((from, frame) => heard.push({ from, frame }));
  return heard;
}

export function bodiesOf(heard: readonly Heard[]): unknown[] {
  return heard.map(({ frame }) => ('body' in frame ? frame.body : undefined));
}

export async function eventually(holds: () => void): Promise<void> {
  await vi.waitFor(holds, PATIENCE);
}

export function meshContract(name: string, openRig: () => Promise<MeshRig>): void {
  describe(`${name} keeps the promises of a mesh`, () => {
    let rig: MeshRig;
    beforeEach(async () => {
      rig = await openRig();
    });
    afterEach(() => rig.close());

    async function openPair(limits?: Partial<MeshLimits>): Promise<{ a: Mesh; b: Mesh }> {
      const [a, b] = [await rig.open('a', 'a-1', limits), await rig.open('b', 'b-1', limits)];
      await meet(a, b);
      return { a, b };
    }

    async function meet(...meshes: readonly Mesh[]): Promise<void> {
      const keys = await Promise.all(meshes.map((mesh) => rig.keyOf(mesh.self.node)));
      for (const mesh of meshes) mesh.setPeers(keys);
      await eventually(() => {
        for (const mesh of meshes) for (const view of mesh.peers()) expect([view.connected, view.boot]).toEqual([true, expect.any(String)]);
      });
    }

    describe('frames', () => {
      it('carries every kind of frame whole, with the proved sender', async () => {
        const { a, b } = await openPair();
        const heard = hear(b);
        const frames: Frame[] = [
          { kind: 'tell', to: 'thing/1', type: 'note', body: { text: 'Grüße 🌱', deep: [1, null, { x: true }] }, trace: '00-ab-cd-01', epoch: 7 },
          { kind: 'reply', id: 2 ** 53 - 1, ok: true, value: { n: 1 } },
          { kind: 'reply', id: 3, ok: false, fault: { code: 'conflict', reason: 'state', message: 'No.', detail: { was: 'x' } } },
          { kind: 'moved', id: 4, to: 'thing/1', owner: C, epoch: 9 },
        ];
        for (const frame of frames) expect(a.send(B, frame)).toBe(true);
        await eventually(() => expect(heard.length).toBe(frames.length));
        expect(heard.map(({ frame }) => frame)).toEqual(frames);
        expect(heard[0]?.from).toMatchObject({ node: A, boot: 'a-1', roles: ['role-of-a'] });
      });

      it('answers over the other direction', async () => {
        const { a, b } = await openPair();
        const heard = hear(a);
        b.onFrame((from, frame) => frame.kind === 'ask' && b.send(from.node, { kind: 'reply', id: frame.id, ok: true, value: frame.body }));
        a.send(B, { kind: 'ask', id: 1, to: 'thing/1', type: 'echo', body: { n: 5 }, leftMs: 5_000 });
        await eventually(() => expect(heard.map(({ frame }) => frame)).toEqual([{ kind: 'reply', id: 1, ok: true, value: { n: 5 } }]));
      });

      it('keeps the order of one sender and delivers each frame once', async () => {
        const { a, b } = await openPair();
        const heard = hear(b);
        const total = 20_000;
        for (let n = 0; n < total;) {
          while (n < total && a.send(B, tell({ n }))) n++;
          await new Promise((resolve) => setImmediate(resolve));
        }
        await eventually(() => expect(heard.length).toBe(total));
        expect(bodiesOf(heard)).toEqual(Array.from({ length: total }, (_, n) => ({ n })));
      });

      it('connects each with each', async () => {
        const meshes = [await rig.open('a', 'a-1'), await rig.open('b', 'b-1'), await rig.open('c', 'c-1')];
        await meet(...meshes);
        const heard = meshes.map(hear);
        for (const mesh of meshes) for (const to of [A, B, C]) if (to !== mesh.self.node) mesh.send(to, tell(`${mesh.self.node}>${to}`));
        await eventually(() => expect(heard.map((one) => one.length)).toEqual([2, 2, 2]));
        expect(new Set(heard.flatMap(bodiesOf))).toEqual(new Set(['a>b', 'a>c', 'b>a', 'b>c', 'c>a', 'c>b']));
      });

      it('sends a frame as it was when it was given', async () => {
        const { a, b } = await openPair();
        const heard = hear(b);
        const body = { n: 1 };
        a.send(B, tell(body));
        body.n = 2;
        await eventually(() => expect(bodiesOf(heard)).toEqual([{ n: 1 }]));
      });

      it('goes on when the receiver throws', async () => {
        const { a, b } = await openPair();
        const seen: unknown[] = [];
        b.onFrame((_from, frame) => {
          seen.push('body' in frame && frame.body);
          throw new Error('a bug of the receiver');
        });
        a.send(B, tell(1));
        a.send(B, tell(2));
        await eventually(() => expect(seen).toEqual([1, 2]));
      });
    });

    describe('boots', () => {
      it('drops frames meant for another boot and delivers those for this one or any', async () => {
        const { a, b } = await openPair();
        const heard = hear(b);
        a.send(B, tell('old', { forBoot: 'b-0' as BootId }));
        a.send(B, tell('new', { forBoot: 'b-1' as BootId }));
        a.send(B, tell('any'));
        await eventually(() => expect(bodiesOf(heard)).toEqual(['new', 'any']));
        expect(b.counters().staleBoot).toBe(1);
      });

      it('shows the new boot of a restarted peer, in its view and in what it sends', async () => {
        const { a, b } = await openPair();
        const heard = hear(a);
        await b.close();
        const again = await rig.open('b', 'b-2');
        again.setPeers([await rig.keyOf('a')]);
        again.send(A, tell('back'));
        await eventually(() => expect(heard.map(({ from }) => from.boot)).toEqual(['b-2']));
        await eventually(() => expect(a.peers()[0]).toMatchObject({ boot: 'b-2', connected: true }));
      });

      it('gives what waited for a peer to its next boot, except what was meant for the earlier one', async () => {
        const { a, b } = await openPair();
        await b.close();
        await eventually(() => expect(a.peers()[0]?.connected).toBe(false));
        a.send(B, tell('old', { forBoot: 'b-1' as BootId }));
        a.send(B, tell('any'));
        const again = await rig.open('b', 'b-2');
        const heard = hear(again);
        await eventually(() => expect(bodiesOf(heard)).toEqual(['any']));
        expect(again.counters().staleBoot).toBe(1);
      });
    });

    describe('limits', () => {
      it('says no for an unknown node and for itself', async () => {
        const { a } = await openPair();
        expect(a.send(C, tell(1))).toBe(false);
        expect(a.send(A, tell(1))).toBe(false);
        expect(a.counters().refused).toBe(2);
      });

      it('says no once an absent peer has as many frames waiting as it may', async () => {
        const a = await rig.open('a', 'a-1', { framesMax: 100, urgentFramesMax: 10 });
        a.setPeers([await rig.keyOf('b')]);
        const taken = Array.from({ length: 150 }, (_, n) => a.send(B, tell({ n })));
        expect(taken.lastIndexOf(true)).toBe(99);
        expect(a.send(B, tell('urgent', { priority: true }))).toBe(true);
        expect(a.peers()[0]).toMatchObject({ connected: false, queued: 101, boot: undefined });
      });

      it('says no once an absent peer has as many bytes waiting as it may', async () => {
        const a = await rig.open('a', 'a-1', { bytesMax: 10_000 });
        a.setPeers([await rig.keyOf('b')]);
        const taken = Array.from({ length: 20 }, () => a.send(B, tell('x'.repeat(940))));
        expect(taken.filter(Boolean).length).toBe(10);
      });

      it('forgets what grew too old for an absent peer and has room again', async () => {
        const a = await rig.open('a', 'a-1', { framesMax: 2, ageMaxMs: 50, beatMs: 20 });
        a.setPeers([await rig.keyOf('b')]);
        expect([a.send(B, tell(1)), a.send(B, tell(2)), a.send(B, tell(3))]).toEqual([true, true, false]);
        await eventually(() => expect(a.peers()[0]).toMatchObject({ queued: 0, dropped: 2 }));
        expect(a.send(B, tell(4))).toBe(true);
      });

      it('refuses a frame that is too large or no JSON, without throwing', async () => {
        const { a } = await openPair({ frameBytesMax: 1_000 });
        const cycle: { self?: unknown } = {};
        cycle.self = cycle;
        expect(a.send(B, tell('x'.repeat(1_000)))).toBe(false);
        expect(a.send(B, tell(cycle))).toBe(false);
        expect(a.send(B, tell(1n))).toBe(false);
      });

      it('sends urgent frames before ordinary ones that waited longer', async () => {
        const a = await rig.open('a', 'a-1');
        a.setPeers([await rig.keyOf('b')]);
        for (let n = 0; n < 500; n++) a.send(B, tell(n));
        a.send(B, tell('lease', { priority: true }));
        const b = await rig.open('b', 'b-1');
        const heard = hear(b);
        await eventually(() => expect(heard.length).toBe(501));
        expect(bodiesOf(heard).slice(0, 2)).toEqual(['lease', 0]);
      });

      it('takes what an ask waited off its time, and drops it when that is over', async () => {
        const a = await rig.open('a', 'a-1');
        a.setPeers([await rig.keyOf('b')]);
        a.send(B, { kind: 'ask', id: 1, to: 'thing/1', type: 'q', body: {}, leftMs: 20 });
        a.send(B, { kind: 'ask', id: 2, to: 'thing/1', type: 'q', body: {}, leftMs: 4_000 });
        await new Promise((resolve) => setTimeout(resolve, 40));
        const heard = hear(await rig.open('b', 'b-1'));
        await eventually(() => expect(heard.length).toBe(1));
        expect(heard[0]?.frame).toMatchObject({ kind: 'ask', id: 2 });
        expect(heard[0]?.frame.kind === 'ask' && heard[0].frame.leftMs).toBeLessThanOrEqual(3_961);
      });
    });

    describe('peers', () => {
      it('hears a peer that says nothing, by its beats', async () => {
        const { a } = await openPair({ beatMs: 20 });
        const first = a.peers()[0]?.lastHeardMonotonicMs ?? 0;
        await eventually(() => expect(a.peers()[0]?.lastHeardMonotonicMs).toBeGreaterThan(first + 40));
      });

      it('shows a peer that left as not connected, and stops hearing it', async () => {
        const { a, b } = await openPair({ beatMs: 20 });
        await b.close();
        await eventually(() => expect(a.peers()[0]).toMatchObject({ boot: 'b-1', connected: false }));
      });

      it('forgets a peer that is no longer listed, with all that waits for it', async () => {
        const { a } = await openPair();
        a.setPeers([await rig.keyOf('c')]);
        expect(a.send(B, tell(1))).toBe(false);
        expect(a.send(C, tell(1))).toBe(true);
        expect(a.peers().map(({ node, queued }) => [node, queued])).toEqual([[C, 1]]);
        a.setPeers([]);
        expect(a.peers()).toEqual([]);
      });
    });

    describe('closing', () => {
      it('lets what waits leave, and takes nothing more', async () => {
        const { a, b } = await openPair();
        const heard = hear(b);
        for (let n = 0; n < 1_000; n++) a.send(B, tell(n));
        const closed = a.close();
        await closed;
        expect(a.send(B, tell('late'))).toBe(false);
        await a.close();
        await eventually(() => expect(heard.length).toBe(1_000));
      });
    });
  });
}
