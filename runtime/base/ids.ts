/** Branded strings: an id of one thing cannot be passed where another's is wanted. Parsed at doors, believed inside. */
declare const brand: unique symbol;
export type Branded<Name extends string> = string & { readonly [brand]: Name };

export type NodeName = Branded<'NodeName'>;
/** New at each start of a process. */
export type BootId = Branded<'BootId'>;
export type CommandId = Branded<'CommandId'>;
/** `req-<uuid>`, as the Compute API shows it. */
export type RequestId = Branded<'RequestId'>;

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}
