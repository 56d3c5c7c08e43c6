/**
 * What other nodes may say to a host: claims and verbs of instances, reads of doors. Ends of its own jobs, answers to
 * its own asks, its timer and its driver's events come from its own node alone; of the latter an instance may say the
 * one without an event, which makes the host look. The reading is strict; see model/parse.ts.
 */
import { z } from 'zod';
import type { ActorKind } from '../../runtime/actor/kind.ts';
import {
  type Bodies,
  GENERATION,
  GUEST_SPEC,
  listUpTo,
  LONG_TEXT,
  NAME,
  NO_BODY,
  parserOf,
  RESCUE_DISK,
  RESOURCES,
  textUpTo,
  UUID_TEXT,
  WORD,
} from '../model/parse.ts';
import type { GuestVerb, HostProtocol } from './messages.ts';

type FromOthers = 'claim' | 'release' | 'run' | 'consoleOutput' | 'hurry' | 'hostUptime' | 'diagnostics' | 'report' | 'rowChanged' | 'guestChanged';

/** Longer than any ask may last. */
const WAIT_MAX_MS = 60_000;
/** The longest that an operator may set. */
const GRACE_MAX_MS = 3_600_000;
/** As base64 it still fits a frame of the mesh. */
const CONSOLE_MAX_BYTES = 524_288;

const LIMIT_MAX_MS = 86_400_000;

const limitMs = z.int().min(0).max(LIMIT_MAX_MS);
const WAYS_MAX = 8;
const WAY_TEXT_MAX = 1_024;

const graceMs = z.int().min(0).max(GRACE_MAX_MS);

const WAY = z.strictObject({ urls: listUpTo(WAYS_MAX, textUpTo(WAY_TEXT_MAX)), token: textUpTo(WAY_TEXT_MAX) });

const VERB = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('spawn'), spec: GUEST_SPEC }),
  z.strictObject({ name: z.literal('destroy') }),
  z.strictObject({ name: z.literal('start') }),
  z.strictObject({ name: z.literal('stop'), graceMs }),
  z.strictObject({ name: z.literal('reboot'), kind: z.enum(['soft', 'hard']), graceMs }),
  z.strictObject({ name: z.literal('snapshot'), imageId: UUID_TEXT, quiesce: z.boolean(), limitMs }),
  z.strictObject({ name: z.literal('upload'), imageId: UUID_TEXT, limitMs }),
  z.strictObject({ name: z.literal('dropSnapshot') }),
  z.strictObject({ name: z.literal('park'), graceMs }),
  z.strictObject({ name: z.literal('offer') }),
  z.strictObject({ name: z.literal('unpark'), run: z.boolean() }),
  z.strictObject({ name: z.literal('send'), force: z.boolean() }),
  z.strictObject({ name: z.literal('stay'), paused: z.boolean() }),
  z.strictObject({ name: z.literal('prepare'), spec: GUEST_SPEC }),
  z.strictObject({ name: z.literal('receive'), spec: GUEST_SPEC, way: WAY, memory: z.boolean() }),
  z.strictObject({ name: z.literal('land'), paused: z.boolean() }),
  z.strictObject({ name: z.enum(['pause', 'unpause', 'suspend', 'resume', 'crashDump']) }),
  z.strictObject({ name: z.literal('rescue'), spec: GUEST_SPEC, boot: RESCUE_DISK, graceMs }),
  z.strictObject({ name: z.literal('unrescue'), spec: GUEST_SPEC }),
  z.strictObject({ name: z.literal('setPassword'), password: LONG_TEXT }),
]) satisfies z.ZodType<GuestVerb>;

const GUEST = { instanceId: UUID_TEXT, generation: GENERATION };

const BODIES = {
  claim: z.strictObject({ ...GUEST, need: RESOURCES, zone: NAME.exactOptional() }),
  release: z.strictObject(GUEST),
  // The claim that is checked is that of the body: a spec of another guest must not pass under it.
  run: z
    .strictObject({ ...GUEST, operation: WORD, verb: VERB, waitMs: z.int().min(0).max(WAIT_MAX_MS) })
    .refine(({ instanceId, generation, verb }) => !('spec' in verb) || (verb.spec.instanceId === instanceId && verb.spec.generation === generation), {
      path: ['verb', 'spec'],
    }),
  hurry: z.strictObject(GUEST),
  consoleOutput: z.strictObject({ ...GUEST, maxBytes: z.int().min(0).max(CONSOLE_MAX_BYTES) }),
  hostUptime: NO_BODY,
  diagnostics: z.strictObject(GUEST),
  report: NO_BODY,
  rowChanged: NO_BODY,
  guestChanged: z.strictObject({ event: z.null() }),
} satisfies Bodies<HostProtocol, FromOthers>;

export const parseHostMessage: NonNullable<ActorKind<HostProtocol>['parse']> = parserOf('host', BODIES);
