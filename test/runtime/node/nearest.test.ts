import { describe, expect, it } from 'vitest';
import { nearest } from '../../../runtime/node/nearest.ts';

describe('the nearest known word', () => {
  const known = ['compute', 'console', 'ports', 'leases'];
  it.each([
    ['comptue', 'compute'],
    ['Compute', 'compute'],
    ['port', 'ports'],
    ['leeses', 'leases'],
    ['xyz', undefined],
    ['', undefined],
  ])('of %j is %j', (word, expected) => expect(nearest(word, known)).toBe(expected));
});
