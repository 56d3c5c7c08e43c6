/**
 * The key file of a node that holds no credentials of the store: who it is, its key pair, and the nodes that it speaks
 * to first. Made where the database is reached, by the operator (`novact node add`), and carried over once. Whoever
 * has the file is that node: it is readable for its owner alone.
 */
import { readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { Fault } from '../base/fault.ts';
import type { NodeName } from '../base/ids.ts';
import type { CurveKeyPair } from '../mesh/curve.ts';
import type { PeerKey } from '../mesh/mesh.ts';

export type NodeKeyFile = {
  readonly node: string;
  readonly roles: readonly string[];
  /** The cluster's own number. */
  readonly cluster: string;
  readonly keys: CurveKeyPair;
  readonly seeds: readonly PeerKey[];
};

const OTHERS_MAY = 0o077;
const KEY = z.string().regex(/^[\x21-\x7e]{40}$/);
const shape = z.object({
  novact: z.literal('node key 1'),
  node: z.string().min(1).max(63),
  roles: z.array(z.string()).min(1),
  cluster: z.uuid(),
  publicKey: KEY,
  secretKey: KEY,
  seeds: z.array(z.object({ node: z.string(), endpoint: z.string().startsWith('tcp://'), publicKey: KEY, roles: z.array(z.string()) })).min(1),
});

export function renderKeyFile({ node, roles, cluster, keys, seeds }: NodeKeyFile): string {
  const { publicKey, secretKey } = keys;
  return `${JSON.stringify({ novact: 'node key 1', node, roles, cluster, publicKey, secretKey, seeds }, null, 2)}\n`;
}

/** Fault `invalid` that names file and reason, never its content; also when it is for another name or lacks a role. */
export async function readKeyFile(path: string, wanted?: { readonly name: string; readonly roles: readonly string[] }): Promise<NodeKeyFile> {
  const parsed = shape.safeParse(read(path));
  if (!parsed.success) throw wrong(path, 'is not a node key file; make one with: novact node add NAME --roles LIST');
  const { node, roles, cluster, publicKey, secretKey, seeds } = parsed.data;
  if (wanted && wanted.name !== node) throw wrong(path, `is for the node ${node}, but this one is named ${wanted.name}`);
  const lacking = wanted?.roles.filter((role) => !roles.includes(role)) ?? [];
  if (lacking.length > 0) throw wrong(path, `does not let this node have the role ${lacking.join(', ')}`);
  return { node, roles, cluster, keys: { publicKey, secretKey }, seeds: seeds.map((seed) => ({ ...seed, node: seed.node as NodeName })) };
}

function read(path: string): unknown {
  let mode: number;
  let text: string;
  try {
    mode = statSync(path).mode;
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw wrong(path, 'cannot be read', error);
  }
  if ((mode & OTHERS_MAY) !== 0) throw wrong(path, 'can be read by others than its owner: chmod 600 it');
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // without the error, which may show what stands in the file
  }
}

function wrong(path: string, why: string, cause?: unknown): Fault {
  return new Fault('invalid', 'config.keyFile', `The key file ${path} ${why}.`, cause === undefined ? {} : { cause });
}
