import { describe, expect, it } from 'vitest';
import type { Caller } from '../../../http/kit/auth.ts';
import { openComputePolicy } from '../../../http/compute/parts.ts';
import { watcherOf } from '../../../http/compute/watcher.ts';

function caller(...roles: string[]): Caller {
  const scope = { projectId: 'p', projectName: 'p', projectDomainId: 'default' };
  return { tokenHash: '', userId: 'u', userName: 'u', userDomainId: 'default', ...scope, roles, isAdmin: roles.includes('admin'), expiresAtMs: Infinity };
}

describe('who may watch', () => {
  it('is who may list: readers their project, administrators all, others nothing', () => {
    const policy = openComputePolicy({});
    expect(['reader', 'member', 'admin', 'service', 'other'].map((role) => watcherOf(policy, caller(role))?.isAdmin)).toEqual([
      false,
      false,
      true,
      undefined,
      undefined,
    ]);
  });

  it('is what an operator’s rules make of it', () => {
    const closed = openComputePolicy({ 'servers:detail': 'role:watcher' });
    expect([watcherOf(closed, caller('member')), watcherOf(closed, caller('watcher'))?.isAdmin]).toEqual([null, false]);
    const wide = openComputePolicy({
      'servers:detail:get_all_tenants': 'role:auditor or role:admin',
      'os-extended-server-attributes': 'role:auditor or role:admin',
    });
    expect(watcherOf(wide, caller('reader', 'auditor'))?.isAdmin).toBe(true);
    const half = openComputePolicy({ 'servers:detail:get_all_tenants': 'role:auditor' });
    expect([watcherOf(half, caller('reader', 'auditor'))?.isAdmin, watcherOf(half, caller('admin'))?.isAdmin]).toEqual([false, false]);
  });

  it('without a project is left to what is asked for', () => {
    expect(watcherOf(openComputePolicy({}), { ...caller('admin'), projectId: null })?.isAdmin).toBe(true);
    expect(watcherOf(openComputePolicy({}), { ...caller('member'), projectId: null })?.isAdmin).toBe(false);
  });
});
