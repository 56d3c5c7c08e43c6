/**
 * What other nodes may say to an instance: doors, hosts and whoever hints. Answers to its own asks and its timers come
 * from its own node alone and are not known here. The reading is strict; see model/parse.ts.
 */
import { z } from 'zod';
import type { ActorKind } from '../../runtime/actor/kind.ts';
import {
  FLAVOR,
  listUpTo,
  IMAGE_REF,
  COUNT,
  LONG_TEXT,
  NAME,
  NO_BODY,
  parserOf,
  POWER,
  SMALL_COUNT,
  TEXT_MAP,
  textUpTo,
  UNLIMITED_OR_COUNT,
  UUID_TEXT,
  WORD,
  type Bodies,
  type Shape,
} from '../model/parse.ts';
import type { ImageDraft } from '../model/image.ts';
import type { Caller, InstanceChanges, InstanceProtocol, ListChange, MapChange, RebuildChanges, RescueBoot, Verb } from './messages.ts';

type FromOthers = 'get' | 'act' | 'update' | 'wake' | 'guestSeen' | 'hostLost';

/** Names in one change; what the limits of a server let be is less. */
const CHANGES_MAX = 1_024;
const ADDRESS_TEXT_MAX = 64;

const CALLER = z.strictObject({ userId: NAME, projectId: NAME, isAdmin: z.boolean(), requestId: WORD } satisfies Shape<Caller>);

const DRAFT = z.strictObject({
  id: UUID_TEXT,
  name: NAME,
  owner: NAME,
  minDiskGiB: SMALL_COUNT,
  minMemoryMiB: COUNT,
  properties: TEXT_MAP,
} satisfies Shape<ImageDraft>);

const REBUILD_CHANGES = z.strictObject({
  name: NAME.exactOptional(),
  description: LONG_TEXT.nullable().exactOptional(),
  hostname: NAME.exactOptional(),
  diskConfig: z.enum(['AUTO', 'MANUAL']).exactOptional(),
  accessIpV4: textUpTo(ADDRESS_TEXT_MAX).nullable().exactOptional(),
  accessIpV6: textUpTo(ADDRESS_TEXT_MAX).nullable().exactOptional(),
  metadata: TEXT_MAP.exactOptional(),
  keyName: NAME.nullable().exactOptional(),
  publicKey: LONG_TEXT.nullable().exactOptional(),
  userData: LONG_TEXT.nullable().exactOptional(),
} satisfies Shape<RebuildChanges>);

const RESCUE_BOOT = z.strictObject({ image: IMAGE_REF, kernel: IMAGE_REF.nullable(), ramdisk: IMAGE_REF.nullable() } satisfies Shape<RescueBoot>);

const VERB = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('start') }),
  z.strictObject({ name: z.literal('stop') }),
  z.strictObject({ name: z.literal('reboot'), kind: z.enum(['soft', 'hard']) }),
  z.strictObject({ name: z.literal('delete') }),
  z.strictObject({ name: z.enum(['pause', 'unpause', 'suspend', 'resume', 'unrescue', 'restore', 'crashDump', 'forceDelete']) }),
  z.strictObject({ name: z.literal('rescue'), boot: RESCUE_BOOT.nullable() }),
  z.strictObject({ name: z.literal('changePassword'), password: LONG_TEXT }),
  z.strictObject({ name: z.literal('lock'), reason: NAME.nullable() }),
  z.strictObject({ name: z.literal('unlock'), override: z.boolean() }),
  z.strictObject({ name: z.literal('resetState'), to: z.enum(['active', 'error']) }),
  z.strictObject({ name: z.literal('evacuate'), target: WORD.nullable(), force: z.boolean(), stopped: z.boolean() }),
  z.strictObject({ name: z.literal('createImage'), image: DRAFT }),
  z.strictObject({ name: z.literal('createBackup'), image: DRAFT, backupType: NAME, rotation: SMALL_COUNT }),
  z.strictObject({
    name: z.literal('rebuild'),
    image: IMAGE_REF,
    kernel: IMAGE_REF.nullable(),
    ramdisk: IMAGE_REF.nullable(),
    changes: REBUILD_CHANGES,
    preserveEphemeral: z.boolean(),
  }),
  z.strictObject({ name: z.literal('shelve'), image: DRAFT }),
  z.strictObject({ name: z.literal('shelveOffload') }),
  z.strictObject({ name: z.literal('unshelve'), zone: NAME.nullable().exactOptional(), host: WORD.nullable() }),
  z.strictObject({ name: z.literal('resize'), flavor: FLAVOR, diskConfig: z.enum(['AUTO', 'MANUAL']).nullable() }),
  z.strictObject({ name: z.literal('migrate'), target: WORD.nullable() }),
  z.strictObject({ name: z.literal('live-migration'), target: WORD.nullable(), force: z.boolean() }),
  z.strictObject({ name: z.literal('confirmResize') }),
  z.strictObject({ name: z.literal('revertResize') }),
  z.strictObject({ name: z.literal('abortMigration'), migrationId: UUID_TEXT }),
  z.strictObject({ name: z.literal('forceMigration'), migrationId: UUID_TEXT }),
]) satisfies z.ZodType<Verb>;

const names = listUpTo(CHANGES_MAX, NAME);
const MAP_CHANGE = z.strictObject({
  replace: z.boolean().exactOptional(),
  set: TEXT_MAP.exactOptional(),
  drop: names.exactOptional(),
  max: UNLIMITED_OR_COUNT.exactOptional(),
} satisfies Shape<MapChange>);
const LIST_CHANGE = z.strictObject({
  replace: z.boolean().exactOptional(),
  add: names.exactOptional(),
  drop: names.exactOptional(),
  max: UNLIMITED_OR_COUNT.exactOptional(),
} satisfies Shape<ListChange>);

const CHANGES = z.strictObject({
  name: NAME.exactOptional(),
  description: LONG_TEXT.nullable().exactOptional(),
  hostname: NAME.exactOptional(),
  diskConfig: z.enum(['AUTO', 'MANUAL']).exactOptional(),
  accessIpV4: textUpTo(ADDRESS_TEXT_MAX).nullable().exactOptional(),
  accessIpV6: textUpTo(ADDRESS_TEXT_MAX).nullable().exactOptional(),
  metadata: MAP_CHANGE.exactOptional(),
  tags: LIST_CHANGE.exactOptional(),
  securityGroups: LIST_CHANGE.exactOptional(),
  guestPassword: LONG_TEXT.nullable().exactOptional(),
} satisfies Shape<InstanceChanges>);

const BODIES = {
  get: NO_BODY,
  act: z.strictObject({ verb: VERB, caller: CALLER }),
  update: z.strictObject({ changes: CHANGES, caller: CALLER }),
  wake: NO_BODY,
  // A driver may name a guest that was never placed: generation 0.
  guestSeen: z.strictObject({ host: WORD, generation: SMALL_COUNT, power: POWER }),
  hostLost: z.strictObject({ host: WORD }),
} satisfies Bodies<InstanceProtocol, FromOthers>;

export const parseInstanceMessage: NonNullable<ActorKind<InstanceProtocol>['parse']> = parserOf('instance', BODIES);
