/**
 * The language of policy rules: `role:member and project_id:%(project_id)s or rule:admin_api`, `@` for everybody, `!`
 * for nobody, `not`, parentheses; and the older lists of lists. A text becomes a tree of tests that nothing can make
 * larger than the limits below. No rule ever asks another service: `http:` is refused.
 */
import { Fault } from '../../runtime/base/fault.ts';

/** What a rule is made of. `any` and `all` of nothing are false and true. */
export type RuleTree =
  | { readonly kind: 'all' | 'any'; readonly of: readonly RuleTree[] }
  | { readonly kind: 'not'; readonly of: RuleTree }
  | { readonly kind: 'rule' | 'role'; readonly name: string }
  /** A member of the caller, or a literal, against text or a member of the object. */
  | { readonly kind: 'equal'; readonly left: string; readonly right: string; readonly isTarget: boolean };

/** Longer than any rule that people write. */
export const RULE_TEXT_MAX = 4_096;
const DEPTH_MAX = 24;
const TERMS_MAX = 200;

export const EVERYBODY: RuleTree = { kind: 'all', of: [] };
export const NOBODY: RuleTree = { kind: 'any', of: [] };

/** Words of a caller that a rule may ask for; anything else on the left must be a literal in quotes, `True` or `None`. */
export const CALLER_WORDS = [
  'user_id',
  'project_id',
  'tenant_id',
  'user_domain_id',
  'project_domain_id',
  'is_admin',
  'is_admin_project',
  'system_scope',
  'domain_id',
] as const;

const WORD = /\s*([()]|(?:%\([^()\s]*\)s|[^\s()%]|%(?!\())+)/y;
const TARGET = /^%\(([A-Za-z0-9_.:-]{1,100})\)s$/;
const LITERAL = /^(?:'([^']{0,255})'|"([^"]{0,255})"|(True|False|None))$/;

function refused(why: string): Fault {
  return new Fault('invalid', 'policy.rule', why);
}

/** Fault `invalid` that says what is wrong and where. */
export function parseRule(text: string): RuleTree {
  if (text.length > RULE_TEXT_MAX) throw refused(`is longer than ${RULE_TEXT_MAX} characters`);
  const words = wordsOf(text);
  if (words.length === 0) return EVERYBODY;
  const reader = new Reader(words);
  const tree = reader.either(0);
  const left = reader.next();
  if (left !== undefined) throw refused(`has '${left.slice(0, 60)}' where 'and' or 'or' should stand`);
  return tree;
}

/** The older form: one list per alternative, each of tests that must all hold. */
export function parseRuleLists(lists: readonly (string | readonly string[])[]): RuleTree {
  if (lists.length === 0) return EVERYBODY;
  if (lists.flat().length > TERMS_MAX) throw refused(`has more than ${TERMS_MAX} terms`);
  return { kind: 'any', of: lists.map((tests) => ({ kind: 'all' as const, of: [tests].flat().map(testOf) })) };
}

function wordsOf(text: string): string[] {
  const words: string[] = [];
  WORD.lastIndex = 0;
  const end = text.trimEnd().length;
  let at = 0;
  while (at < end) {
    const match = WORD.exec(text);
    if (match?.[1] === undefined) throw refused(`cannot be read from '${text.slice(at, at + 30)}' on`);
    at = WORD.lastIndex;
    words.push(match[1]);
    if (words.length > TERMS_MAX) throw refused(`has more than ${TERMS_MAX} words`);
  }
  return words;
}

class Reader {
  readonly #words: readonly string[];
  #at = 0;

  constructor(words: readonly string[]) {
    this.#words = words;
  }

  next(): string | undefined {
    return this.#words[this.#at++];
  }

  /** `and` binds closer than `or`. */
  either(depth: number): RuleTree {
    return this.#joined('or', 'any', () => this.#joined('and', 'all', () => this.#single(depth)));
  }

  #joined(word: 'and' | 'or', kind: 'all' | 'any', part: () => RuleTree): RuleTree {
    const first = part();
    const of = [first];
    while (this.#words[this.#at]?.toLowerCase() === word) {
      this.#at++;
      of.push(part());
    }
    return of.length === 1 ? first : { kind, of };
  }

  #single(depth: number): RuleTree {
    if (depth > DEPTH_MAX) throw refused(`is nested deeper than ${DEPTH_MAX}`);
    const word = this.next();
    if (word === undefined) throw refused('ends where a test should stand');
    if (word === '(') {
      const inner = this.either(depth + 1);
      if (this.next() !== ')') throw refused("lacks a ')'");
      return inner;
    }
    if (word.toLowerCase() === 'not') return { kind: 'not', of: this.#single(depth + 1) };
    if (word === ')' || word.toLowerCase() === 'and' || word.toLowerCase() === 'or') throw refused(`has '${word}' where a test should stand`);
    return testOf(word);
  }
}

/** One test: `@`, `!` or `kind:match`. */
function testOf(word: string): RuleTree {
  if (word === '@') return EVERYBODY;
  if (word === '!') return NOBODY;
  const colon = word.startsWith('%(') ? word.indexOf(')s:') + 2 : word.indexOf(':');
  const shown = word.slice(0, 60);
  if (colon <= 1 && !word.includes(':')) throw refused(`has '${shown}', which is no test: a test is kind:match, @ or !`);
  const left = word.slice(0, colon);
  const right = word.slice(colon + 1);
  if (left === '' || right === '') throw refused(`has '${shown}', of which one side is missing`);
  if (left === 'rule' || left === 'role') return { kind: left, name: left === 'role' ? right.toLowerCase() : right };
  if (left === 'http' || left === 'https') throw refused(`has '${shown}': rules do not ask other services`);
  if (!isCallerWord(left) && !LITERAL.test(left)) {
    throw refused(`has '${shown}' with the unknown kind '${left.slice(0, 30)}': known are rule, role, ${CALLER_WORDS.join(', ')}, or a literal in quotes`);
  }
  const target = TARGET.exec(right)?.[1];
  if (target === undefined && right.includes('%(')) throw refused(`has '${shown}', in which ${right.slice(0, 30)} is no %(name)s`);
  return { kind: 'equal', left, right: target ?? unquoted(right), isTarget: target !== undefined };
}

function isCallerWord(word: string): boolean {
  return CALLER_WORDS.some((known) => known === word);
}

function unquoted(text: string): string {
  const match = LITERAL.exec(text);
  return match === null ? text : (match[1] ?? match[2] ?? match[3] ?? text);
}

/** The text of a literal on the left; undefined when it is a word of the caller. */
export function literalOf(left: string): string | undefined {
  return isCallerWord(left) ? undefined : unquoted(left);
}

/** Names of the rules that a rule leans on. */
export function rulesIn(tree: RuleTree): readonly string[] {
  if (tree.kind === 'rule') return [tree.name];
  if (tree.kind === 'not') return rulesIn(tree.of);
  return tree.kind === 'all' || tree.kind === 'any' ? tree.of.flatMap(rulesIn) : [];
}
