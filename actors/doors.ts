/**
 * Who may say what to whom across nodes (P7): one table, looked at where a frame comes in, after its body was parsed.
 *
 *   control   everything: it holds the store anyway
 *   api, metadata, console   orders, reads and records of a conductor; commands and reads of instances, hosts, networks
 *   compute   about itself, and about the hosts that it drives: to a conductor, to the instances there, to schedulers
 *   network   about itself
 *
 * A node's roles are those that its key was let in for, never those it claims. What is not named here is refused.
 */
import { parseAddress, type Address } from '../runtime/actor/address.ts';
import { Fault } from '../runtime/base/fault.ts';
import type { FrameSender } from '../runtime/mesh/mesh.ts';
import { API_DOOR, HOST_DOOR, NODE_DOOR } from './conductor/parse.ts';

type Message = { readonly type: string };
/** What a message says it is about, by the names that bodies use. */
type About = {
  readonly host?: unknown;
  readonly node?: unknown;
  readonly name?: unknown;
  readonly row?: { readonly name?: unknown };
  readonly report?: { readonly host?: unknown };
};

const USERS_DOOR = ['api', 'metadata', 'console'];
/** What nodes with doors for users may say to actors. */
const BY_DOORS: { readonly [kind: string]: ReadonlySet<string> } = {
  conductor: new Set([...Object.keys(API_DOOR), ...Object.keys(NODE_DOOR)]),
  instance: new Set(['get', 'act', 'update', 'wake']),
  host: new Set(['consoleOutput', 'hostUptime', 'diagnostics', 'report', 'rowChanged', 'guestChanged']),
  network: new Set(['get']),
};
/** What nodes that drive hosts may say, about those hosts. */
const BY_HOSTS: { readonly [kind: string]: ReadonlySet<string> } = {
  conductor: new Set(Object.keys(HOST_DOOR)),
  instance: new Set(['guestSeen']),
  scheduler: new Set(['report']),
};

/** Goes before everything else in the queue towards a node. */
export const URGENT: ReadonlySet<string> = new Set(['nodeEnter', 'nodeBeat', 'hostBeat', 'hostStart', 'claim', 'release']);

/** `drives`: the node that drives a host, as far as is known here. A Fault when the message is not for this sender to say. */
export function doorOf(drives: (host: string) => string | undefined): (from: FrameSender, to: Address, message: Message) => Fault | undefined {
  return (from, to, message) => {
    if (from.roles.includes('control')) return undefined;
    const { kind } = parseAddress(to);
    const about = message as About;
    // The accounts of the embedded services are for who answers for those services.
    if (message.type === 'secrets' && !from.roles.includes('api')) return refused(from, message.type);
    if (from.roles.some((role) => USERS_DOOR.includes(role)) && BY_DOORS[kind]?.has(message.type)) {
      return kind === 'conductor' && message.type in NODE_DOOR ? ofItself(from, message.type, about) : undefined;
    }
    if (kind === 'conductor' && message.type in NODE_DOOR) return ofItself(from, message.type, about);
    if (from.roles.includes('compute') && BY_HOSTS[kind]?.has(message.type)) return ofItsHosts(from, message.type, about, drives);
    return refused(from, message.type);
  };
}

/** Rows and beats: its own only. Looking around is free. */
function ofItself(from: FrameSender, type: string, { name, row }: About): Fault | undefined {
  const whose = type === 'nodeEnter' ? row?.name : type === 'nodeBeat' ? name : from.node;
  return whose === from.node ? undefined : refused(from, type);
}

/** A host that nobody drives yet may be begun; the store refuses one that another node has. */
function ofItsHosts(from: FrameSender, type: string, about: About, drives: (host: string) => string | undefined): Fault | undefined {
  const host = about.report?.host ?? about.host;
  if (typeof host !== 'string' || (about.node !== undefined && about.node !== from.node)) return refused(from, type);
  const driver = drives(host);
  if (driver === from.node || (driver === undefined && type === 'hostStart')) return undefined;
  // It may have begun at another conductor a moment ago: the asker tries again until this node has heard of it.
  return driver === undefined ? new Fault('unavailable', 'route.unknownHost', `Host ${host} is not known here yet.`) : refused(from, type);
}

function refused(from: FrameSender, type: string): Fault {
  return new Fault('forbidden', 'door.closed', `A node of role ${from.roles.join(', ') || 'none'} may not say ${type}.`);
}
