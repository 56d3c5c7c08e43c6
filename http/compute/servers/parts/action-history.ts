/** `/servers/{id}/os-instance-actions`: what was done to a server, newest first, and how each step of it ended. */
import type { ActionEvent, ActionRecord } from '../../../../actors/model/operation.ts';
import type { Json } from '../../../../runtime/base/fault.ts';
import type { Call } from '../../../kit/call.ts';
import { invalid, notFound } from '../../../kit/errors.ts';
import { cutPage, pageOf } from '../../../kit/paging.ts';
import { parseTime } from '../../../kit/query.ts';
import type { QueryTable } from '../../../kit/query.ts';
import type { Reply } from '../../../kit/route.ts';
import { SINCE } from '../../microversions.ts';
import { route } from '../../parts.ts';
import type { ComputeParts } from '../../parts.ts';
import { findServer, findServerOrDeleted } from '../find.ts';
import type { FoundServer } from '../find.ts';
import { hostIdOf, microTime } from '../view.ts';

const PATH = '/servers/:id/os-instance-actions';

const QUERY: QueryTable = {
  strictFrom: SINCE.actionPages,
  parameters: {
    limit: { kind: 'count', from: SINCE.actionPages, onceFrom: SINCE.actionPages },
    marker: { kind: 'text', from: SINCE.actionPages, onceFrom: SINCE.actionPages },
    'changes-since': { kind: 'date', from: SINCE.actionPages, onceFrom: SINCE.actionPages },
    'changes-before': { kind: 'date', from: SINCE.changesBefore, onceFrom: SINCE.changesBefore },
  },
};

export const ACTION_HISTORY_ROUTES = [
  route({ method: 'GET', path: PATH, policy: 'os-instance-actions:list', query: QUERY, ok: 200, find: findOfVersion, serve: serveList }),
  route({ method: 'GET', path: `${PATH}/:request`, policy: 'os-instance-actions:show', ok: 200, find: findOfVersion, serve: serveShow }),
];

function findOfVersion(call: Call, parts: ComputeParts): Promise<FoundServer> {
  return call.version >= SINCE.actionsOfDeleted ? findServerOrDeleted(call, parts) : findServer(call, parts);
}

function serveList(call: Call, _parts: ComputeParts, { record }: FoundServer): Reply {
  const newestFirst = record.actions.toReversed();
  if (call.version < SINCE.actionPages) return { body: { instanceActions: newestFirst.map((action) => actionView(action, record.id, call.version)) } };
  const since = parseTime(call.query.one('changes-since') ?? '') ?? -Infinity;
  const before = parseTime(call.query.one('changes-before') ?? '') ?? Infinity;
  if (since > before) throw invalid('The value of changes-since must be less than or equal to changes-before.');
  const inTime = newestFirst.filter((action) => {
    const changedMs = Date.parse(action.updatedAt);
    return changedMs >= since && changedMs <= before;
  });
  const { items, full } = cutPage(inTime, pageOf(call.query), (action) => action.requestId);
  const last = items.at(-1);
  const links = full && last !== undefined ? { links: call.links.next(call.path, call.query, last.requestId) } : {};
  return { body: { instanceActions: items.map((action) => actionView(action, record.id, call.version)), ...links } };
}

function serveShow(call: Call, parts: ComputeParts, { record }: FoundServer): Reply {
  const wanted = call.param('request');
  const action = record.actions.findLast((one) => one.requestId === wanted);
  if (action === undefined) throw notFound(`Action ${wanted.slice(0, 64)} not found`);
  const view: Record<string, unknown> = { ...actionView(action, record.id, call.version) };
  const traces = parts.policy.allows('os-instance-actions:events', call.caller);
  const details = parts.policy.allows('os-instance-actions:events:details', call.caller);
  if (traces || call.version >= SINCE.actionEventsForAll) {
    view['events'] = action.events.map((event) => eventView(event, record.projectId, call.version, { traces, details }));
  }
  return { body: { instanceAction: view } };
}

function actionView(action: ActionRecord, serverId: string, version: number): object {
  return {
    action: action.action,
    instance_uuid: serverId,
    request_id: action.requestId,
    user_id: action.userId,
    project_id: action.projectId,
    start_time: microTime(action.startedAt),
    message: action.message,
    ...(version >= SINCE.actionPages ? { updated_at: microTime(action.updatedAt) } : {}),
  };
}

function eventView(event: ActionEvent, projectId: string, version: number, sees: { traces: boolean; details: boolean }): object {
  return {
    event: event.event,
    start_time: microTime(event.startedAt),
    finish_time: microTime(event.finishedAt),
    result: event.result,
    ...(sees.traces ? { traceback: traceOf(event) } : {}),
    ...(version >= SINCE.eventHost ? { hostId: hostIdOf(projectId, event.host), ...(sees.traces && event.host !== null ? { host: event.host } : {}) } : {}),
    ...(version >= SINCE.eventDetails && sees.details ? { details: event.fault?.message ?? null } : {}),
  };
}

/** What operators want to know of a failure: the fault, and why which host was chosen. */
function traceOf(event: ActionEvent): string | null {
  const known: { [name: string]: Json } = {};
  if (event.fault !== null) known['fault'] = event.fault;
  if (event.explanation !== undefined) known['placement'] = event.explanation;
  return Object.keys(known).length === 0 ? null : JSON.stringify(known);
}
