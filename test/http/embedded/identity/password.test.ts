import { describe, expect, it } from 'vitest';
import { openPasswords } from '../../../../http/embedded/identity/password.ts';
import { Fault } from '../../../../runtime/base/fault.ts';
import { systemRandom } from '../../../../runtime/base/random.ts';

const cheap = { n: 1_024, r: 8, p: 1 };

describe('passwords', () => {
  it('match only themselves, and never nobody', async () => {
    const passwords = openPasswords(systemRandom, cheap);
    const stored = await passwords.hash('correct horse');
    expect(await passwords.matches('correct horse', stored)).toBe(true);
    expect(await passwords.matches('correct horsf', stored)).toBe(false);
    expect(await passwords.matches('', stored)).toBe(false);
    expect(await passwords.matches('correct horse', null)).toBe(false);
  });

  it('are salted, and tell their cost, so that a raised cost leaves old ones valid', async () => {
    const stored = await openPasswords(systemRandom, cheap).hash('same');
    expect(await openPasswords(systemRandom, cheap).hash('same')).not.toBe(stored);
    expect(stored).toMatch(/^scrypt\$1024\$8\$1\$/);
    expect(await openPasswords(systemRandom, { n: 2_048, r: 8, p: 2 }).matches('same', stored)).toBe(true);
  });

  it('are the same however the characters are composed', async () => {
    const passwords = openPasswords(systemRandom, cheap);
    expect(await passwords.matches('u\u0308ber', await passwords.hash('über'))).toBe(true);
  });

  it('past a bounded line are answered as overload', async () => {
    const passwords = openPasswords(systemRandom, cheap);
    const tries = await Promise.allSettled(Array.from({ length: 100 }, () => passwords.hash('x')));
    const refused = tries.filter((each) => each.status === 'rejected');
    expect(refused).toHaveLength(34);
    expect(refused.every((each) => Fault.is(each.reason, 'overloaded'))).toBe(true);
  });
});
