import { describe, expect, it } from 'vitest';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { newKeyPair, sharedSecret } from '../../../runtime/mesh/curve.ts';
import type { HelloFrame } from '../../../runtime/mesh/frame.ts';
import { greet, greetBack, judge } from '../../../runtime/mesh/greeting.ts';
import type { PeerKey } from '../../../runtime/mesh/mesh.ts';

const [a, b, c] = ['a', 'b', 'c'] as NodeName[] as [NodeName, NodeName, NodeName];
const keys = { a: newKeyPair(), b: newKeyPair(), c: newKeyPair() };
const speakerA = { node: a, boot: 'a-1' as BootId, cluster: 'rig' };
const speakerB = { node: b, boot: 'b-1' as BootId, cluster: 'rig' };
const peerA: PeerKey = { node: a, endpoint: '', publicKey: keys.a.publicKey, roles: ['x'] };
const peerC: PeerKey = { node: c, endpoint: '', publicKey: keys.c.publicKey, roles: [] };
const allowed = new Map([peerA, peerC].map((peer) => [peer.publicKey, peer]));
const known = {
  isAllowed: (publicKey: string) => allowed.get(publicKey),
  secretWith: (publicKey: string) => sharedSecret(keys.b, publicKey),
};
const hello = greet(speakerA, keys.a.publicKey, sharedSecret(keys.a, keys.b.publicKey)!, b, 'r1');
const judged = (said: HelloFrame, routingId = 'r1'): unknown => judge(said, routingId, speakerB, known);

describe('a greeting', () => {
  it('is believed when key, name, cluster and proof fit', () => {
    expect(judged(hello)).toBe(peerA);
  });

  it('is believed from a newer node that still speaks our version', () => {
    expect(judged({ ...hello, versions: [1, 2] })).toBe(peerA);
  });

  it.each<[string, Partial<HelloFrame>]>([
    ['wrongCluster', { cluster: 'other' }],
    ['wrongVersion', { versions: [2] }],
    ['unknownKey', { publicKey: newKeyPair().publicKey }],
    ['wrongName', { node: c }],
    ['wrongName', { publicKey: keys.c.publicKey }],
    ['wrongProof', { boot: 'a-2' as BootId }],
    ['wrongProof', { node: c, publicKey: keys.c.publicKey }],
    ['wrongProof', { proof: '' }],
  ])('is turned away as %s when it says %j', (why, lie) => {
    expect(judged({ ...hello, ...lie })).toBe(why);
  });

  it('is turned away on another connection, and at another node', () => {
    expect(judged(hello, 'r2')).toBe('wrongProof');
    expect(judge(hello, 'r1', { ...speakerB, node: c }, known)).toBe('wrongProof');
  });

  it('is turned away without a key', () => {
    expect(judged(greetBack(speakerA, true))).toBe('noKey');
  });
});
