/** What the conductor of a simulated node reads for others: the stream's past. Nothing else is asked in a simulation. */
import type { conductorKind } from '../../actors/conductor/kind.ts';
import type { ReadProtocol } from '../../actors/conductor/messages/read.ts';

type Records = Parameters<typeof conductorKind>[1];
/** Whole revisions only, as runtime/database/history.ts gives them. */
export type HistoryReads = {
  history(after: number, limit: number): Promise<ReadProtocol['history']['reply']>;
  revision(): Promise<ReadProtocol['revision']['reply']>;
};

export function simulatedReads(store: HistoryReads): Records {
  const serve: Pick<Records, 'history' | 'revision'> = {
    history: ({ after, limit }) => store.history(after, limit),
    revision: () => store.revision(),
  };
  return serve as Records; // a message that is not here is refused as unknown
}
