/** What the store made visible, told in process to who subscribes: batches in revision order. */
import type { EventBatch, EventFeed } from '../model/event.ts';
import type { CellStore } from './store.ts';

export function openFeed(store: Pick<CellStore, 'onWritten'>): EventFeed {
  const listeners = new Set<(batch: EventBatch) => void>();
  store.onWritten((batch) => {
    for (const listener of listeners) listener(batch);
  });
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
