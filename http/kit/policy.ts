/**
 * Rules: who may do what. A rule has a name (shown in the 403) and the least role that passes it, or an expression of
 * an operator's (`rule-text.ts`). Roles form a chain, reader ⊂ member ⊂ manager ⊂ admin; whoever has one has those
 * below it. A rule is asked about an object (its project, its user); without one about the caller's own.
 * Which objects a caller can see at all is decided before, by project.
 */
import { Fault } from '../../runtime/base/fault.ts';
import type { Caller } from './auth.ts';
import { literalOf, parseRule, rulesIn } from './rule-text.ts';
import type { RuleTree } from './rule-text.ts';

export const WHO = ['any', 'reader', 'member', 'manager', 'admin', 'owner', 'service', 'nobody'] as const;
export type Who = (typeof WHO)[number];
/** Changes by rule name: a least role, or an expression. */
export type RuleTable = { readonly [rule: string]: string | RuleTree };

/** Whose the object is that something is done to; members that are absent are the caller's own. */
export type Target = { readonly projectId?: string; readonly userId?: string; readonly zone?: string };

/** What a least role says, as an expression. */
const EXPRESSION: { readonly [who in Who]: string } = {
  any: '@',
  reader: 'rule:project_reader_or_admin',
  member: 'rule:project_member_or_admin',
  manager: 'rule:project_manager_or_admin',
  admin: 'rule:context_is_admin',
  owner: 'rule:context_is_admin or user_id:%(user_id)s',
  service: 'rule:service_or_admin',
  nobody: '!',
};

/** Rules that others are made of. An operator may replace them like any other. */
export const BASE_RULES = {
  context_is_admin: 'role:admin',
  admin_or_owner: 'is_admin:True or project_id:%(project_id)s',
  admin_api: 'is_admin:True',
  project_reader_api: 'role:reader and project_id:%(project_id)s',
  project_member_api: 'role:member and project_id:%(project_id)s',
  project_manager_api: 'role:manager and project_id:%(project_id)s',
  project_reader_or_admin: 'rule:project_reader_api or rule:context_is_admin',
  project_member_or_admin: 'rule:project_member_api or rule:context_is_admin',
  project_manager_or_admin: 'rule:project_manager_api or rule:context_is_admin',
  service_role: 'role:service',
  service_api: 'role:service',
  service_or_admin: 'rule:service_api or rule:context_is_admin',
} as const;

/** Roles by which a caller has this one too. */
const IMPLIED_BY: { readonly [role: string]: readonly string[] } = {
  reader: ['reader', 'member', '_member_', 'manager', 'admin'],
  member: ['member', '_member_', 'manager', 'admin'],
  manager: ['manager', 'admin'],
};

export type ShownRule = {
  /** With its prefix. */
  readonly name: string;
  readonly standard: string;
  /** As the operator gave it; undefined: the standard holds. */
  readonly change: string | undefined;
};

export type Policy<Rule extends string> = {
  allows(rule: Rule, caller: Caller, target?: Target): boolean;
  /** Fault `forbidden` naming the rule. */
  enforce(rule: Rule, caller: Caller, target?: Target): void;
  /** The same caller, an administrator when `context_is_admin` says so. */
  asJudged<Some extends Caller>(caller: Some): Some;
  /** Other changes in place of the present ones; those stay when a Fault is thrown. */
  replace(changes: RuleTable): void;
};

export type PolicyOptions = {
  /** Of most names: `os_compute_api:`. */
  readonly prefix: string;
  /** Older names, and the rules that are meant by each. */
  readonly olderNames?: { readonly [name: string]: readonly string[] };
};

type Test = (caller: Caller, target: Target) => boolean;

/** The defaults with an operator's changes; an unknown rule or a wrong expression among them is a Fault `invalid`. */
export function openPolicy<Rule extends string>(defaults: { readonly [rule in Rule]: string }, changes: RuleTable, options: PolicyOptions): Policy<Rule> {
  let tests = compile(defaults, changes, options);
  const allows = (rule: Rule, caller: Caller, target: Target = {}): boolean => tests.get(rule)?.(caller, target) ?? false;
  return {
    allows,
    enforce(rule, caller, target) {
      if (!allows(rule, caller, target)) throw new Fault('forbidden', 'policy', `Policy doesn't allow ${fullName(rule, options.prefix)} to be performed.`);
    },
    asJudged(caller) {
      const isAdmin = tests.get(ADMIN_RULE)?.(caller, {}) ?? false;
      return isAdmin === caller.isAdmin ? caller : { ...caller, isAdmin };
    },
    replace(next) {
      tests = compile(defaults, next, options);
    },
  };
}

const ADMIN_RULE = 'context_is_admin';

/** Every rule with its default and what an operator made of it, in order of name. Faults as `openPolicy`. */
export function shownRules(defaults: { readonly [rule: string]: string }, changes: RuleTable, options: PolicyOptions): ShownRule[] {
  const effective = changesByRule(defaults, changes, options);
  compile(defaults, changes, options);
  return Object.entries({ ...BASE_RULES, ...defaults })
    .map(([rule, standard]) => {
      const change = effective.get(rule);
      return { name: fullName(rule, options.prefix), standard: expressionOf(standard), change: change === undefined ? undefined : ruleText(change) };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Most rules live under one prefix; a few names stand for themselves. */
export function fullName(rule: string, prefix: string): string {
  return Object.hasOwn(BASE_RULES, rule) || /^(compute|network|cells_scheduler_filter):/.test(rule) ? rule : `${prefix}${rule}`;
}

function shortName(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

function isWho(text: string): text is Who {
  return WHO.some((who) => who === text);
}

function expressionOf(text: string): string {
  return isWho(text) ? EXPRESSION[text] : text;
}

/** A rule that stands in no file, as text. */
function ruleText(rule: string | RuleTree): string {
  if (typeof rule === 'string') return expressionOf(rule);
  switch (rule.kind) {
    case 'all':
      return rule.of.length === 0
        ? '@'
        : rule.of.map((part) => (part.kind === 'any' && part.of.length > 1 ? `(${ruleText(part)})` : ruleText(part))).join(' and ');
    case 'any':
      return rule.of.length === 0 ? '!' : rule.of.map(ruleText).join(' or ');
    case 'not':
      return `not ${rule.of.kind === 'all' || rule.of.kind === 'any' ? `(${ruleText(rule.of)})` : ruleText(rule.of)}`;
    case 'equal':
      return `${rule.left}:${rule.isTarget ? `%(${rule.right})s` : rule.right}`;
    default:
      return `${rule.kind}:${rule.name}`;
  }
}

/** Changes by the short name of the rule that they change; a rule's own name wins over an older one. */
function changesByRule(
  defaults: { readonly [rule: string]: string },
  changes: RuleTable,
  { prefix, olderNames = {} }: PolicyOptions,
): Map<string, string | RuleTree> {
  const own = new Map<string, string | RuleTree>();
  const older = new Map<string, string | RuleTree>();
  const helpers = helpersIn(changes);
  const unknown: string[] = [];
  for (const [name, rule] of Object.entries(changes)) {
    const short = shortName(name, prefix);
    const isOld = Object.hasOwn(olderNames, short);
    for (const renamed of isOld ? (olderNames[short] ?? []) : []) older.set(renamed, rule);
    if (Object.hasOwn(defaults, short) || Object.hasOwn(BASE_RULES, short) || helpers.has(name)) own.set(short, rule);
    else if (!isOld) unknown.push(name.slice(0, 200));
  }
  if (unknown.length > 0) throw new Fault('invalid', 'policy.rule', `There is no policy rule ${unknown.join(', ')}.`, { detail: unknown });
  return new Map([...older, ...own]);
}

/** Rules of an operator's own, which only other rules name: words without a colon. */
function helpersIn(changes: RuleTable): ReadonlySet<string> {
  const named = Object.values(changes).flatMap((rule) => rulesIn(treeOf(rule)));
  return new Set(named.filter((name) => !name.includes(':') && Object.hasOwn(changes, name)));
}

function treeOf(rule: string | RuleTree): RuleTree {
  return typeof rule === 'string' ? parseRule(expressionOf(rule)) : rule;
}

function compile(defaults: { readonly [rule: string]: string }, changes: RuleTable, options: PolicyOptions): ReadonlyMap<string, Test> {
  const trees = new Map<string, RuleTree>();
  for (const [name, text] of Object.entries<string>({ ...BASE_RULES, ...defaults })) trees.set(name, treeOf(text));
  for (const [name, rule] of changesByRule(defaults, changes, options)) trees.set(name, treeOf(rule));
  const tests = new Map<string, Test>();
  const build = (name: string, from: readonly string[]): Test => {
    const short = shortName(name, options.prefix);
    if (from.includes(short)) throw wrong(from[0] ?? short, `leans on itself: ${[...from, short].join(' → ')}`, options);
    const done = tests.get(short);
    if (done !== undefined) return done;
    const tree = trees.get(short);
    if (tree === undefined) throw wrong(from.at(-1) ?? short, `names the rule ${name.slice(0, 100)}, which does not exist`, options);
    const test = testOf(tree, (other) => build(other, [...from, short]));
    tests.set(short, test);
    return test;
  };
  for (const name of trees.keys()) build(name, []);
  return tests;
}

function wrong(rule: string, why: string, { prefix }: PolicyOptions): Fault {
  const name = fullName(rule, prefix);
  return new Fault('invalid', 'policy.rule', `The policy rule ${name} ${why}.`, { detail: [name, rule] });
}

function testOf(tree: RuleTree, ruleNamed: (name: string) => Test): Test {
  switch (tree.kind) {
    case 'all': {
      const tests = tree.of.map((part) => testOf(part, ruleNamed));
      return (caller, target) => tests.every((test) => test(caller, target));
    }
    case 'any': {
      const tests = tree.of.map((part) => testOf(part, ruleNamed));
      return (caller, target) => tests.some((test) => test(caller, target));
    }
    case 'not': {
      const test = testOf(tree.of, ruleNamed);
      return (caller, target) => !test(caller, target);
    }
    case 'rule':
      return ruleNamed(tree.name);
    case 'role': {
      const roles = IMPLIED_BY[tree.name] ?? [tree.name];
      return (caller) => roles.some((role) => caller.roles.includes(role));
    }
    case 'equal':
      return equalTest(tree);
  }
}

/** A target that is not known is equal to nothing: such a rule refuses. */
function equalTest({ left, right, isTarget }: { readonly left: string; readonly right: string; readonly isTarget: boolean }): Test {
  const literal = literalOf(left);
  return (caller, target) => {
    const value = literal ?? wordOf(left, caller);
    const wanted = isTarget ? targetWord(right, caller, target) : right;
    return value !== undefined && wanted !== undefined && value === wanted;
  };
}

function wordOf(word: string, caller: Caller): string | undefined {
  switch (word) {
    case 'user_id':
      return caller.userId;
    case 'project_id':
    case 'tenant_id':
      return caller.projectId ?? undefined;
    case 'user_domain_id':
      return caller.userDomainId;
    case 'project_domain_id':
      return caller.projectDomainId ?? undefined;
    case 'is_admin':
      return caller.isAdmin ? 'True' : 'False';
    case 'is_admin_project':
      return 'True'; // what a token says that knows nothing of admin projects
    default:
      return undefined; // tokens of systems and domains are not taken
  }
}

function targetWord(name: string, caller: Caller, target: Target): string | undefined {
  switch (name) {
    case 'project_id':
    case 'tenant_id':
    case 'target.project_id':
      return target.projectId ?? caller.projectId ?? undefined;
    case 'user_id':
    case 'target.user_id':
      return target.userId ?? caller.userId;
    case 'availability_zone':
      return target.zone;
    default:
      return undefined;
  }
}
