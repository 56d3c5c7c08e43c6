/**
 * `/os-simple-tenant-usage`: what servers had of a project in a window of time, from their records, which stay when the
 * servers are deleted. Hours are fractions of the seconds that lie in the window; `uptime` is a server's whole life.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { ServerUse } from '../../../actors/conductor/messages/read.ts';
import { toIso } from '../../../runtime/base/clock.ts';
import type { Call } from '../../kit/call.ts';
import { forbidden, invalid } from '../../kit/errors.ts';
import { isFull, pageOf } from '../../kit/paging.ts';
import { parseTime, type QueryTable } from '../../kit/query.ts';
import type { Reply } from '../../kit/route.ts';
import { SINCE } from '../microversions.ts';
import { route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';
import { microTime } from '../servers/view.ts';

const HOUR_MS = 3_600_000;
const TIME_FORM = /^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?| \d\d:\d\d:\d\d\.\d{1,6})$/;
const PAGES = { limit: { kind: 'count', from: SINCE.usagePages }, marker: { kind: 'text', from: SINCE.usagePages } } as const;
const WINDOW = { start: { kind: 'text' }, end: { kind: 'text' } } as const;

export const USAGE_ROUTES = [
  route({
    method: 'GET',
    path: '/os-simple-tenant-usage',
    policy: 'os-simple-tenant-usage:list',
    query: { strictFrom: SINCE.strictQueries, parameters: { ...WINDOW, detailed: { kind: 'text' }, ...PAGES } } satisfies QueryTable,
    ok: 200,
    serve: serveList,
  }),
  route({
    method: 'GET',
    path: '/os-simple-tenant-usage/:id',
    policy: 'os-simple-tenant-usage:show',
    query: { strictFrom: SINCE.strictQueries, parameters: { ...WINDOW, ...PAGES } } satisfies QueryTable,
    ok: 200,
    serve: serveShow,
  }),
];

type Window = { readonly fromMs: number; readonly toMs: number; readonly nowMs: number };
type Sum = { hours: number; memory: number; vcpus: number; disk: number; readonly servers: object[] };

function windowOf(call: Call, parts: ComputeParts): Window {
  const nowMs = parts.clock.wallMs();
  const fromMs = timeOf(call.query.one('start'), nowMs);
  // Who names neither asks for this very moment.
  const toMs = timeOf(call.query.one('end'), nowMs + (call.query.has('start') ? 0 : 1));
  if (fromMs >= toMs) throw invalid('Invalid start time. The start time cannot occur after the end time.');
  return { fromMs, toMs: Math.min(toMs, nowMs), nowMs }; // what is to come is not used yet
}

function timeOf(text: string | undefined, nowMs: number): number {
  if (text === undefined || text === '') return nowMs;
  const ms = TIME_FORM.test(text) ? parseTime(text) : undefined;
  if (ms === undefined) throw invalid('Datetime is in invalid format');
  return ms;
}

/** The servers of the window: one page from 2.40 on, all before. */
async function read(
  call: Call,
  parts: ComputeParts,
  window: Window,
  projectId: string | null,
): Promise<{ servers: readonly ServerUse[]; last: string | null }> {
  const { fromMs, toMs } = window;
  const ask = (marker: string | null, limit: number) => parts.actors.ask(CONDUCTOR, { type: 'listServerUse', projectId, fromMs, toMs, marker, limit });
  const max = parts.settings.pageMax;
  if (call.version >= SINCE.usagePages) {
    const page = pageOf(call.query, max);
    const servers = page.limit === 0 ? [] : await ask(page.marker, page.limit);
    return { servers, last: isFull(servers.length, page) ? (servers.at(-1)?.id ?? null) : null };
  }
  const servers: ServerUse[] = [];
  for (let marker: string | null = null; ;) {
    const more: readonly ServerUse[] = await ask(marker, max);
    servers.push(...more);
    if (more.length < max) return { servers, last: null };
    marker = more.at(-1)?.id ?? null;
  }
}

function sumsOf(servers: readonly ServerUse[], window: Window): Map<string, Sum> {
  const sums = new Map<string, Sum>();
  for (const server of servers) {
    const sum = sums.get(server.projectId) ?? { hours: 0, memory: 0, vcpus: 0, disk: 0, servers: [] };
    sums.set(server.projectId, sum);
    const hours = hoursIn(server, window);
    sum.hours += hours;
    sum.memory += server.memoryMiB * hours;
    sum.vcpus += server.vcpus * hours;
    sum.disk += server.diskGiB * hours;
    sum.servers.push(serverView(server, hours, window.nowMs));
  }
  return sums;
}

function hoursIn({ launchedAt, terminatedAt }: ServerUse, { fromMs, toMs }: Window): number {
  const begin = Math.max(fromMs, Date.parse(launchedAt));
  const end = Math.min(toMs, terminatedAt === null ? Infinity : Date.parse(terminatedAt));
  return Math.max(0, end - begin) / HOUR_MS;
}

function serverView(server: ServerUse, hours: number, nowMs: number): object {
  const { id, projectId, name, vmState, flavorName, vcpus, memoryMiB, diskGiB, launchedAt, terminatedAt } = server;
  const aliveMs = (terminatedAt === null ? nowMs : Date.parse(terminatedAt)) - Date.parse(launchedAt);
  return {
    instance_id: id,
    name,
    hours,
    flavor: flavorName,
    vcpus,
    memory_mb: memoryMiB,
    local_gb: diskGiB,
    tenant_id: projectId,
    started_at: microTime(launchedAt),
    ended_at: microTime(terminatedAt),
    state: terminatedAt === null ? vmState : 'terminated',
    uptime: Math.floor(Math.max(0, aliveMs) / 1_000),
  };
}

function usageView(projectId: string, sum: Sum, window: Window, detailed: boolean): object {
  return {
    tenant_id: projectId,
    total_hours: sum.hours,
    total_memory_mb_usage: sum.memory,
    total_vcpus_usage: sum.vcpus,
    total_local_gb_usage: sum.disk,
    start: microTime(toIso(window.fromMs)),
    stop: microTime(toIso(window.toMs)),
    ...(detailed ? { server_usages: sum.servers } : {}),
  };
}

async function serveList(call: Call, parts: ComputeParts): Promise<Reply> {
  const window = windowOf(call, parts);
  const { servers, last } = await read(call, parts, window, null);
  const detailed = call.query.one('detailed') === '1';
  const usages = [...sumsOf(servers, window)].map(([projectId, sum]) => usageView(projectId, sum, window, detailed));
  return { body: { tenant_usages: usages, ...linksOf(call, 'tenant_usages_links', last) } };
}

async function serveShow(call: Call, parts: ComputeParts): Promise<Reply> {
  const projectId = call.param('id');
  if (projectId !== call.caller.projectId && !call.caller.isAdmin) {
    throw forbidden("Policy doesn't allow os_compute_api:os-simple-tenant-usage:show to be performed.", 'policy');
  }
  const window = windowOf(call, parts);
  const { servers, last } = await read(call, parts, window, projectId);
  const [sum] = sumsOf(servers, window).values();
  return { body: { tenant_usage: sum === undefined ? {} : usageView(projectId, sum, window, true), ...linksOf(call, 'tenant_usage_links', last) } };
}

function linksOf(call: Call, name: string, last: string | null): object {
  return last === null ? {} : { [name]: call.links.next(call.path, call.query, last) };
}
