import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../../runtime/base/fault.ts';
import type { Caller } from '../../../http/kit/auth.ts';
import { openPolicy, shownRules } from '../../../http/kit/policy.ts';
import type { RuleTable, Target } from '../../../http/kit/policy.ts';
import { parseRule } from '../../../http/kit/rule-text.ts';

const DEFAULTS = {
  show: 'reader',
  create: 'member',
  migrate: 'manager',
  hosts: 'admin',
  events: 'service',
  keys: 'owner',
  all: 'any',
  none: 'nobody',
} as const;
const OPTIONS = { prefix: 'os:', olderNames: { old: ['show', 'create'] } };

function caller(roles: readonly string[], some: Partial<Caller> = {}): Caller {
  const isAdmin = roles.includes('admin');
  const scope = { projectId: 'p1', projectName: 'p1', projectDomainId: 'default' };
  return { tokenHash: '', userId: 'u1', userName: 'u1', userDomainId: 'default', ...scope, roles, isAdmin, expiresAtMs: Infinity, ...some };
}

function passes(expression: string, who: Caller, target?: Target, more: RuleTable = {}): boolean {
  const policy = openPolicy(DEFAULTS, { show: expression, ...more }, OPTIONS);
  return policy.allows('show', policy.asJudged(who), target);
}

describe('least roles', () => {
  it('form a chain in which nobody but an administrator reaches other projects', () => {
    const policy = openPolicy<string>(DEFAULTS, {}, OPTIONS);
    const may = (...roles: string[]) => Object.keys(DEFAULTS).filter((rule) => policy.allows(rule, caller(roles)));
    expect(may()).toEqual(['keys', 'all']);
    expect(may('reader')).toEqual(['show', 'keys', 'all']);
    expect(may('member')).toEqual(['show', 'create', 'keys', 'all']);
    expect(may('manager')).toEqual(['show', 'create', 'migrate', 'keys', 'all']);
    expect(may('admin')).toEqual(['show', 'create', 'migrate', 'hosts', 'events', 'keys', 'all']);
    expect(may('service')).toEqual(['events', 'keys', 'all']);
    const elsewhere = { projectId: 'p2', userId: 'u2' };
    expect(Object.keys(DEFAULTS).filter((rule) => policy.allows(rule, caller(['manager']), elsewhere))).toEqual(['all']);
    expect(policy.allows('migrate', caller(['admin']), elsewhere)).toBe(true);
  });

  it('are named in the refusal with their prefix', () => {
    const policy = openPolicy(DEFAULTS, {}, OPTIONS);
    expect(() => policy.enforce('hosts', caller(['member']))).toThrow("Policy doesn't allow os:hosts to be performed.");
  });
});

describe('expressions', () => {
  const member = caller(['member']);

  it.each([
    ['@', true],
    ['', true],
    ['!', false],
    ['role:reader', true],
    ['role:Member', true],
    ['role:admin', false],
    ['not role:admin', true],
    ['not not role:admin', false],
    ['role:admin or role:member', true],
    ['role:admin or role:member and !', false],
    ['(role:admin or role:member) and !', false],
    ['role:member or ! and !', true],
    ['NOT role:admin AND role:member', true],
    ['project_id:%(project_id)s', true],
    ['project_id:p1', true],
    ['project_id:p2', false],
    ['user_id:%(user_id)s and project_domain_id:default', true],
    ["'p1':%(project_id)s", true],
    ['is_admin:True', false],
    ['is_admin:False', true],
    ['system_scope:all', false],
    ['user_id:%(no_such)s', false],
    ['rule:admin_or_owner', true],
    ['rule:project_manager_api or rule:keys', true],
    ['rule:os:keys', true],
  ])('%s', (expression, wanted) => {
    expect(passes(expression, member)).toBe(wanted);
  });

  it('are about the object: its project, its user, the zone', () => {
    expect(passes('project_id:%(project_id)s', member, { projectId: 'p2' })).toBe(false);
    expect(passes('user_id:%(user_id)s', member, { userId: 'u2' })).toBe(false);
    expect(passes("'z1':%(availability_zone)s", member, { zone: 'z1' })).toBe(true);
    expect(passes("'z1':%(availability_zone)s", member)).toBe(false);
  });

  it('may say who is an administrator, for all rules at once', () => {
    const changes = { context_is_admin: 'role:admin or role:operator' };
    const policy = openPolicy(DEFAULTS, changes, OPTIONS);
    const operator = policy.asJudged(caller(['operator']));
    expect([operator.isAdmin, policy.allows('hosts', operator), policy.allows('show', operator, { projectId: 'p2' })]).toEqual([true, true, true]);
    expect(openPolicy(DEFAULTS, { context_is_admin: '!' }, OPTIONS).asJudged(caller(['admin'])).isAdmin).toBe(false);
  });

  it('may stand under an older name, which the rule’s own name overrides, and lean on rules of the file', () => {
    const policy = openPolicy(DEFAULTS, { 'os:old': '!', create: 'rule:mine', mine: 'role:member' }, OPTIONS);
    expect([policy.allows('show', member), policy.allows('create', member)]).toEqual([false, true]);
  });

  it.each([
    ['role:a and', 'ends where a test should stand'],
    ['and role:a', "has 'and' where a test should stand"],
    ['(role:a', "lacks a ')'"],
    ['role:a)', "has ')' where 'and' or 'or' should stand"],
    ['role:a role:b', "has 'role:b' where 'and' or 'or' should stand"],
    ['member', 'is no test'],
    ['role:', 'one side is missing'],
    [':x', 'one side is missing'],
    ['nonsense:x', "unknown kind 'nonsense'"],
    ['http://127.0.0.1/judge', 'do not ask other services'],
    ['user_id:%(x', 'cannot be read'],
    [`${'('.repeat(60)}@${')'.repeat(60)}`, 'nested deeper'],
    [`${'not '.repeat(100)}@`, 'nested deeper'],
    [`${'@ or '.repeat(200)}@`, 'more than 200 words'],
    ['x'.repeat(5_000), 'longer than'],
  ])('refuses %s', (expression, why) => {
    expect(() => parseRule(expression)).toThrow(why);
  });

  it('refuses what no rule can be: unknown names, circles', () => {
    const open = (changes: RuleTable) => () => openPolicy(DEFAULTS, changes, OPTIONS);
    expect(open({ 'os:shw': '@' })).toThrow('There is no policy rule os:shw.');
    expect(open({ show: 'rule:none_such' })).toThrow('os:show names the rule none_such, which does not exist');
    expect(open({ show: 'rule:create', create: 'rule:show' })).toThrow('leans on itself: show → create → show');
  });

  it('keeps the rules that hold when others are refused', () => {
    const policy = openPolicy(DEFAULTS, { show: '!' }, OPTIONS);
    expect(() => policy.replace({ show: 'role:' })).toThrow(Fault);
    expect(policy.allows('show', member)).toBe(false);
    policy.replace({});
    expect(policy.allows('show', member)).toBe(true);
  });

  it('never end in anything but a Fault or a tree, whatever is written', () => {
    const words = fc.constantFrom('(', ')', 'and', 'or', 'not', '@', '!', 'role:a', 'rule:b', 'user_id:%(user_id)s', '%(', ')s', "'x':y", ' ', ':', '%');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(words, { maxLength: 60 }).map((list) => list.join(' ')),
        ),
        (text) => {
          try {
            parseRule(text);
          } catch (error) {
            expect(error).toBeInstanceOf(Fault);
          }
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('are shown with their defaults', () => {
    const shown = shownRules(DEFAULTS, { 'os:old': 'role:x' }, OPTIONS);
    expect(shown.find(({ name }) => name === 'os:show')).toEqual({ name: 'os:show', standard: 'rule:project_reader_or_admin', change: 'role:x' });
  });
});
