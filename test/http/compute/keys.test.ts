import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newSshKey, sshFingerprint } from '../../../http/compute/projects/ssh-key.ts';
import { newX509Key, x509Fingerprint } from '../../../http/compute/projects/x509-key.ts';
import { systemRandom } from '../../../runtime/base/random.ts';
import { openRig } from './rig.ts';
import type { Rig } from './rig.ts';

let rig: Rig;
const directory = mkdtempSync(join(tmpdir(), 'keys-'));
beforeAll(async () => {
  rig = await openRig({ keyPairAlgorithm: 'ed25519' });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await rig.close();
});

function hasTool(name: string): boolean {
  try {
    execFileSync('which', [name], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('key pairs', () => {
  for (const algorithm of ['rsa', 'ed25519'] as const) {
    it(`of ${algorithm} are what OpenSSH reads`, async (context) => {
      if (!hasTool('ssh-keygen') && process.env['CI'] === undefined) return context.skip('needs ssh-keygen');
      const { publicKey, privateKey, fingerprint } = await newSshKey(algorithm, systemRandom);
      const file = join(directory, algorithm);
      writeFileSync(file, privateKey, { mode: 0o600 });
      expect(execFileSync('ssh-keygen', ['-y', '-f', file], { encoding: 'utf8' }).trim().split(' ').slice(0, 2)).toEqual(publicKey.split(' ').slice(0, 2));
      writeFileSync(`${file}.txt`, publicKey);
      expect(execFileSync('ssh-keygen', ['-l', '-E', 'md5', '-f', `${file}.txt`], { encoding: 'utf8' })).toContain(`MD5:${fingerprint} `);
      return undefined;
    });
  }

  it('of type x509 are certificates for logging in, signed by their own key', async () => {
    const { publicKey, fingerprint } = await newX509Key('user-1', Date.UTC(2045, 0, 1), systemRandom);
    const certificate = new X509Certificate(publicKey);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect([certificate.subject, x509Fingerprint(publicKey), certificate.validToDate.getUTCFullYear()]).toEqual(['CN=user-1', fingerprint, 2055]);
    expect(certificate.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });

  it('are refused when they are none, however close', () => {
    for (const line of ['', 'ssh-rsa', 'ssh-rsa AAAA', 'ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIAAAA', 'rsa AAAAB3NzaC1yc2E=', `ssh-rsa ${'A'.repeat(20_000)}`]) {
      expect(() => sshFingerprint(line)).toThrow('Keypair data is invalid');
    }
    expect(() => x509Fingerprint('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----')).toThrow('X509');
  });

  it('show their private half once', async () => {
    const made = await rig.ask('POST', '/v2.1/os-keypairs', { version: '2.2', body: { keypair: { name: 'mine' } } });
    expect([made.status, made.at('keypair', 'private_key')]).toEqual([201, expect.stringContaining('BEGIN OPENSSH PRIVATE KEY')]);
    const shown = await rig.ask('GET', '/v2.1/os-keypairs/mine', { version: '2.2' });
    expect(shown.text).not.toContain('PRIVATE');
    expect((await rig.ask('POST', '/v2.1/os-keypairs', { body: { keypair: { name: 'mine' } } })).status).toBe(409);
    expect((await rig.ask('POST', '/v2.1/os-keypairs', { version: '2.92', body: { keypair: { name: 'a@b.c' } } })).status).toBe(400);
    expect((await rig.ask('GET', '/v2.1/os-keypairs/mine', { token: 'other' })).status).toBe(404);
    const server = await rig.ask('POST', '/v2.1/servers', {
      body: { server: { name: 'n', imageRef: '70a599e0-31e7-49b7-b260-868f441e862b', flavorRef: '1', key_name: 'mine' } },
    });
    expect(rig.cloud.servers.get(String(server.at('server', 'id')))?.record.publicKey).toBe(shown.at('keypair', 'public_key'));
    expect((await rig.ask('DELETE', '/v2.1/os-keypairs/mine', { version: '2.2' })).status).toBe(204);
  });
});
