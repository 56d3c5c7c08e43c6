/**
 * An address is `kind/id`: plain text that may be stored, logged and sent. It never names a node; who answers is
 * looked up at each send. A `Ref` is an address with the type of what may be said to it.
 */
import type { Protocol } from './protocol.ts';

declare const speaks: unique symbol;
export type Address = string;
export type Ref<P extends Protocol> = string & { readonly [speaks]: P };

export function refTo<P extends Protocol>(kind: string, id: string): Ref<P> {
  return `${kind}/${id}` as Ref<P>;
}

/** Kind and id; the id may hold slashes. */
export function parseAddress(address: Address): { kind: string; id: string } {
  const slash = address.indexOf('/');
  if (slash <= 0 || slash === address.length - 1) throw new Error(`not an address: ${address}`);
  return { kind: address.slice(0, slash), id: address.slice(slash + 1) };
}
