/**
 * The hypervisor contract. A driver speaks a foreign protocol; it decides nothing and stores nothing of the cloud.
 *
 * - A guest is named by instance id and generation. Every verb is idempotent: asked again after a crash, it finds
 *   what it did and answers the same. Verbs of one guest come in order, one at a time (the host actor's lane).
 * - Every verb takes an AbortSignal and ends soon after it fires, with Fault `cancelled`; what it half made is
 *   either finished or found by the next `spawn`, `destroy` or `list`.
 * - Faults: `invalid` (spec can't be run here), `notFound` (no such guest), `conflict` (wrong power state),
 *   `overloaded` (the machine is full), `unavailable` (the hypervisor doesn't answer; retryable), `timeout`, `cancelled`.
 *   Texts may be shown to users: no paths, no secrets; those go to `detail`.
 * - An ability that a hypervisor may lack is a member that a driver may lack; the compiler makes the caller ask.
 *
 * The suite in test/contract/driver.ts is this page as code: each driver passes it.
 */
import type { Readable } from 'node:stream';

/** As the Compute API numbers them (0 pending, 1 running, 3 paused, 4 shutdown, 6 crashed, 7 suspended). */
export type GuestPower = 'pending' | 'running' | 'paused' | 'shutdown' | 'crashed' | 'suspended';

export type GuestKey = { readonly instanceId: string; readonly generation: number };

export type GuestNic = {
  readonly network: string;
  readonly mac: string;
  /** Address with prefix length, `10.20.0.5/16`. */
  readonly address: string;
  readonly gateway: string | null;
};

export type GuestImage = {
  readonly id: string;
  /** What the image service says it is; the driver checks before any tool opens it. */
  readonly diskFormat: string;
  readonly sizeBytes: number;
  /** Hash that the bytes must have, or null when the service has none. */
  readonly hash: { readonly algorithm: 'sha512' | 'sha256' | 'md5'; readonly hex: string } | null;
  readonly properties: { readonly [key: string]: string };
};

export type GuestSpec = GuestKey & {
  /** Name on the hypervisor, `instance-0000002a`; unique per cell. */
  readonly name: string;
  readonly displayName: string;
  readonly hostname: string;
  readonly projectId: string;
  readonly userId: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  /** 0: as large as the image. */
  readonly rootGiB: number;
  readonly ephemeralGiB: number;
  readonly swapMiB: number;
  readonly image: GuestImage;
  /** Present when the image names a kernel to boot directly. */
  readonly kernel?: GuestImage;
  readonly ramdisk?: GuestImage;
  readonly nics: readonly GuestNic[];
  /** base64, as the user gave it. */
  readonly userData: string | null;
  readonly metadata: { readonly [key: string]: string };
};

/** A guest's root disk as it was at one moment, copied: its bytes are a file of that format, `sizeBytes` long. */
export type DiskCopy = { readonly diskFormat: string; readonly sizeBytes: number; readonly virtualBytes: number };

/** What a rescued guest boots instead of its own disk. */
export type RescueDisk = { readonly image: GuestImage; readonly kernel?: GuestImage; readonly ramdisk?: GuestImage };

/** What `list` finds on the hypervisor, whoever made it. `instanceId` null: not one of ours. */
export type GuestSeen = {
  readonly instanceId: string | null;
  readonly generation: number;
  readonly name: string;
  readonly power: GuestPower;
};

/** A change that the hypervisor reported by itself. */
export type GuestEvent = GuestKey & { readonly power: GuestPower };

export type HostInventory = {
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly diskGiB: number;
  /** `QEMU`, `simulated`, …; as `hypervisor_type` in the Compute API. */
  readonly hypervisorType: string;
  /** 7002000 for 7.2.0. */
  readonly hypervisorVersion: number;
  readonly hostIp: string;
  /** What the driver can do beside what all can; filled by who opened it. */
  readonly abilities?: readonly ('moves' | 'live')[];
  /** `x86_64`; shown as `cpu_info` with model and topology. */
  readonly cpu: {
    readonly arch: string;
    readonly model: string;
    readonly vendor: string;
    readonly topology: { readonly sockets: number; readonly cores: number; readonly threads: number };
    readonly features: readonly string[];
  };
};

/** Where image bytes come from. Filled by the image service's client; a driver knows no service. */
export interface ImageSource {
  /** The bytes of an image as stored, from the start. Faults: `notFound`, `forbidden`, `unavailable`. */
  open(imageId: string, signal: AbortSignal): Promise<Readable>;
}

/** Where copies of disks go. Filled by the image service's client. */
export interface ImageSink {
  /**
   * Brings the bytes that `open` gives to an image that is made of this instance; resolves when the image has them all,
   * now or since an earlier call. `open` is called for each attempt. Faults: `notFound` (the image is not wanted any
   * more), `unavailable`, and those of `open`.
   */
  store(image: { readonly imageId: string; readonly instanceId: string }, open: () => Promise<OpenCopy>, signal: AbortSignal): Promise<void>;
}

/** The bytes of a copy, from the start. */
export type OpenCopy = { readonly body: Readable; readonly sizeBytes: number };

/**
 * Stops the guests of one host from outside of its driver's process, which may be dead or paused: what a guard does
 * when the lease of a host ends. Needs neither the node nor the control plane.
 */
export interface HostFence {
  /**
   * Stops every guest of ours that runs there, and keeps the driver from bringing up others until `open`. Resolves
   * when none runs; rejects when one may. Asked again, it goes on. Guests keep their disks.
   */
  close(signal: AbortSignal): Promise<{ readonly stopped: number }>;
  /** The host has its lease back: the driver may bring guests up. Stopped ones stay so until somebody starts them. */
  open(): Promise<void>;
  /** Ends what it holds open itself. */
  end(): Promise<void>;
}

/*
 * Abilities to take a guest from host to host: members that a driver may lack. No verb here decides who may run: who
 * calls keeps at most one of a guest's places awake, and these verbs keep the others asleep whatever else is asked.
 *
 * - A guest that is parked, held (its memory was sent) or awaited (its memory has not come) does not run, and `start`,
 *   `reboot` and `spawn` of it are a `conflict`. `list` tells it with its own generation.
 * - Places of one guest on one host: a guest of a lower generation that is parked stays beside the newer one.
 * - All idempotent, as the verbs of driver.ts; a half made guest is found by the next `receive`, `destroy` or `list`.
 */

/** Opens the bytes that `readDisk` gives at the other host, from the start. Faults: `notFound`, `unavailable`. */
export type OpenDisk = (signal: AbortSignal) => Promise<Readable>;

/** A guest that is off goes to another host or gets another size, with its disk. */
export interface GuestMoves {
  /** Asks the guest to shut down (as `stop`), then sets it aside. No error when it is already. */
  park(guest: GuestKey, options: { graceMs: number }, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** It is an ordinary guest again, and off. No error when it was never parked. `conflict`: a newer one is in its place. */
  unpark(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** What `receive` of the same kind of driver needs, in chunks: the disk, and the memory of a held guest. The guest is parked or held. */
  readDisk(guest: GuestKey, signal: AbortSignal): Promise<Readable>;
  /**
   * Makes the guest from what another host gives, off, its disk as large as the spec says (never smaller than it was:
   * `invalid`). `memory`: of a guest that was held, awaited here; it lies here asleep until `land`.
   */
  receive(spec: GuestSpec, open: OpenDisk, options: { memory: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
}

export type SendProgress = { readonly memoryTotal: number; readonly memoryDone: number; readonly diskTotal: number; readonly diskDone: number };

/** A guest goes to another host while it runs. */
export interface LiveMoves {
  /** At the destination: what the guest needs is set aside. It does not run, and waits for its memory. */
  prepare(spec: GuestSpec, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** At the source: memory and disk are made ready while the guest runs; at the end it is held: it does not run any more. */
  send(guest: GuestKey, options: { force: boolean }, onProgress: (progress: SendProgress) => void, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** A `send` under way ends soon, at the cost of a longer pause. Harmless when none is. */
  hurry(guest: GuestKey): void;
  /** At the source: it is not held any more, and runs as before (`paused`: stays paused). No error when it was never held. */
  stay(guest: GuestKey, options: { paused: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
  /** At the destination: the guest that was received goes on where it was held. No error when it runs. */
  land(guest: GuestKey, options: { paused: boolean }, signal: AbortSignal): Promise<{ power: GuestPower }>;
}

/** How long the machine of the hypervisor has been up, and its load over 1, 5 and 15 minutes. */
export type HostUptime = { readonly upMs: number; readonly load: readonly [number, number, number] };

/** How the hypervisor is used, in one line for people; no secrets. */
export type DriverStatus = {
  /** It was reached; false also means that `text` says why not. */
  readonly isUp: boolean;
  readonly text: string;
  /** What the operator may do to have it better, as a sentence; `setting` is one of the driver's, with a value. */
  readonly hint?: { readonly text: string; readonly setting?: string };
};

/** Counters of a running guest since it was started; null where the hypervisor does not count. */
export type GuestDiagnostics = {
  readonly power: GuestPower;
  readonly uptimeS: number | null;
  readonly cpus: readonly { readonly id: number; readonly timeNs: number | null; readonly utilisation: number | null }[];
  readonly disks: readonly {
    /** As the guest sees it: `vda`. */
    readonly name: string;
    readonly readBytes: number | null;
    readonly readRequests: number | null;
    readonly writeBytes: number | null;
    readonly writeRequests: number | null;
    readonly errors: number | null;
  }[];
  readonly nics: readonly { readonly name: string; readonly mac: string | null; readonly rx: NicCounts; readonly tx: NicCounts }[];
  readonly memory: { readonly maximumMiB: number | null; readonly usedMiB: number | null };
};

export type NicCounts = { readonly octets: number | null; readonly packets: number | null; readonly errors: number | null; readonly drops: number | null };

export interface HypervisorDriver {
  /** What this host can give in all, used or not. Reads only. */
  inventory(signal: AbortSignal): Promise<HostInventory>;

  /**
   * Defines the guest and starts it; resolves when it runs. An existing guest of this instance and generation is
   * the answer (it is started when it is off). One of the same instance and a lower generation is destroyed first;
   * one of a higher generation is a `conflict`.
   */
  spawn(spec: GuestSpec, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Removes guest, disks and log. No error when it is gone already. Never touches another generation. */
  destroy(guest: GuestKey, signal: AbortSignal): Promise<void>;

  /** Starts a defined guest. No error when it runs; `conflict` when it is paused or suspended. */
  start(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Asks the guest to shut down, waits `graceMs`, then pulls the plug (0: at once). No error when it is off. Memory that was saved is forgotten. */
  stop(guest: GuestKey, options: { graceMs: number }, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** `soft` asks the guest and turns hard after `graceMs`; `hard` resets, whatever it was in. Resolves when the guest runs again, with nothing of its memory. */
  reboot(guest: GuestKey, options: { kind: 'soft' | 'hard'; graceMs: number }, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /**
   * Copies the guest's root disk as it is at one moment, whatever the guest does, and keeps the copy beside the guest
   * until `dropSnapshot` or `destroy`. A guest that runs goes on. Asked again for the same image, the copy that is there
   * is the answer; there is at most one, so another image's goes first. `quiesce`: the guest's file systems are at rest
   * at that moment, or nothing is copied (`unsupported`).
   */
  snapshot(guest: GuestKey, options: { imageId: string; quiesce: boolean }, signal: AbortSignal): Promise<DiskCopy>;

  /** The copy's bytes. `notFound` (reason `snapshot.gone`) when there is none for this image. The caller ends the stream. */
  openSnapshot(guest: GuestKey, options: { imageId: string }, signal: AbortSignal): Promise<OpenCopy>;

  /** No error when there is no copy, or no guest. */
  dropSnapshot(guest: GuestKey, signal: AbortSignal): Promise<void>;

  /** Holds a running guest with its memory. No error when it is paused; `conflict` when it is off or suspended. */
  pause?(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Lets a paused guest run. No error when it runs; `conflict` when it is off or suspended. */
  unpause?(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Saves the memory of a running or paused guest to a disk and turns it off. No error when it is suspended; `conflict` when it is off. */
  suspend(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Brings a suspended guest back with its memory. One that is off, with nothing saved, is started. No error when it runs; `conflict` when it is paused. */
  resume(guest: GuestKey, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /**
   * Turns the guest off (asked first, for `graceMs`) and boots it from a fresh disk made of `boot`, with its own disks
   * behind. No error when it is rescued already: that one is the answer, started when it is off. Also for a guest that is
   * off, paused or suspended; what memory was saved is forgotten.
   */
  rescue(spec: GuestSpec, boot: RescueDisk, options: { graceMs: number }, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Boots the guest from its own disk again and removes what the rescue made. One that is not rescued is started when it is off. */
  unrescue(spec: GuestSpec, signal: AbortSignal): Promise<{ power: GuestPower }>;

  /** Sets the administrator's password inside a running guest. `conflict` when it does not run or has nobody inside who does it. */
  setPassword?(guest: GuestKey, password: string, signal: AbortSignal): Promise<void>;

  /** Lets the guest's kernel fall into its crash dump, by a non-maskable interrupt. `conflict` when it is off. */
  crashDump?(guest: GuestKey, signal: AbortSignal): Promise<void>;

  /** The end of what the guest wrote to its console: at most `maxBytes`, oldest first. Empty when it wrote nothing. */
  consoleOutput(guest: GuestKey, options: { maxBytes: number }, signal: AbortSignal): Promise<Buffer>;

  /** What a guest has used since it was started. Fault `conflict` when it does not run. A hypervisor that counts nothing leaves it out. */
  diagnostics?(guest: GuestKey, signal: AbortSignal): Promise<GuestDiagnostics>;

  /** Every guest on this host, foreign ones too. */
  list(signal: AbortSignal): Promise<GuestSeen[]>;

  /**
   * Calls `onEvent` for each change of power until `close`. Events may repeat and may be lost while the connection
   * is down: the caller lists again when `onEvent` gets null.
   */
  watch(onEvent: (event: GuestEvent | null) => void): void;

  /** Ends connections and watches; guests go on. */
  close(): Promise<void>;

  /** Guests can go elsewhere, or to another size, while they are off: see GuestMoves. */
  readonly moves?: GuestMoves;
  /** The same while they run. */
  readonly live?: LiveMoves;

  /** Of the machine itself. Reads only. */
  hostUptime?(signal: AbortSignal): Promise<HostUptime>;

  /**
   * Brings the bytes of an image to this host ahead of time, so that a later `spawn` need not; at once when they are
   * here. Faults: those of a spawn that finds its image wrong or its source away.
   */
  fetchImage?(image: GuestImage, signal: AbortSignal): Promise<void>;

  /** For the summary of a start. A driver that has nothing to say leaves it out. */
  status?(): DriverStatus;
}
