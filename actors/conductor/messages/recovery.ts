/**
 * What watches over hosts asks of the store: how they stand, that a proof is recorded, who was there. Only
 * `hostStanding` is for doors too; the rest is said on control nodes alone.
 */
import type { HostProof, HostStanding, ServerOnHost } from '../../model/host-standing.ts';

export type RecoveryDoorProtocol = {
  /** All hosts that are not deleted. */
  hostStandings: { body: object; reply: readonly HostStanding[] };
  /** One; null when there is none. `silentMs` is for views and hints: by the database's clock, it decides nothing. */
  hostStanding: { body: { host: string }; reply: (HostStanding & { readonly silentMs: number }) | null };
  /**
   * Records a proof and begins the host's next epoch with it, if the host's epoch (and its mark, unless null) still
   * are what was seen. False: the host has spoken since, nothing was recorded.
   */
  hostProve: { body: { host: string; epoch: number; mark: string | null; proof: HostProof }; reply: boolean };
  /** Servers whose active claim is on the host, by id, at most `limit`. */
  serversOn: { body: { host: string; limit: number }; reply: readonly ServerOnHost[] };
};
