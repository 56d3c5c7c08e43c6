/**
 * What an instance does with each message. Pure: state and message in, state and effects out; the runtime commits a
 * changed record first. One command at a time; delete alone replaces what runs.
 */
import { Fault, type FaultRecord } from '../../runtime/base/fault.ts';
import { toIso } from '../../runtime/base/clock.ts';
import { unreachable } from '../../runtime/base/check.ts';
import type { Outcome } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import type { RecoveryDoorProtocol } from '../conductor/messages/recovery.ts';
import type { VerbAnswer } from '../host/messages.ts';
import type { Nic } from '../model/addressing.ts';
import type { Operation, OperationName } from '../model/operation.ts';
import { nextGeneration } from '../model/between.ts';
import type { ClaimAnswer, Placed } from '../model/placement.ts';
import type { GroupPlaces } from '../model/server-group.ts';
import { ALLOWED, refusal, refusalText, type TaskState, type Verb as RuleName, type VmState } from '../model/server-state.ts';
import { applyChanges } from './changes.ts';
import { dueInTime, isDue } from './due.ts';
import type { Caller, InstanceChanges, InstanceProtocol, Verb } from './messages.ts';
import { answerWaiter, CHANGE_PASSWORD, CRASH_DUMP } from './operations/answered.ts';
import { addressed, claimed, CREATE, grouped, hostLost, notProved, placed, placementRefused, releaseAt } from './operations/create.ts';
import { checkHost, DELETE, gone, hostStood } from './operations/delete.ts';
import { EVACUATE } from './operations/evacuate.ts';
import { CONFIRM, REVERT } from './operations/settle.ts';
import { moveHostLost, moveNotProved, TRANSFER } from './operations/transfer.ts';
import { PAUSE, RESCUE, rescueArgs, RESUME, SUSPEND, UNPAUSE, UNRESCUE } from './operations/in-place.ts';
import { REBOOT, START, STOP } from './operations/power.ts';
import { REBUILD, rebuilt } from './operations/rebuild.ts';
import { changeRecord, isRecordVerb } from './operations/record-only.ts';
import { verbEnded, type OperationRules } from './operations/rules.ts';
import { confirmDueMs, givenUp, interfere, moveRefusal, type MovingVerb, opening } from './moves.ts';
import { offloadByClock, offloadDueMs, offloadInTime, SHELVE, SHELVE_OFFLOAD } from './operations/shelve.ts';
import { firstTask, imaged, imageLeft, SNAPSHOT } from './operations/snapshot.ts';
import { isReclaimDue, reclaim, RESTORE, SOFT_DELETE, softDeleted } from './operations/soft-delete.ts';
import { UNSHELVE } from './operations/unshelve.ts';
import { powerSeen } from './power-sync.ts';
import { quotaAgain } from './quota-change.ts';
import type { InstanceSettings } from './settings.ts';
import { actionBegun, actionEnded, change, isWorking, next, NO_PARTS, NO_SOFT, soften, tagOf, type InstanceState, type Living, type Working } from './state.ts';

const RULES: Record<OperationName, OperationRules> = {
  create: CREATE,
  delete: DELETE,
  start: START,
  stop: STOP,
  reboot: REBOOT,
  evacuate: EVACUATE,
  createImage: SNAPSHOT,
  createBackup: SNAPSHOT,
  rebuild: REBUILD,
  shelve: SHELVE,
  shelveOffload: SHELVE_OFFLOAD,
  unshelve: UNSHELVE,
  pause: PAUSE,
  unpause: UNPAUSE,
  suspend: SUSPEND,
  resume: RESUME,
  rescue: RESCUE,
  unrescue: UNRESCUE,
  softDelete: SOFT_DELETE,
  restore: RESTORE,
  changePassword: CHANGE_PASSWORD,
  crashDump: CRASH_DUMP,
  resize: TRANSFER,
  migrate: TRANSFER,
  'live-migration': TRANSFER,
  confirmResize: CONFIRM,
  revertResize: REVERT,
};

export function decide(before: InstanceState, message: MessageOf<InstanceProtocol>, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const after = decideOn(before.parts === NO_PARTS ? before : { ...before, parts: NO_PARTS }, message, facts, settings);
  if (!isWorking(before) || (isWorking(after.state) && tagOf(after.state) === tagOf(before))) return after;
  // What a round that is over still asks for must not arrive after what the next one asks: a spawn after a destroy.
  return { ...after, effects: [{ do: 'abort', tag: tagOf(before) }, ...after.effects] };
}

function decideOn(state: InstanceState, message: MessageOf<InstanceProtocol>, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  switch (message.type) {
    case 'get':
      return next(state, { do: 'replyStored' });
    case 'act':
      return isLiving(state) ? act(state, message.verb, message.caller, facts, settings) : next(state, refuse(notFound(state.id)));
    case 'update':
      return isLiving(state) ? update(state, message.changes, message.caller, facts) : next(state, refuse(notFound(state.id)));
    case 'wake':
      if (isLiving(state) && facts.nowMs >= (offloadDueMs(state.record) ?? Infinity)) return offloadByClock(state, facts, settings);
      if (isWorking(state)) return looked(state, facts, settings);
      return isLiving(state) && isReclaimDue(state, facts) ? reclaim(state, facts, settings) : confirmWhenDue(state, facts, settings);
    case 'guestSeen':
      return isLiving(state) ? powerSeen(offloadInTime(state, facts, settings), message, facts, settings) : next(state);
    case 'retry':
      if (!isWorking(state) || message.tag !== tagOf(state)) return next(state);
      return takeUp(withoutWay(state), facts, settings);
    case 'hostLost':
      return lost(state, message.host, facts, settings);
    case 'checkHost':
      return isWorking(state) && message.tag === tagOf(state) ? checkHost(state) : next(state);
    case 'placed':
    case 'grouped':
    case 'addressed':
    case 'claimed':
    case 'ran':
    case 'hostStood':
    case 'imaged':
      return answered(state, message, facts, settings);
    default:
      return unreachable(message);
  }
}

/** After an activation: takes up the open operation. */
export function recover(state: InstanceState, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return isWorking(state) ? takeUp(state, facts, settings) : confirmWhenDue(state, facts, settings);
}

/** Somebody says that the row should be looked at: what runs goes on, unless its time is over. */
function looked(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return isDue(state, facts) ? expire(state, facts, settings) : next(dueInTime(state, facts, settings));
}

function takeUp(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return isDue(state, facts) ? expire(state, facts, settings) : resume(dueInTime(state, facts, settings), facts, settings);
}

/** The store refused a commit by one of its rules. */
export function refused(state: InstanceState, why: string, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (isWorking(state) && why === 'hostNotProved' && state.record.move) {
    // A word too early changes nothing.
    return isDue(state, facts) ? moveNotProved(state, facts) : next(state);
  }
  if (isWorking(state) && why === 'hostNotProved') return (RULES[state.record.operation.name].notProved ?? notProved)(state, facts, settings);
  const isPlacing = isWorking(state) && state.record.operation.step === 'place';
  if (why === 'quota' && !isPlacing) return next(state, refuse(OVER_QUOTA));
  if (!isWorking(state) || state.record.operation.step !== 'place') throw new Error(`a commit was refused: ${why}`);
  return isDue(state, facts) ? expire(state, facts, settings) : placementRefused(state, why, facts, settings);
}

/** Too many crashes: the operation ends with a fault, never in silence. */
export function giveUp(state: InstanceState, fault: FaultRecord, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!isWorking(state)) return next(state);
  const { name } = state.record.operation;
  if (name === 'delete') return gone(state, 'doom', facts);
  if (name === 'softDelete') return softDeleted(state, state.record.powerState, facts, settings);
  const actions = actionEnded(state.record, facts, { fault });
  return next({
    ...change(state, { vmState: 'error', taskState: null, operation: null, fault: { ...fault, at: toIso(facts.nowMs) }, actions }, facts, {
      migration: givenUp(state.record, facts),
    }),
    soft: NO_SOFT,
  });
}

export function resume(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return RULES[state.record.operation.name].resume(state, facts, settings);
}

function expire(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { name, step } = state.record.operation;
  const fault = new Fault('timeout', `operation.${name}.${step}`, `The server's ${name} did not end in time.`, { detail: `step ${step}` });
  return RULES[name].failed(state, fault.toRecord(), facts, settings);
}

type Standing = RecoveryDoorProtocol['hostStanding']['reply'];
type AnswerMessage = Extract<MessageOf<InstanceProtocol>, { type: 'placed' | 'grouped' | 'addressed' | 'claimed' | 'ran' | 'hostStood' | 'imaged' }>;

function answered(state: InstanceState, message: AnswerMessage, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!isWorking(state) || message.tag !== tagOf(state)) return stale(state, message);
  switch (message.type) {
    case 'placed':
      return placed(state, message.outcome as Outcome<Placed>, facts);
    case 'grouped':
      return grouped(state, message.outcome as Outcome<GroupPlaces | null>, settings);
    case 'addressed':
      return addressed(state, message.outcome as Outcome<Nic>, facts);
    case 'claimed':
      return claimed(state, message.outcome as Outcome<ClaimAnswer>, facts, settings);
    case 'hostStood':
      return hostStood(state, message.outcome as Outcome<Standing>, facts, settings);
    case 'imaged':
      return imaged(state, message.outcome, RULES[state.record.operation.name], facts, settings);
    case 'ran':
      return verbEnded(state, message.outcome as Outcome<VerbAnswer>, RULES[state.record.operation.name], facts, settings);
    default:
      return unreachable(message);
  }
}

/** A dead host: what is being made there is made elsewhere, what is being deleted is gone for its user. */
function lost(state: InstanceState, host: string, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!isWorking(state) || state.record.host !== host) return next(state);
  if (state.record.move) return moveHostLost(state, host, facts, settings);
  const { name } = state.record.operation;
  if (name === 'delete') return gone(state, 'doom', facts);
  return name === 'create' || name === 'evacuate' || (name === 'unshelve' && state.record.operation.step !== 'start')
    ? hostLost(state, host, facts, settings)
    : next(state);
}

/** An answer to a round that is over. A promise that nobody needs any more runs out by itself. */
function stale(state: InstanceState, _message: AnswerMessage): Next<InstanceState> {
  return next(state);
}

function act(state: Living, verb: Verb, caller: Caller, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  if (record.deleted) return next(state, refuse(notFound(record.id)));
  const illegal = checkLegal(state, ruleOf(verb), actionOf(verb), caller);
  if (isRecordVerb(verb)) return illegal ? next(state, refuse(illegal)) : changeRecord(state, verb, caller, facts);
  if (verb.name === 'abortMigration' || verb.name === 'forceMigration')
    return illegal ? next(state, refuse(illegal)) : interfere(state, verb, caller, facts, settings);
  const name = meantBy(verb, record, settings);
  if (name === 'nothing') return next(state, { do: 'replyStored' });
  return illegal ? next(state, refuse(illegal)) : begin(state, verb, name, caller, facts, settings);
}

function begin(
  state: Living,
  verb: MovingVerb,
  name: OperationName,
  caller: Pick<Caller, 'userId' | 'projectId' | 'requestId'>,
  facts: Facts,
  settings: InstanceSettings,
): Next<InstanceState> {
  const { record } = state;
  const operation: Operation = {
    name,
    id: facts.newId(),
    step: firstStep(name, record),
    args: argsOf(verb, record),
    requestId: caller.requestId,
    startedAt: toIso(facts.nowMs),
    stepDueMs: facts.nowMs + limitOf(verb, name, settings),
    attempt: 0,
    excludedHosts: leaves(verb, settings) && record.host !== null ? [record.host] : [],
  };
  const called = record.operation ? actionEnded(record, facts, { fault: calledOff(verb.name) }) : record.actions;
  const actions = actionBegun({ ...record, actions: called }, operation, caller);
  // What the replaced operation had in flight is taken back; its answers are stale from here on.
  const takenBack = state.soft.asked ? [releaseAt(state.soft.asked.host, record.id, nextGeneration(record))] : [];
  const opened = opening(record, verb, operation, caller, facts);
  const first = [...(isAnsweredAtEnd(verb) ? [] : [{ do: 'replyStored' } as const]), ...answerWaiter(state.soft), ...takenBack, ...opened.effects];
  const soft = { ...NO_SOFT, round: state.soft.round + 1, ...(isAnsweredAtEnd(verb) && { waiter: facts.holdReply(), secret: secretOf(verb) }) };
  const quota = name === 'restore' ? { quota: quotaAgain(record) } : {};
  const changes = { ...opened.changes, ...changesOf(verb), operation, taskState: taskOf(verb, name), actions };
  const begun = change({ ...state, soft }, changes, facts, { ...opened.parts, ...quota }) as Working;
  // A server that never reached a host needs no host to end: one commit.
  if (name === 'delete' && record.host === null) {
    const ended = gone(begun, 'drop', facts);
    const parts = { ...ended.state.parts, migration: begun.parts.migration ?? null };
    return next({ ...ended.state, parts }, ...first, ...ended.effects);
  }
  const resumed = resume(begun, facts, settings);
  const left = record.operation ? imageLeft(record) : [];
  return next(resumed.state, ...first, ...left, ...resumed.effects);
}

/** What a delete does depends on what can be undone; it is accepted again while it runs, and when it is done. */
function meantBy(verb: MovingVerb, record: Living['record'], { reclaimAfterMs }: InstanceSettings): OperationName | 'nothing' {
  const running = record.operation?.name;
  if (verb.name === 'forceDelete') return running === 'delete' ? 'nothing' : 'delete';
  if (verb.name !== 'delete') return verb.name;
  if (running === 'delete') return 'nothing';
  // What is between two places is not kept: the other place is given up at once.
  if (record.move) return 'delete';
  if (reclaimAfterMs === 0 || record.launchedAt === null || record.host === null) return 'delete';
  if (running === 'softDelete' || (record.vmState === 'soft-delete' && running !== 'restore')) return 'nothing';
  return RESTORABLE.includes(record.vmState) && (running === undefined || STAYS.includes(running)) ? 'softDelete' : 'delete';
}

/** A server whose guest stands where it did when it is restored: not one that is made anew, moved, or in two places. */
const RESTORABLE: readonly VmState[] = ['active', 'paused', 'suspended', 'stopped', 'rescued', 'error', 'soft-delete'];
const STAYS: readonly OperationName[] = [
  'start',
  'stop',
  'reboot',
  'pause',
  'unpause',
  'suspend',
  'resume',
  'rescue',
  'unrescue',
  'restore',
  'changePassword',
  'crashDump',
  'createImage',
  'createBackup',
];

function isAnsweredAtEnd(verb: MovingVerb): boolean {
  return verb.name === 'changePassword' || verb.name === 'crashDump';
}

function secretOf(verb: MovingVerb): string | null {
  return verb.name === 'changePassword' ? verb.password : null;
}

function update(state: Living, changes: InstanceChanges, caller: Caller, facts: Facts): Next<InstanceState> {
  if (state.record.deleted) return next(state, refuse(notFound(state.record.id)));
  const illegal = checkLegal(state, changedRule(changes), 'update', caller);
  if (illegal) return next(state, refuse(illegal));
  const changed = applyChanges(state.record, changes);
  if (changed instanceof Fault) return next(state, refuse(changed.toRecord()));
  return next(change(state, changed, facts), { do: 'replyStored' });
}

function changedRule(changes: InstanceChanges): RuleName {
  for (const name of ['metadata', 'tags', 'securityGroups', 'guestPassword'] as const) if (changes[name] !== undefined) return name;
  return 'update';
}

/** Why a verb may not begin now, as the API says it; undefined when it may. */
function checkLegal(state: Living, rule: RuleName, verb: string, caller: Caller): FaultRecord | undefined {
  const { record } = state;
  if (ALLOWED[rule].lock && record.locked && !caller.isAdmin) return new Fault('conflict', 'server.locked', `Instance ${record.id} is locked`).toRecord();
  const illegal = moveRefusal(rule, record) ?? refusal(rule, record);
  return illegal ? new Fault('conflict', 'server.state', refusalText(verb, record.id, illegal)).toRecord() : undefined;
}

function firstStep(name: OperationName, { host }: Living['record']): string {
  switch (name) {
    case 'delete':
    case 'confirmResize':
      return 'destroy';
    case 'evacuate':
    case 'resize':
    case 'migrate':
    case 'live-migration':
      return 'place';
    case 'revertResize':
      return 'check';
    case 'createImage':
    case 'createBackup':
    case 'shelve':
      return 'image';
    case 'rebuild':
      return 'wipe';
    case 'shelveOffload':
      return 'offload';
    case 'unshelve':
      return host === null ? 'place' : 'start';
    default:
      return name;
  }
}

/** What is true from the acceptance on. */
function changesOf(verb: MovingVerb): Partial<Living['record']> {
  if (verb.name === 'rebuild') return rebuilt(verb);
  if (verb.name === 'restore') return { reclaimAtMs: null };
  return verb.name === 'unshelve' && verb.zone !== undefined ? { requestedZone: verb.zone } : {};
}

/** Whether the server goes to another host than the one that it is on. */
function leaves(verb: MovingVerb, settings: InstanceSettings): boolean {
  return ['evacuate', 'migrate', 'live-migration'].includes(verb.name) || (verb.name === 'resize' && !settings.resizeToSameHost);
}

function argsOf(verb: MovingVerb, { vmState, host }: Living['record']): Operation['args'] {
  if (verb.name === 'reboot') return { kind: verb.kind };
  if (verb.name === 'createImage' || verb.name === 'shelve') return { image: verb.image };
  if (verb.name === 'createBackup') return { image: verb.image, backupType: verb.backupType, rotation: verb.rotation };
  if (verb.name === 'rebuild') return { stopped: vmState === 'stopped', ...(verb.preserveEphemeral && { preserveEphemeral: true }) };
  if (verb.name === 'unshelve') return verb.host === null ? {} : { target: verb.host };
  if (verb.name === 'migrate' || verb.name === 'live-migration')
    return { ...(verb.target !== null && { target: verb.target }), ...('force' in verb && verb.force && { forcedHost: true }) };
  if (verb.name === 'rescue') return rescueArgs(verb.boot);
  if (verb.name !== 'evacuate') return {};
  const { target, force, stopped } = verb;
  return { source: host, stopped: stopped || vmState === 'stopped', ...(target !== null && { target, forcedHost: force }) };
}

function ruleOf(verb: Verb): RuleName {
  return verb.name === 'reboot' ? (verb.kind === 'soft' ? 'rebootSoft' : 'rebootHard') : verb.name;
}

/** As the refusal names it. */
function actionOf(verb: Verb): string {
  return verb.name === 'crashDump' ? 'trigger_crash_dump' : verb.name;
}

function taskOf(verb: MovingVerb, name: OperationName): TaskState | null {
  switch (verb.name) {
    case 'start':
      return 'powering-on';
    case 'stop':
      return 'powering-off';
    case 'reboot':
      return verb.kind === 'soft' ? 'rebooting' : 'rebooting_hard';
    case 'delete':
    case 'forceDelete':
      return name === 'softDelete' ? 'soft-deleting' : 'deleting';
    case 'pause':
      return 'pausing';
    case 'unpause':
      return 'unpausing';
    case 'suspend':
      return 'suspending';
    case 'resume':
      return 'resuming';
    case 'rescue':
      return 'rescuing';
    case 'unrescue':
      return 'unrescuing';
    case 'restore':
      return 'restoring';
    case 'changePassword':
      return 'updating_password';
    case 'crashDump':
      return null;
    case 'evacuate':
    case 'rebuild':
      return 'rebuilding';
    case 'createImage':
    case 'createBackup':
    case 'shelve':
      return firstTask(verb.name);
    case 'shelveOffload':
      return 'shelving_offloading';
    case 'unshelve':
      return 'unshelving';
    case 'resize':
    case 'migrate':
      return 'resize_prep';
    case 'live-migration':
      return 'migrating';
    case 'confirmResize':
      return 'resize_confirming';
    case 'revertResize':
      return 'resize_reverting';
    default:
      return unreachable(verb);
  }
}

function limitOf(verb: MovingVerb, name: OperationName, settings: InstanceSettings): number {
  if (name === 'delete' || name === 'confirmResize') return settings.destroyLimitMs;
  if (verb.name === 'suspend' || verb.name === 'resume' || verb.name === 'rescue' || verb.name === 'unrescue') return settings.spawnLimitMs;
  if (['evacuate', 'resize', 'migrate', 'live-migration'].includes(verb.name)) return settings.placeLimitMs;
  if (verb.name === 'unshelve') return Math.max(settings.placeLimitMs, settings.powerLimitMs);
  if (verb.name === 'rebuild' || verb.name === 'shelveOffload') return settings.destroyLimitMs;
  if (verb.name === 'stop') return settings.stopGraceMs + settings.powerLimitMs;
  if (verb.name === 'reboot' && verb.kind === 'soft') return settings.rebootGraceMs + settings.powerLimitMs;
  return settings.powerLimitMs;
}

/** A resized server that has waited long enough stays as it is now. */
function confirmWhenDue(state: InstanceState, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!isLiving(state) || state.record.operation !== null || state.record.deleted) return next(state);
  const dueMs = confirmDueMs(state.record);
  if (dueMs === null || facts.nowMs < dueMs) return next(state);
  const { userId, projectId } = state.record;
  const begun = begin(state, { name: 'confirmResize' }, 'confirmResize', { userId, projectId, requestId: `req-${facts.newId()}` }, facts, settings);
  return next(begun.state, ...begun.effects.filter((effect) => effect.do !== 'replyStored'));
}

/** What was offered may not be given any more: it is asked for anew. */
function withoutWay(state: Working): Working {
  return state.soft.way === null ? state : (soften(state, { way: null }) as Working);
}

function calledOff(verb: string): FaultRecord {
  return new Fault('cancelled', `operation.replaced.${verb}`, `Called off by ${verb}.`).toRecord();
}

function notFound(id: string): FaultRecord {
  return new Fault('notFound', 'server.unknown', `Instance ${id} could not be found.`).toRecord();
}

/** The figures are the door's to tell. */
const OVER_QUOTA = new Fault('overQuota', 'quota.exceeded', 'Quota exceeded for the resources of the server.').toRecord();

function refuse(fault: FaultRecord): { do: 'refuse'; fault: FaultRecord } {
  return { do: 'refuse', fault };
}

function isLiving(state: InstanceState): state is Living {
  return state.record !== undefined;
}
