/**
 * Who speaks on a connection. ZAP admits a connection by its CURVE key, but neither libzmq's ZAP request nor the
 * binding lets us see which key a *message* came from, so an admitted node could name itself as another. Therefore
 * each connection is greeted once, and only a proved greeting ties its routing id to a node:
 *
 *     DEALER of a  ── hello {a, boot, cluster, key of a, proof} ──►  ROUTER of b   allowed? same cluster? same name? proof?
 *     DEALER of a  ◄── hello {b, boot, cluster, known: true} ──────  ROUTER of b   (encrypted with the key a expects of b)
 *     DEALER of a  ── frames … ───────────────────────────────────►  ROUTER of b   believed for this routing id
 *
 * The routing id is 128 random bits, new for each connection and known to its two ends only; the proof covers it, so
 * it fits no other connection. `known: false` means: I do not know this connection (any more), greet again.
 * Pure: decides, touches no socket.
 */
import type { NodeName } from '../base/ids.ts';
import { isProof, proofOf } from './curve.ts';
import { WIRE_VERSION } from './frame.ts';
import type { HelloFrame } from './frame.ts';
import type { PeerKey } from './mesh.ts';

export type Speaker = Pick<HelloFrame, 'node' | 'boot' | 'cluster'>;
/** Why a greeting is turned away; the greeter is not told. */
export type WhyNot = 'wrongCluster' | 'wrongVersion' | 'noKey' | 'unknownKey' | 'wrongName' | 'wrongProof';

/** What a DEALER says first on the connection `routingId` to the node `to`. */
export function greet(self: Speaker, publicKey: string, secret: Buffer, to: NodeName, routingId: string): HelloFrame {
  return { ...answer(self), publicKey, proof: proofOf(secret, saying(self, to, routingId)) };
}

/** What a ROUTER says back; `known` false asks for a greeting. */
export function greetBack(self: Speaker, known: boolean): HelloFrame {
  return { ...answer(self), known };
}

/** The node that speaks on `routingId`, or why it is not believed. */
export function judge(
  hello: HelloFrame,
  routingId: string,
  self: Speaker,
  known: { readonly isAllowed: (publicKey: string) => PeerKey | undefined; readonly secretWith: (publicKey: string) => Buffer | undefined },
): PeerKey | WhyNot {
  if (hello.cluster !== self.cluster) return 'wrongCluster';
  if (!hello.versions.includes(WIRE_VERSION)) return 'wrongVersion';
  if (hello.publicKey === undefined || hello.proof === undefined) return 'noKey';
  const peer = known.isAllowed(hello.publicKey);
  if (!peer) return 'unknownKey';
  if (peer.node !== hello.node) return 'wrongName';
  const secret = known.secretWith(hello.publicKey);
  if (!secret || !isProof(secret, saying(hello, self.node, routingId), hello.proof)) return 'wrongProof';
  return peer;
}

function answer({ node, boot, cluster }: Speaker): HelloFrame {
  return { kind: 'hello', node, boot, cluster, versions: [WIRE_VERSION] };
}

function saying(from: Speaker, to: NodeName, routingId: string): readonly string[] {
  return [from.cluster, from.node, from.boot, to, routingId];
}
