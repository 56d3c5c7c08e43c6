/**
 * `/os-instance_usage_audit_log`: how many servers each host had in the last whole period. Nothing runs for it: the
 * servers' own records say it when they are asked, so every host that was there is done.
 */
import { CONDUCTOR } from '../../../actors/conductor/messages.ts';
import type { Call } from '../../kit/call.ts';
import { invalid } from '../../kit/errors.ts';
import type { Reply } from '../../kit/route.ts';
import { hostsNow, route } from '../parts.ts';
import type { ComputeParts } from '../parts.ts';

export const AUDIT_PERIODS = ['hour', 'day', 'month', 'year'] as const;
export type AuditPeriod = (typeof AUDIT_PERIODS)[number];

const PATH = '/os-instance_usage_audit_log';
const TIME = /^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,6}))?$/;
/** A bad month or day rolls over into another; then the text is not the time's own. */
const DATE_LENGTH = 19;

export const AUDIT_ROUTES = [
  route({
    method: 'GET',
    path: PATH,
    policy: 'os-instance-usage-audit-log:list',
    ok: 200,
    serve: async (_call, parts) => ({ body: { instance_usage_audit_logs: await auditBefore(parts, parts.clock.wallMs()) } }),
  }),
  route({ method: 'GET', path: `${PATH}/:id`, policy: 'os-instance-usage-audit-log:show', ok: 200, serve: serveShow }),
];

async function serveShow(call: Call, parts: ComputeParts): Promise<Reply> {
  const text = call.param('id');
  const beforeMs = TIME.test(text) ? Date.parse(`${text.slice(0, DATE_LENGTH).replace(' ', 'T')}Z`) : Number.NaN;
  if (Number.isNaN(beforeMs) || showTime(beforeMs) !== text.slice(0, DATE_LENGTH)) throw invalid(`Invalid timestamp for date ${text.slice(0, 64)}`);
  return { body: { instance_usage_audit_log: await auditBefore(parts, beforeMs) } };
}

/** The last whole period that ended before or at that moment, in UTC. */
export function periodBefore(beforeMs: number, period: AuditPeriod): { beginMs: number; endMs: number } {
  const at = new Date(beforeMs);
  const [year, month, day, hour] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate(), at.getUTCHours()];
  const ends = (back: number): number => {
    switch (period) {
      case 'hour':
        return Date.UTC(year, month, day, hour - back);
      case 'day':
        return Date.UTC(year, month, day - back);
      case 'month':
        return Date.UTC(year, month - back);
      case 'year':
        return Date.UTC(year - back, 0);
    }
  };
  return { beginMs: ends(1), endMs: ends(0) };
}

function showTime(ms: number): string {
  return new Date(ms).toISOString().slice(0, DATE_LENGTH).replace('T', ' ');
}

async function auditBefore(parts: ComputeParts, beforeMs: number): Promise<object> {
  const { beginMs, endMs } = periodBefore(beforeMs, parts.settings.auditPeriod);
  const [hosts, counted] = await Promise.all([hostsNow(parts), parts.actors.ask(CONDUCTOR, { type: 'serversInPeriod', beginMs, endMs })]);
  const known = new Set(counted.map(({ host }) => host));
  const missing = hosts.map(({ host }) => host).filter((host) => !known.has(host));
  const instances = counted.reduce((sum, { servers }) => sum + servers, 0);
  const all = counted.length + missing.length;
  const line = (host: string, servers: number): string => `Instance usage audit of host ${host}: ${servers} instances.`;
  return {
    period_beginning: showTime(beginMs),
    period_ending: showTime(endMs),
    num_hosts: all,
    num_hosts_done: counted.length,
    num_hosts_running: 0,
    num_hosts_not_run: missing.length,
    hosts_not_run: missing,
    total_instances: instances,
    total_errors: 0,
    overall_status: missing.length === 0 ? 'ALL hosts done. 0 errors.' : `${counted.length} of ${all} hosts done. 0 errors.`,
    log: Object.fromEntries(counted.map(({ host, servers }) => [host, { state: 'DONE', instances: servers, errors: 0, message: line(host, servers) }])),
  };
}
