/**
 * What libvirt says of the machine: inventory, and the user that its guests run as. Capabilities come as XML from a
 * daemon that is trusted; only a few well-known elements are looked for, each in its own part of the text.
 */
import { statfs } from 'node:fs/promises';
import { loadavg, networkInterfaces, totalmem, uptime } from 'node:os';
import type { HostInventory, HostUptime } from '../driver.ts';
import type { LibvirtConnection } from './connection.ts';
import { PROCEDURES } from './procedures.ts';
import type { CallOptions } from './rpc.ts';
import type { Owner } from './storage.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;

export type Capabilities = {
  readonly arch: string;
  readonly cpu: HostInventory['cpu'];
  /** The user of QEMU processes; undefined when libvirt doesn't change it (session, test). */
  readonly qemu: Owner | undefined;
};

export function parseCapabilities(xml: string): Capabilities {
  const host = part(xml, 'host');
  const cpu = part(host, 'cpu');
  const arch = content(cpu, 'arch') ?? content(host, 'arch') ?? content(xml, 'arch') ?? /<arch name=['"](\w+)['"]/.exec(xml)?.[1] ?? 'x86_64';
  const topology = /<topology ([^>]*)\/>/.exec(cpu)?.[1] ?? '';
  const features = [...cpu.matchAll(/<feature name=['"]([\w.-]+)['"]/g)].map((match) => match[1] ?? '');
  const count = (name: string): number => Number(attribute(topology, name) ?? '1');
  return {
    arch,
    cpu: {
      arch,
      model: content(cpu, 'model') ?? 'unknown',
      vendor: content(cpu, 'vendor') ?? 'unknown',
      topology: { sockets: count('sockets'), cores: count('cores'), threads: count('threads') },
      features,
    },
    qemu: parseOwner(host),
  };
}

/** The discretionary security model names user and group, `+64055:+64055`. */
function parseOwner(host: string): Owner | undefined {
  const models = host.match(/<secmodel>[^]*?<\/secmodel>/g) ?? [];
  const model = models.find((text) => content(text, 'model') === 'dac');
  const found = /<baselabel type=['"]qemu['"]>\+(\d+):\+(\d+)<\/baselabel>/.exec(model ?? '');
  return found === null ? undefined : { uid: Number(found[1]), gid: Number(found[2]) };
}

export type InventoryOptions = {
  readonly capabilities: Capabilities;
  readonly stateDir: string;
  readonly hostIp: string | undefined;
  /** The machine's own figure of memory counts only when its guests are really here. */
  readonly isReal: boolean;
};

export async function readInventory(connection: LibvirtConnection, options: InventoryOptions, call: CallOptions): Promise<HostInventory> {
  const [node, type, version, disk] = await Promise.all([
    connection.call(PROCEDURES.nodeGetInfo, undefined, call),
    connection.call(PROCEDURES.connectGetType, undefined, call),
    connection.call(PROCEDURES.connectGetVersion, undefined, call),
    statfs(options.stateDir),
  ]);
  const reportedMiB = Number(node.memoryKiB / 1024n);
  // libvirt adds up NUMA nodes and was seen to find 8 of 24 GiB.
  const memoryMiB = options.isReal ? Math.max(reportedMiB, Math.floor(totalmem() / MIB)) : reportedMiB;
  return {
    vcpus: node.cpus,
    memoryMiB,
    diskGiB: Math.floor((disk.blocks * disk.bsize) / GIB),
    hypervisorType: type.type,
    hypervisorVersion: Number(version.version),
    hostIp: options.hostIp ?? firstAddress(),
    cpu: options.capabilities.cpu,
  };
}

/** libvirtd and this driver share a machine: its own words are the hypervisor's. */
export function readUptime(): HostUptime {
  const [one = 0, five = 0, fifteen = 0] = loadavg();
  return { upMs: Math.round(uptime() * 1_000), load: [one, five, fifteen] };
}

function firstAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find((address) => address.family === 'IPv4' && !address.internal)?.address ?? '127.0.0.1';
}

function part(xml: string, name: string): string {
  const start = xml.indexOf(`<${name}>`);
  const end = xml.indexOf(`</${name}>`, start);
  return start < 0 || end < 0 ? '' : xml.slice(start, end);
}

function content(xml: string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
}

function attribute(text: string, name: string): string | undefined {
  return new RegExp(`\\b${name}=['"](\\d+)['"]`).exec(text)?.[1];
}
