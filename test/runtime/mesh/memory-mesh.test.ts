import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../runtime/base/clock.ts';
import type { Clock } from '../../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { seededRandom } from '../../../runtime/base/random.ts';
import type { Mesh, PeerKey } from '../../../runtime/mesh/mesh.ts';
import { A, B, bodiesOf, hear, meshContract, tell } from '../../contract/mesh.ts';
import { MemoryNetwork } from '../../doubles/memory-mesh.ts';

const keyOf = (node: string): PeerKey => ({ node: node as NodeName, endpoint: `memory://${node}`, publicKey: '', roles: [] });

meshContract('the memory mesh', async () => {
  const network = new MemoryNetwork({ clock: systemClock, random: seededRandom(1) });
  const meshes: Mesh[] = [];
  return {
    keyOf: async (node) => keyOf(node),
    async open(node, boot, limits = {}) {
      const mesh = network.open({ node: node as NodeName, boot: boot as BootId, roles: [`role-of-${node}`], limits });
      meshes.push(mesh);
      return mesh;
    },
    async close() {
      for (const mesh of meshes) await mesh.close();
    },
  };
});

/** Time that passes only when told. */
class HandClock implements Clock {
  #nowMs = 0;
  #order = 0;
  #timers: { readonly atMs: number; readonly order: number; readonly run: () => void }[] = [];

  wallMs = (): number => this.#nowMs;
  monotonicMs = (): number => this.#nowMs;
  after(delayMs: number, run: () => void): { cancel(): void } {
    const timer = { atMs: this.#nowMs + delayMs, order: this.#order++, run };
    this.#timers.push(timer);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== timer)) };
  }
  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }
  pass(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = this.#timers.toSorted((x, y) => x.atMs - y.atMs || x.order - y.order);
      if (!next || next.atMs > endMs) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = endMs;
  }
}

function openPair(seed = 1) {
  const clock = new HandClock();
  const network = new MemoryNetwork({ clock, random: seededRandom(seed) });
  const a = network.open({ node: A, boot: 'a-1' as BootId });
  const b = network.open({ node: B, boot: 'b-1' as BootId });
  for (const mesh of [a, b]) mesh.setPeers([keyOf('a'), keyOf('b')]);
  return { clock, network, a, b };
}

describe('the memory network', () => {
  it('moves nothing until its clock does', () => {
    const { clock, a, b } = openPair();
    const heard = hear(b);
    a.send(B, tell(1));
    expect(heard).toEqual([]);
    clock.pass(2);
    expect(bodiesOf(heard)).toEqual([1]);
  });

  it('loses what is in flight when a link is cut, keeps what waits, and beats stop', () => {
    const { clock, network, a, b } = openPair();
    network.setWeather({ lossChance: 0, minDelayMs: 10, maxDelayMs: 10 });
    const heard = hear(b);
    a.send(B, tell('in flight'));
    clock.pass(5);
    network.cut(A, B);
    a.send(B, tell('waits'));
    clock.pass(4_000);
    expect(heard).toEqual([]);
    const lastMs = b.peers()[0]?.lastHeardMonotonicMs ?? 0;
    expect(clock.monotonicMs() - lastMs).toBeGreaterThan(3_900);
    expect(a.peers()[0]).toMatchObject({ connected: false, queued: 1 });
    network.heal(A, B);
    clock.pass(20);
    expect(bodiesOf(heard)).toEqual(['waits']);
  });

  it('loses what was in flight although the link healed before it would have come', () => {
    const { clock, network, a, b } = openPair();
    network.setWeather({ lossChance: 0, minDelayMs: 50, maxDelayMs: 50 });
    const heard = hear(b);
    a.send(B, tell('lost'));
    clock.pass(10);
    network.cut(A, B);
    network.healAll();
    clock.pass(1_000);
    expect(heard).toEqual([]);
  });

  it('cuts one direction alone', () => {
    const { clock, network, a, b } = openPair();
    const [heardA, heardB] = [hear(a), hear(b)];
    network.cutOneWay(A, B);
    a.send(B, tell(1));
    b.send(A, tell(2));
    clock.pass(100);
    expect([bodiesOf(heardA), bodiesOf(heardB)]).toEqual([[2], []]);
  });

  it('keeps order under any delays', () => {
    const { clock, network, a, b } = openPair(7);
    network.setWeather({ lossChance: 0, minDelayMs: 0, maxDelayMs: 100 });
    const heard = hear(b);
    for (let n = 0; n < 200; n++) {
      a.send(B, tell(n));
      clock.pass(3);
    }
    clock.pass(1_000);
    expect(bodiesOf(heard)).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  it('loses about as many messages as the chance says, the same ones for the same seed', () => {
    const run = (): unknown[] => {
      const { clock, network, a, b } = openPair(42);
      network.setWeather({ lossChance: 0.3, minDelayMs: 1, maxDelayMs: 5 });
      const heard = hear(b);
      for (let n = 0; n < 1_000; n++) {
        a.send(B, tell(n));
        clock.pass(1);
      }
      return bodiesOf(heard);
    };
    const first = run();
    expect(first.length).toBeGreaterThan(600);
    expect(first.length).toBeLessThan(800);
    expect(run()).toEqual(first);
  });

  it('gives nothing of a killed process to its next boot', () => {
    const { clock, network, a, b } = openPair();
    const heard = hear(b);
    a.send(B, tell('queued'));
    network.crash(A);
    const again = network.open({ node: A, boot: 'a-2' as BootId });
    again.setPeers([keyOf('b')]);
    again.send(B, tell('new'));
    clock.pass(100);
    expect(heard.map(({ from, frame }) => [from.boot, 'body' in frame && frame.body])).toEqual([['a-2', 'new']]);
    expect(a.send(B, tell('from the dead'))).toBe(false);
  });
});
