/**
 * Structured log lines. Secrets are redacted by key, so that a record can be logged whole (S17).
 * A log line is for operators; users read faults and instance actions.
 */
import { pino } from 'pino';
import type { Json } from './fault.ts';

export type LogFields = { readonly [key: string]: unknown };

export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A log that adds `fields` to each line. */
  with(fields: LogFields): Log;
}

const SECRET_KEYS = /^(password|adminpass|admin_pass|token|x-auth-token|x-subject-token|secret|private_key|user_data|authorization)$/i;

/** A copy in which the values of secret keys are replaced; depth is bounded. */
export function redact(value: unknown, depth = 6): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') return value;
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack ?? null };
  if (depth === 0 || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return value.slice(0, 50).map((item) => redact(item, depth - 1));
  const out: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) {
    if (item !== undefined) out[key] = SECRET_KEYS.test(key) ? '***' : redact(item, depth - 1);
  }
  return out;
}

/** Writes JSON lines to `path`, or to standard error. */
export function openLog(options: { level: string; path?: string }): Log {
  const destination = pino.destination({ dest: options.path ?? 2, sync: true, mkdir: true });
  const sink = pino({ level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return wrap(sink);
}

export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
};

function wrap(sink: pino.Logger): Log {
  const line = (level: 'debug' | 'info' | 'warn' | 'error') => (event: string, fields?: LogFields) => {
    if (!sink.isLevelEnabled(level)) return;
    const clean = fields ? redact(fields) : undefined;
    if (clean !== null && typeof clean === 'object') sink[level](clean, event);
    else sink[level](event);
  };
  return {
    debug: line('debug'),
    info: line('info'),
    warn: line('warn'),
    error: line('error'),
    with: (fields) => wrap(sink.child(redact(fields) as Record<string, Json>)),
  };
}
