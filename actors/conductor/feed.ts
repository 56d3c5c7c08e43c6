/**
 * What the store made visible, told to who subscribes on this node, and to the other nodes as a hint: a batch that is
 * lost on the way is found in the history by whoever needs it.
 */
import { z } from 'zod';
import { refTo, type Ref } from '../../runtime/actor/address.ts';
import type { Actors } from '../../runtime/actor/ask.ts';
import { defineService, type ServiceKind } from '../../runtime/actor/kind.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { EventBatch, EventFeed } from '../model/event.ts';
import type { CellStore } from './store.ts';

export type FeedProtocol = {
  /** A batch that another node committed. */
  batch: { body: { batch: EventBatch }; reply: undefined };
};

/** Batches of other nodes that may wait. */
const MAILBOX_MAX = 1_024;

const batchShape = z.object({
  batch: z.object({
    revision: z.number().int().nonnegative(),
    events: z
      .array(z.looseObject({ revision: z.number().int(), id: z.string().max(64), projectId: z.string().max(64), status: z.string().max(64) }))
      .max(10_000),
  }),
});

function feedRef(node: string): Ref<FeedProtocol> {
  return refTo('feed', node);
}

export type Feed = EventFeed & {
  /** Answers for `feed/<this node>`. */
  readonly kind: ServiceKind;
};

/** `others`: the nodes that are told what this one commits. A node without a store only listens. */
export function openFeed(parts: { store: Pick<CellStore, 'onWritten'> | undefined; actors: Actors; others: () => readonly string[] }): Feed {
  const listeners = new Set<(batch: EventBatch) => void>();
  const tellHere = (batch: EventBatch): void => {
    for (const listener of listeners) listener(batch);
  };
  parts.store?.onWritten((batch) => {
    tellHere(batch);
    for (const node of parts.others()) parts.actors.tell(feedRef(node), { type: 'batch', batch });
  });
  return {
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    kind: defineService<FeedProtocol>({
      kind: 'feed',
      mailboxMax: MAILBOX_MAX,
      concurrency: 1,
      parse(type, body) {
        const parsed = batchShape.safeParse(body);
        if (type !== 'batch' || !parsed.success) throw new Fault('invalid', 'message.invalid', `Not a message of a feed: ${type}.`);
        return { type: 'batch', batch: parsed.data.batch as unknown as EventBatch };
      },
      serve: {
        async batch({ batch }) {
          tellHere(batch);
          return undefined;
        },
      },
    }),
  };
}
