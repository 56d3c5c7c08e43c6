/**
 * The runtime's own settings: this node, its folder, addresses, database, leases, log. Their defaults stand beside
 * them. What must hold between them is a rule, checked at each start.
 */
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import type { Rule } from './config.ts';
import { choice, count, either, folder, ipAddress, matching, milliseconds, name, port, postgresUrl } from './setting.ts';

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;
const HOUR_MS = 3_600_000;
const PROCESSES_MAX = 64;
const NAME_MAX = 63;

const ADDRESS = /^[A-Za-z0-9:.-]{1,253}$/;
const loopback = matching(/^(127(\.\d{1,3}){3}|::1)$/, 'a loopback address such as 127.0.0.1');

export const runtimeShape = {
  /** Name of this node in the mesh; unique, and the same after a restart. */
  name: name(),
  dataDir: folder(),
  /** Of a node that holds no credentials of the store: made for it by `novact node add`. */
  keyFile: folder().exactOptional(),
  /** What services listen on. */
  bind: ipAddress(),
  /** What other nodes call this one; by default what `bind` says. */
  nodeAddress: matching(ADDRESS, 'a host name or an IP address').exactOptional(),
  /** What clients are told to call, such as a load balancer before all nodes; by default `nodeAddress`. */
  publicAddress: matching(ADDRESS, 'a host name or an IP address').exactOptional(),
  /** Added to every port. */
  portOffset: count(0, 60_000),
  database: z.strictObject({
    /** A PostgreSQL server of your own (15 or newer); the embedded one otherwise. */
    url: postgresUrl().exactOptional(),
    /** Connections for reads. */
    poolMax: count(1, 500),
    /** Address on which the embedded server listens besides its socket, for tools. */
    embeddedListen: loopback.exactOptional(),
  }),
  /** Sessions of the store that write: a paused or cut-off node loses them. */
  session: z.strictObject({
    statementMs: milliseconds(100, HOUR_MS),
    idleInTransactionMs: milliseconds(100, HOUR_MS),
    connectMs: milliseconds(100, HOUR_MS),
  }),
  /** Processes that this machine runs of this node, to use its cores; `number` is set by the first for the further. */
  processes: z.strictObject({ count: count(1, PROCESSES_MAX), number: count(1, PROCESSES_MAX) }),
  log: z.strictObject({
    level: choice(LOG_LEVELS),
    /** A file in the data folder, or `stderr`. */
    to: either([z.literal('stderr'), z.literal('file')], 'stderr or file'),
  }),
};

/** From `processes` on, each further process has two: its mesh and its health. */
export const runtimePorts = { mesh: port(), health: port(), database: port(), processes: port() };

export const runtimeLeases = {
  /** How long this node may run its shards on an answered beat. */
  controlMs: milliseconds(300, HOUR_MS),
  beatMs: milliseconds(50, HOUR_MS),
  /** What clocks may differ in, and the time a stop needs. */
  marginMs: milliseconds(10, HOUR_MS),
};

export const RUNTIME_DEFAULTS = {
  dataDir: '.novact',
  bind: '127.0.0.1',
  portOffset: 0,
  database: { poolMax: 8 },
  session: { statementMs: 2_000, idleInTransactionMs: 2_000, connectMs: 2_000 },
  processes: { count: 1, number: 1 },
  log: { level: 'info', to: 'file' },
} as const;
export const RUNTIME_PORTS = { mesh: 7770, health: 8779, database: 54_329, processes: 7800 } as const;
export const RUNTIME_LEASES = { controlMs: 3_000, beatMs: 1_000, marginMs: 500 } as const;

type Timed = {
  readonly leases: { readonly controlMs: number; readonly beatMs: number; readonly marginMs: number };
  readonly session: { readonly statementMs: number; readonly idleInTransactionMs: number };
};

/** A beat that is late once must not end the lease; a session that hangs must end before the lease does. */
export const leaseRule: Rule<Timed> = ({ leases, session }) => {
  const problems = [];
  const { controlMs, beatMs, marginMs } = leases;
  if (beatMs >= controlMs - marginMs) {
    problems.push({
      path: ['leases', 'beatMs'],
      others: [
        ['leases', 'controlMs'],
        ['leases', 'marginMs'],
      ],
      text: `is ${beatMs}: must be less than leases.controlMs − leases.marginMs (${controlMs} − ${marginMs} = ${controlMs - marginMs})`,
    });
  }
  for (const key of ['statementMs', 'idleInTransactionMs'] as const) {
    if (session[key] >= controlMs) {
      problems.push({
        path: ['session', key],
        others: [['leases', 'controlMs']],
        text: `is ${session[key]}: must be less than leases.controlMs (${controlMs}), so that a paused node cannot hold the store beyond its lease`,
      });
    }
  }
  return problems;
};

type Placed = { readonly portOffset: number; readonly ports: { readonly [name: string]: number } };

/** Ports are given as written: the offset comes on top. */
export const portRule: Rule<Placed> = ({ ports, portOffset }) => {
  const problems = [];
  const owners = new Map<number, string>();
  for (const [owner, number] of Object.entries(ports)) {
    const other = owners.get(number);
    if (other !== undefined)
      problems.push({ path: ['ports', owner], others: [['ports', other]], text: `is ${number}: ports.${other} has that port too; every port must be its own` });
    owners.set(number, owner);
    if (number + portOffset > 65_535) {
      problems.push({ path: ['portOffset'], text: `is ${portOffset}: ports.${owner} would be ${number + portOffset}; ports end at 65535` });
    }
  }
  return problems;
};

type Many = Placed & { readonly name: string; readonly processes: { readonly count: number; readonly number: number } };

/** The ports of further processes are nobody else's; their names and numbers fit. */
export const processRule: Rule<Many> = ({ name, ports, portOffset, processes: { count, number } }) => {
  const problems = [];
  const others = [['processes', 'count']];
  if (number > count) problems.push({ path: ['processes', 'number'], text: `is ${number}: must be at most processes.count (${count})` });
  if (count > 1 && number === 1 && name.length + `-${count}`.length > NAME_MAX) {
    problems.push({ path: ['name'], others, text: `has ${name.length} characters: too many for names of further processes such as ${name}-${count}` });
  }
  const first = ports['processes'] ?? 0;
  const last = processPorts(first, count).health;
  if (count > 1 && last + portOffset > 65_535) {
    problems.push({
      path: ['ports', 'processes'],
      others,
      text: `is ${first}: the ports of ${count} processes would end at ${last + portOffset}; ports end at 65535`,
    });
  }
  for (const [owner, port] of Object.entries(ports)) {
    if (owner === 'processes' || count === 1 || number > 1 || port < first || port > last) continue;
    problems.push({
      path: ['ports', owner],
      others: [['ports', 'processes'], ...others],
      text: `is ${port}: further processes have the ports ${first} to ${last}`,
    });
  }
  return problems;
};

/** Those of a further process; the second has the first two. */
export function processPorts(first: number, number: number): { mesh: number; health: number } {
  const mesh = first + 2 * (number - 2);
  return { mesh, health: mesh + 1 };
}

export function withOffset<Ports extends { readonly [name: string]: number }>(ports: Ports, offset: number): Ports {
  const entries = Object.entries(ports).map(([owner, number]) => [owner, number + offset]);
  return Object.fromEntries(entries) as Ports; // same keys, numbers as before
}

/** The address that others can call when `bind` is every address of this machine. */
export function reachableAddress(bind: string): string {
  if (bind !== '0.0.0.0' && bind !== '::') return bind;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
