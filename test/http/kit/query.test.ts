import { describe, expect, it } from 'vitest';
import { checkQuery, parseBool, parseQuery, parseTime } from '../../../http/kit/query.ts';
import type { QueryTable } from '../../../http/kit/query.ts';

const table: QueryTable = {
  strictFrom: 75,
  parameters: { limit: { kind: 'count' }, name: { kind: 'pattern' }, since: { kind: 'date', from: 66 }, once: { kind: 'text', onceFrom: 50 } },
};
const check =
  (search: string, version: number, legacy = false) =>
  () =>
    checkQuery(parseQuery(search), table, version, legacy);

describe('query strings', () => {
  it('are decoded, repeated and empty parameters included', () => {
    const query = parseQuery('a=1&a=2&b&c=x+y%20z&&d=%E2%82%AC');
    expect([query.all('a'), query.one('a'), query.one('b'), query.one('c'), query.one('d'), query.one('e')]).toEqual([
      ['1', '2'],
      '2',
      '',
      'x y z',
      '€',
      undefined,
    ]);
  });

  it('may hold unknown names until they are strict, and never names of later versions then', () => {
    expect(check('nonsense=1', 74)).not.toThrow();
    expect(check('nonsense=1', 75)).toThrow("'nonsense' was unexpected");
    expect(check('nonsense=1', 75, true)).not.toThrow();
    expect(check('since=nonsense', 65)).not.toThrow();
    expect(check('since=nonsense', 66)).toThrow('date-time');
    expect(check('constructor=1', 75)).toThrow('unexpected');
  });

  it('are refused by kind, naming parameter and value', () => {
    expect(check('limit=-1', 1)).toThrow('Invalid input for query parameters limit. Value: -1.');
    expect(check('limit=1&limit=x', 1)).toThrow('limit');
    expect(check('name=%5B', 1)).toThrow("is not a 'regex'");
    expect(check('once=a&once=b', 49)).not.toThrow();
    expect(check('once=a&once=b', 50)).toThrow('more than once');
    expect(() => parseQuery(Array.from({ length: 300 }, () => 'a=1').join('&'))).toThrow('200');
    expect(() => parseQuery('a=%00')).toThrow('cannot be stored');
  });

  it('know the times and truths of the API', () => {
    expect(parseTime('2026-11-22T10:00:00Z')).toBe(Date.UTC(2026, 10, 22, 10));
    expect(parseTime('2026-11-22T12:00:00+02:00')).toBe(Date.UTC(2026, 10, 22, 10));
    expect(parseTime('2026-11-22 10:00:00.123456')).toBe(Date.UTC(2026, 10, 22, 10, 0, 0, 123));
    expect(parseTime('2026-11-22')).toBe(Date.UTC(2026, 10, 22));
    for (const text of ['', 'now', '2026-13-01', '2026-11-22T25:00:00Z']) expect(parseTime(text)).toBeUndefined();
    expect([parseBool('TRUE'), parseBool('0'), parseBool('maybe')]).toEqual([true, false, undefined]);
  });
});
