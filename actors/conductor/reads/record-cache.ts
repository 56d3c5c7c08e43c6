/**
 * Parsed records by id and revision, so that a list that is asked again and again parses only what changed. Bounded
 * by the length of the records' JSON; the one used longest ago leaves first. A record is shared: nobody may change it.
 */
import type { InstanceRecord, Stored } from '../../model/instance.ts';

/** About ten thousand usual records; parsed, they take two to three times as many bytes. */
const RECORDS_MAX_CHARS = 32 * 1024 * 1024;

/** A row of `instance` as these reads select it: numbers of 64 bits and the record come as text. */
export type RecordRead = { id: string; number: string; version: string; revision: string; record: string };

type Entry = { readonly stored: Stored<InstanceRecord>; readonly chars: number };

export class RecordCache {
  readonly #entries = new Map<string, Entry>();
  readonly #maxChars: number;
  #chars = 0;

  constructor(maxChars: number = RECORDS_MAX_CHARS) {
    this.#maxChars = maxChars;
  }

  /** Characters of JSON whose records are kept. */
  get chars(): number {
    return this.#chars;
  }

  /** The record of exactly this revision. */
  get(id: string, revision: number): Stored<InstanceRecord> | undefined {
    const entry = this.#entries.get(id);
    if (entry?.stored.revision !== revision) return undefined;
    this.#entries.delete(id);
    this.#entries.set(id, entry); // set anew, so that the map's order is that of use
    return entry.stored;
  }

  /** The newest revision that is kept of it. */
  revisionOf(id: string): number | undefined {
    return this.#entries.get(id)?.stored.revision;
  }

  /** Parses a row and keeps it. */
  add(row: RecordRead): Stored<InstanceRecord> {
    const stored = parseRecord(row);
    this.#drop(row.id);
    this.#entries.set(row.id, { stored, chars: row.record.length });
    this.#chars += row.record.length;
    for (const id of this.#entries.keys()) {
      if (this.#chars <= this.#maxChars) break;
      this.#drop(id);
    }
    return stored;
  }

  #drop(id: string): void {
    this.#chars -= this.#entries.get(id)?.chars ?? 0;
    this.#entries.delete(id);
  }
}

/** The number stands in its own column, since the store gives it when it has the record already. */
function parseRecord(row: RecordRead): Stored<InstanceRecord> {
  const record = JSON.parse(row.record) as InstanceRecord; // our own writing, checked when it was written
  const number = Number(row.number);
  return {
    record: record.number === number ? record : { ...record, number },
    version: Number(row.version),
    revision: Number(row.revision),
  };
}
