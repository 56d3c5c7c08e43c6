import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode, encode, fixed, int, list, nothing, optional, string, struct, uhyper, uint, uuid, XdrError } from '../../../drivers/libvirt/xdr.ts';

const thing = struct({
  name: string,
  id: uuid,
  count: int,
  flags: uint,
  large: uhyper,
  maybe: optional(string),
  some: list(int, 5),
  two: fixed(uint, 2),
});

describe('xdr', () => {
  it('writes what RFC 4506 says: big-endian, padded to four bytes', () => {
    expect(encode(string, 'abcde').toString('hex')).toBe('00000005616263646500' + '0000');
    expect(encode(int, -2).toString('hex')).toBe('fffffffe');
    expect(encode(uhyper, 1n << 40n).toString('hex')).toBe('0000010000000000');
    expect(encode(optional(uint), null).toString('hex')).toBe('00000000');
    expect(encode(optional(uint), 7).toString('hex')).toBe('0000000100000007');
    expect(encode(nothing, undefined).length).toBe(0);
  });

  it('reads back whatever it wrote', () => {
    const values = fc.record({
      name: fc.string({ unit: 'grapheme' }),
      id: fc.uuid(),
      count: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      flags: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      large: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      maybe: fc.option(fc.string(), { nil: null }),
      some: fc.array(fc.integer({ min: -9, max: 9 }), { maxLength: 5 }),
      two: fc.tuple(fc.nat(), fc.nat()).map((pair) => [...pair]),
    });
    fc.assert(
      fc.property(values, (value) => {
        expect(decode(thing, encode(thing, value))).toEqual(value);
      }),
    );
  });

  it('gives a value or XdrError for any bytes, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decode(thing, Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(XdrError);
        }
      }),
    );
  });

  it('refuses a length over its limit before it takes memory for it', () => {
    expect(() => decode(list(int, 5), Buffer.from('7fffffff', 'hex'))).toThrow(XdrError);
    expect(() => decode(string, Buffer.from('ffffffff', 'hex'))).toThrow(XdrError);
  });

  it('refuses bytes that are cut off or left over', () => {
    const whole = encode(string, 'abc');
    expect(() => decode(string, whole.subarray(0, 6))).toThrow(XdrError);
    expect(() => decode(string, Buffer.concat([whole, whole]))).toThrow(XdrError);
  });
});
