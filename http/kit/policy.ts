/**
 * Rules: who may do what. A rule has a name (shown in the 403) and the least role that passes it. Roles form a chain,
 * reader ⊂ member ⊂ manager ⊂ admin; `owner` is for things of one user, `service` for other services.
 * Which objects a caller can see at all is decided before, by project.
 */
import { Fault } from '../../runtime/base/fault.ts';
import type { Caller } from './auth.ts';

export const WHO = ['any', 'reader', 'member', 'manager', 'admin', 'owner', 'service', 'nobody'] as const;
export type Who = (typeof WHO)[number];
export type RuleTable = { readonly [rule: string]: Who };

const LEVEL: { readonly [role: string]: number } = { reader: 1, member: 2, _member_: 2, manager: 3, admin: 4 };

export type Policy<Rule extends string> = {
  allows(rule: Rule, caller: Caller): boolean;
  /** Fault `forbidden` naming the rule. */
  enforce(rule: Rule, caller: Caller): void;
};

/** The defaults with an operator's changes; an unknown rule or role among them is a Fault `invalid`. */
export function openPolicy<Rule extends string>(defaults: { readonly [rule in Rule]: Who }, changes: RuleTable, prefix: string): Policy<Rule> {
  const rules = new Map<string, Who>(Object.entries<Who>(defaults));
  for (const [name, who] of Object.entries(changes)) {
    const rule = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    if (!rules.has(rule)) throw new Fault('invalid', 'policy', `There is no policy rule ${name}.`);
    if (!WHO.includes(who)) throw new Fault('invalid', 'policy', `The policy rule ${name} names an unknown role ${who}.`);
    rules.set(rule, who);
  }
  const allows = (rule: Rule, caller: Caller): boolean => passes(rules.get(rule) ?? 'nobody', caller);
  return {
    allows,
    enforce(rule, caller) {
      if (!allows(rule, caller)) throw new Fault('forbidden', 'policy', `Policy doesn't allow ${fullName(rule, prefix)} to be performed.`);
    },
  };
}

/** Most rules live under one prefix; a few names stand for themselves. */
function fullName(rule: string, prefix: string): string {
  return rule.startsWith('compute:') || rule.startsWith('network:') ? rule : `${prefix}${rule}`;
}

function passes(who: Who, caller: Caller): boolean {
  switch (who) {
    case 'any':
    case 'owner': // the objects of other users are hidden by the look-up
      return true;
    case 'nobody':
      return false;
    case 'service':
      return caller.isAdmin || caller.roles.includes('service');
    default:
      return caller.isAdmin || levelOf(caller.roles) >= (LEVEL[who] ?? Infinity);
  }
}

function levelOf(roles: readonly string[]): number {
  let level = 0;
  for (const role of roles) level = Math.max(level, LEVEL[role] ?? 0);
  return level;
}
