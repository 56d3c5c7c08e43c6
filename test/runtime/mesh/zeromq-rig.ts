/** Real meshes for tests: each node has a key and a port of its own that it keeps over its boots. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import { systemClock } from '../../../runtime/base/clock.ts';
import type { BootId, NodeName } from '../../../runtime/base/ids.ts';
import { silentLog } from '../../../runtime/base/log.ts';
import type { Log } from '../../../runtime/base/log.ts';
import { newKeyPair } from '../../../runtime/mesh/curve.ts';
import type { CurveKeyPair } from '../../../runtime/mesh/curve.ts';
import type { Mesh, PeerKey } from '../../../runtime/mesh/mesh.ts';
import { openZeromqMesh } from '../../../runtime/mesh/zeromq.ts';
import type { ZeromqMeshOptions } from '../../../runtime/mesh/zeromq.ts';
import type { MeshRig } from '../../contract/mesh.ts';

export type ZeromqRig = MeshRig & {
  /** Which key stands for which node: the one list that all nodes of the rig believe. */
  readonly allowed: Map<string, PeerKey>;
  pairOf(node: string): Promise<CurveKeyPair>;
  openWith(node: string, boot: string, more: Partial<ZeromqMeshOptions>): Promise<Mesh>;
};

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export async function openZeromqRig(log: Log = silentLog): Promise<ZeromqRig> {
  const meshes: Mesh[] = [];
  const nodes = new Map<string, Promise<{ key: PeerKey; pair: CurveKeyPair }>>();
  const allowed = new Map<string, PeerKey>();

  async function make(node: string): Promise<{ key: PeerKey; pair: CurveKeyPair }> {
    const pair = newKeyPair();
    const endpoint = `tcp://127.0.0.1:${await freePort()}`;
    const key: PeerKey = { node: node as NodeName, endpoint, publicKey: pair.publicKey, roles: [`role-of-${node}`] };
    allowed.set(pair.publicKey, key);
    return { key, pair };
  }
  function nodeOf(node: string): Promise<{ key: PeerKey; pair: CurveKeyPair }> {
    const made = nodes.get(node) ?? make(node);
    nodes.set(node, made);
    return made;
  }
  async function openWith(node: string, boot: string, more: Partial<ZeromqMeshOptions>): Promise<Mesh> {
    const { key, pair } = await nodeOf(node);
    const mesh = await openZeromqMesh({
      self: node as NodeName,
      boot: boot as BootId,
      roles: key.roles,
      bind: key.endpoint,
      cluster: 'rig',
      keys: pair,
      isAllowed: (publicKey) => allowed.get(publicKey),
      clock: systemClock,
      log,
      ...more,
    });
    meshes.push(mesh);
    return mesh;
  }

  return {
    allowed,
    keyOf: async (node) => (await nodeOf(node)).key,
    pairOf: async (node) => (await nodeOf(node)).pair,
    open: (node, boot, limits = {}) => openWith(node, boot, { limits }),
    openWith,
    async close() {
      await Promise.all(meshes.map((mesh) => mesh.close()));
    },
  };
}

/** Keeps log lines for looking at. */
export function recordingLog(): Log & { readonly lines: { readonly event: string; readonly fields: unknown }[] } {
  const lines: { readonly event: string; readonly fields: unknown }[] = [];
  const line = (event: string, fields?: unknown): void => void lines.push({ event, fields });
  const log = { debug: line, info: line, warn: line, error: line, with: () => log, lines };
  return log;
}
