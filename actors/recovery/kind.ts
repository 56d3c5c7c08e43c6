/** Joins the room's files. One actor per cell, on its shard; it has no row, the rows of hosts are its truth. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import { Fault } from '../../runtime/base/fault.ts';
import { begin, decide } from './decide.ts';
import type { RecoveryProtocol } from './messages.ts';
import { recoveryJobs, type RecoveryParts } from './perform.ts';
import type { RecoverySettings } from './settings.ts';
import { NOTHING_SEEN, type RecoveryState } from './state.ts';

const MAILBOX_MAX = 20_000;
const FROM_OTHERS = ['wake', 'state', 'resume'] as const;

export function recoveryKind(parts: RecoveryParts, settings: RecoverySettings): ActorKind {
  return defineKind<RecoveryProtocol, RecoveryState>({
    kind: 'recovery',
    home: 'shard',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: Number.POSITIVE_INFINITY,
    parse(type) {
      const known = FROM_OTHERS.find((one) => one === type);
      if (!known) throw new Fault('invalid', 'message.invalid', `Not a message of the recovery: ${type}.`);
      return { type: known };
    },
    load: () => NOTHING_SEEN,
    recover: (state) => begin(state),
    decide: (state, message, facts) => decide(state, message, facts, settings),
    perform: recoveryJobs(parts, settings),
  });
}
