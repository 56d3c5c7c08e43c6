/**
 * Extra specs whose values are known (2.86): a wrong value or an unknown key of a known namespace is refused when it
 * is stored, not when a server fails. Namespaces that nobody here knows pass.
 */
import { invalid } from '../../kit/errors.ts';

type Check = (value: string) => boolean;

const anything: Check = () => true;
const bool: Check = (value) => /^(true|false|1|0|yes|no|on|off|t|f|y|n)$/i.test(value);
const cpuSet: Check = (value) => /^\^?\d+(-\d+)?(,\^?\d+(-\d+)?)*$/.test(value);
const oneOf =
  (...words: string[]): Check =>
  (value) =>
    words.includes(value);
const atLeast =
  (min: number, max = Number.MAX_SAFE_INTEGER): Check =>
  (value) =>
    /^\d{1,15}$/.test(value) && Number(value) >= min && Number(value) <= max;

const shares = oneOf('custom', 'high', 'normal', 'low');
const quotas: [string, Check][] = ['cpu', 'memory', 'disk_io', 'vif'].flatMap((what): [string, Check][] => [
  [`quota:${what}_limit`, atLeast(0)],
  [`quota:${what}_reservation`, atLeast(0)],
  [`quota:${what}_shares_level`, shares],
  [`quota:${what}_shares_share`, atLeast(0)],
]);
const rates: [string, Check][] = [
  ...['read', 'write', 'total'].flatMap((way): [string, Check][] => [
    [`quota:disk_${way}_bytes_sec`, atLeast(0)],
    [`quota:disk_${way}_iops_sec`, atLeast(0)],
  ]),
  ...['inbound', 'outbound'].flatMap((way): [string, Check][] =>
    ['average', 'peak', 'burst'].map((what): [string, Check] => [`quota:vif_${way}_${what}`, atLeast(0)]),
  ),
];

const EXACT = new Map<string, Check>([
  ['group_policy', oneOf('isolate', 'none')],
  ['accel:device_profile', anything],
  ['hide_hypervisor_id', bool],
  ['hw:cpu_policy', oneOf('dedicated', 'shared', 'mixed')],
  ['hw:cpu_thread_policy', oneOf('prefer', 'isolate', 'require')],
  ['hw:emulator_threads_policy', oneOf('isolate', 'share')],
  ['hw:cpu_realtime', bool],
  ['hw:cpu_realtime_mask', cpuSet],
  ['hw:cpu_dedicated_mask', cpuSet],
  ...['sockets', 'cores', 'threads', 'max_sockets', 'max_cores', 'max_threads'].map((part): [string, Check] => [`hw:cpu_${part}`, atLeast(1)]),
  ['hw:numa_nodes', atLeast(1)],
  ['hw:mem_page_size', (value) => /^(large|small|any|\d+([kKMGT]i?[bB]?)?)$/.test(value)],
  ['hw:pci_numa_affinity_policy', oneOf('required', 'preferred', 'legacy', 'socket')],
  ...['locked_memory', 'hide_hypervisor_id', 'boot_menu', 'vif_multiqueue_enabled', 'mem_encryption', 'pmu', 'virtio_packed_ring', 'ephemeral_encryption'].map(
    (name): [string, Check] => [`hw:${name}`, bool],
  ),
  ['hw:mem_encryption_model', oneOf('amd-sev', 'amd-sev-es', 'amd-sev-snp')],
  ['hw:ephemeral_encryption_format', oneOf('plain', 'luks', 'luksv2')],
  ['hw:pmem', anything],
  ['hw:serial_port_count', atLeast(0)],
  ['hw:redirected_usb_ports', atLeast(0, 15)],
  ['hw:sound_model', anything],
  ['hw:usb_model', anything],
  ['hw:tpm_model', oneOf('tpm-tis', 'tpm-crb')],
  ['hw:tpm_version', oneOf('1.2', '2.0')],
  ['hw:tpm_secret_security', oneOf('user', 'host', 'deployment')],
  ['hw:viommu_model', oneOf('intel', 'smmuv3', 'virtio', 'auto')],
  ['hw:watchdog_action', oneOf('none', 'pause', 'poweroff', 'reset', 'disabled')],
  ['hw:maxphysaddr_mode', oneOf('passthrough', 'emulate')],
  ['hw:maxphysaddr_bits', atLeast(0)],
  ['hw_rng:allowed', bool],
  ['hw_rng:rate_bytes', atLeast(0)],
  ['hw_rng:rate_period', atLeast(0)],
  ['hw_video:ram_max_mb', atLeast(0)],
  ['os:secure_boot', oneOf('required', 'disabled')],
  ['pci_passthrough:alias', (value) => /^[^:,]+:\d+(,\s*[^:,]+:\d+)*$/.test(value)],
  ...['cpu_shares', 'cpu_period', 'cpu_quota'].map((name): [string, Check] => [
    `quota:${name}`,
    /cpu_quota/.test(name) ? (value) => /^-?\d{1,15}$/.test(value) : atLeast(0),
  ]),
  ...quotas,
  ...rates,
  ['vmware:hw_version', anything],
  ['vmware:storage_policy', anything],
]);

const GROUP = '([a-zA-Z0-9_-]{1,64})?';
const BY_FORM: readonly (readonly [RegExp, Check])[] = [
  [/^hw:numa_cpus\.\d{1,4}$/, cpuSet],
  [/^hw:numa_mem\.\d{1,4}$/, atLeast(1)],
  [new RegExp(`^resources${GROUP}:[A-Z0-9_]{1,255}$`), atLeast(0)],
  [new RegExp(`^trait${GROUP}:[A-Z0-9_]{1,255}$`), oneOf('required', 'forbidden')],
];
const CLOSED = new Set(['accel', 'hw', 'hw_rng', 'hw_video', 'os', 'pci_passthrough', 'quota', 'vmware']);

/** Fault `invalid` naming the key. */
export function refuseWrongSpec(key: string, value: string): void {
  const check = EXACT.get(key) ?? BY_FORM.find(([form]) => form.test(key))?.[1];
  if (check !== undefined) {
    if (!check(value)) throw invalid(`Validation failed; value '${value.slice(0, 60)}' is not allowed for extra spec '${key}'.`);
    return;
  }
  const colon = key.indexOf(':');
  const space = colon < 0 ? '' : key.slice(0, colon);
  if (CLOSED.has(space) || /^(resources|trait)[a-zA-Z0-9_-]*$/.test(space))
    throw invalid(`Validation failed; extra spec '${key.slice(0, 100)}' does not appear to be a valid extra spec.`);
}
