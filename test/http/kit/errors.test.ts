import { describe, expect, it } from 'vitest';
import { Fault, FAULTS } from '../../../runtime/base/fault.ts';
import type { FaultCode } from '../../../runtime/base/fault.ts';
import { errorAnswer } from '../../../http/kit/errors.ts';

const WANTED: Record<FaultCode, [number, string]> = {
  invalid: [400, 'badRequest'],
  unauthorized: [401, 'unauthorized'],
  forbidden: [403, 'forbidden'],
  notFound: [404, 'itemNotFound'],
  conflict: [409, 'conflictingRequest'],
  overQuota: [403, 'forbidden'],
  tooLarge: [413, 'overLimit'],
  unprocessable: [422, 'computeFault'],
  unsupported: [501, 'notImplemented'],
  overloaded: [503, 'serviceUnavailable'],
  unavailable: [503, 'serviceUnavailable'],
  timeout: [503, 'serviceUnavailable'],
  cancelled: [409, 'conflictingRequest'],
  internal: [500, 'computeFault'],
};

describe('errors', () => {
  it('have one status and member each, and the message for users alone', () => {
    for (const [code, [status, member]] of Object.entries(WANTED)) {
      const answer = errorAnswer(new Fault(code as FaultCode, 'r', 'said', { detail: 'secret' }));
      expect([code, answer.status, JSON.parse(answer.text)]).toEqual([code, status, { [member]: { code: status, message: 'said' } }]);
    }
    expect(Object.keys(WANTED).sort()).toEqual(Object.keys(FAULTS).sort());
  });

  it('of the door itself have theirs', () => {
    const of = (reason: string) => errorAnswer(new Fault('invalid', reason, 'm', { detail: 'GET, POST' }));
    expect([of('http.method').status, of('http.method').headers['Allow'], of('http.version').status, of('http.mediaType').status]).toEqual([
      405,
      'GET, POST',
      406,
      415,
    ]);
    expect(JSON.parse(of('http.version').text)).toHaveProperty('computeFault');
    expect(JSON.parse(of('http.mediaType').text)).toHaveProperty('badMediaType');
  });

  it('say when to come again only where something was too busy', () => {
    expect(errorAnswer(new Fault('overloaded', 'r', 'm')).headers['Retry-After']).toBe('1');
    expect(errorAnswer(new Fault('conflict', 'r', 'm')).headers).toEqual({});
  });
});
