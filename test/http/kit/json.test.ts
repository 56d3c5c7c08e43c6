import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson, DEPTH_MAX, MEMBERS_MAX, parseJson } from '../../../http/kit/json.ts';

const parse = (text: string): unknown => parseJson(Buffer.from(text));

describe('JSON from outside', () => {
  it('reads what the platform reads', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        let mine: unknown;
        try {
          mine = parse(text);
        } catch (error) {
          expect(String(error)).toMatch(/nested|__proto__|cannot be stored|twice/);
          return;
        }
        expect(mine).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses every text that the platform refuses', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        let isJson = true;
        try {
          JSON.parse(text);
        } catch {
          isJson = false;
        }
        if (!isJson) expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'invalid' }));
      }),
    );
  });

  it('refuses depth, crowds and doubles, at the first step past the limit', () => {
    expect(parse('['.repeat(DEPTH_MAX) + ']'.repeat(DEPTH_MAX))).toBeDefined();
    expect(() => parse('['.repeat(DEPTH_MAX + 1) + ']'.repeat(DEPTH_MAX + 1))).toThrow('nested deeper');
    const crowd = (count: number): string => `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')}}`;
    expect(parse(crowd(MEMBERS_MAX))).toBeDefined();
    expect(() => parse(crowd(MEMBERS_MAX + 1))).toThrow('members');
    expect(() => parse('{"a": {"b": 1, "b": 2}}')).toThrow('twice');
    expect(() => parse('{"a": 1, "\\u0061": 2}')).toThrow('twice');
    expect(parse('[{"a": 1}, {"a": 2}, {"x": "a\\"b", "y": {"a": [1, "a", "a"]}}]')).toHaveLength(3);
  });

  it('never changes the prototype of anything', () => {
    for (const text of ['{"__proto__": {"x": 1}}', '{"a": {"__proto__": 1}}', '{"\\u005f\\u005fproto__": {"x": 1}}'])
      expect(() => parse(text)).toThrow('__proto__');
    expect(parse('{"constructor": {"prototype": 1}}')).toEqual({ constructor: { prototype: 1 } });
  });

  it('refuses what the store cannot hold', () => {
    for (const text of ['"a\\u0000b"', '"\\ud800"', '{"\\u0000": 1}']) expect(() => parse(text)).toThrow('cannot be stored');
    expect(parse('"\\ud83d\\ude00 \\" \\n"')).toBe('😀 " \n');
  });

  it('stays linear on long hostile texts', () => {
    for (const text of [`"${'\\'.repeat(100_000)}`, `[${'"a",'.repeat(25_000)}`, `{${'"a":'.repeat(20_000)}`]) expect(() => parse(text)).toThrow();
  });

  it('writes equal values alike', () => {
    expect(canonicalJson({ b: [1, { d: 1, c: null }], a: 'x' })).toBe(canonicalJson({ a: 'x', b: [1, { c: null, d: 1 }] }));
    expect(canonicalJson({ a: 1 })).not.toBe(canonicalJson({ a: '1' }));
  });
});
