/** Joins the room's files. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import { decide } from './decide.ts';
import type { SchedulerProtocol } from './messages.ts';
import { NO_HOSTS, type SchedulerState } from './state.ts';

const MAILBOX_MAX = 8_192;

export function schedulerKind(): ActorKind {
  return defineKind<SchedulerProtocol, SchedulerState>({
    kind: 'scheduler',
    home: 'node',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: Number.POSITIVE_INFINITY,
    load: () => NO_HOSTS,
    decide,
  });
}
