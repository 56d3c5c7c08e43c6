/** What other nodes may say to a network: all of its messages. The reading is strict; see model/parse.ts. */
import { z } from 'zod';
import type { ActorKind } from '../../runtime/actor/kind.ts';
import { ADDRESS, NO_BODY, parserOf, UUID_TEXT, type Bodies } from '../model/parse.ts';
import type { NetworkProtocol } from './messages.ts';

const BODIES = {
  propose: z.strictObject({ instanceId: UUID_TEXT, wanted: ADDRESS.nullable() }),
  free: z.strictObject({ instanceId: UUID_TEXT, address: ADDRESS }),
  get: NO_BODY,
} satisfies Bodies<NetworkProtocol, keyof NetworkProtocol>;

export const parseNetworkMessage: NonNullable<ActorKind<NetworkProtocol>['parse']> = parserOf('network', BODIES);
