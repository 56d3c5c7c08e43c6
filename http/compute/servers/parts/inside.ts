/** What a server is like inside its host: counters of its guest (`diagnostics`), NUMA nodes (`topology`, 2.78), interfaces of old. */
import { hostRef, type HostProtocol } from '../../../../actors/host/messages.ts';
import type { InstanceRecord } from '../../../../actors/model/instance.ts';
import { POWER_STATES } from '../../../../actors/model/server-state.ts';
import { Fault } from '../../../../runtime/base/fault.ts';
import type { Call } from '../../../kit/call.ts';
import { conflict } from '../../../kit/errors.ts';
import { LATEST } from '../../../kit/route.ts';
import type { Reply } from '../../../kit/route.ts';
import { SINCE } from '../../microversions.ts';
import { hostsNow, route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { findServer } from '../find.ts';
import type { FoundServer } from '../find.ts';

type GuestDiagnostics = NonNullable<HostProtocol['diagnostics']['reply']>;

const ASK_MS = 10_000;
const KIB_PER_MIB = 1_024;
const UNCOUNTED = { octets: null, packets: null, errors: null, drops: null };
/** Of counters that a hypervisor does not have, in the form of old. */
const NO_COUNT = -1;

export const INSIDE_ROUTES = [
  route({ method: 'GET', path: '/servers/:id/diagnostics', policy: 'os-server-diagnostics', ok: 200, find: findServer, serve: serveDiagnostics }),
  route({
    method: 'GET',
    path: '/servers/:id/topology',
    versions: [SINCE.topology, LATEST],
    policy: 'compute:server:topology:index',
    ok: 200,
    find: findServer,
    // Guests are not given NUMA nodes of their own: there are none to show, to whomever.
    serve: () => ({ body: { nodes: [], pagesize_kb: null } }),
  }),
];

async function serveDiagnostics(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  if (record.host === null) throw conflict(`Instance ${record.id} is not ready`, 'notReady');
  if (record.powerState !== 'running') {
    throw conflict(`Cannot 'get_diagnostics' instance ${record.id} while it is in power state ${POWER_STATES[record.powerState]}`, 'state');
  }
  const message = { type: 'diagnostics', instanceId: record.id, generation: record.generation } as const;
  const found = await parts.actors.ask(hostRef(record.host), message, { timeoutMs: ASK_MS, signal: call.signal });
  if (found === null) throw new Fault('unsupported', 'diagnostics', 'The hypervisor of this server counts nothing.');
  if (call.version < SINCE.commonDiagnostics) return { body: freeForm(found, record) };
  const host = (await hostsNow(parts)).find((one) => one.host === record.host);
  return { body: commonForm(found, record, host?.hypervisorType ?? null, host?.driver ?? 'libvirt') };
}

/** Names of counters are the hypervisor's own: disks `vda`…, interfaces `vnet0`…; memory in KiB. */
function freeForm({ cpus, disks, nics, memory }: GuestDiagnostics, { flavor }: InstanceRecord): object {
  const view: { [name: string]: number } = { memory: (memory.maximumMiB ?? flavor.memoryMiB) * KIB_PER_MIB };
  for (const { id, timeNs } of cpus) view[`cpu${id}_time`] = timeNs ?? NO_COUNT;
  for (const { name, readBytes, readRequests, writeBytes, writeRequests, errors } of disks) {
    view[`${name}_read`] = readBytes ?? NO_COUNT;
    view[`${name}_read_req`] = readRequests ?? NO_COUNT;
    view[`${name}_write`] = writeBytes ?? NO_COUNT;
    view[`${name}_write_req`] = writeRequests ?? NO_COUNT;
    view[`${name}_errors`] = errors ?? NO_COUNT;
  }
  for (const { name, rx, tx } of nics) {
    for (const [way, counts] of [
      ['rx', rx],
      ['tx', tx],
    ] as const) {
      view[`${name}_${way}`] = counts.octets ?? NO_COUNT;
      view[`${name}_${way}_packets`] = counts.packets ?? NO_COUNT;
      view[`${name}_${way}_errors`] = counts.errors ?? NO_COUNT;
      view[`${name}_${way}_drop`] = counts.drops ?? NO_COUNT;
    }
  }
  return view;
}

function commonForm(found: GuestDiagnostics, record: InstanceRecord, hypervisor: string | null, driver: string): object {
  const { power, uptimeS, cpus, disks, nics, memory } = found;
  // Interfaces are in the order in which they were asked for; of some kinds a hypervisor counts nothing.
  const interfaces = Array.from({ length: Math.max(nics.length, record.nics.length) }, (_, nth) => {
    const { mac, rx, tx } = nics[nth] ?? { mac: null, rx: UNCOUNTED, tx: UNCOUNTED };
    return { mac: mac ?? record.nics[nth]?.mac ?? null, rx, tx };
  });
  return {
    state: power,
    driver,
    hypervisor: hypervisor?.toLowerCase() ?? null,
    hypervisor_os: 'linux',
    uptime: uptimeS,
    config_drive: record.configDrive,
    num_cpus: cpus.length,
    num_disks: disks.length,
    num_nics: interfaces.length,
    memory_details: { maximum: memory.maximumMiB, used: memory.usedMiB },
    cpu_details: cpus.map(({ id, timeNs, utilisation }) => ({ id, time: timeNs, utilisation })),
    disk_details: disks.map(({ readBytes, readRequests, writeBytes, writeRequests, errors }) => ({
      read_bytes: readBytes,
      read_requests: readRequests,
      write_bytes: writeBytes,
      write_requests: writeRequests,
      errors_count: errors,
    })),
    nic_details: interfaces.map(({ mac, rx, tx }) => ({
      mac_address: mac,
      rx_octets: rx.octets,
      rx_errors: rx.errors,
      rx_drop: rx.drops,
      rx_packets: rx.packets,
      rx_rate: null,
      tx_octets: tx.octets,
      tx_errors: tx.errors,
      tx_drop: tx.drops,
      tx_packets: tx.packets,
      tx_rate: null,
    })),
  };
}
