/** Images that are made of servers: what their operations ask of a conductor. Each may come twice. Faults: `unavailable` when no image service answers. */
import type { DiskCopy } from '../../../drivers/driver.ts';
import type { ImageRef } from '../../model/image.ts';
import type { ImageWay } from './host.ts';

export type SnapshotProtocol = {
  /**
   * The image that the server's open operation is about exists from now on. Doors ask it too, before they name the image
   * to a user. Fault `conflict` when no open operation is about it.
   */
  snapshotImage: { body: { instanceId: string; imageId: string }; reply: undefined };
  /** It gets the format of the copy. Fault `notFound`: somebody has deleted it. */
  snapshotDescribe: { body: { instanceId: string; imageId: string; disk: DiskCopy }; reply: undefined };
  /**
   * All of its bytes are there: it stays when the server goes, unless the server keeps it (`isKept`, of a shelve). Of
   * backups of that type the newest `rotation` stay. Faults: `notFound`, `conflict` (it has no bytes).
   */
  snapshotSettle: { body: { instanceId: string; imageId: string; rotate: { backupType: string; rotation: number } | null; isKept: boolean }; reply: ImageRef };
  /** A hint: somebody does not need it any more. It goes when nobody does. */
  snapshotLeft: { body: { imageId: string }; reply: undefined };
};

/** Where the bytes are put (`X-Auth-Token`), one address after the other; `done`: the image has them already. */
export type UploadTicket = { readonly is: 'done' } | ({ readonly is: 'open' } & ImageWay);

export type UploadTicketProtocol = {
  /**
   * For a host: only of an image that the open operation of a server with a claim there is about. `again`: the last
   * ticket was refused there. Faults: `forbidden`, `notFound` (the image was deleted), `unavailable`.
   */
  hostUploadTicket: { body: { host: string; instanceId: string; imageId: string; again: boolean }; reply: UploadTicket };
};
