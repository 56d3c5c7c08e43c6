/**
 * What the rules of the API say of a caller who wants to watch: who may list the servers of the project may watch them;
 * all projects with their hosts is for those who may list all and see hosts.
 */
import type { Caller } from '../kit/auth.ts';
import type { Policy } from '../kit/policy.ts';
import type { Rule } from './rules.ts';

/** The caller with the rights that streams ask about; null: it may watch nothing. */
export function watcherOf(policy: Policy<Rule>, caller: Caller): Caller | null {
  const judged = policy.asJudged(caller);
  if (caller.projectId !== null && !policy.allows('servers:detail', judged)) return null;
  const isAdmin = policy.allows('servers:detail:get_all_tenants', judged) && policy.allows('os-extended-server-attributes', judged);
  return isAdmin === caller.isAdmin ? caller : { ...caller, isAdmin };
}
