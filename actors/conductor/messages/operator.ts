/** Figures for operators: what projects have on a host, and which servers there were in a period. */
import type { Resources } from '../../model/resources.ts';

export type OperatorProtocol = {
  /** By project: what the servers on this host were promised. */
  hostUse: { body: { host: string }; reply: readonly { readonly projectId: string; readonly promised: Resources }[] };
  /** By host: how many servers ran there at some moment of the period. Hosts that came after it are left out. */
  serversInPeriod: { body: { beginMs: number; endMs: number }; reply: readonly { readonly host: string; readonly servers: number }[] };
};
