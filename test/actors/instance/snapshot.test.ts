import { describe, expect, it } from 'vitest';
import { decide, recover } from '../../../actors/instance/decide.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { InstanceState, Working } from '../../../actors/instance/state.ts';
import type { OperationName } from '../../../actors/model/operation.ts';
import type { Outcome } from '../../../runtime/actor/effect.ts';
import { factsAt, NOW_MS } from '../facts.ts';
import {
  ADMIN,
  asks,
  CALLER,
  DRAFT,
  failed,
  fault,
  IMAGE,
  living,
  mustLive,
  ok,
  operation,
  refusalOf,
  said,
  SETTINGS,
  tag,
  verbOf,
  working,
} from './states.ts';

const act = (state: InstanceState, verb: Verb) => decide(state, { type: 'act', verb, caller: CALLER }, factsAt(), SETTINGS);
const told = (state: InstanceState, type: 'imaged' | 'ran', outcome: Outcome) =>
  decide(state, { type, tag: tag(state as Working), outcome }, factsAt(), SETTINGS);
const done = (more: object = {}) => ok({ is: 'done', power: null, ...more });
const DISK = { diskFormat: 'qcow2', sizeBytes: 7, virtualBytes: 9 };
const CREATE: Verb = { name: 'createImage', image: DRAFT };
const making = (name: OperationName, step: string, more: object = {}, record: object = {}) =>
  working(operation(name, step, { args: { image: DRAFT }, ...more }), { taskState: 'image_snapshot', ...record }, { round: 3 });
const messageOf = (effects: Parameters<typeof asks>[0]) => asks(effects)[0]?.message;

describe('an image of a server', () => {
  it('exists first, then its disk is copied, described, brought there, and it is done', () => {
    const seen: unknown[] = [];
    let at = act(living(), CREATE);
    const note = (): void => void seen.push([mustLive(at.state).taskState, messageOf(at.effects)?.type, verbOf(at.effects)]);
    note();
    const answers: ['imaged' | 'ran', Outcome][] = [
      ['imaged', ok(undefined)],
      ['ran', done({ disk: DISK })],
      ['imaged', ok(undefined)],
      ['ran', done()],
    ];
    for (const [type, outcome] of answers) {
      at = told(at.state, type, outcome);
      note();
    }
    expect(seen).toEqual([
      ['image_snapshot_pending', 'snapshotImage', undefined],
      ['image_snapshot', 'run', 'snapshot'],
      ['image_pending_upload', 'snapshotDescribe', undefined],
      ['image_uploading', 'run', 'upload'],
      ['image_uploading', 'snapshotSettle', undefined],
    ]);
    expect(mustLive(told(at.state, 'imaged', ok(IMAGE)).state)).toMatchObject({
      vmState: 'active',
      taskState: null,
      operation: null,
      host: 'h1',
      generation: 1,
    });
  });

  it('has the format of the copy, and settles once', () => {
    const described = told(making('createImage', 'snapshot'), 'ran', done({ disk: DISK }));
    expect(messageOf(described.effects)).toMatchObject({ type: 'snapshotDescribe', imageId: DRAFT.id, disk: DISK });
    const settled = told(making('createImage', 'upload'), 'ran', done());
    expect(messageOf(settled.effects)).toMatchObject({ type: 'snapshotSettle', imageId: DRAFT.id, rotate: null, isKept: false });
  });

  it('of a backup rotates the older ones when it is whole, not before', () => {
    const begun = act(living(), { name: 'createBackup', image: DRAFT, backupType: 'daily', rotation: 2 });
    expect(mustLive(begun.state)).toMatchObject({ taskState: 'image_backup', operation: { name: 'createBackup', step: 'image' } });
    const args = { image: DRAFT, backupType: 'daily', rotation: 2 };
    const { effects } = told(making('createBackup', 'upload', { args }), 'ran', done());
    expect(messageOf(effects)).toMatchObject({ type: 'snapshotSettle', rotate: { backupType: 'daily', rotation: 2 } });
  });

  it('is made of a locked server too, and of none that does another thing', () => {
    expect(refusalOf(act(living({ locked: true }), CREATE).effects)).toBeUndefined();
    expect(refusalOf(act(making('createImage', 'upload'), CREATE).effects)).toBe('server.state');
  });

  it('asks for quiet file systems when the property of the image says so', () => {
    const quiet = living({ image: { ...IMAGE, properties: { os_require_quiesce: 'yes' } } });
    const { effects } = told(act(quiet, CREATE).state, 'imaged', ok(undefined));
    expect(messageOf(effects)).toMatchObject({ verb: { name: 'snapshot', quiesce: true } });
  });

  for (const [step, type] of [
    ['snapshot', 'ran'],
    ['describe', 'imaged'],
    ['upload', 'ran'],
    ['settle', 'imaged'],
  ] as const) {
    it(`that fails for good at ${step} leaves no copy on the host and the server as it was; conductors look after the image`, () => {
      const why = type === 'ran' ? ok({ is: 'failed', fault: fault('invalid') }) : failed('notFound');
      const discarding = told(making('createImage', step), type, why);
      expect([mustLive(discarding.state).operation?.step, verbOf(discarding.effects)]).toEqual(['discard', 'dropSnapshot']);
      const { state, effects } = told(discarding.state, 'ran', done());
      expect(mustLive(state)).toMatchObject({ vmState: 'active', taskState: null, operation: null, fault: null });
      expect(said(effects)).toEqual(['conductor/any snapshotLeft']);
    });

    it(`is tried again at ${step} while nobody answers`, () => {
      const why = type === 'ran' ? ok({ is: 'failed', fault: fault('unavailable') }) : failed('unavailable');
      const { state, effects } = told(making('createImage', step), type, why);
      expect([mustLive(state).operation?.step, effects.at(-1)]).toMatchObject([step, { do: 'wake', message: { type: 'retry' } }]);
    });

    it(`is taken up at ${step} by whoever owns the server then`, () => {
      expect(asks(recover(making('createImage', step), factsAt(), SETTINGS).effects)).toHaveLength(1);
    });
  }

  it('whose copy is lost before it was brought away is copied again, a few times', () => {
    const lost = ok({ is: 'failed', fault: { ...fault('notFound'), reason: 'snapshot.gone' } });
    const again = told(making('createImage', 'upload'), 'ran', lost);
    expect([mustLive(again.state).operation, verbOf(again.effects)]).toMatchObject([{ step: 'snapshot', attempt: 1 }, 'snapshot']);
    const last = told(making('createImage', 'upload', { attempt: SETTINGS.attemptsMax - 1 }), 'ran', lost);
    expect(mustLive(last.state).operation?.step).toBe('discard');
  });

  it('that cannot be made at all ends at once', () => {
    const { state, effects } = told(making('createImage', 'image'), 'imaged', failed('forbidden'));
    expect([mustLive(state).operation, said(effects)]).toEqual([null, ['conductor/any snapshotLeft']]);
  });

  it('ends at the limit of any step, also when its host is silent', () => {
    const late = recover(making('createImage', 'upload', { stepDueMs: NOW_MS }), factsAt(), SETTINGS);
    expect(mustLive(late.state).operation?.step).toBe('discard');
    const silent = recover(making('createImage', 'discard', { stepDueMs: NOW_MS, args: { image: DRAFT, fault: fault('timeout') } }), factsAt(), SETTINGS);
    expect(mustLive(silent.state)).toMatchObject({ vmState: 'active', operation: null });
  });

  it('is left when the server is deleted meanwhile, or leaves a dead host', () => {
    for (const verb of [{ name: 'delete' }, { name: 'evacuate', target: null, force: false, stopped: false }] as const)
      expect(said(act(making('createImage', 'upload'), verb).effects)).toContain('conductor/any snapshotLeft');
  });
});

describe('a rebuild', () => {
  const REBUILD: Verb = { name: 'rebuild', image: IMAGE, kernel: null, ramdisk: null, changes: { name: 'new', userData: null }, preserveEphemeral: false };
  const rebuilding = (step: string, args: object = { stopped: false }) =>
    working(operation('rebuild', step, { args: args as never }), { taskState: 'rebuilding' }, { round: 2 });
  const up = ok({ is: 'done', power: 'running' });

  it('is seen at once, and makes the guest again where it was, under the same claim and with the same addresses', () => {
    const begun = act(living(), REBUILD);
    expect(mustLive(begun.state)).toMatchObject({ name: 'new', image: { id: IMAGE.id }, taskState: 'rebuilding', host: 'h1', generation: 1 });
    expect(verbOf(begun.effects)).toBe('destroy');
    const wiped = told(begun.state, 'ran', done());
    expect(messageOf(wiped.effects)).toMatchObject({ generation: 1, verb: { name: 'spawn', spec: { image: { id: IMAGE.id } } } });
    expect([mustLive(wiped.state).taskState, wiped.state.parts.claims]).toEqual(['rebuild_spawning', []]);
    const ended = told(wiped.state, 'ran', up);
    expect(mustLive(ended.state)).toMatchObject({ vmState: 'active', taskState: null, operation: null, nics: living().record.nics });
  });

  it('of a stopped server ends with a stopped one', () => {
    expect(mustLive(act(living({ vmState: 'stopped' }), REBUILD).state).operation?.args).toEqual({ stopped: true });
    const stopping = told(rebuilding('spawn', { stopped: true }), 'ran', up);
    expect([mustLive(stopping.state).taskState, verbOf(stopping.effects)]).toEqual(['powering-off', 'stop']);
    expect(mustLive(told(stopping.state, 'ran', ok({ is: 'done', power: 'shutdown' })).state)).toMatchObject({ vmState: 'stopped', operation: null });
  });

  it('that fails leaves the server in error where it is', () => {
    for (const step of ['wipe', 'spawn']) {
      const { state } = told(rebuilding(step), 'ran', ok({ is: 'failed', fault: fault('invalid') }));
      expect(mustLive(state)).toMatchObject({ vmState: 'error', taskState: null, host: 'h1', fault: { reason: 'test.invalid' } });
      expect(state.parts.claims).toEqual([]);
    }
  });

  it('takes no ephemeral disk away from who asked to keep it', () => {
    const { state, effects } = act(living(), { ...REBUILD, preserveEphemeral: true });
    expect(mustLive(state)).toMatchObject({ vmState: 'error', fault: { reason: 'rebuild.preserveEphemeral' } });
    expect(verbOf(effects)).toBeUndefined();
  });

  it('of a server that is on no host fails, and touches nothing', () => {
    const { state, effects } = act(living({ vmState: 'error', host: null }), REBUILD);
    expect([mustLive(state).vmState, asks(effects)]).toEqual(['error', []]);
  });
});

describe('an image that is called off', () => {
  it('by hand is left to the conductors, and nothing of it goes on', () => {
    const { state, effects } = decide(
      making('createImage', 'upload'),
      { type: 'act', verb: { name: 'resetState', to: 'error' }, caller: ADMIN },
      factsAt(),
      SETTINGS,
    );
    expect(mustLive(state)).toMatchObject({ vmState: 'error', taskState: null, operation: null });
    expect(said(effects)).toContain('conductor/any snapshotLeft');
  });

  it('by a delete that can be undone leaves a server that can be restored; one that is being shelved cannot', () => {
    const soft = { ...SETTINGS, reclaimAfterMs: 60_000 };
    const deleted = (state: InstanceState) => decide(state, { type: 'act', verb: { name: 'delete' }, caller: CALLER }, factsAt(), soft);
    const { state, effects } = deleted(making('createImage', 'snapshot'));
    expect([mustLive(state).operation?.name, verbOf(effects)]).toEqual(['softDelete', 'stop']);
    expect(said(effects)).toContain('conductor/any snapshotLeft');
    expect(mustLive(deleted(making('shelve', 'snapshot')).state).operation?.name).toBe('delete');
    expect(mustLive(deleted(living({ vmState: 'shelved', shelved: { image: IMAGE, offloadDueMs: null } })).state).operation?.name).toBe('delete');
  });

  it('is no image that only a rescue boots', () => {
    const rescuing = working(operation('rescue', 'rescue', { args: { image: { ...IMAGE }, kernel: null, ramdisk: null } }), { taskState: 'rescuing' });
    expect(said(act(rescuing, { name: 'delete' }).effects)).not.toContain('conductor/any snapshotLeft');
  });
});
