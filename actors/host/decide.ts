/**
 * What a host does with each message. Pure. It grants claims one at a time, runs verbs in lanes, and tells schedulers
 * and instances what changed; everything outside is a job of perform.ts.
 */
import { unreachable } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Effect, Outcome, ReplyHandle } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import type { GuestEvent, GuestSeen } from '../../drivers/driver.ts';
import { CONDUCTOR } from '../conductor/messages.ts';
import { instanceRef } from '../instance/messages.ts';
import type { Claim } from '../model/placement.ts';
import type { PowerState } from '../model/server-state.ts';
import { claim, expirePromises, release, report } from './claims.ts';
import { answer, ended, forgetOld, hasClaim, run, waited, type RunBody } from './lanes.ts';
import type { HostBeginning, HostProtocol, HostStart } from './messages.ts';
import { reconcile } from './reconcile.ts';
import type { HostSettings } from './settings.ts';
import { claimKey, reportOf, withClaims, type HeldClaim, type HostState } from './state.ts';

const READ_MS = 5_000;
const BEGIN_MS = 60_000;
const CONSOLE_MS = 10_000;
/** Why store and hypervisor are compared: asked for, or by the clock. */
const LOOK = 'look';
const SWEEP = 'sweep';

export function decide(state: HostState, message: MessageOf<HostProtocol>, facts: Facts, settings: HostSettings): Next<HostState> {
  switch (message.type) {
    case 'claim':
      return claim(state, message, facts, settings);
    case 'release':
      return release(state, message, settings);
    case 'run':
      return wanted(state, message, facts, settings);
    case 'consoleOutput':
      return readConsole(state, message, facts);
    case 'report':
      return { state, effects: [{ do: 'reply', value: reportOf(state) }] };
    case 'rowChanged':
      return { state, effects: [askConductor('hostRow', { host: state.name }, 'rowRead', 'row')] };
    case 'guestChanged':
      return guestChanged(state, message.event);
    case 'tick':
      return tick(state, facts, settings);
    case 'started':
      return started(state, message.outcome as Outcome<HostBeginning>, facts, settings);
    case 'listed':
      return listed(state, message.tag, message.outcome as Outcome<{ claims: Claim[]; guests: GuestSeen[] }>);
    case 'ended':
      return verbEnded(state, message.tag, message.outcome as Outcome<{ power: PowerState | null }>, facts, settings);
    case 'claimRead':
      return claimRead(state, message.tag, message.outcome as Outcome<Claim[]>, facts, settings);
    case 'rowRead':
      return rowRead(state, message.outcome as Outcome<Omit<HostStart, 'claims'>>, settings);
    case 'consoleRead':
      return consoleRead(state, message.tag, message.outcome as Outcome<{ base64: string }>);
    case 'waited':
      return waited(state, message.instanceId, message.handle);
    default:
      return unreachable(message);
  }
}

/** First: look at everything. Then: beat, report, forget what is over. */
function tick(state: HostState, facts: Facts, settings: HostSettings): Next<HostState> {
  const again: Effect = { do: 'wake', inMs: settings.tickMs, message: { type: 'tick' }, tag: 'tick' };
  if (state.phase === 'starting') return { state, effects: [again] };
  if (state.phase === 'new') {
    return { state: { ...state, phase: 'starting' }, effects: [{ do: 'perform', job: 'begin', args: { host: state.name }, as: 'started', tag: 'begin', timeoutMs: BEGIN_MS }, again] };
  }
  const tidy = forgetOld(expirePromises(state, facts.nowMs), facts.nowMs);
  const beat: Effect = { do: 'tell', to: CONDUCTOR, message: { type: 'hostBeat', host: state.name, epoch: state.epoch } as { type: string } };
  const isDue = facts.nowMs - tidy.lookedMs >= settings.lookMs;
  const looking = isDue ? { ...tidy, lookedMs: facts.nowMs } : tidy;
  const sweep = isDue ? [look(state, SWEEP)] : [];
  return { state: looking, effects: [beat, ...report(tidy, settings, null), ...sweep, again] };
}

function started(state: HostState, outcome: Outcome<HostBeginning>, facts: Facts, settings: HostSettings): Next<HostState> {
  // The next tick tries again.
  if (!outcome.ok) return { state: { ...state, phase: 'new' }, effects: [] };
  const { start, inventory, capacity, guests } = outcome.value;
  const claims = new Map<string, HeldClaim>();
  for (const { instanceId, generation, need } of start.claims) claims.set(claimKey(instanceId, generation), { instanceId, generation, need, untilMs: null });
  const { epoch, enabled, zone, aggregates } = start;
  const ready = withClaims({ ...state, phase: 'ready', lookedMs: facts.nowMs, epoch, enabled, zone, aggregates, inventory, capacity }, claims);
  return { state: ready, effects: [...report(ready, settings, null), ...settle(ready, start.claims, guests, LOOK)] };
}

/** Acts on what a look at store and hypervisor found. */
function settle(state: HostState, claims: readonly Claim[], guests: readonly GuestSeen[], why: string): Effect[] {
  const { tells, doomed, strays } = reconcile(state.name, claims, guests);
  // The regular sweep leaves power to events: it must not wake every instance of the host.
  const effects: Effect[] = why === SWEEP ? [] : [...tells];
  if (doomed.length > 0 || strays.length > 0) {
    effects.push({ do: 'perform', job: 'clear', args: { host: state.name, doomed, strays }, as: 'listed', tag: 'cleared', timeoutMs: BEGIN_MS });
  }
  return effects;
}

function listed(state: HostState, tag: string, outcome: Outcome<{ claims: Claim[]; guests: GuestSeen[] } | { gone: { instanceId: string; generation: number }[] }>): Next<HostState> {
  if (!outcome.ok) return { state, effects: [] };
  if ('claims' in outcome.value) {
    // A guest whose verb runs just now is in between: its operation tells.
    const guests = outcome.value.guests.filter(({ instanceId }) => instanceId === null || !state.lanes.get(instanceId)?.running);
    const settled = outcome.value.claims.filter(({ instanceId }) => !state.lanes.get(instanceId)?.running);
    return { state, effects: settle(state, settled, guests, tag) };
  }
  const claims = new Map(state.claims);
  for (const { instanceId, generation } of outcome.value.gone) claims.delete(claimKey(instanceId, generation));
  return { state: withClaims(state, claims), effects: [] };
}

function wanted(state: HostState, body: RunBody, facts: Facts, settings: HostSettings): Next<HostState> {
  const starting = new Fault('unavailable', 'host.starting', 'The host is starting.');
  if (state.phase !== 'ready') return answer(state, null, { is: 'failed', fault: starting.toRecord() });
  const epoch = facts.senderEpoch ?? 0;
  if (hasClaim(state, body.instanceId, body.generation)) return run(state, body, null, epoch, facts, settings);
  // Not known here: the promise may have run out, or its commit came late. The store decides.
  const handle = facts.holdReply();
  const tag = JSON.stringify({ body, handle, epoch });
  return { state, effects: [askConductor('hostClaims', { host: state.name, instanceId: body.instanceId }, 'claimRead', tag)] };
}

function claimRead(state: HostState, tag: string, outcome: Outcome<Claim[]>, facts: Facts, settings: HostSettings): Next<HostState> {
  const { body, handle, epoch } = JSON.parse(tag) as { body: RunBody; handle: ReplyHandle; epoch: number };
  if (!outcome.ok) return answer(state, handle, { is: 'failed', fault: outcome.fault });
  const found = outcome.value.find((recorded) => recorded.generation === body.generation);
  if (!found) {
    // Nothing recorded: nothing of it may be here. A destroy is done when there is nothing.
    return answer(state, handle, body.verb.name === 'destroy' ? { is: 'done', power: null } : { is: 'noClaim' });
  }
  const claims = new Map(state.claims);
  claims.set(claimKey(body.instanceId, body.generation), { instanceId: body.instanceId, generation: body.generation, need: found.need, untilMs: null });
  return run(withClaims(state, claims), body, handle, epoch, facts, settings);
}

function verbEnded(state: HostState, tag: string, outcome: Outcome<{ power: PowerState | null }>, facts: Facts, settings: HostSettings): Next<HostState> {
  const [instanceId = '', operation = ''] = tag.split(' ');
  return ended(state, instanceId, operation, outcome, facts, settings);
}

function guestChanged(state: HostState, event: GuestEvent | null): Next<HostState> {
  if (state.phase !== 'ready') return { state, effects: [] };
  if (event === null) return { state, effects: [look(state, LOOK)] };
  const { instanceId, generation, power } = event;
  // While a verb runs, what its guest does is the verb's doing.
  if (state.lanes.get(instanceId)?.running) return { state, effects: [] };
  const message = { type: 'guestSeen', host: state.name, generation, power } as { type: string };
  return { state, effects: [{ do: 'tell', to: instanceRef(instanceId), message }] };
}

function rowRead(state: HostState, outcome: Outcome<Omit<HostStart, 'claims'>>, settings: HostSettings): Next<HostState> {
  if (!outcome.ok || state.phase !== 'ready') return { state, effects: [] };
  const { enabled, zone, aggregates, epoch } = outcome.value;
  // A higher epoch is a fence: everything is read anew under the next one.
  if (epoch > state.epoch) return { state: { ...state, phase: 'new' }, effects: [{ do: 'wake', inMs: 0, message: { type: 'tick' }, tag: 'tick' }] };
  const changed: HostState = { ...state, enabled, zone, aggregates, seen: state.seen + 1 };
  return { state: changed, effects: report(changed, settings, null) };
}

function readConsole(state: HostState, body: { instanceId: string; generation: number; maxBytes: number }, facts: Facts): Next<HostState> {
  const { instanceId, generation, maxBytes } = body;
  const handle = facts.holdReply();
  return { state, effects: [{ do: 'perform', job: 'console', args: { instanceId, generation, maxBytes }, as: 'consoleRead', tag: String(handle), timeoutMs: CONSOLE_MS }] };
}

function consoleRead(state: HostState, tag: string, outcome: Outcome<{ base64: string }>): Next<HostState> {
  const to = Number(tag);
  return { state, effects: [outcome.ok ? { do: 'reply', value: outcome.value, to } : { do: 'refuse', fault: outcome.fault, to }] };
}

function look(state: HostState, why: string): Effect {
  return { do: 'perform', job: 'look', args: { host: state.name }, as: 'listed', tag: why, timeoutMs: BEGIN_MS };
}

function askConductor(type: string, body: object, as: string, tag: string): Effect {
  return { do: 'ask', to: CONDUCTOR, message: { type, ...body }, as, tag, timeoutMs: READ_MS };
}
