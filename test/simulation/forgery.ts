/** What a node without a database might say in the wrong hands: about hosts of others, for others, as a user (P7). */
import type { Frame } from '../../runtime/mesh/frame.ts';
import { pick, type Random } from '../../runtime/base/random.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

type Told = Frame & { readonly kind: 'tell' };
type Forged = { readonly by: Machine; readonly frame: Told };

export function forgedFrame(random: Random, world: World, by: Machine): Forged | undefined {
  const others = world.hosts.filter((host) => !by.hosts.includes(host));
  const claims = [...world.tables.claims.values()].filter((claim) => others.some((host) => host.name === claim.host));
  if (others.length === 0 || claims.length === 0) return undefined;
  const { name: host, capacity } = pick(random, others);
  const { instanceId, generation, host: claimed } = pick(random, claims);
  const tell = (to: string, type: string, body: object): Told => ({ kind: 'tell', to, type, body });
  const inventory = { ...capacity, hypervisorType: 'x', hypervisorVersion: 1, hostIp: '127.0.0.1', cpu: CPU };
  // One that has servers: a host without any that is down may be begun by whoever has it now.
  const start = { host: claimed, node: by.name, driver: 'simulated', inventory, capacity, zone: 'nova', selfFenceMs: null };
  const caller = { userId: 'ann', projectId: 'blue', isAdmin: true, requestId: 'req-forged' };
  const frame = pick(random, [
    tell('conductor/any', 'hostStart', start),
    tell('conductor/any', 'hostConfirmGone', { host: claimed, instanceId, generation }),
    tell('conductor/any', 'hostClaims', { host, instanceId: null }),
    tell('conductor/any', 'hostBeat', { host, epoch: world.tables.hosts.get(host)?.epoch ?? 1 }),
    tell('conductor/any', 'nodeBeat', { name: 'n1', boot: world.tables.nodes.get('n1')?.boot ?? '' }),
    tell('conductor/any', 'history', { after: 0, limit: 10 }),
    tell(`instance/${instanceId}`, 'guestSeen', { host: claimed, generation, power: 'crashed' }),
    tell(`instance/${instanceId}`, 'act', { verb: { name: 'delete' }, caller }),
    tell(`host/${host}`, 'release', { instanceId, generation }),
  ]);
  return { by, frame };
}

const CPU = { arch: 'x86_64', model: 'm', vendor: 'v', topology: { sockets: 1, cores: 1, threads: 1 }, features: [] };
