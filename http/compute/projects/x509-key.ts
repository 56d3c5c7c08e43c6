/**
 * Key pairs of type x509 (for guests that want certificates): a self-signed client certificate of the user, written in
 * DER by hand (RFC 5280). Read: any PEM certificate. The fingerprint is the SHA-1 of the certificate, as the API has it.
 */
import { generateKeyPair, sign, X509Certificate } from 'node:crypto';
import { promisify } from 'node:util';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Random } from '../../../runtime/base/random.ts';
import { pem } from './ssh-key.ts';
import type { KeyMaterial } from './ssh-key.ts';

const RSA_BITS = 2_048;
const TEN_YEARS_MS = 3_652 * 86_400_000;
const generate = promisify(generateKeyPair);

/** Fault `invalid` when the text is no certificate. */
export function x509Fingerprint(text: string): string {
  try {
    return new X509Certificate(text).fingerprint.toLowerCase();
  } catch {
    throw new Fault('invalid', 'publicKey', 'Keypair data is invalid: failed to generate X509 fingerprint');
  }
}

export async function newX509Key(userId: string, nowMs: number, random: Random): Promise<KeyMaterial> {
  const { publicKey, privateKey } = await generate('rsa', { modulusLength: RSA_BITS });
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const body = certificateBody(userId, nowMs, spki, random.bytes(16));
  const signature = sign('sha256', body, privateKey);
  const certificate = sequence(body, SHA256_RSA, bitString(signature));
  const text = pem('CERTIFICATE', certificate);
  return { publicKey: text, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), fingerprint: x509Fingerprint(text) };
}

function certificateBody(userId: string, nowMs: number, spki: Buffer, serial: Buffer): Buffer {
  const name = sequence(set(sequence(oid('0603550403'), der(0x0c, Buffer.from(userId.slice(0, 64), 'utf8')))));
  const clientUse = sequence(oid('0603551d25'), der(0x04, sequence(oid('06082b06010505070302'))));
  // The user's principal name, where guests look for whom to let in.
  const principal = sequence(oid('060a2b060104018237140203'), der(0xa0, der(0x0c, Buffer.from(`${userId.slice(0, 64)}@localhost`, 'utf8'))));
  const otherName = sequence(oid('0603551d11'), der(0x04, sequence(der(0xa0, principal.subarray(headerLength(principal))))));
  return sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, Buffer.concat([Buffer.from([0x01]), serial])),
    SHA256_RSA,
    name,
    sequence(time(nowMs), time(nowMs + TEN_YEARS_MS)),
    name,
    spki,
    der(0xa3, sequence(clientUse, otherName)),
  );
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function headerLength(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? 2 : 2 + (first & 0x7f);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function set(...parts: Buffer[]): Buffer {
  return der(0x31, Buffer.concat(parts));
}

function bitString(content: Buffer): Buffer {
  return der(0x03, Buffer.concat([Buffer.from([0]), content]));
}

/** An identifier with tag and length, as hex. */
function oid(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

/** UTCTime up to 2049, GeneralizedTime after (RFC 5280 section 4.1.2.5). */
function time(wallMs: number): Buffer {
  const text = new Date(wallMs).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  const year = Number(text.slice(0, 4));
  return year < 2_050 ? der(0x17, Buffer.from(`${text.slice(2)}Z`)) : der(0x18, Buffer.from(`${text}Z`));
}

const SHA256_RSA = sequence(oid('06092a864886f70d01010b'), Buffer.from([0x05, 0x00]));
