/** What a host actor asks of the store: its node holds no credentials (P7), so it asks a conductor. */
import type { HostInventory } from '../../../drivers/driver.ts';
import type { Claim } from '../../model/placement.ts';
import type { Resources } from '../../model/resources.ts';
import type { HostStart } from '../../host/messages.ts';

export type HostDoorProtocol = {
  /** Makes or updates the host's row, raises its epoch, answers with its claims. */
  hostStart: {
    body: { host: string; node: string; driver: string; inventory: HostInventory; capacity: Resources; zone: string };
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
  /** I am alive. Beats are not commits: they wait for nobody and take no revision. */
  hostBeat: { body: { host: string; epoch: number }; reply: undefined };
};
