/**
 * What the watch over hosts decides. Pure. Silence alone does nothing: it is judged as leases are, by a beat that did
 * not move for longer than every lease while it was read all the while; a reading that failed or came late begins the
 * wait anew, so nothing is lost because the store was away. Then proof is got, and only with proof servers go elsewhere,
 * at a bounded rate; many hosts lost at once are more likely a network than so many deaths, so then it waits for people.
 */
import { unreachable } from '../../runtime/base/check.ts';
import type { Effect, Outcome } from '../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import { instanceRef } from '../instance/messages.ts';
import type { HostStanding, ServerOnHost } from '../model/host-standing.ts';
import type { LostHost, RecoveryProtocol, RecoveryView } from './messages.ts';
import { ruleFor } from './rule.ts';
import type { RecoverySettings } from './settings.ts';
import type { RecoveryState, Tried, Watched } from './state.ts';

export type Reading = { readonly beforeMs: number; readonly afterMs: number; readonly standings: readonly HostStanding[] };

export const LOOK_MS = 1_000;
const READ_LIMIT_MS = 3_000;
/** Between two readings; a longer gap (this node was paused) begins the wait anew. */
const GAP_MS = 5_000;
/** Hosts that fell silent longer ago do not count as lost at once. */
const AT_ONCE_MS = 600_000;
/** What failed, or did not end, is tried again after so long; what fails again and again after twice as long each time. */
const RETRY_MS = 30_000;
const RETRY_MAX_MS = 480_000;
const ACT_MS = 10_000;
const PROVE_MS = 10_000;
const SERVERS_MAX = 10_000;

export function decide(state: RecoveryState, message: MessageOf<RecoveryProtocol>, facts: Facts, settings: RecoverySettings): Next<RecoveryState> {
  switch (message.type) {
    case 'wake':
      return next(state);
    case 'state':
      return next(state, { do: 'reply', value: viewOf(state, settings) });
    case 'resume': {
      const accepted = new Set(lostNow(state, settings).map(({ standing }) => standing.host));
      const resumed = { ...state, accepted, paused: null };
      return next(resumed, { do: 'reply', value: viewOf(resumed, settings) }, say('recovery goes on, as an administrator said', { hosts: [...accepted] }));
    }
    case 'look':
      return next(state, { do: 'perform', job: 'look', args: {}, as: 'looked', tag: 'look', timeoutMs: READ_LIMIT_MS });
    case 'looked':
      return looked(state, message.outcome as Outcome<Reading>, settings);
    case 'listed':
      return listed(state, message.tag, message.outcome as Outcome<readonly ServerOnHost[]>, facts);
    case 'proved':
      // What came of it stands in the next reading; until then and for a while it is not tried again.
      return next(state);
    case 'moved':
    case 'said':
      return next(state);
    default:
      return unreachable(message);
  }
}

export function begin(state: RecoveryState): Next<RecoveryState> {
  return next(state, { do: 'wake', inMs: 0, message: { type: 'look' }, tag: 'look' });
}

function looked(state: RecoveryState, outcome: Outcome<Reading>, settings: RecoverySettings): Next<RecoveryState> {
  const again: Effect = { do: 'wake', inMs: LOOK_MS, message: { type: 'look' }, tag: 'look' };
  if (!outcome.ok) return next({ ...state, readMs: null }, again);
  const { beforeMs, afterMs, standings } = outcome.value;
  const goesOn = state.readMs !== null && beforeMs - state.readMs < GAP_MS;
  const hosts = new Map(
    standings.map((standing) => [standing.host, watched(goesOn ? state.hosts.get(standing.host) : undefined, standing, beforeMs, afterMs)]),
  );
  const elapsedMs = goesOn && state.readMs !== null ? afterMs - state.readMs : 0;
  const budget = Math.min(settings.perSecond, state.budget + (settings.perSecond * elapsedMs) / 1_000);
  // Kept for one more pause, so that the next one can be longer.
  const tried = new Map([...state.tried].filter(([, { notBeforeMs, pauseMs }]) => notBeforeMs + Math.max(pauseMs, RETRY_MS) > afterMs));
  const seen = braked({ ...state, hosts, readMs: afterMs, tried, budget }, settings);
  const acted = seen.state.paused ? next(seen.state) : act(seen.state, afterMs, settings);
  return next(acted.state, ...seen.effects, ...acted.effects, again);
}

function watched(before: Watched | undefined, standing: HostStanding, beforeMs: number, afterMs: number): Watched {
  const unmoved = before && before.standing.mark === standing.mark;
  return { standing, sinceMs: unmoved ? before.sinceMs : afterMs, silentMs: unmoved ? beforeMs - before.sinceMs : 0 };
}

/** Longer than any lease that the host may still count on, and a moment more to see who else fell silent with it. */
function isSilent({ standing, silentMs }: Watched, { hostMs, marginMs }: RecoverySettings): boolean {
  const leaseMs = Math.max(hostMs, standing.selfFenceMs ?? 0);
  return silentMs >= leaseMs + marginMs + hostMs / 4;
}

/** Fallen silent lately, by themselves: of those that were forced down somebody knows. */
function lostNow(state: RecoveryState, settings: RecoverySettings): Watched[] {
  return [...state.hosts.values()].filter((host) => isSilent(host, settings) && !host.standing.forcedDown && host.silentMs < AT_ONCE_MS);
}

function braked(state: RecoveryState, settings: RecoverySettings): Next<RecoveryState> {
  const lost = lostNow(state, settings);
  const counted = lost.filter(({ standing }) => !state.accepted.has(standing.host)).length;
  const alive = [...state.hosts.values()].filter((host) => !isSilent(host, settings)).length;
  const of = alive + lost.length;
  const isMass = counted >= 2 && counted > settings.brakeShare * of;
  const accepted = new Set([...state.accepted].filter((name) => lost.some(({ standing }) => standing.host === name)));
  const paused = isMass ? { lost: counted, of } : null;
  const after = { ...state, paused, accepted };
  if (isMass === (state.paused !== null)) return next(after);
  const hosts = lost.map(({ standing }) => standing.host);
  return next(after, isMass ? say('recovery is paused: too many hosts fell silent at once', { ...paused, hosts }) : say('recovery goes on', { hosts }));
}

function act(state: RecoveryState, nowMs: number, settings: RecoverySettings): Next<RecoveryState> {
  const tried = new Map(state.tried);
  const effects: Effect[] = [];
  for (const host of state.hosts.values()) {
    const { standing } = host;
    const key = keyOf(standing);
    if (standing.claims === 0 || waits(tried.get(key), nowMs)) continue;
    if (standing.proof !== null) {
      if (settings.auto)
        effects.push({
          do: 'perform',
          job: 'servers',
          args: { host: standing.host, limit: SERVERS_MAX },
          as: 'listed',
          tag: standing.host,
          timeoutMs: READ_LIMIT_MS,
        });
      continue;
    }
    if (!isSilent(host, settings)) continue;
    const proving = prove(standing, settings);
    effects.push(...proving.effects);
    tried.set(key, { notBeforeMs: nowMs + proving.limitMs, pauseMs: proving.limitMs });
  }
  return next({ ...state, tried }, ...effects);
}

/** The guard's proof needs nobody's word; a fence is only run where everything goes by itself. */
function prove(standing: HostStanding, settings: RecoverySettings): { readonly effects: readonly Effect[]; readonly limitMs: number } {
  const { host, epoch, mark, selfFenceMs } = standing;
  if (selfFenceMs !== null) {
    return { effects: [{ do: 'perform', job: 'guarded', args: { host, epoch, mark }, as: 'proved', tag: host, timeoutMs: PROVE_MS }], limitMs: 0 };
  }
  const rule = settings.auto ? ruleFor(settings.fence, host) : undefined;
  if (!rule) return { effects: [say('a silent host waits for proof that its servers do not run there', { host })], limitMs: AT_ONCE_MS };
  return {
    effects: [{ do: 'perform', job: 'fence', args: { host, epoch }, as: 'proved', tag: host, timeoutMs: rule.limitMs + PROVE_MS }],
    limitMs: rule.limitMs + RETRY_MS,
  };
}

function listed(state: RecoveryState, host: string, outcome: Outcome<readonly ServerOnHost[]>, facts: Facts): Next<RecoveryState> {
  if (!outcome.ok || state.paused || state.readMs === null) return next(state);
  const nowMs = state.readMs;
  const tried = new Map(state.tried);
  const effects: Effect[] = [];
  let { budget } = state;
  for (const server of outcome.value) {
    if (budget < 1) break;
    const before = tried.get(server.id);
    if (waits(before, nowMs) || server.operation === 'evacuate') continue;
    budget -= 1;
    const pauseMs = before ? Math.min(2 * before.pauseMs, RETRY_MAX_MS) : RETRY_MS;
    tried.set(server.id, { notBeforeMs: nowMs + pauseMs, pauseMs });
    effects.push(moveOf(server, host, facts));
  }
  return next({ ...state, tried, budget }, ...effects);
}

function waits(tried: Tried | undefined, nowMs: number): boolean {
  return tried !== undefined && tried.notBeforeMs > nowMs;
}

/** What was being made or deleted there goes on by itself when it hears of it. */
/** Between two hosts, an operation goes on by itself with what is proved. */
const BETWEEN: ReadonlySet<string | null> = new Set(['resize', 'migrate', 'live-migration', 'confirmResize', 'revertResize']);

function moveOf({ id, vmState, launched, operation, moved }: ServerOnHost, host: string, facts: Facts): Effect {
  const canMove =
    launched && operation !== 'delete' && operation !== 'create' && !BETWEEN.has(operation) && (moved || ['active', 'stopped', 'error'].includes(vmState));
  if (!canMove) return { do: 'tell', to: instanceRef(id), message: { type: 'hostLost', host } as { type: string } };
  const caller = { userId: 'recovery', projectId: 'recovery', isAdmin: true, requestId: `req-${facts.newId()}` };
  // What it left to come here still has its disk.
  const verb = moved && operation === null ? { name: 'revertResize' } : { name: 'evacuate', target: null, force: false, stopped: false };
  return { do: 'ask', to: instanceRef(id), message: { type: 'act', verb, caller } as { type: string }, as: 'moved', tag: id, timeoutMs: ACT_MS };
}

function viewOf(state: RecoveryState, settings: RecoverySettings): RecoveryView {
  const silent = [...state.hosts.values()].filter((host) => host.standing.proof !== null || isSilent(host, settings));
  const hosts = silent.map(({ standing: { host, proof }, silentMs }): LostHost => ({
    host,
    silentMs,
    proof,
    waitsFor: state.paused ? 'resume' : proof === null ? 'proof' : null,
  }));
  return { auto: settings.auto, paused: state.paused, hosts };
}

function keyOf({ host, epoch }: HostStanding): string {
  return `${host} ${epoch}`;
}

function say(text: string, fields: object): Effect {
  return { do: 'perform', job: 'say', args: { text, fields }, as: 'said', tag: 'say', timeoutMs: READ_LIMIT_MS };
}

function next(state: RecoveryState, ...effects: readonly Effect[]): Next<RecoveryState> {
  return { state, effects };
}
