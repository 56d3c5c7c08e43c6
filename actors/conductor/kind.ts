/**
 * The conductor: the one door to the store. A stateless service on each control node: it batches commits, serves
 * reads and records, and answers hosts, whose nodes hold no credentials (P7). Joins the room's files.
 */
import { defineService, type ServiceKind } from '../../runtime/actor/kind.ts';
import { accept } from './accept.ts';
import { HostBeats } from './beats.ts';
import type { ConductorProtocol } from './messages.ts';
import type { HostDoorProtocol } from './messages/host.ts';
import type { WriteProtocol } from './messages/write.ts';
import { parseConductorMessage } from './parse.ts';
import type { CellStore } from './store.ts';

/** Under way at once; the write batch and the pool have their own limits behind it. */
const CONCURRENCY = 2_048;
const MAILBOX_MAX = 4_096;

type Serve = ServiceKind<ConductorProtocol>['serve'];
type OwnProtocol = WriteProtocol & HostDoorProtocol;

/** `records`: what reads, plain records and the embedded services answer. */
export function conductorKind(store: CellStore, records: Omit<Serve, keyof OwnProtocol>): ServiceKind {
  const serve = { ...records, ...ownServe(store) } as Serve;
  return defineService<ConductorProtocol>({ kind: 'conductor', mailboxMax: MAILBOX_MAX, concurrency: CONCURRENCY, parse: parseConductorMessage, serve });
}

export function ownServe(store: CellStore): ServiceKind<OwnProtocol>['serve'] {
  const beats = new HostBeats(store);
  return {
    accept: ({ order }) => accept(store, order),
    hostStart: (start) => store.hostStart(start),
    hostClaims: ({ host, instanceId }) => store.hostClaims(host, instanceId),
    hostRow: ({ host }) => store.hostRow(host),
    async hostConfirmGone({ host, instanceId, generation }) {
      await store.hostConfirmGone(host, instanceId, generation);
      return undefined;
    },
    hostStrays: ({ guests }) => store.hostStrays(guests),
    hostBeat: ({ host, epoch }) => beats.beat({ host, epoch }),
  };
}
