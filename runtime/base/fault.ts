/**
 * The one error that travels. A refusal is a reply; a Fault is a refusal that crosses rooms and nodes as data.
 * `reason` names the case for machines (`quota.cores`), `message` is for the user, `detail` for the operator
 * only. HTTP status and EC2 code are looked up at the door, last. Anything else that is thrown is a bug.
 */
export const FAULTS = {
  /** The request itself is wrong; asking again changes nothing. */
  invalid: { retryable: false },
  unauthorized: { retryable: false },
  forbidden: { retryable: false },
  notFound: { retryable: false },
  /** Legal in another state. */
  conflict: { retryable: false },
  overQuota: { retryable: false },
  tooLarge: { retryable: false },
  /** The same idempotency key came with another body. */
  unprocessable: { retryable: false },
  /** This hypervisor or service cannot do it. */
  unsupported: { retryable: false },
  /** A bounded queue is full. */
  overloaded: { retryable: true },
  /** A service, host or owner does not answer. */
  unavailable: { retryable: true },
  /** The deadline passed; what happened is unknown. */
  timeout: { retryable: true },
  /** Somebody wanted it to stop. */
  cancelled: { retryable: false },
  /** A bug of ours, contained. */
  internal: { retryable: false },
} as const;

export type FaultCode = keyof typeof FAULTS;
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type FaultRecord = { code: FaultCode; reason: string; message: string; detail: Json };

export class Fault extends Error {
  readonly code: FaultCode;
  readonly reason: string;
  readonly detail: Json;

  constructor(code: FaultCode, reason: string, message: string, more: { detail?: Json; cause?: unknown } = {}) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'Fault';
    this.code = code;
    this.reason = reason;
    this.detail = more.detail ?? null;
  }

  get retryable(): boolean {
    return FAULTS[this.code].retryable;
  }

  static is(error: unknown, code?: FaultCode): error is Fault {
    return error instanceof Fault && (code === undefined || error.code === code);
  }

  /** Any thrown value as a Fault: a bug becomes `internal`, its text goes to `detail` where only operators see it. */
  static from(error: unknown): Fault {
    if (error instanceof Fault) return error;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return new Fault('internal', 'internal', 'An unexpected error has occurred.', { detail: text, cause: error });
  }

  toRecord(): FaultRecord {
    return { code: this.code, reason: this.reason, message: this.message, detail: this.detail };
  }

  static fromRecord(record: FaultRecord): Fault {
    const code = record.code in FAULTS ? record.code : 'internal';
    return new Fault(code, record.reason, record.message, { detail: record.detail });
  }
}
