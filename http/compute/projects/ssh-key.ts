/**
 * Keys as OpenSSH writes them (RFC 4253 section 6.6, PROTOCOL.key): public lines read and written, fingerprints, and
 * new pairs. Private keys exist only in the answer that makes them.
 */
import { createPublicKey, generateKeyPair, hash } from 'node:crypto';
import { promisify } from 'node:util';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Random } from '../../../runtime/base/random.ts';

export type KeyMaterial = { readonly publicKey: string; readonly privateKey: string; readonly fingerprint: string };

const RSA_BITS = 2_048;
const COMMENT = 'Generated-by-novact';
/** Longer public keys than RSA of 16,384 bits are no keys. */
export const PUBLIC_KEY_MAX = 16_384;

const TYPES = /^(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/;

const generate = promisify(generateKeyPair);

/** `1e:2c:9b:…`: MD5 of the key blob, as the API shows it. Fault `invalid` when the line is no public key. */
export function sshFingerprint(line: string): string {
  return colons(hash('md5', blobOf(line), 'hex'));
}

export function colons(hex: string): string {
  return hex.match(/../g)?.join(':') ?? '';
}

function blobOf(line: string): Buffer {
  const [type = '', base64 = ''] = line.trim().split(/\s+/, 2);
  if (line.length > PUBLIC_KEY_MAX || !TYPES.test(type) || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw notAKey();
  const blob = Buffer.from(base64, 'base64');
  if (blob.length < 4 + type.length || blob.readUInt32BE(0) !== type.length || blob.toString('latin1', 4, 4 + type.length) !== type) throw notAKey();
  return blob;
}

function notAKey(): Fault {
  return new Fault('invalid', 'publicKey', 'Keypair data is invalid: failed to generate fingerprint');
}

export async function newSshKey(algorithm: 'rsa' | 'ed25519', random: Random): Promise<KeyMaterial> {
  return algorithm === 'rsa' ? newRsaKey() : newEd25519Key(random);
}

/** PEM of PKCS #1, which every ssh client reads. */
async function newRsaKey(): Promise<KeyMaterial> {
  const { publicKey, privateKey } = await generate('rsa', {
    modulusLength: RSA_BITS,
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const { n = '', e = '' } = createPublicKey(publicKey).export({ format: 'jwk' });
  const blob = Buffer.concat([text('ssh-rsa'), integer(Buffer.from(e, 'base64url')), integer(Buffer.from(n, 'base64url'))]);
  return material('ssh-rsa', blob, privateKey);
}

/** The `openssh-key-v1` container without a passphrase. */
async function newEd25519Key(random: Random): Promise<KeyMaterial> {
  const { privateKey } = await generate('ed25519');
  const { x = '', d = '' } = privateKey.export({ format: 'jwk' });
  const point = Buffer.from(x, 'base64url');
  const seed = Buffer.from(d, 'base64url');
  const blob = Buffer.concat([text('ssh-ed25519'), bytes(point)]);
  const check = random.bytes(4);
  const secret = Buffer.concat([check, check, blob, bytes(Buffer.concat([seed, point])), text(COMMENT)]);
  const padding = Buffer.from(Array.from({ length: (8 - (secret.length % 8)) % 8 }, (_, i) => i + 1));
  const container = Buffer.concat([
    Buffer.from('openssh-key-v1\0', 'latin1'),
    text('none'),
    text('none'),
    text(''),
    number(1),
    bytes(blob),
    bytes(Buffer.concat([secret, padding])),
  ]);
  return material('ssh-ed25519', blob, pem('OPENSSH PRIVATE KEY', container, 70));
}

function material(type: string, blob: Buffer, privateKey: string): KeyMaterial {
  return { publicKey: `${type} ${blob.toString('base64')} ${COMMENT}`, privateKey, fingerprint: colons(hash('md5', blob, 'hex')) };
}

function number(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

function bytes(value: Buffer): Buffer {
  return Buffer.concat([number(value.length), value]);
}

function text(value: string): Buffer {
  return bytes(Buffer.from(value, 'latin1'));
}

/** A positive number: one zero byte before a set top bit. */
function integer(value: Buffer): Buffer {
  return bytes((value[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.from([0]), value]) : value);
}

export function pem(label: string, der: Buffer, width = 64): string {
  const lines = der.toString('base64').match(new RegExp(`.{1,${width}}`, 'g')) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
