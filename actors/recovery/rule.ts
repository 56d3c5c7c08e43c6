/** Which fence rule is for a host. Pure. */
import type { FenceRule } from './settings.ts';

/** The first whose pattern fits the whole name; `*` stands for any letters. */
export function ruleFor(rules: readonly FenceRule[], host: string): FenceRule | undefined {
  return rules.find((rule) => fits(rule.hosts, host));
}

function fits(pattern: string, host: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join('.*')}$`).test(host);
}
