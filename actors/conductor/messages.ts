/**
 * What may be said to a conductor: the one door to the store. Any of them answers (`conductor/any`).
 * The parts: `messages/write.ts`, `read.ts`, `record.ts`, and for the embedded services `identity.ts`, `image.ts`;
 * what hosts ask is in `messages/host.ts`, what nodes without a database ask in `messages/node.ts`.
 */
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { AggregateProtocol, ImageWantProtocol } from './messages/aggregate.ts';
import type { GroupProtocol } from './messages/group.ts';
import type { HostDoorProtocol, ImageTicketProtocol } from './messages/host.ts';
import type { IdentityProtocol } from './messages/identity.ts';
import type { ImageProtocol } from './messages/image.ts';
import type { DoorNodeProtocol, NodeDoorProtocol } from './messages/node.ts';
import type { OperatorProtocol } from './messages/operator.ts';
import type { ReadProtocol } from './messages/read.ts';
import type { RecordProtocol } from './messages/record.ts';
import type { RecoveryDoorProtocol } from './messages/recovery.ts';
import type { SnapshotProtocol, UploadTicketProtocol } from './messages/snapshot.ts';
import type { WriteProtocol } from './messages/write.ts';

export type ConductorProtocol = WriteProtocol &
  ReadProtocol &
  RecordProtocol &
  AggregateProtocol &
  OperatorProtocol &
  HostDoorProtocol &
  ImageTicketProtocol &
  UploadTicketProtocol &
  SnapshotProtocol &
  ImageWantProtocol &
  RecoveryDoorProtocol &
  GroupProtocol &
  NodeDoorProtocol &
  DoorNodeProtocol &
  IdentityProtocol &
  ImageProtocol;

export const CONDUCTOR: Ref<ConductorProtocol> = refTo('conductor', 'any');
