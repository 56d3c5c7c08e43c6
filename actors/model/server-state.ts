/**
 * The states of a server and what is legal in which: one table that the API's refusal, the inspector and the tests
 * read. Source: states page of the Compute API (vm_state, task_state, power_state, derived status).
 */
export const VM_STATES = [
  'building',
  'active',
  'paused',
  'suspended',
  'stopped',
  'rescued',
  'resized',
  'soft-delete',
  'deleted',
  'error',
  'shelved',
  'shelved_offloaded',
] as const;
export type VmState = (typeof VM_STATES)[number];

/** The running operation as users see it; null when none. Grows with the operations. */
export const TASK_STATES = [
  'scheduling',
  'networking',
  'block_device_mapping',
  'spawning',
  'powering-on',
  'powering-off',
  'rebooting',
  'reboot_pending',
  'reboot_started',
  'rebooting_hard',
  'reboot_pending_hard',
  'reboot_started_hard',
  'resize_prep',
  'resize_migrating',
  'resize_migrated',
  'resize_finish',
  'resize_reverting',
  'resize_confirming',
  'migrating',
  'rebuilding',
  'rebuild_block_device_mapping',
  'rebuild_spawning',
  'deleting',
  'soft-deleting',
  'image_snapshot_pending',
  'image_snapshot',
  'image_backup',
  'image_pending_upload',
  'image_uploading',
  'shelving',
  'shelving_image_pending_upload',
  'shelving_image_uploading',
  'shelving_offloading',
  'unshelving',
  'pausing',
  'unpausing',
  'suspending',
  'resuming',
  'rescuing',
  'unrescuing',
  'updating_password',
  'restoring',
] as const;
export type TaskState = (typeof TASK_STATES)[number];

/** Numbers as the Compute API shows them. */
export const POWER_STATES = { pending: 0, running: 1, paused: 3, shutdown: 4, crashed: 6, suspended: 7 } as const;
export type PowerState = keyof typeof POWER_STATES;

/** API statuses by vm state; the first member is the default, the rest are chosen by task state. */
const STATUS: Record<VmState, { status: string; byTask?: Readonly<Record<string, string>> }> = {
  active: {
    status: 'ACTIVE',
    byTask: {
      rebooting: 'REBOOT',
      reboot_pending: 'REBOOT',
      reboot_started: 'REBOOT',
      rebooting_hard: 'HARD_REBOOT',
      reboot_pending_hard: 'HARD_REBOOT',
      reboot_started_hard: 'HARD_REBOOT',
      updating_password: 'PASSWORD',
      rebuilding: 'REBUILD',
      rebuild_block_device_mapping: 'REBUILD',
      rebuild_spawning: 'REBUILD',
      migrating: 'MIGRATING',
      resize_prep: 'RESIZE',
      resize_migrating: 'RESIZE',
      resize_migrated: 'RESIZE',
      resize_finish: 'RESIZE',
    },
  },
  building: { status: 'BUILD' },
  stopped: {
    status: 'SHUTOFF',
    byTask: {
      resize_prep: 'RESIZE',
      resize_migrating: 'RESIZE',
      resize_migrated: 'RESIZE',
      resize_finish: 'RESIZE',
      rebuilding: 'REBUILD',
      rebuild_block_device_mapping: 'REBUILD',
      rebuild_spawning: 'REBUILD',
    },
  },
  resized: { status: 'VERIFY_RESIZE', byTask: { resize_reverting: 'REVERT_RESIZE' } },
  paused: { status: 'PAUSED', byTask: { migrating: 'MIGRATING' } },
  suspended: { status: 'SUSPENDED' },
  rescued: { status: 'RESCUE' },
  error: {
    status: 'ERROR',
    byTask: { rebuilding: 'REBUILD', rebuild_block_device_mapping: 'REBUILD', rebuild_spawning: 'REBUILD' },
  },
  deleted: { status: 'DELETED' },
  'soft-delete': { status: 'SOFT_DELETED' },
  shelved: { status: 'SHELVED' },
  shelved_offloaded: { status: 'SHELVED_OFFLOADED' },
};

export function statusOf(server: { vmState: VmState; taskState: TaskState | null; deleted: boolean }): string {
  if (server.deleted) return 'DELETED';
  const { status, byTask } = STATUS[server.vmState];
  return (server.taskState !== null && byTask?.[server.taskState]) || status;
}

/** The states that a status filter stands for; empty when no such status exists. `taskStates` null: any. */
export function statesOfStatus(status: string): { vmState: VmState; taskStates: string[] | null }[] {
  const wanted = status.toUpperCase();
  const found: { vmState: VmState; taskStates: string[] | null }[] = [];
  for (const vmState of VM_STATES) {
    const row = STATUS[vmState];
    if (row.status === wanted) found.push({ vmState, taskStates: null });
    const tasks = Object.keys(row.byTask ?? {}).filter((task) => row.byTask?.[task] === wanted);
    if (tasks.length > 0) found.push({ vmState, taskStates: tasks });
  }
  return found;
}

/** When a verb may begin. `launched` wants a server that ran once, and is on a host unless `hostless`. */
export type Rule = {
  readonly vm: readonly VmState[] | 'any';
  /** `none`: no task may run; a list: none or one of these. */
  readonly task: 'none' | 'any' | readonly TaskState[];
  readonly launched: boolean;
  /** Also of a server that ran and has no host now: what is left of it is to run elsewhere. */
  readonly hostless?: true;
  /** Whether a locked server refuses it to everyone but admins. */
  readonly lock: boolean;
};

const TASKS_OF_A_HOST = TASK_STATES.filter((task) => !/delet|rebuild|resize|migrat/.test(task));

export const ALLOWED = {
  start: { vm: ['stopped'], task: 'none', launched: true, lock: true },
  stop: { vm: ['active', 'error'], task: 'none', launched: true, lock: true },
  rebootSoft: { vm: ['active'], task: 'none', launched: true, lock: true },
  rebootHard: {
    vm: ['active', 'stopped', 'paused', 'suspended', 'error'],
    task: ['rebooting', 'reboot_pending', 'reboot_started', 'rebooting_hard', 'pausing', 'unpausing', 'suspending', 'resuming'],
    launched: true,
    lock: true,
  },
  pause: { vm: ['active'], task: 'none', launched: true, lock: true },
  unpause: { vm: ['paused'], task: 'none', launched: true, lock: true },
  suspend: { vm: ['active'], task: 'none', launched: true, lock: true },
  resume: { vm: ['suspended'], task: 'none', launched: true, lock: true },
  rescue: { vm: ['active', 'stopped', 'error'], task: 'none', launched: true, lock: true },
  unrescue: { vm: ['rescued'], task: 'none', launched: true, lock: true },
  changePassword: { vm: ['active'], task: 'none', launched: true, lock: true },
  crashDump: { vm: ['active', 'paused', 'rescued', 'resized', 'error'], task: 'none', launched: true, lock: true },
  restore: { vm: ['soft-delete'], task: 'none', launched: true, lock: true },
  forceDelete: { vm: 'any', task: 'any', launched: false, lock: true },
  lock: { vm: 'any', task: 'any', launched: false, lock: false },
  unlock: { vm: 'any', task: 'any', launched: false, lock: false },
  resetState: { vm: 'any', task: 'any', launched: false, lock: false },
  network: { vm: 'any', task: 'any', launched: false, lock: true },
  // Whatever else runs was running on a host that is dead; but a delete wins, and an evacuation is not begun twice.
  evacuate: { vm: ['active', 'stopped', 'error'], task: TASKS_OF_A_HOST, launched: true, hostless: true, lock: false },
  createImage: { vm: ['active', 'stopped', 'paused', 'suspended'], task: 'none', launched: true, lock: false },
  createBackup: { vm: ['active', 'stopped', 'paused', 'suspended'], task: 'none', launched: true, lock: false },
  rebuild: { vm: ['active', 'stopped', 'error'], task: 'none', launched: true, lock: true },
  shelve: { vm: ['active', 'stopped', 'paused', 'suspended'], task: 'none', launched: true, lock: true },
  shelveOffload: { vm: ['shelved'], task: 'none', launched: true, lock: true },
  unshelve: { vm: ['shelved', 'shelved_offloaded'], task: 'none', launched: true, hostless: true, lock: true },
  resize: { vm: ['active', 'stopped'], task: 'none', launched: true, lock: true },
  migrate: { vm: ['active', 'stopped'], task: 'none', launched: true, lock: true },
  // A move that could not be taken back leaves an error, and both claims: it may be tried again.
  confirmResize: { vm: ['resized'], task: 'none', launched: true, lock: true },
  revertResize: { vm: ['resized', 'error'], task: 'none', launched: true, lock: true },
  'live-migration': { vm: ['active', 'paused'], task: 'none', launched: true, lock: true },
  abortMigration: { vm: 'any', task: ['migrating'], launched: true, lock: true },
  forceMigration: { vm: ['active'], task: ['migrating'], launched: true, lock: true },
  delete: { vm: 'any', task: 'any', launched: false, lock: true },
  update: { vm: 'any', task: 'any', launched: false, lock: true },
  metadata: { vm: ['active', 'paused', 'suspended', 'stopped'], task: 'any', launched: false, lock: true },
  securityGroups: { vm: 'any', task: 'any', launched: false, lock: false },
  guestPassword: { vm: 'any', task: 'any', launched: false, lock: false },
  tags: { vm: ['active', 'paused', 'suspended', 'stopped'], task: 'any', launched: false, lock: false },
} as const satisfies Record<string, Rule>;
export type Verb = keyof typeof ALLOWED;

export type Refusal = { readonly attribute: 'vm_state' | 'task_state' | 'launched_at' | 'host'; readonly value: string };

/** Why `verb` is refused now, as the attribute and its value; null when it is legal. */
export function refusal(verb: Verb, server: { vmState: VmState; taskState: TaskState | null; launchedAt: string | null; host: string | null }): Refusal | null {
  const rule: Rule = ALLOWED[verb];
  if (rule.vm !== 'any' && !rule.vm.includes(server.vmState)) return { attribute: 'vm_state', value: server.vmState };
  if (server.taskState !== null && rule.task !== 'any') {
    const free = rule.task !== 'none' && rule.task.includes(server.taskState);
    if (!free) return { attribute: 'task_state', value: server.taskState };
  }
  if (rule.launched && server.launchedAt === null) return { attribute: 'launched_at', value: 'None' };
  if (rule.launched && !rule.hostless && server.host === null) return { attribute: 'host', value: 'None' };
  return null;
}

/** As users are told it; `action` is the verb's name as they know it. */
export function refusalText(action: string, id: string, { attribute, value }: Refusal): string {
  return attribute === 'host' ? `Instance ${id} is not ready` : `Cannot '${action}' instance ${id} while it is in ${attribute} ${value}`;
}
