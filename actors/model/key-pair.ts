/** A public key of a user. The private half is never stored: a generated one is in the creating answer only. */
export type KeyPair = {
  readonly id: number;
  readonly userId: string;
  readonly name: string;
  readonly type: 'ssh' | 'x509';
  readonly publicKey: string;
  readonly fingerprint: string;
  readonly createdAt: string;
};
