/**
 * Create: place → spawn → active. What fails is undone before the next host is tried.
 *
 *   place    bids of the schedulers and addresses of the networks, side by side; then the host's promise; then one
 *            commit with claim, addresses and generation, which checks host epoch, counters and addresses (P4)
 *   spawn    the driver makes and starts the guest (idempotent: asked again after a crash, the guest is the answer)
 *   unspawn  a host that failed is cleared, then its claim and addresses go back and another host is tried
 *
 * A server that leaves a dead host behind (evacuate.ts) takes the same steps, but it keeps its addresses, and the commit
 * that places it dooms what it left.
 */
import type { Effect, Outcome } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import { Fault, type FaultRecord, type Json } from '../../../runtime/base/fault.ts';
import { CONDUCTOR } from '../../conductor/messages.ts';
import { hostRef } from '../../host/messages.ts';
import type { Nic } from '../../model/addressing.ts';
import type { ClaimChange } from '../../model/commit.ts';
import { nextGeneration } from '../../model/between.ts';
import type { Bid, ClaimAnswer, Explanation, Placed, PlacementRequest } from '../../model/placement.ts';
import { needOf } from '../../model/resources.ts';
import type { GroupPlaces } from '../../model/server-group.ts';
import { networkRef } from '../../network/messages.ts';
import { schedulerRef } from '../../scheduler/messages.ts';
import { toGuestSpec } from '../guest-spec.ts';
import type { InstanceSettings } from '../settings.ts';
import { actionEnded, atStep, change, next, soften, tagOf, NO_SOFT, type InstanceState, type Parts, type Working } from '../state.ts';
import { evacuationOf } from '../migrations.ts';
import { later, runVerb, type OperationRules } from './rules.ts';
import { granted, unplaced } from './move-ends.ts';

const BIDS_WANTED = 3;
const PLACE_ASK_MS = 5_000;
const CLAIM_ASK_MS = 2_000;
/** A host that the schedulers do not know may only just have started: they are asked again for so long since they first said so. */
const NO_HOSTS_GRACE_MS = 10_000;

export const CREATE: OperationRules = {
  resume(state, _facts, settings) {
    switch (state.record.operation.step) {
      case 'place':
        return place(state, settings);
      case 'spawn':
        return runVerb(state, hostOf(state), { name: 'spawn', spec: toGuestSpec(state.record) }, settings);
      default:
        return runVerb(state, hostOf(state), { name: 'destroy' }, settings);
    }
  },

  verbDone(state, power, facts, settings) {
    if (state.record.operation.step === 'unspawn') return cleared(state, 'drop', facts, settings);
    const { record } = state;
    const active = change(
      state,
      {
        vmState: 'active',
        taskState: null,
        powerState: power ?? 'running',
        launchedAt: record.launchedAt ?? toIso(facts.nowMs),
        operation: null,
        actions: actionEnded(record, facts, { fault: null, host: record.host }),
      },
      facts,
    );
    return next({ ...active, soft: NO_SOFT });
  },

  failed(state, fault, facts, settings) {
    const { record } = state;
    switch (record.operation.step) {
      case 'place':
        return giveUp(state, hostFault(state) ?? fault, facts, null);
      case 'spawn': {
        const unspawn = atStep(record, 'unspawn', settings.destroyLimitMs, facts, { args: { ...record.operation.args, fault: fault as Json } });
        const undoing = change(state, unspawn, facts) as Working;
        const resumed = CREATE.resume(undoing, facts, settings);
        return resumed;
      }
      default:
        // The host doesn't answer. With proof that nothing runs there another one is tried, else see `notProved`.
        return cleared(state, 'evacuate', facts, settings);
    }
  },
};

/** The host that has this server is dead, somebody says: only the store knows, and refuses when it is not proved. */
export function hostLost(state: Working, host: string, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  return record.host === host && record.operation.step !== 'place' ? cleared(state, 'evacuate', facts, settings) : next(state);
}

/** Nothing proves that the host that was to be left behind is dead. */
export function notProved(state: Working, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  switch (record.operation.step) {
    case 'place': {
      const text = `Nothing proves any more that the servers of host ${record.host ?? ''} do not run there.`;
      const fault = new Fault('conflict', 'host.notProved', text).toRecord();
      const actions = actionEnded(record, facts, { fault, host: record.host });
      const released = state.soft.asked ? [releaseAt(state.soft.asked.host, record.id, nextGeneration(record))] : [];
      const migration = evacuationOf(state, 'error', null, facts);
      return next({ ...change(state, { taskState: null, operation: null, actions }, facts, { migration }), soft: NO_SOFT }, ...released);
    }
    case 'unspawn': {
      // What is left there is recorded as doomed, and the host has to confirm its end.
      return cleared(state, 'doom', facts, settings);
    }
    default:
      return next(state); // a word too early changes nothing
  }
}

/** Asks all schedulers and networks at once; of a server in a group first where the others are. */
export function place(state: Working, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const round = state.soft.round + 1;
  const wanted = addressesWanted(record);
  const { noHostsMs } = state.soft;
  const begun = soften(state, { ...NO_SOFT, round, noHostsMs, slicesLeft: settings.schedulerSlices, nicsLeft: wanted.length, nics: [] });
  const tag = tagOf(begun as Working);
  const effects: Effect[] = record.group ? [askGroup(record, record.group.id, tag)] : askSchedulers(begun as Working, settings);
  for (const { networkId, address } of wanted) {
    const message = { type: 'propose', instanceId: record.id, wanted: address } as { type: string };
    effects.push({ do: 'ask', to: networkRef(networkId), message, as: 'addressed', tag, timeoutMs: PLACE_ASK_MS });
  }
  return next(begun, ...effects);
}

function askSchedulers(state: Working, settings: InstanceSettings): Effect[] {
  const message = { type: 'place', request: requestOf(state), wanted: BIDS_WANTED } as { type: string };
  return Array.from({ length: settings.schedulerSlices }, (_, slice): Effect => ({
    do: 'ask',
    to: schedulerRef(slice),
    message,
    as: 'placed',
    tag: tagOf(state),
    timeoutMs: PLACE_ASK_MS,
  }));
}

function askGroup({ id }: Working['record'], groupId: string, tag: string): Effect {
  const message = { type: 'groupPlaces', groupId, instanceId: id } as { type: string };
  return { do: 'ask', to: CONDUCTOR, message, as: 'grouped', tag, timeoutMs: PLACE_ASK_MS };
}

/** Where the others of its group are: a hint for the schedulers, since the commit looks again. A group that is gone binds nobody. */
export function grouped(state: Working, outcome: Outcome<GroupPlaces | null>, settings: InstanceSettings): Next<InstanceState> {
  if (!outcome.ok) return later(state, outcome.fault);
  const known = soften(state, { group: outcome.value });
  return next(known, ...askSchedulers(known as Working, settings));
}

/** A server that has its addresses keeps them. */
function addressesWanted(record: Working['record']): Working['record']['wantedNetworks'] {
  return record.nics.length > 0 ? [] : record.wantedNetworks;
}

function requestOf(state: Working): PlacementRequest {
  const { record } = state;
  return {
    instanceId: record.id,
    projectId: record.projectId,
    count: 1,
    need: needOf(flavorWanted(record)),
    zone: record.requestedZone,
    onlyHost:
      isMoving(record) || isComing(record) || isTransfer(record) ? ((record.operation.args['target'] as string | undefined) ?? null) : record.requestedHost,
    skipFilters: record.operation.args['forcedHost'] === true,
    excludedHosts: record.operation.excludedHosts,
    extraSpecs: record.flavor.extraSpecs,
    imageProperties: record.image.properties,
    hints: record.schedulerHints,
    ...(state.soft.group && { group: state.soft.group }),
  };
}

/** One slice has answered. */
export function placed(state: Working, outcome: Outcome<Placed>, facts: Facts): Next<InstanceState> {
  const { soft } = state;
  const slicesLeft = soft.slicesLeft - 1;
  // A slice that is silent or learns is left out when the others' hosts will do. When they don't, it is asked again: only it knows its hosts.
  const bids = outcome.ok ? [...soft.bids, ...outcome.value.bids].sort((a, b) => b.score - a.score) : soft.bids;
  const explanation = outcome.ok ? addUp(soft.explanation, outcome.value.explanation) : soft.explanation;
  const slicesSilent = soft.slicesSilent + (outcome.ok && !outcome.value.isLearning ? 0 : 1);
  const known = soften(state, { slicesLeft, slicesSilent, bids, explanation }) as Working;
  return proceed(known, facts);
}

/** One network has proposed an address. */
export function addressed(state: Working, outcome: Outcome<Nic>, facts: Facts): Next<InstanceState> {
  if (!outcome.ok) {
    const fault = Fault.fromRecord(outcome.fault);
    return fault.retryable ? later(state, outcome.fault) : giveUp(state, outcome.fault, facts, null);
  }
  const known = soften(state, { nicsLeft: state.soft.nicsLeft - 1, nics: [...state.soft.nics, outcome.value] }) as Working;
  return proceed(known, facts);
}

/** When bids and addresses are there: ask the best host for its promise. */
function proceed(state: Working, facts: Facts): Next<InstanceState> {
  const { soft } = state;
  if (soft.slicesLeft > 0 || soft.nicsLeft > 0 || soft.asked !== null) return next(state);
  const [best] = soft.bids;
  if (best) return askForClaim(state, best);
  if (soft.explanation === null || soft.slicesSilent > 0) return later(state, new Fault('unavailable', 'scheduler.silent', 'No scheduler answers.').toRecord());
  const noHostsMs = isAnyHostThere(soft.explanation) ? null : (soft.noHostsMs ?? facts.upMs);
  const mayStillCome = soft.refusals.length > 0 || (noHostsMs !== null && facts.upMs - noHostsMs < NO_HOSTS_GRACE_MS);
  const fault = new Fault('unavailable', 'scheduler.noHosts', 'No host is known yet.').toRecord();
  if (mayStillCome) return later(soften(state, { noHostsMs }) as Working, fault);
  return giveUp(state, hostFault(state) ?? noValidHost(soft.explanation), facts, soft.explanation);
}

/** One that is down or begins anew is no host yet, and one that was not asked for is none at all. */
function isAnyHostThere({ considered, removed }: Explanation): boolean {
  return considered > (removed['ComputeFilter'] ?? 0) + (removed['RequestedHostFilter'] ?? 0);
}

/** Why the last host that had it failed: what the user reads when no other does better. */
function hostFault(state: Working): FaultRecord | undefined {
  return state.record.operation.args['fault'] as FaultRecord | undefined;
}

function askForClaim(state: Working, bid: Bid): Next<InstanceState> {
  const { record } = state;
  const asking = soften(state, { asked: bid, bids: state.soft.bids.slice(1) });
  const message = { type: 'claim', instanceId: record.id, generation: nextGeneration(record), need: needOf(flavorWanted(record)), zone: bid.zone } as {
    type: string;
  };
  return next(asking, { do: 'ask', to: hostRef(bid.host), message, as: 'claimed', tag: tagOf(asking as Working), timeoutMs: CLAIM_ASK_MS });
}

/** The host granted or refused its promise. Granted: one commit makes it lasting. */
export function claimed(state: Working, outcome: Outcome<ClaimAnswer>, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record, soft } = state;
  const { asked } = soft;
  if (!asked) return next(state);
  if (!outcome.ok || !outcome.value.granted) {
    const why = !outcome.ok ? outcome.fault.reason : outcome.value.granted ? '' : outcome.value.why;
    const refused = soften(state, { asked: null, refusals: [...soft.refusals, { host: asked.host, why }] }) as Working;
    const onward = proceed(refused, facts);
    // The bid was counted as used by its scheduler; a silent host may still have granted it.
    return next(onward.state, ...unbid(asked, record.id, settings), releaseAt(asked.host, record.id, nextGeneration(record)), ...onward.effects);
  }
  const need = needOf(flavorWanted(record));
  const generation = nextGeneration(record);
  const { hostEpoch } = outcome.value;
  if (isTransfer(record)) return granted(state, asked, { op: 'add', generation, host: asked.host, hostEpoch, need }, facts, settings);
  const spawning = change(
    state,
    {
      ...atStep(record, 'spawn', settings.spawnLimitMs, facts),
      host: asked.host,
      zone: asked.zone,
      generation,
      taskState: isMoving(record) ? 'rebuild_spawning' : 'spawning',
      nics: record.nics.length > 0 ? record.nics : soft.nics,
      actions: explained(record.actions, record.operation.requestId, asked.host, soft),
    },
    facts,
    {
      claims: [...leftBehind(record), { op: 'add', generation, host: asked.host, hostEpoch, need }],
      migration: isMoving(record) ? evacuationOf(state, 'pre-migrating', asked.host, facts) : null,
      takeAddresses: soft.nics.map(({ networkId, address, mac }) => ({ networkId, address, mac })),
    },
  ) as Working;
  return CREATE.resume(spawning, facts, settings);
}

/** What a server that goes elsewhere leaves: nothing, or a guest that something must prove dead. */
function leftBehind({ host, generation, operation }: Working['record']): ClaimChange[] {
  return host === null || operation.name !== 'evacuate' ? [] : [{ op: 'evacuate', generation, host }];
}

/** Lives on where it is until the other place is ready: see transfer.ts. */
function isTransfer({ operation: { name } }: Working['record']): boolean {
  return name === 'resize' || name === 'migrate' || name === 'live-migration';
}

function flavorWanted(record: Working['record']): Working['record']['flavor'] {
  return (isTransfer(record) && record.move?.newFlavor) || record.flavor;
}

function isMoving({ operation }: Working['record']): boolean {
  return operation.name === 'evacuate';
}

/** It was shelved and left its host: it keeps its addresses, and what fails leaves it shelved. */
function isComing({ operation }: Working['record']): boolean {
  return operation.name === 'unshelve';
}

function keepsAddresses(record: Working['record']): boolean {
  return isMoving(record) || isComing(record);
}

/** The store refused the placement: the promise is given back and everything is asked anew in a moment, not at once. Addresses past the quota are not waited for. */
export function placementRefused(state: Working, why: string, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record, soft } = state;
  const effects: Effect[] = [];
  if (soft.asked) effects.push(releaseAt(soft.asked.host, record.id, nextGeneration(record)), ...unbid(soft.asked, record.id, settings));
  // It promised under an epoch that is over: its row says so, which it may not have heard.
  if (why === 'hostEpoch' && soft.asked) effects.push({ do: 'tell', to: hostRef(soft.asked.host), message: { type: 'rowChanged' } });
  // The network would propose the same address again to the same server.
  if (why === 'addressTaken') effects.push(...freeAddresses(record.id, soft.nics));
  if (why === 'quota') {
    const fault = new Fault('overQuota', 'quota.fixed_ips', 'Maximum number of fixed ips exceeded').toRecord();
    const ended = giveUp(state, fault, facts, null);
    return next(ended.state, ...effects, ...ended.effects);
  }
  const again = later(soften(state, { asked: null }) as Working, new Fault('unavailable', `placement.${why}`, 'The placement was refused.').toRecord());
  return next(again.state, ...effects, ...again.effects);
}

/**
 * A host that failed is cleared: the next host, or the end. Doomed instead, its guest may still run there: without proof
 * that it doesn't, no other host may have it (P3).
 */
function cleared(state: Working, op: 'drop' | 'doom' | 'evacuate', facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  const { record } = state;
  const { operation, host } = record;
  const fault = hostFault(state) ?? new Fault('unavailable', 'host.lost', 'The host of the server was lost.').toRecord();
  const attempt = operation.attempt + 1;
  const moving = keepsAddresses(record);
  const parts = partsOf(record, op);
  const freed = moving ? { host: null } : { host: null, nics: [] };
  if (op === 'doom') return giveUp(state, fault, facts, null, { freed, parts });
  if (attempt >= settings.attemptsMax) {
    const message = `Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance ${record.id}.`;
    return giveUp(state, { ...fault, message: fault.code === 'internal' ? message : fault.message }, facts, null, { freed, parts });
  }
  const excludedHosts = host === null ? operation.excludedHosts : [...operation.excludedHosts, host];
  const again = change(
    state,
    {
      ...atStep(record, 'place', settings.placeLimitMs, facts, { attempt, excludedHosts }),
      ...freed,
      taskState: isComing(record) ? 'unshelving' : moving ? 'rebuilding' : 'scheduling',
    },
    facts,
    parts,
  ) as Working;
  const resumed = CREATE.resume({ ...again, soft: { ...NO_SOFT, round: state.soft.round } }, facts, settings);
  return next(resumed.state, ...(moving ? [] : freeAddresses(record.id, record.nics)), ...resumed.effects);
}

function partsOf(record: Working['record'], op: 'drop' | 'doom' | 'evacuate'): Partial<Parts> {
  if (op === 'evacuate') return { claims: [{ op, generation: record.generation, host: record.host ?? '' }], dropAddresses: !keepsAddresses(record) };
  if (keepsAddresses(record)) return { claims: [{ op, generation: record.generation }] };
  const parts = { claims: [{ op, generation: record.generation }] as const, dropAddresses: true };
  return parts;
}

function giveUp(
  state: Working,
  fault: FaultRecord,
  facts: Facts,
  explanation: Explanation | null,
  undone?: { freed: { host: null; nics?: readonly Nic[] }; parts: Partial<Parts> },
): Next<InstanceState> {
  const { record } = state;
  if (isTransfer(record)) return unplaced(state, fault, explanation as Json | null, facts);
  const ended = change(
    state,
    {
      vmState: 'error',
      taskState: null,
      fault: { ...fault, at: toIso(facts.nowMs) },
      operation: null,
      ...undone?.freed,
      ...(isComing(record) && ({ vmState: 'shelved_offloaded', powerState: 'pending' } as const)),
      actions: actionEnded(record, facts, { fault, ...(explanation && { explanation: explanation as unknown as Json }) }),
    },
    facts,
    { ...undone?.parts, migration: isMoving(record) ? evacuationOf(state, 'error', record.host, facts) : null },
  );
  const unused = keepsAddresses(record) ? [] : record.nics.length > 0 ? record.nics : state.soft.nics;
  return next({ ...ended, soft: NO_SOFT }, ...freeAddresses(record.id, unused));
}

/** "No valid host" says which filter left none. */
function noValidHost(explanation: Explanation): FaultRecord {
  const removed = Object.entries(explanation.removed).map(([filter, count]) => `${filter} ${count}`);
  const why = explanation.considered === 0 ? 'There are no hosts.' : `Of ${explanation.considered} hosts none is left: ${removed.join(', ')}.`;
  return new Fault('unavailable', 'placement.noValidHost', `No valid host was found. ${why}`).toRecord();
}

function explained(actions: Working['record']['actions'], requestId: string, host: string, soft: InstanceState['soft']): Working['record']['actions'] {
  const explanation = { ...soft.explanation, refusals: soft.refusals, winner: host } as unknown as Json;
  return actions.map((action) => {
    if (action.requestId !== requestId) return action;
    return { ...action, events: action.events.map((event) => (event.finishedAt === null ? { ...event, host, explanation } : event)) };
  });
}

function addUp(a: Explanation | null, b: Explanation): Explanation {
  if (!a) return b;
  const removed: Record<string, number> = { ...a.removed };
  for (const [filter, count] of Object.entries(b.removed)) removed[filter] = (removed[filter] ?? 0) + count;
  return { considered: a.considered + b.considered, removed, bids: [...a.bids, ...b.bids] };
}

function unbid(bid: Bid, instanceId: string, settings: InstanceSettings): Effect[] {
  const effects: Effect[] = [];
  for (let slice = 0; slice < settings.schedulerSlices; slice++) {
    effects.push({ do: 'tell', to: schedulerRef(slice), message: { type: 'unclaimed', host: bid.host, instanceId } as { type: string } });
  }
  return effects;
}

/** Something doomed is recorded there: the host compares store and hypervisor, and clears it when it can. */
export function lookAt(host: string): Effect {
  return { do: 'tell', to: hostRef(host), message: { type: 'guestChanged', event: null } as { type: string } };
}

export function releaseAt(host: string, instanceId: string, generation: number): Effect {
  return { do: 'tell', to: hostRef(host), message: { type: 'release', instanceId, generation } as { type: string } };
}

/** Addresses that are not used (any more) may be proposed again. */
export function freeAddresses(instanceId: string, nics: readonly Nic[]): Effect[] {
  return nics.map(({ networkId, address }) => ({ do: 'tell', to: networkRef(networkId), message: { type: 'free', instanceId, address } as { type: string } }));
}

function hostOf(state: Working): string {
  const { host } = state.record;
  if (host === null) throw new Error(`step ${state.record.operation.step} without a host`);
  return host;
}
