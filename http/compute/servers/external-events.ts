/**
 * `/os-server-external-events`: what other services say of servers. An event of a server that is on a host is taken;
 * the rest is told one by one. A change of power makes the host look at its guests; other events have nobody here who
 * waits for them, and are taken all the same, so that their senders go on.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import { ANY_SERVER } from '../../../actors/conductor/messages/read.ts';
import { hostRef } from '../../../actors/host/messages.ts';
import type { InstanceRecord } from '../../../actors/model/instance.ts';
import type { Call } from '../../kit/call.ts';
import type { Reply } from '../../kit/route.ts';
import type { BodySchema } from '../../kit/schema.ts';
import { SINCE } from '../microversions.ts';
import { list, members, text, UUID } from '../parameter-types.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

/** Event names and the version that brought them. */
const NAMES: readonly (readonly [name: string, since: number])[] = [
  ['network-changed', 1],
  ['network-vif-plugged', 1],
  ['network-vif-unplugged', 1],
  ['network-vif-deleted', 1],
  ['volume-extended', SINCE.volumeExtended],
  ['power-update', SINCE.powerUpdate],
  ['accelerator-request-bound', SINCE.acceleratorEvents],
  ['volume-reimaged', SINCE.volumeReimaged],
];
/** Without a tag they do not say what they are about. */
const TAGGED = new Set(['network-vif-deleted', 'volume-extended', 'power-update', 'accelerator-request-bound']);
/** Events of one request. */
const EVENTS_MAX = 1_000;
const MULTI = 207;

const BODY: BodySchema = {
  breaks: [1, SINCE.volumeExtended, SINCE.powerUpdate, SINCE.acceleratorEvents, SINCE.volumeReimaged],
  at: (version) => {
    const names = NAMES.flatMap(([name, since]) => (version >= since ? [name] : []));
    const event = members(
      {
        name: { type: 'string', enum: names },
        server_uuid: UUID,
        status: { type: 'string', enum: ['failed', 'completed', 'in-progress'] },
        tag: text(0, 255),
      },
      ['name', 'server_uuid'],
    );
    return members({ events: list(event, { minItems: 1, maxItems: EVENTS_MAX }) }, ['events']);
  },
};

export const EXTERNAL_EVENT_ROUTES = [
  route({ method: 'POST', path: '/os-server-external-events', policy: 'os-server-external-events:create', body: BODY, ok: 200, serve: serveEvents }),
];

type Event = { readonly name: string; readonly server_uuid: string; readonly status?: string; readonly tag?: string };

async function serveEvents(call: Call, parts: ComputeParts): Promise<Reply> {
  const { events } = call.body as { events: Event[] }; // the schema has checked it
  const servers = await serversOf(parts, new Set(events.map((event) => canonical(event.server_uuid))));
  const looking = new Set<string>();
  const answers = events.map((event) => {
    const server = servers.get(canonical(event.server_uuid));
    const code = codeOf(event, server);
    if (code === 200 && event.name === 'power-update' && server?.host) looking.add(server.host);
    return { ...event, status: code === 200 ? (event.status ?? 'completed') : 'failed', code };
  });
  for (const host of looking) parts.actors.tell(hostRef(host), { type: 'guestChanged', event: null });
  const isWhole = answers.every(({ code }) => code === 200);
  return { status: isWhole ? 200 : MULTI, body: { events: answers } };
}

function codeOf({ name, tag }: Event, server: InstanceRecord | undefined): 200 | 400 | 404 | 422 {
  if (server === undefined) return 404;
  if (server.host === null) return 422;
  return TAGGED.has(name) && (tag ?? '') === '' ? 400 : 200;
}

async function serversOf(parts: ComputeParts, ids: ReadonlySet<string>): Promise<ReadonlyMap<string, InstanceRecord>> {
  const filter = { ...ANY_SERVER, deleted: false, ids: [...ids] };
  const { servers } = await parts.actors.ask(CONDUCTOR, { type: 'listServers', filter, sort: [], marker: null, limit: ids.size });
  return new Map(servers.map(({ record }) => [record.id, record]));
}

/** A uuid may come without its dashes. */
function canonical(uuid: string): string {
  const hex = uuid.toLowerCase().replaceAll('-', '');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
