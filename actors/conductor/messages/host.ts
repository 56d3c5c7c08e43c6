/** What a host actor asks of the store: its node holds no credentials (P7), so it asks a conductor. */
import type { HostInventory } from '../../../drivers/driver.ts';
import type { ImageRef } from '../../model/image.ts';
import type { Claim } from '../../model/placement.ts';
import type { Resources } from '../../model/resources.ts';
import type { HostStart } from '../../host/messages.ts';

export type HostDoorProtocol = {
  /**
   * Makes or updates the host's row, raises its epoch, answers with its claims. `selfFenceMs`: a guard stops the host's
   * guests before so long has passed without an answered beat; null when nobody does.
   */
  hostStart: {
    body: { host: string; node: string; driver: string; inventory: HostInventory; capacity: Resources; zone: string; selfFenceMs: number | null };
    reply: HostStart;
  };
  /** The claims recorded on a host now; those of one instance when it is named. */
  hostClaims: { body: { host: string; instanceId: string | null }; reply: readonly Claim[] };
  /** What the row says that administrators change. */
  hostRow: { body: { host: string }; reply: Omit<HostStart, 'claims'> };
  /** A doomed claim's guest is gone from the host: the claim goes too. */
  hostConfirmGone: { body: { host: string; instanceId: string; generation: number }; reply: undefined };
  /** Of guests without a claim: which of them the store records as deleted or moved. Only these may be destroyed. */
  hostStrays: {
    body: { host: string; guests: readonly { instanceId: string; generation: number }[] };
    reply: readonly { instanceId: string; generation: number; recordedGone: boolean }[];
  };
  /**
   * I am alive. Beats are not commits: they wait for nobody and take no revision. False: not heard, since the host's
   * epoch is a higher one by now (a fence, another start); the host must begin anew before it does anything.
   */
  hostBeat: { body: { host: string; epoch: number }; reply: boolean };
  /** No guard watches over this epoch's guests any more, and they go on: silence will prove nothing. */
  hostLeave: { body: { host: string; epoch: number }; reply: undefined };
};

/** Addresses of the same bytes, best first, and the text that opens them there (as `X-Auth-Token`) for some minutes. */
export type ImageWay = { readonly urls: readonly string[]; readonly token: string; readonly expiresAtMs: number };
export type ImageTicket = ImageWay & Pick<ImageRef, 'sizeBytes' | 'hash'>;

/** Bytes never travel in the mesh: a host fetches them from an image service, by a ticket. */
export type ImageTicketProtocol = {
  /**
   * Only of an image that a server with a claim on the host is made from. `again`: the last ticket was refused there.
   * Faults: `forbidden` (reason `image.notClaimed`), `unavailable` (no image service is known).
   */
  hostImageTicket: { body: { host: string; imageId: string; again: boolean }; reply: ImageTicket };
};
