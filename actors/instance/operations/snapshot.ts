/**
 * An image of a server's disk: createImage and createBackup, and the first half of a shelve.
 *
 *   image     the image exists and waits for its bytes; its id was given before, so making it again makes no second one
 *   quiet     (shelve) the guest goes off
 *   snapshot  the host copies the disk and keeps the copy
 *   describe  the image gets the copy's format
 *   upload    the host brings the copy to the image, and drops it
 *   settle    the image has all its bytes; older backups go
 *   discard   what failed leaves no copy on the host
 *   restart   (shelve) what failed leaves a guest that ran running
 *
 * An image that no server needs any more is removed by the conductors (conductor/snapshot-images.ts), however its
 * operation ended: by a fault, a delete, or the end of its node. What ends here only tells them, so that it is soon.
 */
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { Fault, type FaultRecord, type Json } from '../../../runtime/base/fault.ts';
import { CONDUCTOR } from '../../conductor/messages.ts';
import type { ImageDraft, ImageRef } from '../../model/image.ts';
import type { InstanceRecord } from '../../model/instance.ts';
import type { OperationName } from '../../model/operation.ts';
import type { TaskState } from '../../model/server-state.ts';
import { COPY_SLACK_MS, type InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, NO_SOFT, soften, tagOf, type InstanceState, type Working } from '../state.ts';
import { later, runVerb, type OperationRules } from './rules.ts';

const ASK_MS = 15_000;

type Step = 'image' | 'quiet' | 'snapshot' | 'describe' | 'upload' | 'settle' | 'discard' | 'restart';
type Maker = Extract<OperationName, 'createImage' | 'createBackup' | 'shelve'>;

const TASKS: { readonly [name in Maker]: { readonly [step in Step]?: TaskState } } = {
  createImage: { image: 'image_snapshot_pending', snapshot: 'image_snapshot', describe: 'image_pending_upload', upload: 'image_uploading' },
  createBackup: { image: 'image_backup', snapshot: 'image_backup', describe: 'image_pending_upload', upload: 'image_uploading' },
  shelve: { image: 'shelving', describe: 'shelving_image_pending_upload', upload: 'shelving_image_uploading' },
};

export function firstTask(name: Maker): TaskState {
  return TASKS[name].image ?? 'image_snapshot_pending';
}

export const SNAPSHOT: OperationRules = {
  resume: resumeSnapshot,
  verbDone: (state, _power, facts, settings, answer) => {
    const step = state.record.operation.step;
    if (step === 'discard') return ended(state, faultOf(state), facts);
    if (step === 'snapshot') return answer?.disk ? goTo(state, 'describe', facts, settings, { disk: answer.disk }) : noCopy(state, facts, settings);
    return goTo(state, 'settle', facts, settings);
  },
  imaged: (state, _value, facts, settings) => {
    const onward = afterAsk(state, 'snapshot', facts, settings);
    return onward ?? ended(state, null, facts);
  },
  failed: failedSnapshot,
};

/** Also of a shelve. */
export function resumeSnapshot(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { id, operation, host } = state.record;
  const image = draftOf(state.record);
  const { backupType, rotation } = operation.args;
  switch (operation.step) {
    case 'image':
      return askConductor(state, { type: 'snapshotImage', instanceId: id, imageId: image.id });
    case 'describe':
      return askConductor(state, { type: 'snapshotDescribe', instanceId: id, imageId: image.id, disk: operation.args['disk'] });
    case 'settle': {
      const rotate = typeof backupType === 'string' ? { backupType, rotation: Number(rotation) } : null;
      return askConductor(state, { type: 'snapshotSettle', instanceId: id, imageId: image.id, rotate, isKept: operation.name === 'shelve' });
    }
    default:
      break;
  }
  if (host === null) return failedSnapshot(state, new Fault('conflict', 'server.noHost', 'The server is on no host.').toRecord(), facts);
  switch (operation.step) {
    case 'quiet':
      return runVerb(state, host, { name: 'stop', graceMs: settings.stopGraceMs }, settings);
    case 'snapshot':
      return runVerb(state, host, { name: 'snapshot', imageId: image.id, quiesce: asksQuiesce(state.record), limitMs: settings.snapshotLimitMs }, settings);
    case 'upload':
      return runVerb(state, host, { name: 'upload', imageId: image.id, limitMs: settings.uploadLimitMs }, settings);
    case 'restart':
      return runVerb(state, host, { name: 'start' }, settings);
    default:
      return runVerb(state, host, { name: 'dropSnapshot' }, settings);
  }
}

/** What follows a step that a conductor has done; undefined after the last one. `copied`: the step that makes the copy. */
export function afterAsk(state: Working, afterImage: 'snapshot' | 'quiet', facts: Facts, settings: InstanceSettings): Next<InstanceState> | undefined {
  switch (state.record.operation.step) {
    case 'image':
      return goTo(state, afterImage, facts, settings);
    case 'describe':
      return goTo(state, 'upload', facts, settings);
    default:
      return undefined;
  }
}

/** A conductor has answered. */
export function imaged(state: Working, outcome: Outcome, rules: OperationRules, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (outcome.ok) return rules.imaged?.(state, outcome.value, facts, settings) ?? next(state);
  return Fault.fromRecord(outcome.fault).retryable ? later(state, outcome.fault) : rules.failed(state, outcome.fault, facts, settings);
}

export function goTo(
  state: Working,
  step: Step,
  facts: Facts,
  settings: InstanceSettings,
  args: { readonly [name: string]: unknown } = {},
): Next<InstanceState> {
  const { record } = state;
  const { operation } = record;
  const task = TASKS[operation.name as Maker]?.[step] ?? record.taskState;
  const more = { args: { ...operation.args, ...(args as { [name: string]: Json }) } };
  const moved = change(state, { ...atStep(record, step, limitOf(step, settings), facts, more), taskState: task }, facts) as Working;
  return resumeSnapshot(moved, facts, settings);
}

export function noCopy(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return failedSnapshot(state, new Fault('internal', 'snapshot.untold', 'The host did not tell the copy that it made.').toRecord(), facts, settings);
}

/** The copy is lost: another one is made, a few times. Anything else ends the operation, and the server is as it was. */
function failedSnapshot(state: Working, fault: FaultRecord, facts: Facts, settings?: InstanceSettings): Next<InstanceState> {
  const { operation, host } = state.record;
  if (!settings || host === null || operation.step === 'image' || operation.step === 'discard') return ended(state, faultOf(state) ?? fault, facts);
  if (isLost(state, fault, settings)) return copyAgain(state, facts, settings);
  return goTo(state, 'discard', facts, settings, { fault });
}

export function isLost({ record }: Working, fault: FaultRecord, { attemptsMax }: InstanceSettings): boolean {
  return record.operation.step === 'upload' && fault.reason === 'snapshot.gone' && record.operation.attempt + 1 < attemptsMax;
}

export function copyAgain(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { operation } = state.record;
  return goTo({ ...state, record: { ...state.record, operation: { ...operation, attempt: operation.attempt + 1 } } }, 'snapshot', facts, settings);
}

/** What the failed step said, while what it left is taken back. */
export function faultOf({ record }: Working): FaultRecord | null {
  return (record.operation.args['fault'] as FaultRecord | undefined) ?? null;
}

function ended(state: Working, fault: FaultRecord | null, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const actions = actionEnded(record, facts, { fault, host: record.host });
  return next({ ...change(state, { taskState: null, operation: null, actions }, facts), soft: NO_SOFT }, ...imageLeft(record));
}

/** The image that the open operation makes, or that a shelved server comes back from: a conductor looks whether somebody still needs it. */
export function imageLeft(record: InstanceRecord): Effect[] {
  const { operation } = record;
  const draft = operation && operation.name in TASKS ? (operation.args['image'] as ImageDraft | undefined) : undefined;
  const ids = [draft?.id, record.shelved?.image.id].filter((id) => id !== undefined);
  return ids.map((imageId) => ({ do: 'tell', to: CONDUCTOR, message: { type: 'snapshotLeft', imageId } as { type: string } }));
}

export function draftOf({ operation }: Working['record']): ImageDraft {
  return operation.args['image'] as unknown as ImageDraft; // as `act` has put it there
}

/** What the image is by now, as a conductor tells at the end. */
export function toImageRef(value: unknown): ImageRef {
  return value as ImageRef;
}

function askConductor(state: Working, message: { readonly type: string; readonly [member: string]: unknown }): Next<InstanceState> {
  const asking = soften(state, { round: state.soft.round + 1 });
  return next(asking, { do: 'ask', to: CONDUCTOR, message, as: 'imaged', tag: tagOf(asking as Working), timeoutMs: ASK_MS });
}

/** As image properties say it, both of which must be there. */
function asksQuiesce({ image }: InstanceRecord): boolean {
  return /^(yes|true|1|on)$/i.test(image.properties['os_require_quiesce'] ?? '');
}

function limitOf(step: Step, settings: InstanceSettings): number {
  switch (step) {
    case 'snapshot':
      return settings.snapshotLimitMs + COPY_SLACK_MS;
    case 'upload':
      return settings.uploadLimitMs + COPY_SLACK_MS;
    case 'quiet':
      return settings.stopGraceMs + settings.powerLimitMs;
    default:
      return settings.powerLimitMs;
  }
}
