/** Lists of servers: brief and detailed. A page is a concatenation of views that are rendered once per revision. */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { InstanceRecord, Stored } from '../../../actors/model/instance.ts';
import { isUuid } from '../../../runtime/base/ids.ts';
import type { Call } from '../../kit/call.ts';
import { isFull, markerUnknown, pageOf } from '../../kit/paging.ts';
import type { Reply } from '../../kit/route.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { selectServers, SERVER_QUERY, sortServers } from './filters.ts';
import { briefView, detailView, shelfName, sightOf, stampOf } from './view.ts';
import type { ServerSight } from './view.ts';

const EMPTY: Reply = { text: '{"servers":[]}' };
const LIST_ASK_MS = 10_000;

export const SERVER_LIST_ROUTES = [
  route({ method: 'GET', path: '/servers', policy: 'servers:index', query: SERVER_QUERY, ok: 200, serve: (call, parts) => serveList(call, parts, 'brief') }),
  route({
    method: 'GET',
    path: '/servers/detail',
    policy: 'servers:detail',
    query: SERVER_QUERY,
    ok: 200,
    serve: (call, parts) => serveList(call, parts, 'detail'),
  }),
];

async function serveList(call: Call, parts: ComputeParts, kind: 'brief' | 'detail'): Promise<Reply> {
  const page = pageOf(call.query, parts.settings.pageMax);
  const selection = selectServers(call, parts, kind === 'brief' ? 'servers:index' : 'servers:detail');
  const sort = sortServers(call);
  if (selection === null || page.limit === 0) return EMPTY;
  if (page.marker !== null && !isUuid(page.marker)) throw markerUnknown(page.marker);
  const answer = await parts.actors.ask(
    CONDUCTOR,
    { type: 'listServers', filter: selection.filter, sort, marker: page.marker, limit: page.limit },
    { timeoutMs: LIST_ASK_MS, signal: call.signal },
  );
  const last = answer.servers.at(-1);
  const kept = selection.rest.length === 0 ? answer.servers : answer.servers.filter(({ record }) => selection.rest.every((holds) => holds(record)));
  const next = last !== undefined && isFull(answer.servers.length, page) ? call.links.next(call.path, call.query, last.record.id) : undefined;
  const views = renderAll(kept, await sightOf(call, parts), parts, kind);
  return { text: `{"servers":[${views.join(',')}]${next === undefined ? '' : `,"servers_links":${JSON.stringify(next)}`}}` };
}

function renderAll(servers: readonly Stored<InstanceRecord>[], sight: ServerSight, parts: ComputeParts, kind: 'brief' | 'detail'): string[] {
  const shelf = parts.fragments.shelf(shelfName(kind, sight));
  return servers.map((stored) => {
    const { record } = stored;
    if (kind === 'brief') return shelf.take(record.id, stored.version, () => JSON.stringify(briefView(record, sight.links)));
    return shelf.take(record.id, stampOf(stored, sight), () => JSON.stringify(detailView(record, sight)));
  });
}
