/**
 * Keyset pages: an order that no two rows share, and the condition "after this row" in it. Columns come from closed
 * tables; an expression is never null, since a null compares with nothing and its row would be lost between pages.
 * Absent values come first when ascending.
 */
export type KeyColumn = { readonly sql: string; readonly type: string };
export type OrderKey = KeyColumn & { readonly descending: boolean };

/** `order by` list. */
export function orderOf(keys: readonly OrderKey[]): string {
  return keys.map((key) => `${key.sql}${key.descending ? ' desc' : ''}`).join(', ');
}

/** Select list that reads a marker's place: one text per key, `k0`, `k1`, … */
export function placeColumns(keys: readonly OrderKey[]): string {
  return keys.map((key, i) => `(${key.sql})::text as k${i}`).join(', ');
}

/** Rows behind the marker's place. One row comparison when all keys run the same way, which an index can serve. */
export function behind(keys: readonly OrderKey[], place: readonly string[], put: (value: unknown) => string): string {
  const params = keys.map((key, i) => `${put(place[i])}::${key.type}`);
  const isUniform = keys.every((key) => key.descending === keys[0]?.descending);
  if (isUniform) return `(${keys.map((key) => key.sql).join(', ')}) ${keys[0]?.descending ? '<' : '>'} (${params.join(', ')})`;
  const steps = keys.map((key, i) => {
    const same = keys.slice(0, i).map((former, j) => `${former.sql} = ${params[j]}`);
    return `(${[...same, `${key.sql} ${key.descending ? '<' : '>'} ${params[i]}`].join(' and ')})`;
  });
  return `(${steps.join(' or ')})`;
}

/** Drops repeated keys and what comes after a unique one; ends with a unique one, which runs as the key before it. */
export function totalOrder(keys: readonly OrderKey[], unique: KeyColumn): OrderKey[] {
  const order: OrderKey[] = [];
  for (const key of keys) {
    if (order.some((former) => former.sql === key.sql)) continue;
    order.push(key);
    if (key.sql === unique.sql) return order;
  }
  return [...order, { ...unique, descending: order.at(-1)?.descending ?? false }];
}
