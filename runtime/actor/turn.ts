/**
 * The only file that imports nact: it gives turns. An activation has a nact actor while its inbox is not empty: the first
 * message takes one, it drains the inbox in its one turn and is free for the next activation of its group. So an idle
 * activation costs no actor (nact 7.6: 0.9 KB each), and a busy one pays one immediate per burst and not per message.
 * Actors are kept rather than spawned for each turn, since spawning and stopping one costs several times as much as the
 * turn itself (`npm run bench -- messages`, burst1). What we don't use of nact and why stands in this room's README.
 */
import { dispatch, spawn, start, stop, type ActorSystemRef, type Ref } from 'nact';

/** Actors that a group keeps between turns, 4 MB at most; what is more after a rush is stopped. */
const FREE_MAX = 4_096;

export interface Turns {
  /** Runs `drain` as one turn of an actor below its group. `drain` must not throw. */
  give(group: string, drain: () => Promise<void>): void;
  close(): void;
}

type Group = { readonly parent: Ref<unknown>; readonly free: Ref<unknown>[] };

export function openTurns(node: string): Turns {
  const system = start({ name: `novact-${node}` } as never) as ActorSystemRef;
  const groups = new Map<string, Group>();
  let spawned = 0;

  function groupOf(name: string): Group {
    let group = groups.get(name);
    if (!group) {
      group = { parent: spawn(system as never, () => undefined as never, name) as Ref<unknown>, free: [] };
      groups.set(name, group);
    }
    return group;
  }

  function spawnIn({ parent, free }: Group): Ref<unknown> {
    const actor = spawn(parent as never, turnOf as never, `turn-${++spawned}`) as Ref<unknown>;
    return actor;
    async function turnOf(_state: unknown, drain: () => Promise<void>): Promise<void> {
      await drain();
      if (free.length < FREE_MAX) free.push(actor);
      else stop(actor as never);
    }
  }

  return {
    give(name, drain) {
      const group = groupOf(name);
      dispatch((group.free.pop() ?? spawnIn(group)) as never, drain as never);
    },
    close: () => stop(system as never),
  };
}
