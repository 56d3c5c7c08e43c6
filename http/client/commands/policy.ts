/**
 * `novact policy`: every rule with its default, what an operator made of it and who passes it, and whether a policy file
 * is sound. Reads a file and nothing else; no node need run.
 */
import { KNOWN_RULES, POLICY_OPTIONS } from '../../compute/further-rules.ts';
import type { Caller } from '../../kit/auth.ts';
import { fullName, openPolicy, shownRules } from '../../kit/policy.ts';
import type { RuleTable } from '../../kit/policy.ts';
import { readPolicyFile } from '../../kit/policy-file.ts';

/** Callers that `WHO MAY` is about, in their own project. */
const PERSONAS = ['reader', 'member', 'manager', 'admin', 'service'] as const;

/** The file's rules; none without a file. Fault `invalid` (reason `config.policy`) that names file, line and rule. */
export function policyChanges(file: string | undefined): RuleTable {
  return file === undefined ? {} : readPolicyFile(file, (changes) => void shownRules(KNOWN_RULES, changes, POLICY_OPTIONS));
}

export type PolicyRow = { readonly rule: string; readonly standard: string; readonly change: string | null; readonly may: readonly string[] };

/** All rules in order of name; `changedOnly`: those that the file changes. */
export function policyRows(changes: RuleTable, changedOnly = false): PolicyRow[] {
  const policy = openPolicy<string>(KNOWN_RULES, changes, POLICY_OPTIONS);
  const short = new Map(Object.keys(KNOWN_RULES).map((rule) => [fullName(rule, POLICY_OPTIONS.prefix), rule]));
  return shownRules(KNOWN_RULES, changes, POLICY_OPTIONS)
    .filter(({ change }) => !changedOnly || change !== undefined)
    .map(({ name, standard, change }) => {
      const rule = short.get(name) ?? name;
      const callers = [...PERSONAS.map((role) => [role, persona(role)] as const), ['anybody with a token', persona('none')] as const];
      const may = callers.filter(([, caller]) => policy.allows(rule, policy.asJudged(caller))).map(([who]) => who);
      return { rule: name, standard, change: change ?? null, may: may.includes('anybody with a token') ? ['anybody with a token'] : may };
    });
}

export function renderPolicy(rows: readonly PolicyRow[]): string {
  if (rows.length === 0) return 'No rule is changed.\n';
  const lines = rows.map(({ rule, standard, change, may }) => [rule, standard, change ?? '-', may.length === 0 ? 'nobody' : may.join(', ')]);
  const all = [['RULE', 'DEFAULT', 'OVERRIDE', 'WHO MAY'], ...lines];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  return all
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

function persona(role: string): Caller {
  return {
    tokenHash: '',
    userId: role,
    userName: role,
    userDomainId: 'default',
    projectId: 'own',
    projectName: 'own',
    projectDomainId: 'default',
    roles: [role],
    isAdmin: role === 'admin',
    expiresAtMs: Infinity,
  };
}
