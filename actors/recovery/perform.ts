/** What the watch does outside: reading how hosts stand, fencing, recording proof, and saying what it does. */
import type { Actors } from '../../runtime/actor/ask.ts';
import type { Job } from '../../runtime/actor/kind.ts';
import type { Clock } from '../../runtime/base/clock.ts';
import { Fault, type Json } from '../../runtime/base/fault.ts';
import type { Log } from '../../runtime/base/log.ts';
import { CONDUCTOR } from '../conductor/messages.ts';
import type { HostProof } from '../model/host-standing.ts';
import type { Reading } from './decide.ts';
import { fence } from './fence-command.ts';
import { ruleFor } from './rule.ts';
import type { RecoverySettings } from './settings.ts';

export type RecoveryParts = { readonly actors: Actors; readonly clock: Clock; readonly log: Log };

type Seen = { readonly host: string; readonly epoch: number };

export function recoveryJobs({ actors, clock, log }: RecoveryParts, settings: RecoverySettings): { readonly [job: string]: Job } {
  async function record(seen: Seen, mark: string | null, proof: HostProof, signal: AbortSignal): Promise<boolean> {
    const isProved = await actors.ask(CONDUCTOR, { type: 'hostProve', ...seen, mark, proof }, { signal });
    if (isProved) log.warn('a silent host is proved dead', { ...seen, proof });
    else log.info('a host that was thought dead has spoken', { ...seen });
    return isProved;
  }

  return {
    async look(_args: object, signal): Promise<Reading> {
      const beforeMs = clock.monotonicMs();
      const standings = await actors.ask(CONDUCTOR, { type: 'hostStandings' }, { signal });
      return { beforeMs, afterMs: clock.monotonicMs(), standings };
    },
    servers: ({ host, limit }: { host: string; limit: number }, signal) => actors.ask(CONDUCTOR, { type: 'serversOn', host, limit }, { signal }),
    guarded: ({ mark, ...seen }: Seen & { mark: string }, signal) => record(seen, mark, 'selfFence', signal),
    async fence(seen: Seen, signal): Promise<boolean> {
      const rule = ruleFor(settings.fence, seen.host);
      if (!rule) throw new Fault('invalid', 'fence.rule', 'There is no fence command for this host.');
      const limit = AbortSignal.any([signal, timeoutOf(clock, rule.limitMs)]);
      try {
        log.warn('fencing a silent host', { ...seen });
        await fence(rule, seen.host, clock, limit);
      } catch (error) {
        log.error('a silent host cannot be fenced', { ...seen, error });
        throw error;
      }
      // Off since then, whatever it said before: only a start could have brought it back, and that has another epoch.
      return record(seen, null, 'fence', signal);
    },
    async say({ text, fields }: { text: string; fields: { [name: string]: Json } }): Promise<object> {
      log.warn(text, fields);
      return {};
    },
  };
}

function timeoutOf(clock: Clock, limitMs: number): AbortSignal {
  const controller = new AbortController();
  clock.after(limitMs, () => controller.abort(new Fault('timeout', 'fence.timeout', 'The fence command did not confirm in time.')));
  return controller.signal;
}
