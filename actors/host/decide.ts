/**
 * What a host does with each message. Pure. It grants claims one at a time, runs verbs in lanes, and tells schedulers
 * and instances what changed; everything outside is a job of perform.ts.
 */
import { unreachable } from '../../runtime/base/check.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Effect, Outcome, ReplyHandle } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import type { GuestDiagnostics, GuestEvent, HostUptime } from '../../drivers/driver.ts';
import { CONDUCTOR } from '../conductor/messages.ts';
import { instanceRef } from '../instance/messages.ts';
import type { Claim } from '../model/placement.ts';
import { claim, expirePromises, release, report } from './claims.ts';
import { answer, calledOff, ended, forgetOld, mayRun, mayTouch, run, type RunBody, type VerbEnd, waited } from './lanes.ts';
import { listed, look, settle, toHeld, withTold, type Found } from './look.ts';
import type { HostBeginning, HostProtocol, HostStart, VerbAnswer } from './messages.ts';
import type { HostSettings } from './settings.ts';
import { claimKey, reportOf, withClaims, withLane, type HeldClaim, type HostState } from './state.ts';

const READ_MS = 5_000;
const BEGIN_MS = 60_000;
const CONSOLE_MS = 10_000;
/** All images that are wanted now; what is left then is taken up by the next look. */
const FETCH_MS = 3_600_000;

export function decide(state: HostState, message: MessageOf<HostProtocol>, facts: Facts, settings: HostSettings): Next<HostState> {
  switch (message.type) {
    case 'claim': {
      const { state: after, effects } = claim(state, message, facts, settings);
      // Who is asked although it is disabled may not have heard that it is not any more.
      return { state: after, effects: state.phase === 'ready' && !state.enabled ? [...effects, readRow(state)] : effects };
    }
    case 'release':
      return release(state, message, settings);
    case 'run':
      return wanted(state, message, facts, settings);
    case 'consoleOutput':
      return readConsole(state, message, facts);
    case 'hurry':
      return hurried(state, message);
    case 'progressed': {
      const lane = state.lanes.get(message.instanceId);
      return { state: lane?.running ? withLane(state, message.instanceId, { ...lane, progress: message.progress }) : state, effects: [] };
    }
    case 'hurried':
      return { state, effects: [] };
    case 'hostUptime':
      return readUptime(state, facts);
    case 'diagnostics':
      return readDiagnostics(state, message, facts);
    case 'report':
      return { state, effects: [{ do: 'reply', value: reportOf(state) }] };
    case 'rowChanged':
      return { state, effects: [readRow(state)] };
    case 'guestChanged':
      return guestChanged(state, message.event, facts);
    case 'tick':
      return tick(state, facts, settings);
    case 'started':
      return started(state, message.outcome as Outcome<HostBeginning>, facts, settings);
    case 'beaten':
      return beaten(state, message.tag, message.outcome as Outcome<{ isHeard: boolean }>, settings);
    case 'listed':
      return listed(state, message.tag, message.outcome as Outcome<Found>);
    case 'ended':
      return verbEnded(state, message.tag, message.outcome as Outcome<VerbEnd>, facts, settings);
    case 'claimRead':
      return claimRead(state, message.tag, message.outcome as Outcome<Claim[]>, facts, settings);
    case 'rowRead':
      return rowRead(state, message.outcome as Outcome<Omit<HostStart, 'claims'>>, settings);
    case 'consoleRead':
      return handOn(state, message.tag, message.outcome as Outcome<{ base64: string }>);
    case 'uptimeRead':
      return uptimeRead(state, message.tag, message.outcome as Outcome<{ uptime: HostUptime | null }>);
    case 'imagesFetched':
      return { state: { ...state, fetching: false }, effects: [] };
    case 'diagnosed':
      return handOn(state, message.tag, message.outcome as Outcome<GuestDiagnostics | null>);
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
    return {
      state: { ...state, phase: 'starting' },
      effects: [{ do: 'perform', job: 'begin', args: { host: state.name }, as: 'started', tag: 'begin', timeoutMs: BEGIN_MS }, again],
    };
  }
  const tidy = forgetOld(expirePromises(state, facts.upMs), facts.upMs);
  const { name: host, epoch } = tidy;
  const beat: Effect = { do: 'perform', job: 'beat', args: { host, epoch }, as: 'beaten', tag: `beat ${epoch}`, timeoutMs: READ_MS };
  const isDue = facts.upMs - tidy.lookedMs >= settings.lookMs;
  const looking = isDue ? look(tidy, facts) : { state: tidy, effects: [] };
  return { state: looking.state, effects: [beat, ...report(tidy, settings, null), ...looking.effects, ...(isDue ? [readRow(tidy)] : []), again] };
}

function started(state: HostState, outcome: Outcome<HostBeginning>, facts: Facts, settings: HostSettings): Next<HostState> {
  // The next tick tries again.
  if (!outcome.ok) return { state: { ...state, phase: 'new' }, effects: [] };
  const { start, inventory, capacity, guests } = outcome.value;
  const claims = new Map<string, HeldClaim>();
  for (const recorded of start.claims) claims.set(claimKey(recorded.instanceId, recorded.generation), toHeld(recorded));
  const { epoch, enabled, zone, aggregates } = start;
  const ready = withClaims({ ...state, phase: 'ready', lookedMs: facts.upMs, epoch, enabled, zone, aggregates, inventory, capacity }, claims);
  const settled = settle(ready, { claims: start.claims, guests }, true);
  const fetching = fetchWanted(settled.state, start);
  return { state: fetching.state, effects: [...report(ready, settings, null), ...settled.effects, ...fetching.effects] };
}

/** A beat that is not heard: a fence, or another start. What this life knows is over. */
function beaten(state: HostState, tag: string, outcome: Outcome<{ isHeard: boolean }>, settings: HostSettings): Next<HostState> {
  const isOver = outcome.ok && !outcome.value.isHeard && tag === `beat ${state.epoch}` && state.phase === 'ready';
  return isOver ? beginAnew(state, settings) : { state, effects: [] };
}

/** Nothing is done any more that was begun; everything is read anew under the next epoch (F6). */
function beginAnew(state: HostState, settings: HostSettings): Next<HostState> {
  const effects = [...state.lanes].flatMap(([instanceId, lane]) => calledOff(instanceId, lane));
  const anew: HostState = { ...state, phase: 'new', lanes: new Map(), spawning: 0, told: new Map(), seen: state.seen + 1 };
  return { state: anew, effects: [...effects, ...report(anew, settings, null), { do: 'wake', inMs: 0, message: { type: 'tick' }, tag: 'tick' }] };
}

const STARTING: VerbAnswer = { is: 'failed', fault: new Fault('unavailable', 'host.starting', 'The host is starting.').toRecord() };

function wanted(state: HostState, body: RunBody, facts: Facts, settings: HostSettings): Next<HostState> {
  if (state.phase !== 'ready') return answer(state, null, STARTING);
  const epoch = facts.senderEpoch ?? 0;
  const may = mayRun(state, body);
  if (may !== undefined) return may ? run(state, body, null, epoch, facts, settings) : answer(state, null, { is: 'noClaim' });
  // Not known here: the promise may have run out, or its commit came late. The store decides.
  const handle = facts.holdReply();
  const tag = JSON.stringify({ body, handle, epoch, askedMs: facts.upMs });
  return { state, effects: [askConductor('hostClaims', { host: state.name, instanceId: body.instanceId }, 'claimRead', tag)] };
}

function claimRead(state: HostState, tag: string, outcome: Outcome<Claim[]>, facts: Facts, settings: HostSettings): Next<HostState> {
  const { body, handle, epoch, askedMs } = JSON.parse(tag) as { body: RunBody; handle: ReplyHandle; epoch: number; askedMs: number };
  const lane = state.lanes.get(body.instanceId);
  // Another verb came while the store was asked: this one may be over for who wanted it. If it is not, it is asked again.
  if (lane && lane.operation !== body.operation && (lane.running || lane.endedMs >= askedMs)) return answer(state, handle, { is: 'running' });
  if (!outcome.ok) return answer(state, handle, { is: 'failed', fault: outcome.fault });
  const found = outcome.value.find((recorded) => recorded.generation === body.generation);
  if (!found) {
    // Nothing recorded: nothing of it may be here. A destroy is done when there is nothing.
    return answer(state, handle, body.verb.name === 'destroy' ? { is: 'done', power: null } : { is: 'noClaim' });
  }
  const claims = new Map(state.claims);
  claims.set(claimKey(body.instanceId, body.generation), toHeld(found));
  const known = withClaims(state, claims);
  return mayTouch(toHeld(found), body.verb) ? run(known, body, handle, epoch, facts, settings, true) : answer(known, handle, { is: 'noClaim' });
}

function verbEnded(state: HostState, tag: string, outcome: Outcome<VerbEnd>, facts: Facts, settings: HostSettings): Next<HostState> {
  const [instanceId = '', operation = ''] = tag.split(' ');
  const lane = state.lanes.get(instanceId);
  // Who waits is told by the answer; when nobody does, the next look tells.
  const tells = lane?.operation === operation && lane.waiters.length > 0 && outcome.ok && outcome.value.power !== null;
  const known = tells ? withTold(state, instanceId, lane.generation, outcome.value.power ?? 'pending') : state;
  return ended(known, instanceId, operation, outcome, facts, settings);
}

function guestChanged(state: HostState, event: GuestEvent | null, facts: Facts): Next<HostState> {
  if (state.phase !== 'ready') return { state, effects: [] };
  if (event === null) return look(state, facts);
  const { instanceId, generation, power } = event;
  // While a verb runs, what its guest does is the verb's doing.
  if (state.lanes.get(instanceId)?.running) return { state, effects: [] };
  const message = { type: 'guestSeen', host: state.name, generation, power } as { type: string };
  return { state: withTold(state, instanceId, generation, power), effects: [{ do: 'tell', to: instanceRef(instanceId), message }] };
}

function rowRead(state: HostState, outcome: Outcome<Omit<HostStart, 'claims'>>, settings: HostSettings): Next<HostState> {
  if (!outcome.ok || state.phase !== 'ready') return { state, effects: [] };
  const { enabled, zone, aggregates, epoch } = outcome.value;
  // A higher epoch is a fence.
  if (epoch > state.epoch) return beginAnew(state, settings);
  const changed: HostState = { ...state, enabled, zone, aggregates, seen: state.seen + 1 };
  const fetching = fetchWanted(changed, outcome.value);
  return { state: fetching.state, effects: [...report(changed, settings, null), ...fetching.effects] };
}

function readConsole(state: HostState, body: { instanceId: string; generation: number; maxBytes: number }, facts: Facts): Next<HostState> {
  const { instanceId, generation, maxBytes } = body;
  const handle = facts.holdReply();
  return {
    state,
    effects: [{ do: 'perform', job: 'console', args: { instanceId, generation, maxBytes }, as: 'consoleRead', tag: String(handle), timeoutMs: CONSOLE_MS }],
  };
}

/** Only what is being sent now; the answer comes at once. */
function hurried(state: HostState, { instanceId, generation }: { instanceId: string; generation: number }): Next<HostState> {
  const lane = state.lanes.get(instanceId);
  const isSent = lane?.running && lane.generation === generation && lane.verb.name === 'send';
  const work: Effect = { do: 'perform', job: 'hurry', args: { instanceId, generation }, as: 'hurried', tag: 'hurry', timeoutMs: READ_MS };
  return { state, effects: [...(isSent ? [work] : []), { do: 'reply', value: undefined }] };
}

function readDiagnostics(state: HostState, body: { instanceId: string; generation: number }, facts: Facts): Next<HostState> {
  const { instanceId, generation } = body;
  const tag = String(facts.holdReply());
  return { state, effects: [{ do: 'perform', job: 'diagnostics', args: { instanceId, generation }, as: 'diagnosed', tag, timeoutMs: CONSOLE_MS }] };
}

/** What was read for somebody who waits. */
function handOn(state: HostState, tag: string, outcome: Outcome<object | null>): Next<HostState> {
  const to = Number(tag);
  return { state, effects: [outcome.ok ? { do: 'reply', value: outcome.value, to } : { do: 'refuse', fault: outcome.fault, to }] };
}

/** One fetch at a time: it takes all that is wanted, and what came meanwhile is found by the next look. */
function fetchWanted(state: HostState, { wantsImages }: { readonly wantsImages?: boolean }): Next<HostState> {
  if (wantsImages !== true || state.fetching) return { state, effects: [] };
  const effect: Effect = { do: 'perform', job: 'fetchImages', args: { host: state.name }, as: 'imagesFetched', tag: 'images', timeoutMs: FETCH_MS };
  return { state: { ...state, fetching: true }, effects: [effect] };
}

function readUptime(state: HostState, facts: Facts): Next<HostState> {
  const tag = String(facts.holdReply());
  return { state, effects: [{ do: 'perform', job: 'uptime', args: {}, as: 'uptimeRead', tag, timeoutMs: READ_MS }] };
}

function uptimeRead(state: HostState, tag: string, outcome: Outcome<{ uptime: HostUptime | null }>): Next<HostState> {
  const to = Number(tag);
  return { state, effects: [outcome.ok ? { do: 'reply', value: outcome.value.uptime, to } : { do: 'refuse', fault: outcome.fault, to }] };
}

/** What administrators change; the hint that they did may get lost. */
function readRow({ name: host }: HostState): Effect {
  return askConductor('hostRow', { host }, 'rowRead', 'row');
}

function askConductor(type: string, body: object, as: string, tag: string): Effect {
  return { do: 'ask', to: CONDUCTOR, message: { type, ...body }, as, tag, timeoutMs: READ_MS };
}
