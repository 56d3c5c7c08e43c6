/**
 * Services that are not hosts, as clients of the Compute API know them: what a node's roles stand for, by the names of
 * the programs that they replace. They have no rows of their own, so their ids are made from node and name and stay
 * the same for ever.
 */
import { createHash } from 'node:crypto';
import type { ServiceView } from '../messages/read.ts';
import type { Query } from './query.ts';

const INTERNAL_ZONE = 'internal';
const NODES_MAX = 10_000;
/** Above every number that a host's service can get from its sequence. */
const FIRST_ID = 2 ** 30;

/** API and metadata services are not listed, as the reference does not list them. */
const BINARIES: { readonly [role: string]: readonly string[] } = {
  control: ['nova-conductor', 'nova-scheduler'],
  console: ['nova-console'],
  network: ['nova-network'],
};

type NodeRead = { name: string; roles: string[]; beat_at: Date; silent_ms: number };

const NODES = `select name, roles, beat_at, (extract(epoch from clock_timestamp() - beat_at) * 1000)::float8 as silent_ms
  from node order by name limit ${NODES_MAX}`;

export async function readNodeServices(query: Query, serviceDownMs: number): Promise<ServiceView[]> {
  const nodes = await query<NodeRead>({ text: NODES, values: [] });
  return nodes.flatMap((node) => binariesOf(node.roles).map((binary) => toView(node, binary, serviceDownMs)));
}

function toView(node: NodeRead, binary: string, serviceDownMs: number): ServiceView {
  return {
    ...idsOf(node.name, binary),
    binary,
    host: node.name,
    zone: INTERNAL_ZONE,
    enabled: true,
    up: node.silent_ms < serviceDownMs,
    updatedAt: node.beat_at.toISOString(),
    disabledReason: null,
    forcedDown: false,
  };
}

function binariesOf(roles: readonly string[]): string[] {
  return [...new Set(roles.flatMap((role) => BINARIES[role] ?? []))];
}

/** A uuid of version 8 (made by our own rule) and a number from the same hash. */
function idsOf(node: string, binary: string): { id: number; uuid: string } {
  const hash = createHash('sha256').update(`service\0${binary}\0${node}`).digest();
  const id = FIRST_ID + (hash.readUInt32BE(16) % FIRST_ID);
  hash[6] = ((hash[6] ?? 0) & 0x0f) | 0x80;
  hash[8] = ((hash[8] ?? 0) & 0x3f) | 0x80;
  const hex = hash.toString('hex', 0, 16);
  return { id, uuid: [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-') };
}
