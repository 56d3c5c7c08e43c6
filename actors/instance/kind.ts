/** Joins the room's files: how an instance is loaded, decides, commits, and what may be said to it from other nodes. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import type { InstanceParts } from '../model/commit.ts';
import { eventOf } from '../model/events-of.ts';
import type { InstanceRecord } from '../model/instance.ts';
import { dueAtMs } from './due.ts';
import { decide, giveUp, recover, refused } from './decide.ts';
import type { InstanceProtocol } from './messages.ts';
import { parseInstanceMessage } from './parse.ts';
import type { InstanceSettings } from './settings.ts';
import { NO_PARTS, NO_SOFT, type InstanceState } from './state.ts';

const MAILBOX_MAX = 64;
const PASSIVATE_AFTER_MS = 60_000;

export function instanceKind(settings: InstanceSettings): ActorKind {
  return defineKind<InstanceProtocol, InstanceState, InstanceRecord>({
    kind: 'instance',
    home: 'shard',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: PASSIVATE_AFTER_MS,
    parse: parseInstanceMessage,
    load: (id, record) => ({ id, record, soft: NO_SOFT, parts: NO_PARTS }),
    decide: (state, message, facts) => decide(state, message, facts, settings),
    recover: (state, facts) => recover(state, facts, settings),
    refused: (state, why, facts) => refused(state, why, facts, settings),
    giveUp: (state, fault, facts) => giveUp(state, fault.toRecord(), facts, settings),
    recordOf: (state) => state.record,
    withRecord: (state, record) => ({ ...state, record }),
    withCommands: (record, commands) => ({ ...record, commands }),
    isIdle: (state) => !state.record?.operation,
    commitOf: (before, after, state) => {
      const parts: InstanceParts = { ...state.parts, event: eventOf(before, after) };
      return { parts, open: after.operation !== null, dueAtMs: dueAtMs(after) };
    },
  });
}
