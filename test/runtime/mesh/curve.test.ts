import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { seededRandom } from '../../../runtime/base/random.ts';
import { fingerprint, fromZ85, isProof, loadKeyPair, newKeyPair, proofOf, sharedSecret, toZ85 } from '../../../runtime/mesh/curve.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mesh-keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a key file', () => {
  it('is made for its owner alone and gives the same pair ever after', async () => {
    const path = join(folder, 'deep', 'node.key');
    const pair = await loadKeyPair(path);
    expect(await loadKeyPair(path)).toEqual(pair);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(join(folder, 'deep'))).toEqual(['node.key']);
  });

  it('is made once when several start together', async () => {
    const path = join(folder, 'node.key');
    const pairs = await Promise.all(Array.from({ length: 8 }, () => loadKeyPair(path)));
    expect(new Set(pairs.map((pair) => pair.secretKey)).size).toBe(1);
    expect(await readdir(folder)).toEqual(['node.key']);
  });

  it('is refused when others may read it', async () => {
    const path = join(folder, 'node.key');
    await loadKeyPair(path);
    await chmod(path, 0o640);
    await expect(loadKeyPair(path)).rejects.toMatchObject({ code: 'invalid', reason: 'mesh.key.mode' });
  });

  it.each(['', '{}', 'no json', JSON.stringify({ publicKey: '"'.repeat(40), secretKey: '"'.repeat(40) })])(
    'that holds %j is refused and left alone',
    async (text) => {
      const path = join(folder, 'node.key');
      await writeFile(path, text, { mode: 0o600 });
      await expect(loadKeyPair(path)).rejects.toMatchObject({ code: 'invalid', reason: 'mesh.key.file' });
      expect(await readFile(path, 'utf8')).toBe(text);
    },
  );
});

describe('keys', () => {
  it('have a text form that goes both ways, the one of RFC 32', () => {
    const bytes = Buffer.from('864FD26FB559F75B'.repeat(4), 'hex');
    expect(toZ85(bytes)).toBe('HelloWorld'.repeat(4));
    const random = seededRandom(5);
    for (let n = 0; n < 200; n++) {
      const key = random.bytes(32);
      expect(fromZ85(toZ85(key))).toEqual(key);
    }
    expect(toZ85(fromZ85(newKeyPair().publicKey))).toHaveLength(40);
  });

  it.each(['', 'short', '#'.repeat(40), '~'.repeat(40), '0'.repeat(41)])('are refused as text: %j', (text) => {
    expect(() => fromZ85(text)).toThrow('40 characters');
  });

  it('give two nodes one secret that a third cannot derive', () => {
    const [a, b, c] = [newKeyPair(), newKeyPair(), newKeyPair()];
    const secret = sharedSecret(a, b.publicKey);
    expect(secret).toEqual(sharedSecret(b, a.publicKey));
    expect(secret).toHaveLength(32);
    expect(secret).not.toEqual(sharedSecret(c, b.publicKey));
    expect(secret).not.toEqual(sharedSecret({ ...c, publicKey: a.publicKey }, b.publicKey));
  });

  it('give no secret with a key that would make it guessable, or with no key', () => {
    expect(sharedSecret(newKeyPair(), toZ85(Buffer.alloc(32)))).toBeUndefined();
    expect(sharedSecret(newKeyPair(), 'nonsense')).toBeUndefined();
  });

  it('are told apart in logs by a fingerprint that shows nothing else', () => {
    const [a, b] = [newKeyPair(), newKeyPair()];
    expect(fingerprint(a.publicKey)).toMatch(/^[0-9a-f]{16}$/);
    expect(fingerprint(a.publicKey)).not.toBe(fingerprint(b.publicKey));
  });
});

describe('a proof', () => {
  it('fits its secret and its words only', () => {
    const secret = Buffer.alloc(32, 1);
    const proof = proofOf(secret, ['a', 'bc']);
    expect(isProof(secret, ['a', 'bc'], proof)).toBe(true);
    expect(isProof(secret, ['ab', 'c'], proof)).toBe(false);
    expect(isProof(Buffer.alloc(32, 2), ['a', 'bc'], proof)).toBe(false);
    expect(isProof(secret, ['a', 'bc'], proof.slice(1))).toBe(false);
    expect(isProof(secret, ['a', 'bc'], '')).toBe(false);
  });
});
