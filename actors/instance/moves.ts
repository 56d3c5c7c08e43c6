/**
 * How moves begin and end with the verbs of a server: what one changes when it is accepted, what a delete or an
 * evacuation does to one that waits, who may interfere with one that runs. Pure.
 */
import type { Effect } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import { toIso } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { hostRef } from '../host/messages.ts';
import type { InstanceRecord } from '../model/instance.ts';
import { quotaDelta, withoutMove } from '../model/between.ts';
import type { Move } from '../model/move.ts';
import type { MigrationWrite } from '../model/migration.ts';
import { finishedAction, type Operation } from '../model/operation.ts';
import type { Refusal, Verb as RuleName } from '../model/server-state.ts';
import type { Caller, RecordVerb, Verb } from './messages.ts';
import { evacuationOf, migrationOf } from './migrations.ts';
import { lookAt, releaseAt } from './operations/create.ts';
import { unplaced } from './operations/move-ends.ts';
import { undo } from './operations/transfer.ts';
import { nextGeneration } from '../model/between.ts';
import type { InstanceSettings } from './settings.ts';
import { change, next, type InstanceState, type Living, type Parts, type Working } from './state.ts';

/** Verbs that begin an operation. */
export type MovingVerb = Exclude<Verb, RecordVerb | { readonly name: 'abortMigration' | 'forceMigration' }>;

type By = Pick<Caller, 'userId' | 'projectId' | 'requestId'>;
export type Opening = { readonly changes: Partial<InstanceRecord>; readonly parts: Partial<Parts>; readonly effects: readonly Effect[] };

export const NOTHING: Opening = { changes: {}, parts: {}, effects: [] };

/** What the commit that accepts a verb changes besides the operation. */
export function opening(record: InstanceRecord, verb: MovingVerb, operation: Operation, by: By, facts: Facts): Opening {
  switch (verb.name) {
    case 'resize':
    case 'migrate':
    case 'live-migration':
      return moveBegins(record, verb, by, facts);
    case 'confirmResize':
    case 'revertResize': {
      if (!record.move) return NOTHING;
      const status = verb.name === 'confirmResize' ? 'confirming' : 'reverting';
      return { ...NOTHING, parts: { migration: migrationOf(record.move, status, facts) } };
    }
    case 'delete':
    case 'forceDelete':
      if (record.move) return leftOver(record, record.move, record.vmState === 'resized' ? 'confirmed' : 'error', facts);
      return { ...NOTHING, parts: { migration: calledOff(record, facts) } };
    case 'evacuate': {
      const left = record.move ? leftOver(record, record.move, 'error', facts) : NOTHING;
      // The record of the move that was left is written at its end, by whoever failed; here the new one begins.
      const working = { record: { ...record, operation } } as Working;
      return { ...left, parts: { ...left.parts, migration: evacuationOf(working, 'accepted', null, facts) } };
    }
    default:
      return NOTHING;
  }
}

/** Of an evacuation that another operation replaces. */
export function calledOff(record: InstanceRecord, facts: Facts): MigrationWrite | null {
  return record.operation?.name === 'evacuate' ? evacuationOf({ record } as Working, 'cancelled', record.host, facts) : null;
}

/** Of whatever of this sort runs, when it ends without an end. */
export function givenUp(record: InstanceRecord, facts: Facts): MigrationWrite | null {
  const { move, operation } = record;
  if (move) return migrationOf(move, 'error', facts);
  return operation?.name === 'evacuate' ? evacuationOf({ record } as Working, 'error', record.host, facts) : null;
}

type Begins = Extract<MovingVerb, { readonly name: 'resize' | 'migrate' | 'live-migration' }>;

function moveBegins(record: InstanceRecord, verb: Begins, by: By, facts: Facts): Opening {
  const { vmState, flavor, host } = record;
  const move: Move = {
    migrationId: facts.newId(),
    kind: verb.name === 'migrate' ? 'migration' : verb.name,
    userId: by.userId,
    projectId: by.projectId,
    createdAt: toIso(facts.nowMs),
    standby: null,
    hasSwapped: false,
    source: host ?? '',
    dest: null,
    oldFlavor: flavor,
    newFlavor: verb.name === 'resize' ? verb.flavor : flavor,
    was: vmState === 'stopped' || vmState === 'paused' ? vmState : 'active',
    confirmDueMs: null,
    progress: null,
  };
  const after = { ...record, move };
  const diskConfig = verb.name === 'resize' && verb.diskConfig !== null ? { diskConfig: verb.diskConfig } : {};
  const status = verb.name === 'live-migration' ? 'accepted' : 'pre-migrating';
  return { changes: { move, ...diskConfig }, parts: { quota: quotaDelta(record, after), migration: migrationOf(move, status, facts) }, effects: [] };
}

/** Nobody goes back to the other place: what is there is doomed, and its host has to confirm its end. */
export function leftOver(record: InstanceRecord, move: Move, status: 'confirmed' | 'error', facts: Facts): Opening {
  const { standby } = move;
  const over = withoutMove(record);
  return {
    changes: over,
    parts: {
      claims: standby ? [{ op: 'doom', generation: standby.generation }] : [],
      quota: quotaDelta(record, { ...record, ...over }),
      migration: migrationOf(move, status, facts),
    },
    effects: standby ? [lookAt(standby.host)] : [],
  };
}

/** Wall milliseconds at which a waiting server is confirmed by itself; null: it is not. */
export function confirmDueMs({ vmState, move }: InstanceRecord): number | null {
  return vmState === 'resized' ? (move?.confirmDueMs ?? null) : null;
}

const FREE: ReadonlySet<RuleName> = new Set([
  'delete',
  'evacuate',
  'update',
  'metadata',
  'tags',
  'abortMigration',
  'forceMigration',
  'forceDelete',
  'lock',
  'unlock',
  'resetState',
  'network',
  'securityGroups',
  'guestPassword',
  'crashDump',
]);

/** Beyond the table: only a server that holds two claims is confirmed or reverted, and it does nothing else. */
export function moveRefusal(rule: RuleName, { vmState, taskState, move, operation }: InstanceRecord): Refusal | undefined {
  const settles = rule === 'confirmResize' || rule === 'revertResize';
  if (settles && !move?.hasSwapped) return { attribute: 'vm_state', value: vmState };
  if (settles && operation !== null) return { attribute: 'task_state', value: taskState ?? operation.name };
  if (!settles && move && operation === null && !FREE.has(rule)) return { attribute: 'vm_state', value: vmState };
  return undefined;
}

type Interference = Extract<Verb, { readonly name: 'abortMigration' | 'forceMigration' }>;

/** Of the migration that runs alone, and only before its other place is the active one. */
export function interfere(state: Living, verb: Interference, caller: Caller, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const { operation, move } = record;
  const isIt = operation?.name === 'live-migration' && move?.migrationId === verb.migrationId;
  const steps = verb.name === 'forceMigration' ? ['send'] : ['place', 'prepare', 'send', 'receive'];
  if (!isIt || !steps.includes(operation.step)) {
    const fault = new Fault('invalid', 'migration.state', `The migration of instance ${record.id} is not running.`);
    return next(state, { do: 'refuse', fault: fault.toRecord() });
  }
  const isForced = verb.name === 'forceMigration';
  const args = { ...operation.args, ...(isForced ? { force: true } : { aborted: true }) };
  const actions = finishedAction(record.actions, isForced ? 'live_migration_force_complete' : 'live_migration_cancel', caller, record.host, toIso(facts.nowMs));
  const told = change(state, { operation: { ...operation, args }, actions }, facts) as Working;
  if (isForced) {
    const message = { type: 'hurry', instanceId: record.id, generation: record.generation } as { type: string };
    return next(told, { do: 'replyStored' }, { do: 'tell', to: hostRef(record.host ?? ''), message });
  }
  const fault = new Fault('cancelled', 'operation.replaced.abort', 'Called off by an administrator.').toRecord();
  const { asked } = state.soft;
  const ended = operation.step === 'place' ? unplaced(told, fault, null, facts) : undo(told as Parameters<typeof undo>[0], fault, facts, settings);
  const released = asked ? [releaseAt(asked.host, record.id, nextGeneration(record))] : [];
  return next(ended.state, { do: 'replyStored' }, ...released, ...ended.effects);
}
