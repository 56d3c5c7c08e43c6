/**
 * The part of libvirt's remote protocol that this driver speaks: numbers, arguments and answers. Numbers never change
 * between versions; libvirt only adds. A procedure that isn't here can't be called.
 */
import { type Codec, fixed, int, list, nothing, optional, string, struct, typedValue, uhyper, uint, uuid } from './xdr.ts';

export type Procedure<A, R> = { readonly number: number; readonly args: Codec<A>; readonly ret: Codec<R> };

/** What libvirtd answers in one list at most. */
const DOMAINS_MAX = 16_384;
const AUTH_TYPES_MAX = 20;
const STATS_MAX = 262_144;

export const PROGRAM = 0x20008086;
export const PROGRAM_VERSION = 1;
export const KEEPALIVE_PROGRAM = 0x6b656570;
export const KEEPALIVE = { ping: 1, pong: 2 } as const;

/** The id is ignored when it is sent; -1 when the domain is off. */
const domain = struct({ name: string, uuid, id: int });
export type Domain = { readonly name: string; readonly uuid: string; readonly id: number };

const ofDomain = struct({ dom: domain });
const PARAMETERS_MAX = 64;
const MOUNTPOINTS_MAX = 256;

const ofDomainAndFlags = struct({ dom: domain, flags: uint });

export const PROCEDURES = {
  authList: procedure(66, nothing, struct({ types: list(int, AUTH_TYPES_MAX) })),
  authPolkit: procedure(70, nothing, struct({ complete: int })),
  connectOpen: procedure(1, struct({ name: optional(string), flags: uint }), nothing),
  connectClose: procedure(2, nothing, nothing),
  connectGetType: procedure(3, nothing, struct({ type: string })),
  connectGetVersion: procedure(4, nothing, struct({ version: uhyper })),
  connectGetLibVersion: procedure(157, nothing, struct({ version: uhyper })),
  connectGetCapabilities: procedure(7, nothing, struct({ capabilities: string })),
  nodeGetInfo: procedure(
    6,
    nothing,
    struct({
      model: fixed(int, 32),
      memoryKiB: uhyper,
      cpus: int,
      mhz: int,
      nodes: int,
      sockets: int,
      cores: int,
      threads: int,
    }),
  ),
  connectListAllDomains: procedure(273, struct({ needResults: int, flags: uint }), struct({ domains: list(domain, DOMAINS_MAX), count: uint })),
  connectDomainEventCallbackRegisterAny: procedure(316, struct({ eventId: int, dom: optional(domain) }), struct({ callbackId: int })),
  connectGetAllDomainStats: procedure(
    344,
    struct({ doms: list(domain, DOMAINS_MAX), stats: uint, flags: uint }),
    struct({ records: list(struct({ dom: domain, params: list(struct({ field: string, value: typedValue }), STATS_MAX) }), DOMAINS_MAX) }),
  ),
  domainLookupByUuid: procedure(24, struct({ uuid }), ofDomain),
  domainDefineXmlFlags: procedure(350, struct({ xml: string, flags: uint }), ofDomain),
  domainCreateWithFlags: procedure(196, ofDomainAndFlags, ofDomain),
  domainGetState: procedure(212, ofDomainAndFlags, struct({ state: int, reason: int })),
  domainGetMetadata: procedure(265, struct({ dom: domain, type: int, uri: optional(string), flags: uint }), struct({ metadata: string })),
  domainShutdownFlags: procedure(258, ofDomainAndFlags, nothing),
  domainDestroyFlags: procedure(234, ofDomainAndFlags, nothing),
  domainUndefineFlags: procedure(231, ofDomainAndFlags, nothing),
  domainSuspend: procedure(34, ofDomain, nothing),
  domainGetXmlDesc: procedure(14, ofDomainAndFlags, struct({ xml: string })),
  domainBackupBegin: procedure(421, struct({ dom: domain, backupXml: string, checkpointXml: optional(string), flags: uint }), nothing),
  domainGetJobStats: procedure(298, ofDomainAndFlags, struct({ type: int, params: list(struct({ field: string, value: typedValue }), PARAMETERS_MAX) })),
  domainAbortJob: procedure(164, ofDomain, nothing),
  domainFsFreeze: procedure(335, struct({ dom: domain, mountpoints: list(string, MOUNTPOINTS_MAX), flags: uint }), struct({ filesystems: int })),
  domainFsThaw: procedure(336, struct({ dom: domain, mountpoints: list(string, MOUNTPOINTS_MAX), flags: uint }), struct({ filesystems: int })),
  domainResume: procedure(28, ofDomain, nothing),
  domainManagedSave: procedure(182, ofDomainAndFlags, nothing),
  domainHasManagedSaveImage: procedure(183, ofDomainAndFlags, struct({ result: int })),
  domainManagedSaveRemove: procedure(184, ofDomainAndFlags, nothing),
  domainInjectNmi: procedure(210, ofDomainAndFlags, nothing),
  domainSetUserPassword: procedure(357, struct({ dom: domain, user: optional(string), password: optional(string), flags: uint }), nothing),
} as const;

/** Messages that libvirtd sends unasked, after a registration. */
export const LIFECYCLE_MESSAGE = {
  number: 318,
  codec: struct({ callbackId: int, dom: domain, event: int, detail: int }),
} as const;
export const LIFECYCLE_EVENT_ID = 0;

/** Of a job: none runs, and how the last one ended. */
export const JOB = { none: 0, completed: 3 } as const;
/** Of the job that ended last, instead of the one that runs. */
export const JOB_STATS_COMPLETED = 1;

export const METADATA_ELEMENT = 2;
/** Refuses what libvirt's own schema doesn't know, so that a mistake of ours is seen and not ignored. */
export const DEFINE_VALIDATE = 1;
/** Whatever it was in when it was saved, it runs when it comes back. */
export const SAVE_RUNNING = 2;
/** With a saved memory image and the records of snapshots. No guest has firmware variables or checkpoints yet. */
export const UNDEFINE_ALL = 1 | 2;

export const AUTH = { none: 0, sasl: 1, polkit: 2 } as const;

const optionalString = optional(string);
/** What a reply with status `error` carries. */
export const ERROR_PAYLOAD = struct({
  code: int,
  domain: int,
  message: optionalString,
  level: int,
  dom: optional(domain),
  str1: optionalString,
  str2: optionalString,
  str3: optionalString,
  int1: int,
  int2: int,
  net: optional(struct({ name: string, uuid })),
});

function procedure<A, R>(number: number, args: Codec<A>, ret: Codec<R>): Procedure<A, R> {
  return { number, args, ret };
}
