/** `novact config`: every setting in force and where it came from, as given: secrets are masked before they come here. */
export type ShownSetting = { readonly path: string; readonly value: string; readonly source: string };

export function renderSettings(settings: readonly ShownSetting[]): string {
  const pathWidth = Math.max(...settings.map(({ path }) => path.length));
  const lines = settings.map(({ path, value, source }) => `${path.padEnd(pathWidth)} = ${value}${source === 'default' ? '' : `   # ${source}`}`);
  return `${lines.join('\n')}\n`;
}
