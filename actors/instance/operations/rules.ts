/**
 * What every operation says about itself: how to take its current step up (also after a crash: being begun and being
 * recovered are the same path), what an answer means, and what happens when the step's time is over.
 */
import type { Outcome } from '../../../runtime/actor/effect.ts';
import type { Facts, Next } from '../../../runtime/actor/kind.ts';
import { Fault, type FaultRecord } from '../../../runtime/base/fault.ts';
import { hostRef, type GuestVerb, type VerbAnswer } from '../../host/messages.ts';
import type { Progress } from '../../model/migration.ts';
import type { Place } from '../../model/move.ts';
import type { PowerState } from '../../model/server-state.ts';
import type { Effect } from '../../../runtime/actor/effect.ts';
import type { InstanceSettings } from '../settings.ts';
import { next, soften, tagOf, type InstanceState, type Working } from '../state.ts';

export type OperationRules = {
  /** The effects that take up the current step. */
  readonly resume: (state: Working, facts: Facts, settings: InstanceSettings) => Next<InstanceState>;
  /** The verb that the current step runs has ended well. */
  readonly verbDone: (state: Working, power: PowerState | null, facts: Facts, settings: InstanceSettings, answer?: DoneAnswer) => Next<InstanceState>;
  /** The verb failed for good, or the step's time is over (Fault `timeout`). */
  readonly failed: (state: Working, fault: FaultRecord, facts: Facts, settings: InstanceSettings) => Next<InstanceState>;
  /** A conductor has done what the current step asks of it. Only of operations that make images. */
  readonly imaged?: (state: Working, value: unknown, facts: Facts, settings: InstanceSettings) => Next<InstanceState>;
  /** The store does not know that the host which was left behind is dead. */
  readonly notProved?: (state: Working, facts: Facts, settings: InstanceSettings) => Next<InstanceState>;
  /** What a long verb says of itself while it runs. */
  readonly progressed?: (state: Working, progress: Progress, facts: Facts) => Working;
};

type DoneAnswer = Extract<VerbAnswer, { readonly is: 'done' }>;

/** Pause before a step is tried again. */
const RETRY_MS = 250;
/** How much longer than the host keeps an ask open the answer may take. */
const ANSWER_SLACK_MS = 10_000;

/** Asks the host to run a verb; the end comes as `ran`. Asked again for the same operation, the host joins in. */
export function runVerb(state: Working, host: string, verb: GuestVerb, settings: InstanceSettings): Next<InstanceState> {
  const round = state.soft.round + 1;
  const now = soften(state, { round });
  const { record } = state;
  const ask: Effect = {
    do: 'ask',
    to: hostRef(host),
    message: {
      type: 'run',
      instanceId: record.id,
      generation: record.generation,
      operation: `${record.operation.id}/${record.operation.step}/${record.operation.attempt}`,
      verb,
      waitMs: settings.verbWaitMs,
    } as Extract<Effect, { do: 'ask' }>['message'],
    as: 'ran',
    tag: tagOf(now as Working),
    timeoutMs: settings.verbWaitMs + ANSWER_SLACK_MS,
  };
  return next(now, ask);
}

type At = { readonly isFresh?: boolean; readonly waitMs?: number };

/** The same for one of the places of a server that moves. `isFresh`: not an answer that was given before. */
export function runVerbAt(
  state: Working,
  place: Place,
  verb: GuestVerb,
  settings: InstanceSettings,
  { isFresh = false, waitMs = settings.verbWaitMs }: At = {},
): Next<InstanceState> {
  const round = state.soft.round + 1;
  const now = soften(state, { round });
  const { record } = state;
  const { id, step, attempt } = record.operation;
  const operation = `${id}/${step}.${verb.name}/${attempt}${isFresh ? `.${round}` : ''}`;
  const message = { type: 'run', instanceId: record.id, generation: place.generation, operation, verb, waitMs } as Extract<Effect, { do: 'ask' }>['message'];
  return next(now, { do: 'ask', to: hostRef(place.host), message, as: 'ran', tag: tagOf(now as Working), timeoutMs: waitMs + ANSWER_SLACK_MS });
}

/** What the end of an ask for a verb means for the operation that asked. */
export function verbEnded(state: Working, outcome: Outcome<VerbAnswer>, rules: OperationRules, facts: Facts, settings: InstanceSettings): Next<InstanceState> {
  if (!outcome.ok) return later(state, outcome.fault);
  const answer = outcome.value;
  switch (answer.is) {
    case 'done':
      return rules.verbDone(state, answer.power, facts, settings, answer);
    case 'running':
      if (answer.progress && rules.progressed) return rules.resume(rules.progressed(state, answer.progress, facts), facts, settings);
      return rules.resume(state, facts, settings);
    case 'noClaim':
      return later(state, new Fault('unavailable', 'host.noClaim', 'The host has no claim of this server.').toRecord());
    case 'failed':
      return mayPass(state, answer.fault) ? later(state, answer.fault) : rules.failed(state, answer.fault, facts, settings);
  }
}

/** Whether the host may do better in a moment. One that is full is not waited for by a guest that can go elsewhere. */
function mayPass(state: Working, fault: FaultRecord): boolean {
  return Fault.fromRecord(fault).retryable && !(state.record.operation.step === 'spawn' && fault.code === 'overloaded');
}

/** The world did not answer: the step is taken up again in a moment, until its time is over. */
export function later(state: Working, _why: FaultRecord): Next<InstanceState> {
  return next(state, { do: 'wake', inMs: RETRY_MS, message: { type: 'retry', tag: tagOf(state) } as { type: string }, tag: 'retry' });
}
