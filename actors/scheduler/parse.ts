/**
 * What other nodes may say to a scheduler: requests of instances, reports of hosts. Its tick is its own. The
 * reading is strict, see model/parse.ts.
 */
import { z } from 'zod';
import type { ActorKind } from '../../runtime/actor/kind.ts';
import { HOST_REPORT, parserOf, PLACEMENT_REQUEST, UUID_TEXT, WORD, type Bodies } from '../model/parse.ts';
import type { SchedulerProtocol } from './messages.ts';

/** Bids for one request; the first few decide. */
const WANTED_MAX = 100;

const BODIES = {
  place: z.strictObject({ request: PLACEMENT_REQUEST, wanted: z.int().min(1).max(WANTED_MAX) }),
  report: z.strictObject({ report: HOST_REPORT, granted: UUID_TEXT.nullable() }),
  unclaimed: z.strictObject({ host: WORD, instanceId: UUID_TEXT }),
} satisfies Bodies<SchedulerProtocol, Exclude<keyof SchedulerProtocol, 'tick'>>;

export const parseSchedulerMessage: NonNullable<ActorKind<SchedulerProtocol>['parse']> = parserOf('scheduler', BODIES);
