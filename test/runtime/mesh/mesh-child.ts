/** A node in a process of its own, for tests that kill, stop and restart it. Driven by messages of its parent. */
import { systemClock } from '../../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import type { CurveKeyPair } from '../../../runtime/mesh/curve.ts';
import type { PeerKey } from '../../../runtime/mesh/mesh.ts';
import { openZeromqMesh } from '../../../runtime/mesh/zeromq.ts';

export type ChildSetup = { readonly self: PeerKey; readonly boot: string; readonly keys: CurveKeyPair; readonly peers: readonly PeerKey[] };

/** Echoes asks; tells its parent of each tell. */
async function run({ self, boot, keys, peers }: ChildSetup): Promise<void> {
  const mesh = await openZeromqMesh({
    self: self.node,
    boot: boot as BootId,
    roles: self.roles,
    bind: self.endpoint,
    cluster: 'rig',
    keys,
    isAllowed: (publicKey) => peers.find((peer) => peer.publicKey === publicKey),
    clock: systemClock,
    log: silentLog,
  });
  mesh.onFrame((from, frame) => {
    if (frame.kind === 'ask') mesh.send(from.node, { kind: 'reply', id: frame.id, ok: true, value: { echo: frame.body, boot }, forBoot: from.boot });
    if (frame.kind === 'tell') process.send?.({ heard: frame.body, staleBoot: mesh.counters().staleBoot });
  });
  mesh.setPeers(peers.filter((peer) => peer.node !== ('nobody' as NodeName)));
  process.send?.('open');
}

process.once('message', (setup) => void run(setup as ChildSetup));
