/**
 * The cloud's part of the configuration, joined with the runtime's into the one that a node runs with. Every setting
 * has a default here or in its owner's room; `cluster.config.ts` says only what differs.
 */
import { hostname } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { DriverSettings } from '../drivers/open.ts';
import { Fault } from '../runtime/base/fault.ts';
import { leaves, resolveConfig, type Assignment, type Loaded, type Problem, type Rule } from '../runtime/node/config.ts';
import { environmentAssignments, fileAssignments, setAssignments } from '../runtime/node/config-sources.ts';
import {
  bytes,
  choice,
  cidr,
  count,
  either,
  file,
  folder,
  httpUrl,
  listOf,
  matching,
  milliseconds,
  name,
  pattern,
  port,
  ratio,
  secret,
  someOf,
  text,
  truth,
} from '../runtime/node/setting.ts';
import { readKeyFile } from '../runtime/node/key-file.ts';
import type { FurtherProcess } from '../runtime/node/processes.ts';
import {
  leaseRule,
  portRule,
  processPorts,
  processRule,
  reachableAddress,
  RUNTIME_DEFAULTS,
  RUNTIME_LEASES,
  RUNTIME_PORTS,
  runtimeLeases,
  runtimePorts,
  runtimeShape,
  withOffset,
} from '../runtime/node/settings.ts';
import { INSTANCE_DEFAULTS, type InstanceSettings } from './instance/settings.ts';
import { FENCE_LIMIT_MS, RECOVERY_DEFAULTS, type RecoverySettings } from './recovery/settings.ts';
import { QUOTA_DEFAULTS } from './model/quota.ts';
import { FILTERS, FURTHER_FILTERS } from './scheduler/filters/all.ts';
import { WEIGHERS } from './scheduler/weighers/all.ts';

export const ROLES = ['api', 'metadata', 'control', 'compute', 'network', 'console'] as const;

const HOUR_MS = 3_600_000;
const GIB = 1024 ** 3;
const HOSTS_MAX = 100_000;

const latency = either(
  [milliseconds(0, HOUR_MS), z.strictObject({ fromMs: milliseconds(0, HOUR_MS), toMs: milliseconds(0, HOUR_MS) })],
  'milliseconds, or a range { fromMs, toMs }',
).exactOptional();

const capacity = z.strictObject({ vcpus: count(1, 100_000), memoryMiB: count(64, 2 ** 31), diskGiB: count(1, 2 ** 31) });

const simulatedDriver = z.strictObject({
  kind: z.literal('simulated'),
  capacity: capacity.exactOptional(),
  latency: z
    .strictObject({
      inventoryMs: latency,
      spawnMs: latency,
      destroyMs: latency,
      startMs: latency,
      stopMs: latency,
      rebootMs: latency,
      pauseMs: latency,
      unpauseMs: latency,
      suspendMs: latency,
      resumeMs: latency,
      rescueMs: latency,
      unrescueMs: latency,
      setPasswordMs: latency,
      crashDumpMs: latency,
      consoleOutputMs: latency,
      diagnosticsMs: latency,
      listMs: latency,
      parkMs: latency,
      unparkMs: latency,
      readDiskMs: latency,
      receiveMs: latency,
      prepareMs: latency,
      sendMs: latency,
      stayMs: latency,
      landMs: latency,
      shutdownMs: latency,
    })
    .exactOptional(),
});

const libvirtDriver = z.strictObject({
  kind: z.literal('libvirt'),
  /** root's is the machine's, qemu:///system; anybody else's their own, qemu:///session. */
  uri: matching(/^[a-z]+:\/\/\S*$/, 'a libvirt URI such as qemu:///system').exactOptional(),
  /** Where libvirtd listens, when not at its usual place. */
  socketPath: folder().exactOptional(),
  /** Emulation runs everywhere. KVM is never chosen by looking: its device node may be there and run nothing. */
  virtType: choice(['qemu', 'kvm']).default('qemu'),
  bridge: name().exactOptional(),
});

const hostGroup = z.strictObject({
  /** `{n}` counts from 1; without it a group is one host. */
  name: matching(/^[A-Za-z0-9](?:[A-Za-z0-9._-]|\{n\}){0,60}$/, 'a host name, in which {n} stands for the number').default('host-{n}'),
  count: count(1, HOSTS_MAX).default(1),
  driver: z.discriminatedUnion('kind', [simulatedDriver, libvirtDriver]),
  /** A guard stops the guests before the host's lease ends, also when this node is killed or paused: silence is proof then. */
  selfFence: truth().default(false),
});

const command = () => listOf(text(1_024), 1, 64);
const fenceRule = z.strictObject({
  hosts: matching(/^[A-Za-z0-9._*-]{1,63}$/, 'a host name, in which * stands for any letters'),
  off: command(),
  status: command(),
  offText: text(),
  limitMs: milliseconds(1_000, HOUR_MS).default(FENCE_LIMIT_MS),
});

const quota = () => count(-1, 2 ** 31 - 1);
const quotas = Object.fromEntries(Object.keys(QUOTA_DEFAULTS).map((key) => [key, quota()])) as {
  [key in keyof typeof QUOTA_DEFAULTS]: ReturnType<typeof quota>;
};

const rateLimit = z.strictObject({
  verb: choice(['GET', 'POST', 'PUT', 'DELETE']),
  uri: text(),
  regex: pattern(),
  value: count(1, 1_000_000),
  unit: choice(['SECOND', 'MINUTE', 'HOUR', 'DAY']),
});

const operations = {
  placeLimitMs: milliseconds(1_000, HOUR_MS),
  spawnLimitMs: milliseconds(1_000, 24 * HOUR_MS),
  destroyLimitMs: milliseconds(1_000, HOUR_MS),
  stopGraceMs: milliseconds(0, HOUR_MS),
  rebootGraceMs: milliseconds(0, HOUR_MS),
  powerLimitMs: milliseconds(1_000, HOUR_MS),
  verbWaitMs: milliseconds(100, 55_000),
  attemptsMax: count(1, 100),
  snapshotLimitMs: milliseconds(1_000, 24 * HOUR_MS),
  uploadLimitMs: milliseconds(1_000, 24 * HOUR_MS),
  /** -1: a shelved server stays on its host until somebody says otherwise. */
  shelvedOffloadMs: milliseconds(-1, 365 * 24 * HOUR_MS),
  moveLimitMs: milliseconds(1_000, 24 * HOUR_MS),
  resizeConfirmMs: milliseconds(0, 720 * HOUR_MS),
  resizeToSameHost: truth(),
  /** 0: a delete is for good at once. */
  reclaimAfterMs: milliseconds(0, 365 * 24 * HOUR_MS),
} satisfies { [key in keyof Omit<InstanceSettings, 'schedulerSlices' | 'hostSilentMs'>]: z.ZodType };

const account = { username: text(), password: secret(), project: text(), userDomain: text(), projectDomain: text() };

export const clusterSchema = z.strictObject({
  ...runtimeShape,
  roles: someOf(ROLES),
  region: name(),
  /** Zone of hosts that no aggregate puts elsewhere. */
  zone: name(),
  ports: z.strictObject({
    ...runtimePorts,
    identity: port(),
    image: port(),
    compute: port(),
    metadata: port(),
    ec2: port(),
    objectstore: port(),
    inspector: port(),
  }),
  leases: z.strictObject({ ...runtimeLeases, hostMs: milliseconds(500, HOUR_MS) }),
  /** What this node drives (role `compute`). */
  hosts: listOf(hostGroup, 0, 1_000),
  /** How often a host's resources may be given out. */
  ratios: z.strictObject({ cpu: ratio(0.1, 64), ram: ratio(0.1, 16), disk: ratio(0.1, 16) }),
  /** Kept for the machine itself, per host. */
  reserved: z.strictObject({ vcpus: count(0, 100_000), memoryMiB: count(0, 2 ** 31), diskGiB: count(0, 2 ** 31) }),
  identity: either(
    [z.literal('embedded'), z.strictObject({ url: httpUrl(), ...account })],
    'embedded, or a section { url, username, password, project, userDomain, projectDomain }',
  ),
  /** Without `url` the image service is found in the catalog. */
  image: either([z.literal('embedded'), z.strictObject({ url: httpUrl().exactOptional() })], 'embedded, or a section { url }'),
  quotas: z.strictObject(quotas),
  /** How often a project may ask one node of the Compute API. */
  rateLimits: listOf(rateLimit, 0, 64),
  limits: z.strictObject({ pageMax: count(1, 10_000), bodyBytes: bytes(1_024, 64 * 1024 ** 2), imageBytes: bytes(1_024, 1_024 * GIB) }),
  /** Changes of who may do what: a YAML or JSON file of rules, read at the start and whenever it changes (http/kit/policy-file.ts). */
  policy: z.strictObject({ file: file().exactOptional() }),
  operations: z.strictObject(operations),
  scheduler: z.strictObject({
    slices: count(1, 64),
    /** Filters that are left out. */
    withoutFilters: listOf(choice(FILTERS.map((filter) => filter.name)), 0, FILTERS.length),
    /** Filters that are in force besides. */
    furtherFilters: listOf(choice(FURTHER_FILTERS.map((filter) => filter.name)), 0, FURTHER_FILTERS.length),
    /** Multiplier by weigher, where not the usual one; 0 switches it off. */
    weights: z.strictObject(Object.fromEntries(WEIGHERS.map((weigher) => [weigher.name, ratio(-1_000_000, 1_000_000).exactOptional()]))),
  }),
  /** Hosts that fall silent (actors/recovery). */
  recovery: z.strictObject({
    /** Off: nothing is evacuated that nobody asked for. */
    auto: truth(),
    /** More than this share of the hosts silent at once: it waits for people. */
    brakeShare: ratio(0, 1),
    /** Evacuations begun in a second. */
    perSecond: count(1, 10_000),
    fence: listOf(fenceRule, 0, 1_000),
  }),
  network: z.strictObject({ label: name(), cidr: cidr(29) }),
  /** What the usage audit of the Compute API counts by. */
  audit: z.strictObject({ period: choice(['hour', 'day', 'month', 'year']) }),
  /** Origins of web pages that may open a status stream, exact; programs send none and need none. */
  stream: z.strictObject({ origins: listOf(matching(/^https?:\/\/[^\s/]+$/, 'an origin such as https://dashboard.example.org'), 0, 100) }),
});

/** A configuration in force: complete, ports with their offset, addresses filled in, `dataDir` absolute. */
export type ClusterConfig = z.output<typeof clusterSchema> & { nodeAddress: string; publicAddress: string };

/** What a configuration file may say: anything of it, in part. Lists are taken whole. */
export type ClusterSettings = Partially<z.input<typeof clusterSchema>>;
type Partially<T> = T extends readonly unknown[] ? T : T extends object ? { [K in keyof T]?: Partially<T[K]> | undefined } : T;

const { schedulerSlices, hostSilentMs: _, ...OPERATION_DEFAULTS } = INSTANCE_DEFAULTS;

/** All defaults but `name` and `dataDir`'s place, which are the machine's. */
export const CLUSTER_DEFAULTS = {
  ...RUNTIME_DEFAULTS,
  roles: [...ROLES],
  region: 'RegionOne',
  zone: 'nova',
  ports: { identity: 5000, image: 9292, compute: 8774, metadata: 8775, ec2: 8773, objectstore: 3333, inspector: 8780, ...RUNTIME_PORTS },
  leases: { ...RUNTIME_LEASES, hostMs: 15_000 },
  hosts: [{ name: 'host-{n}', count: 8, driver: { kind: 'simulated', capacity: { vcpus: 64, memoryMiB: 262_144, diskGiB: 4_096 } } }],
  ratios: { cpu: 4, ram: 1, disk: 1 },
  reserved: { vcpus: 0, memoryMiB: 0, diskGiB: 0 },
  identity: 'embedded',
  image: 'embedded',
  quotas: { ...QUOTA_DEFAULTS },
  rateLimits: [],
  limits: { pageMax: 1_000, bodyBytes: 114_688, imageBytes: 64 * GIB },
  policy: {},
  operations: OPERATION_DEFAULTS,
  scheduler: { slices: schedulerSlices, withoutFilters: [], furtherFilters: [], weights: {} },
  recovery: { ...RECOVERY_DEFAULTS, fence: [] },
  network: { label: 'private', cidr: '10.20.0.0/16' },
  audit: { period: 'month' },
  stream: { origins: [] },
} satisfies Omit<z.input<typeof clusterSchema>, 'name'>;

/** Joins assignments over the defaults. Fault `invalid` (reason `config`) that lists every problem. */
export function resolveCluster(
  machine: { name: string; dataDir: string },
  assignments: readonly Assignment[],
  problems: readonly Problem[] = [],
): Loaded<ClusterConfig> {
  const loaded = resolveConfig({ schema: clusterSchema, defaults: { ...CLUSTER_DEFAULTS, ...machine }, assignments, rules: RULES, problems });
  const nodeAddress = loaded.config.nodeAddress ?? reachableAddress(loaded.config.bind);
  const config: ClusterConfig = {
    ...loaded.config,
    ports: withOffset(loaded.config.ports, loaded.config.portOffset),
    nodeAddress,
    publicAddress: loaded.config.publicAddress ?? nodeAddress,
  };
  const offset = config.portOffset;
  const settings = loaded.settings.map((setting) =>
    offset > 0 && setting.path.startsWith('ports.')
      ? { ...setting, value: `${Number(setting.value) + offset}`, source: `${setting.source}, plus portOffset` }
      : setting,
  );
  return { config, settings };
}

/** As the command line gives them: text, or nothing. */
export type Flags = {
  readonly config?: string;
  readonly data?: string;
  readonly portOffset?: string;
  readonly driver?: string;
  readonly hosts?: string;
  readonly processes?: string;
  readonly roles?: string;
  readonly keyFile?: string;
  readonly name?: string;
  readonly logLevel?: string;
  readonly set?: readonly string[];
};
export type Surroundings = { readonly flags: Flags; readonly env: NodeJS.ProcessEnv; readonly cwd: string };

/** Variables with a name of their own; any other setting is `NOVACT_SET_<section>__<setting>`. */
const VARIABLES = {
  NOVACT_DATA: 'dataDir',
  NOVACT_PORT_OFFSET: 'portOffset',
  NOVACT_DATABASE_URL: 'database.url',
  NOVACT_KEY_FILE: 'keyFile',
  NOVACT_LOG_LEVEL: 'log.level',
} as const;

/** Defaults < file < environment < flags. Fault `invalid`, reason `config` (lists every problem) or `config.file`. */
export async function loadConfig(surroundings: Surroundings): Promise<ClusterConfig> {
  return (await explainConfig(surroundings)).config;
}

/** The same, with each setting's value fit to be shown and where it came from. */
export async function explainConfig({ flags, env, cwd }: Surroundings): Promise<Loaded<ClusterConfig>> {
  const machine = {
    name:
      hostname()
        .replaceAll(/[^A-Za-z0-9._-]/g, '-')
        .slice(0, 63) || 'node',
    dataDir: resolve(cwd, CLUSTER_DEFAULTS.dataDir),
  };
  const handedDown = env[HANDED_DOWN];
  if (handedDown !== undefined) return resolveCluster(machine, fromFirst(handedDown));
  const named = flags.config ?? env['NOVACT_CONFIG'];
  const file = await fileAssignments(named === '' ? undefined : named, cwd, clusterSchema);
  const variables = environmentAssignments(env, VARIABLES);
  const sets = setAssignments(flags.set ?? []);
  // The group that --driver makes is there before what --set says about it.
  const given = [...variables.assignments, ...driverAssignment(flags, machine.name), ...sets.assignments, ...flagAssignments(flags)].map((assignment) =>
    placed(assignment, cwd),
  );
  const keyFile = flags.keyFile ?? env['NOVACT_KEY_FILE'];
  const key = keyFile === undefined ? [] : await keyFileAssignments(resolve(cwd, keyFile));
  return resolveCluster(machine, [...file, ...key, ...given], [...variables.problems, ...sets.problems]);
}

/** What the first of several processes tells a further one: all that is in force. Only the environment holds it: it has secrets. */
const HANDED_DOWN = 'NOVACT_PROCESS';
/** What several processes of a machine can share; the first one alone drives hosts. */
const SHARED_ROLES = ['control', 'api'] as const;

export type OwnProcess = FurtherProcess & { readonly ports: { readonly mesh: number; readonly health: number } };

/** The processes beside the first one, on its database; none beside a further one. Folders are `processes/N` in its own. */
export function furtherProcesses(config: ClusterConfig, databaseUrl: string): OwnProcess[] {
  if (config.processes.number > 1) return [];
  const { keyFile: _, ...others } = config;
  return Array.from({ length: config.processes.count - 1 }, (_, index) => {
    const number = index + 2;
    const name = `${config.name}-${number}`;
    const dataDir = join(config.dataDir, PROCESS_FOLDERS, String(number));
    const ports = processPorts(config.ports.processes, number);
    const settings = {
      ...others,
      name,
      dataDir,
      roles: SHARED_ROLES.filter((role) => config.roles.includes(role)),
      hosts: [],
      portOffset: 0, // it is part of the ports
      // It has no further ones itself: their first port is one that it does not use.
      ports: { ...config.ports, ...ports, processes: config.ports.mesh },
      database: { ...config.database, url: databaseUrl },
      processes: { ...config.processes, number },
    } satisfies z.input<typeof clusterSchema>;
    return { name, dataDir, ports, variables: { [HANDED_DOWN]: JSON.stringify(settings) } };
  });
}

/** In the data folder of the first process. */
export const PROCESS_FOLDERS = 'processes';

function fromFirst(text: string): Assignment[] {
  let settings: unknown;
  try {
    settings = JSON.parse(text);
  } catch {
    throw new Fault('invalid', 'config', `${HANDED_DOWN} is set by novact for further processes of its own: unset it.`); // without the text, which may hold secrets
  }
  return leaves(settings, []).map(({ path, value }) => ({ source: HANDED_DOWN, path, value, isText: false }));
}

/** Name and roles of a node without a database, as the command line gives them. Fault `invalid`. */
export function nodeRoles(name: string, roles: string): { name: string; roles: string[] } {
  const list = roles.split(',').map((role) => role.trim());
  const wrong = list.filter((role) => !ROLES.some((known) => known === role && known !== 'control'));
  if (wrong.length > 0) {
    const allowed = ROLES.filter((role) => role !== 'control').join(', ');
    throw new Fault(
      'invalid',
      'config.roles',
      `--roles is ${roles}: must be some of ${allowed}. A node of role control reaches the database by itself and needs no key.`,
    );
  }
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(name))
    throw new Fault('invalid', 'config.name', `${name} is no name for a node: letters, digits, dots, hyphens and underscores, at most 63.`);
  return { name, roles: [...new Set(list)] };
}

/** A key file says who its node is: nobody has to say it again. */
async function keyFileAssignments(path: string): Promise<Assignment[]> {
  const { node, roles } = await readKeyFile(path);
  const source = `key file ${path}`;
  return [
    { source, path: ['name'], value: node, isText: false },
    { source, path: ['roles'], value: roles, isText: false },
  ];
}

function driverAssignment(flags: Flags, machineName: string): Assignment[] {
  if (flags.driver === undefined) return [];
  return [{ source: '--driver', path: ['hosts'], value: [groupFor(flags.driver, machineName, flags.hosts !== undefined)], isText: false }];
}

function flagAssignments(flags: Flags): Assignment[] {
  const simple = [
    ['--data', 'dataDir', flags.data],
    ['--port-offset', 'portOffset', flags.portOffset],
    ['--processes', 'processes.count', flags.processes],
    ['--roles', 'roles', flags.roles],
    ['--key-file', 'keyFile', flags.keyFile],
    ['--name', 'name', flags.name],
    ['--log-level', 'log.level', flags.logLevel],
  ] as const;
  const assignments: Assignment[] = simple.flatMap(([source, path, value]) =>
    value === undefined ? [] : [{ source, path: path.split('.'), value, isText: true }],
  );
  if (flags.hosts !== undefined) assignments.push({ source: '--hosts', path: ['hosts', '0', 'count'], value: flags.hosts, isText: true });
  return assignments;
}

/** One machine has one libvirt; simulated hosts are as many as the defaults say. */
function groupFor(kind: string, machineName: string, isCounted: boolean): object {
  const [usual] = CLUSTER_DEFAULTS.hosts;
  if (kind === 'simulated') return { ...usual };
  return { name: isCounted ? usual?.name : machineName, driver: { kind } };
}

/** A relative path on the command line or in a variable is taken from where the program was started. */
function placed(assignment: Assignment, cwd: string): Assignment {
  const isPath = ['datadir', 'keyfile', 'policy.file'].includes(assignment.path.join('.').toLowerCase());
  return isPath && typeof assignment.value === 'string' ? { ...assignment, value: resolve(cwd, assignment.value) } : assignment;
}

export type HostSettings = {
  readonly name: string;
  readonly selfFence: boolean;
  /** The place of its group. */ readonly group: number;
  readonly driver: DriverSettings;
};

/** Each host of this node with its driver's settings; `directoryOf` names its folder. */
export function hostsOf(config: Pick<ClusterConfig, 'hosts'>, directoryOf: (host: string) => string): HostSettings[] {
  return config.hosts.flatMap(({ name: pattern, count: howMany, driver, selfFence }, group) =>
    Array.from({ length: howMany }, (_, index) => {
      const host = pattern.replaceAll('{n}', String(index + 1));
      const directory = directoryOf(host);
      return {
        name: host,
        selfFence,
        group,
        driver: driver.kind === 'simulated' ? { ...driver, directory, ...(selfFence && { selfFence }) } : { ...driver, stateDir: directory },
      };
    }),
  );
}

export function instanceSettingsOf(config: Pick<ClusterConfig, 'operations' | 'scheduler' | 'leases'>): InstanceSettings {
  const { operations: limits, scheduler, leases } = config;
  return { ...limits, schedulerSlices: scheduler.slices, hostSilentMs: leases.hostMs + leases.marginMs };
}

export function recoverySettingsOf({ recovery, leases }: Pick<ClusterConfig, 'recovery' | 'leases'>): RecoverySettings {
  return { ...recovery, hostMs: leases.hostMs, marginMs: leases.marginMs };
}

type Parsed = z.output<typeof clusterSchema>;

const RULES: readonly Rule<Parsed>[] = [
  ({ roles, keyFile }) =>
    roles.includes('control') || keyFile !== undefined
      ? []
      : [
          {
            path: ['roles'],
            others: [['keyFile']],
            text: `is ${roles.join(', ')}: a node without the role control needs keyFile (--key-file), made by: novact node add NAME --roles ${roles.join(',')}`,
          },
        ],
  ({ roles, processes }) =>
    roles.includes('control') || processes.count === 1
      ? []
      : [
          {
            path: ['processes', 'count'],
            others: [['roles']],
            text: `is ${processes.count}: must be 1 on a node without the role control, since the further ones reach the database`,
          },
        ],
  leaseRule,
  portRule,
  processRule,
  ({ leases }) =>
    leases.hostMs > leases.beatMs + leases.marginMs
      ? []
      : [
          {
            path: ['leases', 'hostMs'],
            others: [
              ['leases', 'beatMs'],
              ['leases', 'marginMs'],
            ],
            text: `is ${leases.hostMs}: must be more than leases.beatMs + leases.marginMs (${leases.beatMs + leases.marginMs})`,
          },
        ],
  ({ hosts }) =>
    hosts.flatMap((group, index) =>
      group.count > 1 && !group.name.includes('{n}')
        ? [{ path: ['hosts', String(index), 'name'], text: `is "${group.name}": must contain {n}, since the group has ${group.count} hosts` }]
        : [],
    ),
  hostNameRule,
  selfFenceRule,
  libvirtRule,
  ({ operations: limits }) =>
    limits.verbWaitMs < limits.powerLimitMs
      ? []
      : [
          {
            path: ['operations', 'verbWaitMs'],
            others: [['operations', 'powerLimitMs']],
            text: `is ${limits.verbWaitMs}: must be less than operations.powerLimitMs (${limits.powerLimitMs})`,
          },
        ],
  ({ identity, image }) =>
    identity === 'embedded' && image !== 'embedded' && image.url === undefined
      ? [{ path: ['image'], text: 'has no url: with the embedded identity service there is no catalog to find it in' }]
      : [],
];

/** A takeover must not look like the end of the hosts: a control node is noticed as lost, and the next one answers beats. */
function selfFenceRule({ hosts, leases }: Parsed): { path: string[]; others: string[][]; text: string }[] {
  const { hostMs, controlMs, beatMs, marginMs } = leases;
  const needMs = controlMs + marginMs + 2 * beatMs;
  if (hostMs > needMs || !hosts.some((group) => group.selfFence)) return [];
  const others = [
    ['leases', 'controlMs'],
    ['leases', 'marginMs'],
    ['leases', 'beatMs'],
  ];
  const text = `is ${hostMs}: with selfFence it must be more than leases.controlMs and a takeover (leases.marginMs + 2 × leases.beatMs), ${needMs}`;
  return [{ path: ['leases', 'hostMs'], others, text }];
}

/** A host is the whole of one libvirt: two would count its memory twice and take each other's guests for strangers. */
function libvirtRule({ hosts }: Parsed): { path: string[]; text: string }[] {
  const owner = new Map<string, number>();
  return hosts.flatMap(({ count: howMany, driver }, index) => {
    if (driver.kind !== 'libvirt') return [];
    const path = ['hosts', String(index)];
    if (howMany > 1) return [{ path: [...path, 'count'], text: `is ${howMany}: must be 1, since a host is the whole of one libvirt` }];
    const where = driver.socketPath ?? driver.uri ?? '';
    const other = owner.get(where);
    owner.set(where, index);
    return other === undefined
      ? []
      : [{ path: [...path, 'driver'], text: `is the same libvirt as that of hosts.${other}: a host is the whole of one libvirt` }];
  });
}

function hostNameRule({ hosts }: Parsed): { path: string[]; text: string }[] {
  const owner = new Map<string, number>();
  const problems: { path: string[]; text: string }[] = [];
  const total = hosts.reduce((sum, group) => sum + group.count, 0);
  if (total > HOSTS_MAX) return [{ path: ['hosts'], text: `has ${total} hosts: must be at most ${HOSTS_MAX} on one node` }];
  for (const [index, group] of hosts.entries()) {
    for (const host of hostsOf({ hosts: [group] }, () => '')) {
      const other = owner.get(host.name);
      owner.set(host.name, index);
      if (other === undefined || other === index) continue;
      problems.push({
        path: ['hosts', String(index), 'name'],
        text: `is "${group.name}": ${host.name} is a host of hosts.${other} too; every name must be one host's`,
      });
      break;
    }
  }
  return problems;
}
