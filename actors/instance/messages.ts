/**
 * What may be said to an instance. Verbs are refused with Fault `conflict` when the table in model/server-state.ts
 * says so; `notFound` when there is no such instance. A verb is accepted when its operation is in the row.
 */
import type { Answer } from '../../runtime/actor/effect.ts';
import type { Ref } from '../../runtime/actor/address.ts';
import { refTo } from '../../runtime/actor/address.ts';
import type { InstanceRecord, Stored } from '../model/instance.ts';
import type { Flavor } from '../model/flavor.ts';
import type { ImageDraft, ImageRef } from '../model/image.ts';
import type { PowerState } from '../model/server-state.ts';

export type Caller = { readonly userId: string; readonly projectId: string; readonly isAdmin: boolean; readonly requestId: string };

export type Snapshot = Stored<InstanceRecord>;

/** What a rescued server boots instead of its own disk. */
export type RescueBoot = { readonly image: ImageRef; readonly kernel: ImageRef | null; readonly ramdisk: ImageRef | null };

/** Verbs that change the record alone: done with one commit. */
export type RecordVerb =
  | { readonly name: 'lock'; readonly reason: string | null }
  /** `override`: the caller may undo a lock that is somebody else's. */
  | { readonly name: 'unlock'; readonly override: boolean }
  | { readonly name: 'resetState'; readonly to: 'active' | 'error' };

export type Verb =
  | RecordVerb
  | { readonly name: 'pause' | 'unpause' | 'suspend' | 'resume' | 'unrescue' | 'restore' }
  /** null: what the server itself was made from. */
  | { readonly name: 'rescue'; readonly boot: RescueBoot | null }
  /** Answered when it has ended: the record's history tells how. The password is nowhere stored. */
  | { readonly name: 'changePassword'; readonly password: string }
  | { readonly name: 'crashDump' }
  /** For good, also where a delete can be undone for a while. */
  | { readonly name: 'forceDelete' }
  | { readonly name: 'start' }
  | { readonly name: 'stop' }
  | { readonly name: 'reboot'; readonly kind: 'soft' | 'hard' }
  | { readonly name: 'delete' }
  /** Elsewhere, since its host is dead; the store has to know that. `target`: only this host, `force`: without asking schedulers' filters. */
  | { readonly name: 'evacuate'; readonly target: string | null; readonly force: boolean; readonly stopped: boolean }
  | { readonly name: 'createImage'; readonly image: ImageDraft }
  /** Afterwards the newest `rotation` images of that type are left. */
  | { readonly name: 'createBackup'; readonly image: ImageDraft; readonly backupType: string; readonly rotation: number }
  /** Where it is, with another disk. */
  | {
      readonly name: 'rebuild';
      readonly image: ImageRef;
      readonly kernel: ImageRef | null;
      readonly ramdisk: ImageRef | null;
      readonly changes: RebuildChanges;
      readonly preserveEphemeral: boolean;
    }
  | { readonly name: 'shelve'; readonly image: ImageDraft }
  | { readonly name: 'shelveOffload' }
  /** `zone`: from now on it is pinned there, null: nowhere; left out: as before. `host`: only there. */
  | { readonly name: 'unshelve'; readonly zone?: string | null; readonly host: string | null }
  | { readonly name: 'resize'; readonly flavor: Flavor; readonly diskConfig: 'AUTO' | 'MANUAL' | null }
  | { readonly name: 'migrate'; readonly target: string | null }
  | { readonly name: 'live-migration'; readonly target: string | null; readonly force: boolean }
  | { readonly name: 'confirmResize' }
  | { readonly name: 'revertResize' }
  /** Of the live migration that runs, and of no other. */
  | { readonly name: 'abortMigration'; readonly migrationId: string }
  | { readonly name: 'forceMigration'; readonly migrationId: string };

/** Members left out stay as they are. */
export type RebuildChanges = {
  readonly name?: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly diskConfig?: 'AUTO' | 'MANUAL';
  readonly accessIpV4?: string | null;
  readonly accessIpV6?: string | null;
  readonly metadata?: { readonly [key: string]: string };
  readonly keyName?: string | null;
  readonly publicKey?: string | null;
  readonly userData?: string | null;
};

/** Members left out stay as they are. */
export type InstanceChanges = {
  readonly name?: string;
  readonly description?: string | null;
  readonly hostname?: string;
  readonly diskConfig?: 'AUTO' | 'MANUAL';
  readonly accessIpV4?: string | null;
  readonly accessIpV6?: string | null;
  readonly metadata?: MapChange;
  readonly tags?: ListChange;
  readonly securityGroups?: ListChange;
  /** null: what the guest posted is forgotten. */
  readonly guestPassword?: string | null;
};

/** Of what is there when the change is made, so that two changes side by side both count. `replace` comes first. */
export type MapChange = {
  readonly replace?: boolean;
  readonly set?: { readonly [key: string]: string };
  readonly drop?: readonly string[];
  /** More entries than this afterwards, and more than before, are refused with `forbidden`. */
  readonly max?: number;
};
export type ListChange = { readonly replace?: boolean; readonly add?: readonly string[]; readonly drop?: readonly string[]; readonly max?: number };

export type InstanceProtocol = {
  /** From memory; never creates work. null: no such instance. */
  get: { body: object; reply: Snapshot | null };
  /** Accepts a verb; the reply is the record with the operation begun (or ended, when there was nothing to do). */
  act: { body: { verb: Verb; caller: Caller }; reply: Snapshot };
  /** Changes what is only remembered: name, metadata, tags and the like. */
  update: { body: { changes: InstanceChanges; caller: Caller }; reply: Snapshot };
  /** A hint: look at your row. Loading it takes up what is open; nothing else happens. */
  wake: { body: object; reply: undefined };
  /** From the host: a guest was seen in this power state without us asking for it. */
  guestSeen: { body: { host: string; generation: number; power: PowerState }; reply: undefined };

  /** A hint: this host is proved dead. What waits for it there goes on elsewhere, or ends. */
  hostLost: { body: { host: string }; reply: undefined };

  // Its own: answers to what it asked, and timers.
  placed: { body: Omit<Answer, 'type'>; reply: undefined };
  grouped: { body: Omit<Answer, 'type'>; reply: undefined };
  addressed: { body: Omit<Answer, 'type'>; reply: undefined };
  claimed: { body: Omit<Answer, 'type'>; reply: undefined };
  ran: { body: Omit<Answer, 'type'>; reply: undefined };
  hostStood: { body: Omit<Answer, 'type'>; reply: undefined };
  imaged: { body: Omit<Answer, 'type'>; reply: undefined };
  checkHost: { body: { tag: string }; reply: undefined };
  retry: { body: { tag: string }; reply: undefined };
};

export function instanceRef(id: string): Ref<InstanceProtocol> {
  return refTo('instance', id);
}
