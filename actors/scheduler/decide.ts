/** What a slice does with each message. Pure but for the chance that the turn draws. */
import { unreachable } from '../../runtime/base/check.ts';
import { put } from '../../runtime/base/shared-map.ts';
import type { Facts, Next } from '../../runtime/actor/kind.ts';
import type { MessageOf } from '../../runtime/actor/protocol.ts';
import type { HostReport } from '../model/placement.ts';
import { bidFor, type Choice } from './bid.ts';
import type { SchedulerProtocol } from './messages.ts';
import type { OpenBid, SchedulerState } from './state.ts';

/** An open bid counts as used for so long at most: the claim that follows takes milliseconds. */
const OPEN_BID_MS = 2_000;
/** Every host reports once in a round: after the first whole one a slice knows all that are there. */
const LEARNING_ROUNDS = 2;
/** Reports that may be missed, and one for the round that has only begun. */
const SILENT_ROUNDS = 4;

export function decide(state: SchedulerState, message: MessageOf<SchedulerProtocol>, facts: Facts, choice: Choice): Next<SchedulerState> {
  switch (message.type) {
    case 'place': {
      // Who asks again has not used what it was bid before: its own open bid must not stand in its way.
      const current = withoutOpen(withoutOld(state, facts.upMs), message.request.instanceId);
      const answer = bidFor(current, message.request, message.wanted, facts.chance, choice);
      const [first] = answer.bids;
      const bidding = first
        ? withOpen(current, message.request.instanceId, { host: first.host, need: message.request.need, untilMs: facts.upMs + OPEN_BID_MS })
        : current;
      return { state: bidding, effects: [{ do: 'reply', value: { ...answer, isLearning: state.round < LEARNING_ROUNDS } }] };
    }
    case 'report':
      return { state: reported(state, message.report, message.granted), effects: [{ do: 'reply', value: undefined }] };
    case 'unclaimed':
      return { state: withoutOpen(state, message.instanceId), effects: [{ do: 'reply', value: undefined }] };
    case 'tick':
      return ticked(state);
    default:
      return unreachable(message);
  }
}

function reported(state: SchedulerState, report: HostReport, granted: string | null): SchedulerState {
  const known = state.hosts.get(report.host);
  const isOld = known && (report.epoch < known.epoch || (report.epoch === known.epoch && report.seen < known.seen));
  const settled = granted === null ? state : withoutOpen(state, granted);
  if (isOld) return settled;
  const hosts = new Map(settled.hosts);
  hosts.set(report.host, report);
  return { ...settled, hosts, heard: state.heard.get(report.host) === state.round ? state.heard : put(state.heard, report.host, state.round) };
}

/** A host that has missed its reports is down, whatever it said last; its next report says otherwise. */
function ticked(state: SchedulerState): Next<SchedulerState> {
  const round = state.round + 1;
  const silent = [...state.hosts.values()].filter((report) => report.up && round - (state.heard.get(report.host) ?? 0) >= SILENT_ROUNDS);
  if (silent.length === 0) return { state: { ...state, round }, effects: [] };
  const hosts = new Map(state.hosts);
  for (const report of silent) hosts.set(report.host, { ...report, up: false });
  return { state: { ...state, round, hosts }, effects: [] };
}

function withOpen(state: SchedulerState, instanceId: string, bid: OpenBid): SchedulerState {
  const open = new Map(state.open);
  open.delete(instanceId); // the newest stands last
  open.set(instanceId, bid);
  return { ...state, open };
}

function withoutOpen(state: SchedulerState, instanceId: string): SchedulerState {
  if (!state.open.has(instanceId)) return state;
  const open = new Map(state.open);
  open.delete(instanceId);
  return { ...state, open };
}

/** Open bids stand in order of time: the old ones are in front. */
function withoutOld(state: SchedulerState, upMs: number): SchedulerState {
  const [oldest] = state.open.values();
  if (!oldest || oldest.untilMs > upMs) return state;
  return { ...state, open: new Map([...state.open].filter(([, bid]) => bid.untilMs > upMs)) };
}
