/**
 * An operator's changes of policy rules, from a YAML or JSON file: `rule: expression` lines. Whatever is wrong is told at
 * once, each with file, line and rule. The file is looked at again while the node runs; one that has become wrong
 * changes nothing and is told in the log.
 */
import { readFileSync, statSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { ParsedNode } from 'yaml';
import type { Clock, Timer } from '../../runtime/base/clock.ts';
import { Fault } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import type { RuleTable } from './policy.ts';
import { parseRule, parseRuleLists } from './rule-text.ts';
import type { RuleTree } from './rule-text.ts';

/** Larger than a file of every rule with comments. */
const FILE_MAX_BYTES = 1_048_576;
const RULES_MAX = 2_000;
const PROBLEMS_SHOWN = 20;
const LOOK_EVERY_MS = 5_000;

/** A rule in a file, or what is wrong with it. */
type Line = { readonly line: number; readonly name: string; readonly rule: string | RuleTree };

/** Changes in the file at `path`. Fault `invalid` (reason `config.policy`) that lists what is wrong. */
export function readPolicyFile(path: string, check: (changes: RuleTable) => void): RuleTable {
  let text: string;
  try {
    if (statSync(path).size > FILE_MAX_BYTES) throw new Error(`it is larger than ${FILE_MAX_BYTES} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new Fault('invalid', 'config.policy', `The policy file ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
  }
  return parsePolicy(text, path, check);
}

/** The same of its text. `check` refuses what only all rules together show (unknown names, circles). */
export function parsePolicy(text: string, path: string, check: (changes: RuleTable) => void): RuleTable {
  const problems: string[] = [];
  const lines = linesOf(text, path, problems);
  refuse(problems);
  for (const { line, name, rule } of lines) {
    try {
      if (typeof rule === 'string') parseRule(rule);
    } catch (error) {
      problems.push(`${path}:${line}: rule ${name} ${Fault.from(error).message}.`);
    }
  }
  refuse(problems);
  const changes = Object.fromEntries(lines.map(({ name, rule }) => [name, rule]));
  try {
    check(changes);
  } catch (error) {
    const fault = Fault.from(error);
    const names: readonly unknown[] = Array.isArray(fault.detail) ? fault.detail : [];
    const found = lines.filter(({ name }) => names.includes(name));
    refuse(found.length === 0 ? [`${path}: ${fault.message}`] : found.map(({ line, name }) => `${path}:${line}: rule ${name}: ${fault.message}`));
  }
  return changes;
}

function refuse(problems: readonly string[]): void {
  if (problems.length === 0) return;
  const more = problems.length > PROBLEMS_SHOWN ? [`… and ${problems.length - PROBLEMS_SHOWN} more`] : [];
  throw new Fault('invalid', 'config.policy', [...problems.slice(0, PROBLEMS_SHOWN), ...more].join('\n'));
}

/** JSON is YAML here. Names that stand twice, aliases and anything but text are refused. */
function linesOf(text: string, path: string, problems: string[]): Line[] {
  const counter = new LineCounter();
  const lineOf = (node: { readonly range?: readonly number[] | null } | null): number => counter.linePos(node?.range?.[0] ?? 0).line;
  const document = parseDocument(text, { lineCounter: counter, uniqueKeys: true, schema: 'failsafe', prettyErrors: false });
  for (const error of document.errors) problems.push(`${path}:${counter.linePos(error.pos[0]).line}: ${error.message}.`);
  const { contents } = document;
  if (problems.length > 0 || contents === null || (isScalar(contents) && contents.value === '')) return [];
  if (!isMap(contents)) {
    problems.push(`${path}:${lineOf(contents)}: a policy file is a list of lines 'rule: expression'.`);
    return [];
  }
  if (contents.items.length > RULES_MAX) problems.push(`${path}: has more than ${RULES_MAX} rules.`);
  return contents.items.slice(0, RULES_MAX).flatMap(({ key, value }): Line[] => {
    const name = textOf(key);
    const line = lineOf(key);
    const rule = value === null ? '' : ruleOf(value);
    if (name === undefined || name === '' || rule === undefined) {
      problems.push(`${path}:${line}: rule ${(name ?? 'without a name').slice(0, 100)} is not text, or a list of lists of texts.`);
      return [];
    }
    return [{ line, name, rule }];
  });
}

function textOf(node: ParsedNode | null): string | undefined {
  return isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
}

function ruleOf(node: ParsedNode): string | RuleTree | undefined {
  const text = textOf(node);
  if (text !== undefined || !isSeq(node)) return text;
  const lists = node.items.map((item) => textOf(item) ?? (isSeq(item) ? item.items.map(textOf) : undefined));
  const whole = lists.filter((item): item is string | string[] => typeof item === 'string' || (Array.isArray(item) && item.every((one) => one !== undefined)));
  if (whole.length !== lists.length) return undefined;
  try {
    return parseRuleLists(whole);
  } catch {
    return undefined;
  }
}

export type PolicyFileParts = { readonly clock: Clock; readonly log: Log };

/** Hands the file's rules over whenever they have changed; a wrong file is told once and changes nothing. */
export function watchPolicyFile(path: string, parts: PolicyFileParts, use: (changes: RuleTable) => void): { close(): void } {
  let seen = stampOf(path);
  let timer: Timer | undefined;
  const look = (): void => {
    const stamp = stampOf(path);
    if (stamp !== seen) {
      seen = stamp;
      try {
        readPolicyFile(path, use);
        parts.log.info('policy.changed', { path });
      } catch (error) {
        parts.log.error('policy.refused', { path, error });
      }
    }
    timer = parts.clock.after(LOOK_EVERY_MS, look);
  };
  timer = parts.clock.after(LOOK_EVERY_MS, look);
  return {
    close() {
      timer?.cancel();
    },
  };
}

function stampOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.ino}/${stat.size}/${stat.mtimeMs}`;
}
