/** What the conductor of a simulated node reads and records for others: the stream's past, an operator's word on hosts. */
import type { conductorKind } from '../../actors/conductor/kind.ts';
import type { ReadProtocol } from '../../actors/conductor/messages/read.ts';

type Records = Parameters<typeof conductorKind>[1];
/** Whole revisions only, as runtime/database/history.ts gives them. */
export type HistoryReads = {
  history(after: number, limit: number): Promise<ReadProtocol['history']['reply']>;
  revision(): Promise<ReadProtocol['revision']['reply']>;
  /** As `updateService` of actors/conductor/records/services.ts, of what it may change this alone. */
  forceService(host: string, down: boolean): Promise<void>;
};

export function simulatedReads(store: HistoryReads): Records {
  const serve: Pick<Records, 'history' | 'revision' | 'updateService'> = {
    history: ({ after, limit }) => store.history(after, limit),
    revision: () => store.revision(),
    async updateService({ host, forcedDown }) {
      if (host !== null && forcedDown !== undefined) await store.forceService(host, forcedDown);
      return { host: host ?? '' };
    },
  };
  return serve as Records; // a message that is not here is refused as unknown
}
