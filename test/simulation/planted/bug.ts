/**
 * What a planted bug is: one place of the real source, and what stands there instead. It exists in processes of tests
 * alone, patched in while a module is loaded; nothing in the product knows of it.
 */
export type Promised = 'P1' | 'P2' | 'P3' | 'P4' | 'P5' | 'P6' | 'P7' | 'P8';

/** The workloads that look for it, none of them made for one bug; `hunt.ts` tells what each does. */
export const SUITES = ['cell', 'goals', 'contention'] as const;
export type Suite = (typeof SUITES)[number];

export type PlantedBug = {
  readonly name: string;
  /** The promise that it breaks. */
  readonly promise: Promised;
  /** From the root of the project. */
  readonly file: string;
  /** Text that stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** What is wrong with it, in a sentence. */
  readonly why: string;
  /** `cell` unless said. */
  readonly suite?: Suite;
};

/** What found it, as told by a process that looked for it. */
export type Found = { readonly seed: number; readonly problem: string };
export type Hunted = { readonly found: Found | null; readonly runs: number; readonly seconds: number };

/** The source with the bug in it. Throws when the source has moved on. */
export function plant({ name, file, find, replace }: PlantedBug, source: string): string {
  const places = source.split(find).length - 1;
  if (places !== 1) throw new Error(`planted bug ${name}: its text stands ${places} times in ${file}, not once`);
  return source.replace(find, () => replace);
}
