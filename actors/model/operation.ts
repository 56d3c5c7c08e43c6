/**
 * A stored operation: what was accepted and has not ended. It stands in the instance's row from the transaction that
 * accepts it to the one that ends it, so whoever takes the shard over can take it up (P2).
 */
import type { FaultRecord, Json } from '../../runtime/base/fault.ts';

export const OPERATIONS = [
  'create',
  'delete',
  'start',
  'stop',
  'reboot',
  'evacuate',
  'createImage',
  'createBackup',
  'rebuild',
  'shelve',
  'shelveOffload',
  'unshelve',
  'resize',
  'migrate',
  'confirmResize',
  'revertResize',
  'live-migration',
  'pause',
  'unpause',
  'suspend',
  'resume',
  'rescue',
  'unrescue',
  'softDelete',
  'restore',
  'changePassword',
  'crashDump',
] as const;
export type OperationName = (typeof OPERATIONS)[number];

export type Operation = {
  readonly name: OperationName;
  /** Unique per operation; a host tells a repeated verb by it. */
  readonly id: string;
  /** The current step of the operation's plan. */
  readonly step: string;
  readonly args: { readonly [key: string]: Json };
  readonly requestId: string;
  readonly startedAt: string;
  /** Wall milliseconds after which the current step fails. */
  readonly stepDueMs: number;
  /** How often placement began again (create). */
  readonly attempt: number;
  /** Hosts that refused or failed this operation; they are not asked again. */
  readonly excludedHosts: readonly string[];
};

/** An entry of the history that `os-instance-actions` shows. */
export type ActionRecord = {
  readonly requestId: string;
  readonly action: string;
  readonly userId: string;
  readonly projectId: string;
  readonly startedAt: string;
  readonly updatedAt: string;
  /** `Error` when it failed. */
  readonly message: string | null;
  readonly events: readonly ActionEvent[];
};

export type ActionEvent = {
  readonly event: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly result: 'Success' | 'Error' | null;
  readonly host: string | null;
  readonly fault: FaultRecord | null;
  /** Why this host was chosen or none was: counts per filter, bids, refusals. Admins see it. */
  readonly explanation?: Json;
};

/** The event that users and operators know each operation by. */
const ACTION_EVENT: Record<OperationName, string> = {
  create: 'compute__do_build_and_run_instance',
  delete: 'compute_terminate_instance',
  start: 'compute_start_instance',
  stop: 'compute_stop_instance',
  reboot: 'compute_reboot_instance',
  evacuate: 'compute_rebuild_instance',
  createImage: 'compute_snapshot_instance',
  createBackup: 'compute_backup_instance',
  rebuild: 'compute_rebuild_instance',
  shelve: 'compute_shelve_instance',
  shelveOffload: 'compute_shelve_offload_instance',
  unshelve: 'compute_unshelve_instance',
  resize: 'compute_prep_resize',
  migrate: 'compute_prep_resize',
  confirmResize: 'compute_confirm_resize',
  revertResize: 'compute_revert_resize',
  'live-migration': 'compute_live_migration',
  pause: 'compute_pause_instance',
  unpause: 'compute_unpause_instance',
  suspend: 'compute_suspend_instance',
  resume: 'compute_resume_instance',
  rescue: 'compute_rescue_instance',
  unrescue: 'compute_unrescue_instance',
  softDelete: 'compute_soft_delete_instance',
  restore: 'compute_restore_instance',
  changePassword: 'compute_set_admin_password',
  crashDump: 'compute_trigger_crash_dump',
};

/** Where the action that users know has another name than the operation. */
const ACTION_NAME: { readonly [name in OperationName]?: string } = { softDelete: 'delete', crashDump: 'trigger_crash_dump' };

/** The history entry of an operation that begins. */
export function beginAction(operation: Operation, by: { userId: string; projectId: string }, host: string | null): ActionRecord {
  const { name, requestId, startedAt } = operation;
  const event: ActionEvent = { event: ACTION_EVENT[name], startedAt, finishedAt: null, result: null, host, fault: null };
  return {
    requestId,
    action: ACTION_NAME[name] ?? name,
    userId: by.userId,
    projectId: by.projectId,
    startedAt,
    updatedAt: startedAt,
    message: null,
    events: [event],
  };
}

/** The history with an entry that begins and ends at once, beside what runs. */
export function finishedAction(
  actions: readonly ActionRecord[],
  action: string,
  { requestId, userId, projectId }: { requestId: string; userId: string; projectId: string },
  host: string | null,
  at: string,
): readonly ActionRecord[] {
  const event: ActionEvent = { event: `compute_${action}`, startedAt: at, finishedAt: at, result: 'Success', host, fault: null };
  return [...actions, { requestId, action, userId, projectId, startedAt: at, updatedAt: at, message: null, events: [event] }].slice(-ACTIONS_KEPT);
}

const ACTIONS_KEPT = 30;
