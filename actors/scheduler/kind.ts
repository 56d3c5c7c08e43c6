/** Joins the room's files. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import { decide } from './decide.ts';
import { FILTERS } from './filters/all.ts';
import type { SchedulerProtocol } from './messages.ts';
import { parseSchedulerMessage } from './parse.ts';
import type { Choice } from './bid.ts';
import { NO_HOSTS, type SchedulerState } from './state.ts';
import { WEIGHERS } from './weighers/all.ts';

const MAILBOX_MAX = 8_192;

export type SchedulerSettings = {
  /** Names of filters that are left out. */
  readonly withoutFilters: readonly string[];
  /** Multiplier by weigher; 0 switches it off. Others keep their usual one. */
  readonly weights: { readonly [weigher: string]: number };
};

export function schedulerKind(settings: SchedulerSettings = { withoutFilters: [], weights: {} }): ActorKind {
  const choice = choiceOf(settings);
  return defineKind<SchedulerProtocol, SchedulerState>({
    kind: 'scheduler',
    home: 'node',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: Number.POSITIVE_INFINITY,
    parse: parseSchedulerMessage,
    load: () => NO_HOSTS,
    decide: (state, message, facts) => decide(state, message, facts, choice),
  });
}

/** The filters and weighers in force. */
export function choiceOf({ withoutFilters, weights }: SchedulerSettings): Choice {
  return {
    filters: FILTERS.filter((filter) => !withoutFilters.includes(filter.name)),
    weighers: WEIGHERS.map((weigher) => ({ ...weigher, multiplier: weights[weigher.name] ?? weigher.multiplier })).filter(
      (weigher) => weigher.multiplier !== 0,
    ),
  };
}
