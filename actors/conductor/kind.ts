/**
 * The conductor: the one door to the store. A stateless service on each control node: it batches commits, serves
 * reads and records, and answers hosts, whose nodes hold no credentials (P7). Joins the room's files.
 */
import { defineService, type ServiceKind } from '../../runtime/actor/kind.ts';
import { accept } from './accept.ts';
import { Gathered } from './gathered.ts';
import type { ConductorProtocol } from './messages.ts';
import type { GroupProtocol } from './messages/group.ts';
import type { HostDoorProtocol } from './messages/host.ts';
import type { RecoveryDoorProtocol } from './messages/recovery.ts';
import type { WriteProtocol } from './messages/write.ts';
import { nodeDoorServe, type ClusterView } from './node-door.ts';
import type { DoorNodeProtocol, NodeDoorProtocol } from './messages/node.ts';
import { parseConductorMessage, REPEATABLE } from './parse.ts';
import { beatKey } from './standings.ts';
import type { CellStore } from './store.ts';

/** Under way at once; the write batch and the pool have their own limits behind it. */
const CONCURRENCY = 2_048;
const MAILBOX_MAX = 4_096;

type Serve = ServiceKind<ConductorProtocol>['serve'];
type OwnProtocol = WriteProtocol & HostDoorProtocol & RecoveryDoorProtocol & GroupProtocol;

/** `records`: what reads, plain records and the embedded services answer. */
export function conductorKind(
  store: CellStore,
  records: Omit<Serve, keyof OwnProtocol | keyof NodeDoorProtocol | keyof DoorNodeProtocol>,
  view: ClusterView,
): ServiceKind {
  const serve = { ...records, ...ownServe(store, view), ...nodeDoorServe(view) } as Serve;
  return defineService<ConductorProtocol>({
    kind: 'conductor',
    mailboxMax: MAILBOX_MAX,
    concurrency: CONCURRENCY,
    repeatable: REPEATABLE,
    parse: parseConductorMessage,
    serve,
  });
}

/** The conductor as a node knows it that has none: it is asked elsewhere. */
export function conductorElsewhere(): ServiceKind {
  return { ...defineService<ConductorProtocol>({ kind: 'conductor', mailboxMax: 0, concurrency: 0, repeatable: REPEATABLE, serve: {} as Serve }) };
}

/** `view`: of the cluster, where there is one. */
export function ownServe(store: CellStore, view?: Pick<ClusterView, 'alive' | 'hostBegan'>): ServiceKind<OwnProtocol>['serve'] {
  const beats = new Gathered((waiting: readonly { host: string; epoch: number }[]) => store.hostBeats(waiting));
  return {
    accept: ({ order }) => accept(store, order),
    groupPlaces: ({ groupId, instanceId }) => store.groupPlaces(groupId, instanceId),
    async hostStart(start) {
      const begun = await store.hostStart(start, view?.alive());
      view?.hostBegan(start.host, start.node);
      return begun;
    },
    hostClaims: ({ host, instanceId }) => store.hostClaims(host, instanceId),
    hostRow: ({ host }) => store.hostRow(host),
    async hostConfirmGone({ host, instanceId, generation }) {
      await store.hostConfirmGone(host, instanceId, generation);
      return undefined;
    },
    hostStrays: ({ guests }) => store.hostStrays(guests),
    hostBeat: async ({ host, epoch }) => (await beats.add({ host, epoch })).has(beatKey(host, epoch)),
    async hostLeave({ host, epoch }) {
      await store.hostLeave(host, epoch);
      return undefined;
    },
    hostStandings: () => store.hostStandings(),
    hostStanding: ({ host }) => store.hostStanding(host),
    hostProve: (prove) => store.hostProve(prove),
    serversOn: ({ host, limit }) => store.serversOn(host, limit),
  };
}
