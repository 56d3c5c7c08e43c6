import { spawn, start, dispatch, stop } from 'nact';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../runtime/base/random.ts';
import { VirtualWorld } from './virtual-clock.ts';

describe('a virtual world', () => {
  it('runs events in order of time, and those of one moment in order of entry', async () => {
    const world = new VirtualWorld();
    const seen: string[] = [];
    await world.run(async () => {
      world.after(20, () => seen.push('c'));
      world.after(10, () => seen.push('a'));
      world.after(10, () => seen.push('b'));
      await world.clock.sleep(30);
      expect(world.clock.monotonicMs()).toBe(30);
    }, 1_000);
    expect(seen).toEqual(['a', 'b', 'c']);
  });

  it('draws other orders of one moment from a seed, the same from the same seed', async () => {
    const orderOf = async (seed: number): Promise<string> => {
      const world = new VirtualWorld({ ties: seededRandom(seed) });
      const seen: number[] = [];
      await world.run(async () => {
        for (let i = 0; i < 8; i++) world.after(1, () => seen.push(i));
        await world.clock.sleep(2);
      }, 10);
      return seen.join('');
    };
    expect(await orderOf(1)).toBe(await orderOf(1));
    expect(await orderOf(1)).not.toBe(await orderOf(2));
  });

  it('gives its timers to whoever uses the global ones, and takes them back', async () => {
    const { setTimeout: real } = globalThis;
    const world = new VirtualWorld();
    const seen = await world.run(
      () =>
        new Promise<number>((resolve) => {
          const system = start();
          const actor = spawn(system, (_state: unknown, message: number) => (resolve(message), undefined), 'one');
          setTimeout(() => dispatch(actor, 7), 3_600_000);
          setTimeout(() => stop(system), 3_700_000);
        }),
      7_200_000,
    );
    expect([seen, world.nowMs]).toEqual([7, 3_600_000]);
    expect(globalThis.setTimeout).toBe(real);
  });

  it('says so when its work can never end', async () => {
    const world = new VirtualWorld();
    await expect(world.run(() => new Promise(() => {}), 1_000)).rejects.toThrow('stood still');
  });

  it('does not run what was cancelled, and wakes a sleeper whose signal fires', async () => {
    const world = new VirtualWorld();
    const abort = new AbortController();
    await world.run(async () => {
      world.after(1, () => expect.unreachable()).cancel();
      world.after(5, () => abort.abort(new Error('enough')));
      await expect(world.clock.sleep(50, abort.signal)).rejects.toThrow('enough');
      expect(world.nowMs).toBe(5);
    }, 100);
  });
});
