/**
 * Node keys. CURVE (Curve25519) encrypts every link; the same key pair also proves, once per connection, that the
 * speaker is the node it says it is (P7): both sides can derive one secret from their own secret key and the
 * other's public key, nobody else can, and the greeting carries a code made with it over the connection's
 * unguessable routing id. The secret key never leaves its 0600 file and is never logged; logs show a fingerprint.
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, hkdfSync, timingSafeEqual } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { curveKeyPair } from 'zeromq';
import { z } from 'zod';
import { Fault } from '../base/fault.ts';
import { systemRandom } from '../base/random.ts';

export type CurveKeyPair = { readonly publicKey: string; readonly secretKey: string };

const KEY_BYTES = 32;
/** Keeps the derived secret apart from whatever else these keys are used for. */
const PROOF_LABEL = 'novact mesh greeting 1';
const FILE_MODE = 0o600;

export function newKeyPair(): CurveKeyPair {
  return curveKeyPair();
}

/**
 * The pair in `path`, made there first when the file is missing (its folder too). Two processes that start at once
 * get the same pair. Fault `invalid` when the file is readable for others or does not hold a pair: it is never
 * overwritten, since the cluster knows the node by it.
 */
export async function loadKeyPair(path: string): Promise<CurveKeyPair> {
  const found = await readPair(path);
  if (found) return found;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${systemRandom.uuid()}`;
  try {
    const file = await open(draft, 'wx', FILE_MODE);
    try {
      await file.writeFile(`${JSON.stringify(newKeyPair())}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(draft, path).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  const made = await readPair(path);
  if (!made) throw new Fault('unavailable', 'mesh.key.file', `The key file ${path} vanished while it was made.`);
  return made;
}

/** Sixteen hex digits of a public key's hash: enough to tell keys apart in logs. */
export function fingerprint(publicKey: string): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, 16);
}

/** The secret that only the holders of these two keys can derive; undefined when `publicKey` is no usable key. */
export function sharedSecret(own: CurveKeyPair, publicKey: string): Buffer | undefined {
  try {
    const x = fromZ85(own.publicKey).toString('base64url');
    const d = fromZ85(own.secretKey).toString('base64url');
    const privateKey = createPrivateKey({ key: { kty: 'OKP', crv: 'X25519', x, d }, format: 'jwk' });
    const peer = createPublicKey({ key: { kty: 'OKP', crv: 'X25519', x: fromZ85(publicKey).toString('base64url') }, format: 'jwk' });
    return Buffer.from(hkdfSync('sha256', diffieHellman({ privateKey, publicKey: peer }), '', PROOF_LABEL, KEY_BYTES));
  } catch {
    return undefined;
  }
}

/** The code over `said`, in hex. */
export function proofOf(secret: Buffer, said: readonly string[]): string {
  return createHmac('sha256', secret).update(JSON.stringify(said)).digest('hex');
}

/** Compares in constant time. */
export function isProof(secret: Buffer, said: readonly string[], proof: string): boolean {
  const right = Buffer.from(proofOf(secret, said));
  const given = Buffer.from(proof);
  return right.length === given.length && timingSafeEqual(right, given);
}

/** ZeroMQ RFC 32: five characters for each four bytes. */
const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#';

/** The text form of a 32-byte key. */
export function toZ85(key: Buffer): string {
  if (key.length !== KEY_BYTES) throw new Fault('invalid', 'mesh.key', 'A key has 32 bytes.');
  let text = '';
  for (let at = 0; at < key.length; at += 4) {
    let rest = key.readUInt32BE(at);
    let group = '';
    for (let digit = 0; digit < 5; digit++) {
      group = Z85.charAt(rest % 85) + group;
      rest = Math.floor(rest / 85);
    }
    text += group;
  }
  return text;
}

/** The 32 bytes of a key's text form; Fault `invalid` for anything else. */
export function fromZ85(text: string): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  const digits = Array.from(text, (character) => Z85.indexOf(character));
  if (digits.length !== (KEY_BYTES / 4) * 5 || digits.includes(-1)) throw new Fault('invalid', 'mesh.key', 'A key has 40 characters of z85.');
  for (let at = 0; at < KEY_BYTES / 4; at++) {
    const value = digits.slice(at * 5, at * 5 + 5).reduce((sum, digit) => sum * 85 + digit, 0);
    if (value > 0xffffffff) throw new Fault('invalid', 'mesh.key', 'A key has 40 characters of z85.');
    key.writeUInt32BE(value, at * 4);
  }
  return key;
}

const pairInFile = z.object({ publicKey: z.string().length(40), secretKey: z.string().length(40) });

async function readPair(path: string): Promise<CurveKeyPair | undefined> {
  let file;
  try {
    file = await open(path, constants.O_RDONLY);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new Fault('unavailable', 'mesh.key.file', `The key file ${path} cannot be read.`, { cause: error });
  }
  try {
    const { mode } = await file.stat();
    if ((mode & 0o077) !== 0) throw new Fault('invalid', 'mesh.key.mode', `The key file ${path} may be readable by its owner only (0600).`);
    return parsePair(await file.readFile('utf8'), path);
  } finally {
    await file.close();
  }
}

function parsePair(text: string, path: string): CurveKeyPair {
  try {
    const pair = pairInFile.parse(JSON.parse(text));
    fromZ85(pair.publicKey);
    fromZ85(pair.secretKey);
    return pair;
  } catch {
    // No cause: the parser's message could quote the secret key.
    throw new Fault('invalid', 'mesh.key.file', `The key file ${path} does not hold a key pair.`);
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
