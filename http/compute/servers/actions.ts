/**
 * `POST /servers/{id}/action`: one route per action. When each is legal stands in actors/model/server-state.ts; here is
 * what the body may hold and which verb it becomes.
 */
import { hostRef } from '../../../actors/host/messages.ts';
import { instanceRef } from '../../../actors/instance/messages.ts';
import type { Verb } from '../../../actors/instance/messages.ts';
import type { Verb as LegalVerb } from '../../../actors/model/server-state.ts';
import type { Call } from '../../kit/call.ts';
import { conflict } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import type { JsonSchema } from '../../kit/schema.ts';
import { ANYTHING, integer, members } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts, ComputeRoute } from '../parts.ts';
import type { Rule } from '../rules.ts';
import { EVACUATE_ROUTE } from './evacuate.ts';
import { actorCaller, findServer, refuseIllegal } from './find.ts';
import type { FoundServer } from './find.ts';
import { IMAGE_ACTION_ROUTES } from './image-actions.ts';
import { REBUILD_ROUTE } from './rebuild.ts';
import { UNSHELVE_ROUTES } from './unshelve.ts';

export const PATH = '/servers/:id/action';
/** What a host keeps of a console is a ring; more than this is not asked of it. */
const CONSOLE_MAX_BYTES = 102_400;
const CONSOLE_ASK_MS = 10_000;

export const SERVER_ACTION_ROUTES = [
  verbRoute('os-start', 'servers:start', ANYTHING, () => ({ name: 'start' })),
  verbRoute('os-stop', 'servers:stop', ANYTHING, () => ({ name: 'stop' })),
  verbRoute(
    'reboot',
    'servers:reboot',
    members({ type: { type: 'string', enum: ['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft'] } }, ['type']),
    (argument) => ({
      name: 'reboot',
      kind: rebootKind(argument),
    }),
  ),
  route({
    method: 'POST',
    path: PATH,
    action: 'os-getConsoleOutput',
    policy: 'os-console-output',
    body: actionBody('os-getConsoleOutput', members({ length: { anyOf: [integer(-1), { type: 'null' }] } })),
    ok: 200,
    find: findServer,
    serve: serveConsole,
  }),
  EVACUATE_ROUTE,
  REBUILD_ROUTE,
  ...IMAGE_ACTION_ROUTES,
  ...UNSHELVE_ROUTES,
];

export function actionBody(action: string, argument: JsonSchema) {
  return { breaks: [1], at: () => members({ [action]: argument }, [action]) };
}

/** An action that is one verb and answers with nothing. */
export function verbRoute(action: string, policy: Rule, argument: JsonSchema, verbOf: (argument: unknown) => Verb): ComputeRoute {
  return route({
    method: 'POST',
    path: PATH,
    action,
    policy,
    body: actionBody(action, argument),
    ok: 202,
    find: findServer,
    serve: async (call: Call, parts: ComputeParts, found: FoundServer): Promise<Reply> => {
      const verb = verbOf(argumentOf(call, action));
      refuseIllegal(legalVerb(verb), SAID[verb.name] ?? action, found.record, call);
      await parts.actors.ask(instanceRef(found.record.id), { type: 'act', verb, caller: actorCaller(call) }, { commandId: call.requestId });
      return {};
    },
  });
}

/** Where refusals name the verb and not the action. */
const SAID: { readonly [verb: string]: string } = { start: 'start', stop: 'stop' };

function legalVerb(verb: Verb): LegalVerb {
  return verb.name === 'reboot' ? (verb.kind === 'soft' ? 'rebootSoft' : 'rebootHard') : verb.name;
}

export function argumentOf(call: Call, action: string): { readonly [name: string]: unknown } {
  const body = call.body !== null && typeof call.body === 'object' ? Object.entries(call.body).find(([name]) => name === action)?.[1] : undefined;
  return body !== null && typeof body === 'object' ? Object.fromEntries(Object.entries(body)) : {};
}

function rebootKind(argument: unknown): 'soft' | 'hard' {
  const type = argument !== null && typeof argument === 'object' && 'type' in argument ? String(argument.type) : '';
  return type.toLowerCase() === 'hard' ? 'hard' : 'soft';
}

async function serveConsole(call: Call, parts: ComputeParts, { record }: FoundServer): Promise<Reply> {
  if (record.host === null) throw conflict(`Instance ${record.id} is not ready`, 'notReady');
  const { base64 } = await parts.actors.ask(
    hostRef(record.host),
    { type: 'consoleOutput', instanceId: record.id, generation: record.generation, maxBytes: CONSOLE_MAX_BYTES },
    { timeoutMs: CONSOLE_ASK_MS, signal: call.signal },
  );
  const length = argumentOf(call, 'os-getConsoleOutput')['length'];
  const lines = length === undefined || length === null ? -1 : Number(length);
  return { body: { output: lastLines(Buffer.from(base64, 'base64').toString('utf8'), lines) } };
}

/** The last `count` lines; −1: all. A line break at the very end ends the last line, it does not begin one. */
export function lastLines(text: string, count: number): string {
  if (count < 0) return text;
  if (count === 0) return '';
  const trailing = text.endsWith('\n') ? 1 : 0;
  return text
    .split('\n')
    .slice(-(count + trailing))
    .join('\n');
}
