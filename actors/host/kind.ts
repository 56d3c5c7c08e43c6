/** Joins the room's files. One kind object per host: its jobs are bound to the driver of that host. */
import { defineKind, type ActorKind } from '../../runtime/actor/kind.ts';
import { decide } from './decide.ts';
import type { HostProtocol } from './messages.ts';
import { parseHostMessage } from './parse.ts';
import type { HostParts } from './parts.ts';
import { hostJobs } from './perform.ts';
import type { HostSettings } from './settings.ts';
import { newHost, type HostState } from './state.ts';

/** A host is spoken to by all instances that are placed on it. */
const MAILBOX_MAX = 4_096;

export function hostKind(parts: HostParts, settings: HostSettings): ActorKind {
  return defineKind<HostProtocol, HostState>({
    kind: 'host',
    home: 'node',
    mailboxMax: MAILBOX_MAX,
    passivateAfterMs: Number.POSITIVE_INFINITY,
    parse: parseHostMessage,
    load: (name) => newHost(name),
    // Begun, and begun again after a crash, by itself: nobody else knows that it has to.
    recover: (state) => ({ state, effects: [{ do: 'wake', inMs: 0, message: { type: 'tick' }, tag: 'tick' }] }),
    decide: (state, message, facts) => decide(state, message, facts, settings),
    perform: hostJobs(parts, settings),
  });
}
