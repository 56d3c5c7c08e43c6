/**
 * The only file that imports nact: it gives turns. An activation has a nact actor while its inbox is not empty: the
 * actor is spawned by the first message, drains the inbox in its one turn and is stopped. So an idle activation costs
 * no actor (nact 7.6: 0.9 KB each), a busy one pays one immediate per burst and not per message, and groups keep few
 * children. What we don't use of nact and why stands in this room's README.
 */
import { dispatch, spawn, start, stop, type ActorSystemRef, type Ref } from 'nact';

/** nact refuses names with other characters. */
const NOT_IN_NAMES = /[^A-Za-z0-9_.-]/g;

export interface Turns {
  /** Runs `drain` as one turn of an actor of this name below its group. `drain` must not throw. */
  give(group: string, name: string, drain: () => Promise<void>): void;
  close(): void;
}

export function openTurns(node: string): Turns {
  const system = start({ name: `novact-${node}` } as never) as ActorSystemRef;
  const groups = new Map<string, Ref<unknown>>();
  let turn = 0;

  function groupOf(name: string): Ref<unknown> {
    let group = groups.get(name);
    if (!group) {
      group = spawn(system as never, () => undefined as never, name) as Ref<unknown>;
      groups.set(name, group);
    }
    return group;
  }

  return {
    give(group, name, drain) {
      // A number makes the name unique: a stopped actor's last turn may still be ending when the next one begins.
      const actor = spawn(groupOf(group) as never, turnOf as never, `${name.replace(NOT_IN_NAMES, '-')}.${++turn}`) as Ref<unknown>;
      dispatch(actor as never, drain as never);
      async function turnOf(): Promise<void> {
        await drain();
        stop(actor as never);
      }
    },
    close: () => stop(system as never),
  };
}
