/** Joins the room's files. */
import type { Effect } from '../../runtime/actor/effect.ts';
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import { decide } from './decide.ts';
import { FILTERS, FURTHER_FILTERS } from './filters/all.ts';
import type { SchedulerProtocol } from './messages.ts';
import { parseSchedulerMessage } from './parse.ts';
import type { Choice } from './bid.ts';
import { NO_HOSTS, type SchedulerState } from './state.ts';
import { WEIGHERS } from './weighers/all.ts';

const MAILBOX_MAX = 8_192;

export type SchedulerSettings = {
  /** Names of filters that are left out. */
  readonly withoutFilters: readonly string[];
  /** Names of filters that are in force besides the usual ones. */
  readonly furtherFilters?: readonly string[];
  /** Multiplier by weigher; 0 switches it off. Others keep their usual one. */
  readonly weights: { readonly [weigher: string]: number };
  /** Between reports of hosts. */
  readonly tickMs?: number;
};

const TICK_MS = 5_000;

export function schedulerKind(settings: SchedulerSettings = { withoutFilters: [], weights: {} }): ActorKind {
  const choice = choiceOf(settings);
  const tick: Effect = { do: 'wake', inMs: settings.tickMs ?? TICK_MS, message: { type: 'tick' }, tag: 'tick' };
  return defineKind<SchedulerProtocol, SchedulerState>({
    kind: 'scheduler',
    home: 'node',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: Number.POSITIVE_INFINITY,
    parse: parseSchedulerMessage,
    load: () => NO_HOSTS,
    recover: (state) => ({ state, effects: [tick] }),
    decide(state, message, facts) {
      const next = decide(state, message, facts, choice);
      return message.type === 'tick' ? { ...next, effects: [...next.effects, tick] } : next;
    },
  });
}

/** The filters and weighers in force. */
export function choiceOf({ withoutFilters, furtherFilters = [], weights }: SchedulerSettings): Choice {
  return {
    filters: [
      ...FILTERS.filter((filter) => !withoutFilters.includes(filter.name)),
      ...FURTHER_FILTERS.filter((filter) => furtherFilters.includes(filter.name)),
    ],
    weighers: WEIGHERS.map((weigher) => ({ ...weigher, multiplier: weights[weigher.name] ?? weigher.multiplier })).filter(
      (weigher) => weigher.multiplier !== 0,
    ),
  };
}
