/** Rules that types cannot say. A broken one is a bug: it throws, and the actor that meant it is reset. */
export function check(condition: unknown, rule: string): asserts condition {
  if (!condition) throw new Error(`broken rule: ${rule}`);
}

export function unreachable(value: never): never {
  throw new Error(`unreachable case: ${JSON.stringify(value)}`);
}

/** The value, or a bug when there is none. */
export function must<T>(value: T | undefined | null, rule: string): T {
  if (value === undefined || value === null) throw new Error(`broken rule: ${rule}`);
  return value;
}
