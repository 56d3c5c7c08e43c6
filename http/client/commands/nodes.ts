/** The nodes of a cluster as a table for people: who may come in, who is there. */
type Known = {
  readonly keys: readonly { readonly name: string; readonly roles: readonly string[] }[];
  readonly rows: readonly { readonly name: string; readonly roles: readonly string[]; readonly endpoint: string; readonly beat: number }[];
};

const COLUMNS = ['NAME', 'ROLES', 'MESH', 'WAY IN'] as const;

export function renderNodes({ keys, rows }: Known): string {
  const names = [...new Set([...rows, ...keys].map(({ name }) => name))].toSorted();
  const lines = names.map((name) => {
    const row = rows.find((one) => one.name === name);
    const key = keys.find((one) => one.name === name);
    return [name, (row ?? key)?.roles.join(',') ?? '', row?.endpoint ?? 'never came', key ? 'key' : 'database'];
  });
  const widths = COLUMNS.map((title, i) => Math.max(title.length, ...lines.map((line) => line[i]?.length ?? 0)));
  return [COLUMNS, ...lines]
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
