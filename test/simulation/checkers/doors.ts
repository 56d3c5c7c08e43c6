/** P7: what a node without a database was let say is about itself and the hosts that its machine drives. */
import type { Checker } from './checker.ts';

/** What such a node has to say at all, besides what hosts say. */
const OF_NODES = new Set(['nodeEnter', 'nodeBeat', 'nodes', 'owners', 'hostNodes', 'secrets', 'batch']);

type About = { readonly host?: unknown; readonly name?: unknown; readonly report?: { readonly host?: unknown }; readonly row?: { readonly name?: unknown } };

export const DOORS: Checker = {
  promise: 'P7',
  atLetIn(world, from, message) {
    const machine = world.machines.find(({ name }) => name === from.node);
    // Of a host that its door does not know yet the store decides: see below.
    if (!machine || machine.hasDatabase || message.type === 'hostStart') return [];
    const about = message as About;
    const host = about.host ?? about.report?.host;
    const name = about.name ?? about.row?.name;
    const isOwn = host === undefined ? OF_NODES.has(message.type) : machine.hosts.some((own) => own.name === host);
    const isItself = name === undefined || name === from.node;
    return isOwn && isItself ? [] : [`${from.node} was let say ${message.type} to ${message.to} about ${String(host ?? name ?? 'others')}`];
  },
  atSample(world) {
    const driven = world.machines.flatMap((machine) => machine.hosts.map((host) => ({ host: host.name, node: machine.name })));
    return driven.flatMap(({ host, node }) => {
      const row = world.tables.hosts.get(host);
      return row && row.node !== node ? [`host ${host} of ${node} was given to ${row.node}`] : [];
    });
  },
};
