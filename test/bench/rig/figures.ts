/**
 * What a benchmark answers: named figures with their unit at the end of the name (`postP50Ms`), and how they are made of
 * samples and shown to people. Nothing is smoothed or left out: a percentile is one of the samples.
 */

/** Numbers and short words; nothing nested, so that two runs can be compared line by line. */
export type Figures = { readonly [name: string]: number | string | boolean };
export type Result = { readonly name: string } & Figures;

/** Nearest rank. 0 for no samples, which the count beside it tells. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

/** `postP50Ms` and so on. */
export function spread(name: string, samplesMs: readonly number[], shares: readonly number[] = [0.5, 0.99]): { [name: string]: number } {
  return Object.fromEntries(shares.map((share) => [`${name}P${String(share * 100).replace('.', '')}Ms`, round(percentile(samplesMs, share))]));
}

/** Three digits that count; whole numbers above a hundred. */
export function round(value: number): number {
  if (!Number.isFinite(value)) return 0;
  if (Math.abs(value) >= 100) return Math.round(value);
  return Number(value.toPrecision(3));
}

export function tally(codes: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].map(([code, count]) => `${code}×${count}`).join(' ');
}

export function asText({ name, ...figures }: Result): string {
  const width = Math.max(...Object.keys(figures).map((key) => key.length));
  const lines = Object.entries(figures).map(
    ([key, value]) => `  ${key.padEnd(width)}  ${typeof value === 'number' ? value.toLocaleString('en-US', { maximumFractionDigits: 3 }) : value}`,
  );
  return [name, ...lines, ''].join('\n');
}
