/** The stream's past, and where the cell stands now. */
import type pg from 'pg';
import { must } from '../../../runtime/base/check.ts';
import { oldestRevision, readHistory, type HistoryRow } from '../../../runtime/database/history.ts';
import type { StatusEvent } from '../../model/event.ts';
import type { ReadProtocol } from '../messages/read.ts';
import { fromStore, type Query } from './query.ts';

/**
 * Whole revisions, oldest first; between `after` and `upTo` nothing is missing. A revision without events (a plain
 * record changed) is not a gap. Fault `notFound` (`stream.gone`, detail {oldest}).
 */
export async function readEvents(pool: pg.Pool, body: { after: number; limit: number }): Promise<ReadProtocol['history']['reply']> {
  const { rows, upTo } = await fromStore(() => readHistory(pool, body));
  return { events: rows.map(toEvent), upTo };
}

export async function readRevision(pool: pg.Pool, query: Query): Promise<ReadProtocol['revision']['reply']> {
  const oldest = await fromStore(() => oldestRevision(pool));
  const [row] = await query<{ revision: string; incarnation: string }>({ text: 'select revision, incarnation from cell', values: [] });
  const { revision, incarnation } = must(row, 'a cell has its row');
  return { revision: Number(revision), oldest, incarnation };
}

function toEvent(row: HistoryRow): StatusEvent {
  const body = row.body as Omit<StatusEvent, 'revision'>; // our own writing
  return { ...body, revision: row.revision };
}
