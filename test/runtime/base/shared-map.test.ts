import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { drop, put } from '../../../runtime/base/shared-map.ts';

const step = fc.tuple(
  fc.boolean(),
  fc.nat(40).map((n) => `key-${n}`),
  fc.integer(),
);

describe('changes of a map that nobody may change', () => {
  it('are those of a copied map, whatever their order, and leave the map before as it was', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let shared: ReadonlyMap<string, number> = new Map();
        const plain = new Map<string, number>();
        for (const [isPut, key, value] of steps) {
          const before = shared;
          const text = JSON.stringify([...before].sort());
          shared = isPut ? put(shared, key, value) : drop(shared, key);
          if (isPut) plain.set(key, value);
          else plain.delete(key);
          expect(JSON.stringify([...before].sort())).toBe(text);
          expect(shared.get(key)).toBe(plain.get(key));
          expect(shared.size).toBe(plain.size);
        }
        expect([...shared].sort()).toEqual([...plain].sort());
        expect([...shared.keys()].sort()).toEqual([...plain.keys()].sort());
        expect([...shared.values()].sort()).toEqual([...plain.values()].sort());
        const visited: [string, number][] = [];
        shared.forEach((value, key) => visited.push([key, value]));
        expect(visited.sort()).toEqual([...plain].sort());
      }),
    );
  });

  it('begin with any map', () => {
    const many = new Map(Array.from({ length: 5_000 }, (_, i) => [`id-${i}`, i]));
    const changed = put(many, 'id-7', -7);
    expect(changed.size).toBe(5_000);
    expect(changed.get('id-7')).toBe(-7);
    expect(many.get('id-7')).toBe(7);
    expect(drop(many, 'nobody')).toBe(many);
  });
});
