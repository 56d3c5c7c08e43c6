/** The schema's steps in order, by the names under which cells remember them. A name never changes. */
export const STEP_NAMES = [
  '001-first-schema',
  '002-node-keys',
  '003-host-proof',
  '004-many-doors',
  '006-migrations',
  '008-aggregates',
  '009-server-groups',
] as const satisfies readonly string[];
export type StepName = (typeof STEP_NAMES)[number];

export function isStepName(name: string): name is StepName {
  return STEP_NAMES.some((step) => step === name);
}
