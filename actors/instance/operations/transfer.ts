/**
 * A living server gets another host or size: resize, cold and live migration. The steps, each a commit:
 *
 *              cold                                    live
 *   place      the store takes a standby claim beside the active one, with the next generation
 *   park       the source switches the guest off      prepare   the destination sets aside what is needed
 *              and sets it aside                      send      the source sends; at the end the guest is held
 *   receive    the source offers, the destination fetches: the guest lies there, asleep
 *   [swap]     one commit: the other claim is the active one, and host, generation and flavor are its
 *   finish     the destination starts it               the destination lets it go on
 *   —          resized: both claims stay (settle.ts)   depart    the source destroys what it has, its claim goes
 *
 * P3: a guest runs under the active claim alone. Before the swap everything at the destination is asleep, after it
 * everything at the source is; the source was put to sleep before the swap was asked for, and only a swap back wakes it.
 *
 * What fails is taken back: `clear` (the destination destroys; not after a swap without certainty or proof) and `back`
 * (the source wakes). Delete wins at any step. Addresses stay with the server throughout.
 */
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { Fault, type FaultRecord, type Json } from '../../../runtime/base/fault.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { ClaimChange } from '../../model/commit.ts';
import type { MigrationStatus } from '../../model/migration.ts';
import { placeOf } from '../../model/between.ts';
import type { Move, Place } from '../../model/move.ts';
import type { PowerState, TaskState } from '../../model/server-state.ts';
import { toGuestSpec } from '../guest-spec.ts';
import { migrationOf } from '../migrations.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, NO_SOFT, soften, type InstanceState, type Working } from '../state.ts';
import { lookAt, place } from './create.ts';
import { ended, faultOf, finishedMove, isCalledOff, moving, standbyOf, takeUp, unplaced, type Moving } from './move-ends.ts';
import { runVerbAt, type OperationRules } from './rules.ts';

/** How long a source keeps who asks for progress waiting. */
const PROGRESS_WAIT_MS = 2_000;

export const TRANSFER: OperationRules = {
  resume(state, facts, settings) {
    switch (state.record.operation.step) {
      case 'place':
        return place(state, settings);
      case 'park':
        return runVerbAt(state, placeOf(state.record), { name: 'park', graceMs: settings.stopGraceMs }, settings);
      case 'prepare':
        return runVerbAt(state, standbyOf(state), { name: 'prepare', spec: specOf(moving(state)) }, settings);
      case 'send': {
        const force = state.record.operation.args['force'] === true;
        return runVerbAt(state, placeOf(state.record), { name: 'send', force }, settings, { waitMs: Math.min(PROGRESS_WAIT_MS, settings.verbWaitMs) });
      }
      case 'receive':
        return receive(moving(state), settings);
      case 'finish':
        return finish(moving(state), facts, settings);
      case 'depart':
        return runVerbAt(state, standbyOf(state), { name: 'destroy' }, settings);
      default:
        return takeBack(moving(state), settings);
    }
  },

  verbDone(state, power, facts, settings, answer) {
    const now = moving(state);
    switch (state.record.operation.step) {
      case 'park':
        return step(now, 'receive', settings.moveLimitMs, 'resize_migrated', 'migrating', facts, settings);
      case 'prepare':
        return step(now, 'send', settings.moveLimitMs, 'migrating', 'running', facts, settings);
      case 'send':
        return step(now, 'receive', settings.moveLimitMs, 'migrating', 'running', facts, settings);
      case 'receive':
        if (state.soft.way !== null) return swap(now, facts, settings);
        if (answer?.way === undefined) return TRANSFER.failed(state, NO_WAY, facts, settings);
        return receive(moving(soften(state, { way: answer.way }) as Working), settings);
      case 'finish':
        return now.record.move.kind === 'live-migration' ? depart(now, facts, settings) : resized(now, power ?? 'running', facts, settings);
      case 'depart':
        return departed(now, 'drop', facts);
      case 'clear':
        return cleared(now, 'drop', facts, settings);
      default:
        return isBack(now, power, facts);
    }
  },

  failed(state, fault, facts, settings) {
    const now = moving(state);
    switch (state.record.operation.step) {
      case 'place':
        return unplaced(now, fault, null, facts);
      case 'depart':
        return departed(now, 'doom', facts);
      case 'clear':
        // Nothing ever ran at a destination before the swap. After it, the store has to know that the host is dead.
        return cleared(now, now.record.move.hasSwapped ? 'evacuate' : 'doom', facts, settings);
      case 'back':
        return broken(now, fault, facts);
      default:
        return undo(now, fault, facts, settings);
    }
  },

  progressed(state, progress, facts) {
    const now = moving(state);
    const move = { ...now.record.move, progress };
    if (JSON.stringify(progress) === JSON.stringify(now.record.move.progress)) return state;
    return change(state, { move }, facts, { migration: migrationOf(move, 'running', facts) }) as Working;
  },
};

const NO_WAY = new Fault('internal', 'host.noWay', 'The host did not say where the disk of the server is given.').toRecord();

/** What the host that was to have it says is its word: the store said no to what proves it dead. */
export function moveNotProved(state: Working, facts: Facts): Next<InstanceState> {
  const fault = faultOf(state) ?? new Fault('unavailable', 'host.lost', 'The host of the server does not answer.').toRecord();
  return broken(moving(state), fault, facts);
}

/** A host is dead, somebody says: only the store knows, and it matters only where its silence keeps the server from going back. */
export function moveHostLost(state: Working, host: string, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const now = moving(state);
  const { step: at } = state.record.operation;
  if (!now.record.move.hasSwapped || now.record.host !== host || (at !== 'finish' && at !== 'clear')) return next(state);
  return cleared(now, 'evacuate', facts, settings);
}

function receive(state: Moving, settings: InstanceSettings): Next<InstanceState> {
  const { way } = state.soft;
  const memory = state.record.move.kind === 'live-migration';
  if (way === null) return runVerbAt(state, placeOf(state.record), { name: 'offer' }, settings, { isFresh: true });
  return runVerbAt(state, standbyOf(state), { name: 'receive', spec: specOf(state), way, memory }, settings);
}

function swap(state: Moving, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const { move } = record;
  const to = standbyOf(state);
  const swapped: Move = { ...move, standby: placeOf(record), hasSwapped: true };
  const isLive = move.kind === 'live-migration';
  const there = { ...record, host: to.host, zone: to.zone, generation: to.generation, flavor: move.newFlavor, move: swapped };
  const { host, zone, generation, flavor } = there;
  const begun = change(
    state,
    {
      ...atStep(record, 'finish', settings.powerLimitMs, facts),
      host,
      zone,
      generation,
      flavor,
      move: swapped,
      taskState: isLive ? 'migrating' : 'resize_finish',
    },
    facts,
    {
      claims: [{ op: 'activate', generation, host: to.host }],
      migration: migrationOf(swapped, 'post-migrating', facts),
    },
  ) as Working;
  // Nothing is asked of a server that stays off: its next step is a commit of its own.
  if (move.was === 'stopped') return next(begun, takeUp(begun));
  return TRANSFER.resume(begun, facts, settings);
}

function finish(state: Moving, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { kind, was } = state.record.move;
  const here = placeOf(state.record);
  if (kind === 'live-migration') return runVerbAt(state, here, { name: 'land', paused: was === 'paused' }, settings);
  if (was === 'stopped') return resized(state, 'shutdown', facts, settings);
  return runVerbAt(state, here, { name: 'start' }, settings);
}

/** It waits to be confirmed or reverted. */
function resized(state: Moving, powerState: PowerState, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const confirmDueMs = settings.resizeConfirmMs > 0 ? facts.nowMs + settings.resizeConfirmMs : null;
  const move = { ...record.move, confirmDueMs };
  const waiting = change(
    state,
    {
      vmState: 'resized',
      taskState: null,
      powerState,
      operation: null,
      fault: null,
      move,
      actions: actionEnded(record, facts, { fault: null, host: record.host }),
    },
    facts,
    { migration: migrationOf(move, 'finished', facts) },
  );
  return next({ ...waiting, soft: NO_SOFT });
}

function depart(state: Moving, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  return step(state, 'depart', settings.destroyLimitMs, 'migrating', 'post-migrating', facts, settings);
}

function departed(state: Moving, op: 'drop' | 'doom', facts: Facts): Next<InstanceState> {
  const { record } = state;
  const left = standbyOf(state);
  const { was } = record.move;
  const done = finishedMove(
    state,
    { vmState: was, powerState: was === 'paused' ? 'paused' : 'running', fault: null },
    [{ op, generation: left.generation }],
    'completed',
    null,
    facts,
  );
  return next({ ...done, soft: NO_SOFT }, ...(op === 'doom' ? [lookAt(left.host)] : []));
}

/** From here on the server goes back to where it was. */
export function undo(state: Moving, fault: FaultRecord, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const { args } = record.operation;
  const clearing = change(state, { ...atStep(record, 'clear', settings.destroyLimitMs, facts, { args: { ...args, fault: fault as Json } }) }, facts) as Working;
  return takeBack(moving({ ...clearing, soft: { ...NO_SOFT, round: state.soft.round } } as Working), settings);
}

/** `clear` and `back`, which a revert takes, too. */
export function takeBack(state: Moving, settings: InstanceSettings): Next<InstanceState> {
  const { move, operation } = state.record;
  if (operation.step === 'clear') return runVerbAt(state, move.hasSwapped ? placeOf(state.record) : standbyOf(state), { name: 'destroy' }, settings);
  const home = placeOf(state.record);
  if (move.kind === 'live-migration') return runVerbAt(state, home, { name: 'stay', paused: move.was === 'paused' }, settings);
  return runVerbAt(state, home, { name: 'unpark', run: move.was !== 'stopped' }, settings);
}

/** Nothing of the server is at the destination, or what is there is doomed: the source's claim is the active one again. */
export function cleared(state: Moving, op: 'drop' | 'doom' | 'evacuate', facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const { move } = record;
  const standby = standbyOf(state);
  const gone: Place = move.hasSwapped ? placeOf(record) : standby;
  const left: ClaimChange = op === 'evacuate' ? { op, generation: gone.generation, host: gone.host } : { op, generation: gone.generation };
  const limitMs = settings.powerLimitMs + settings.spawnLimitMs;
  const home = move.hasSwapped ? { host: standby.host, zone: standby.zone, generation: standby.generation, flavor: move.oldFlavor } : {};
  const back = change(
    state,
    {
      ...atStep(record, 'back', limitMs, facts),
      ...home,
      generationTop: Math.max(record.generationTop ?? 0, gone.generation),
      move: { ...move, standby: null, hasSwapped: false },
    },
    facts,
    { claims: [left, ...(move.hasSwapped ? [{ op: 'activate' as const, generation: standby.generation, host: standby.host }] : [])] },
  ) as Working;
  const resumed = takeBack(moving({ ...back, soft: { ...NO_SOFT, round: state.soft.round } } as Working), settings);
  return next(resumed.state, ...(op === 'drop' ? [] : [lookAt(gone.host)]), ...resumed.effects);
}

/** It runs where it did. */
function isBack(state: Moving, power: PowerState | null, facts: Facts): Next<InstanceState> {
  const { was } = state.record.move;
  return ended(
    state,
    { vmState: was, powerState: power ?? (was === 'stopped' ? 'shutdown' : 'running'), fault: isCalledOff(state) ? null : faultOf(state) },
    facts,
  );
}

/** It can't be said to be anywhere. What claims there are stay, so that it may be tried again, evacuated or deleted. */
function broken(state: Moving, fault: FaultRecord, facts: Facts): Next<InstanceState> {
  const { record } = state;
  const why = faultOf(state) ?? fault;
  if (record.move.standby === null) return ended(state, { vmState: 'error', fault: why }, facts);
  const failed = change(
    state,
    {
      vmState: 'error',
      taskState: null,
      operation: null,
      fault: { ...why, at: toIso(facts.nowMs) },
      actions: actionEnded(record, facts, { fault: why, host: record.host }),
    },
    facts,
    { migration: migrationOf(record.move, 'error', facts) },
  );
  return next({ ...failed, soft: NO_SOFT });
}

function step(
  state: Moving,
  name: string,
  limitMs: number,
  taskState: TaskState,
  status: MigrationStatus,
  facts: Facts,
  settings: InstanceSettings,
): Next<InstanceState> {
  const { record } = state;
  const onward = change(state, { ...atStep(record, name, limitMs, facts), taskState }, facts, {
    migration: migrationOf(record.move, status, facts),
  }) as Working;
  return TRANSFER.resume({ ...onward, soft: { ...NO_SOFT, round: state.soft.round } }, facts, settings);
}

function specOf(state: Moving): ReturnType<typeof toGuestSpec> {
  const { record } = state;
  return toGuestSpec({ ...record, generation: standbyOf(state).generation, flavor: record.move.newFlavor });
}
