/** Between the limit of a copy on its host and that of the step that waits for it. */
export const COPY_SLACK_MS = 30_000;

/** What an operator may set about operations on instances. Milliseconds unless said otherwise. */
export type InstanceSettings = {
  /** Placing, with all retries. */
  readonly placeLimitMs: number;
  readonly spawnLimitMs: number;
  /** Past it a deleted server is gone for the user, and its claim stays doomed until the host confirms. */
  readonly destroyLimitMs: number;
  /** How long a guest may take to shut down by itself. */
  readonly stopGraceMs: number;
  readonly rebootGraceMs: number;
  /** Above the grace: what a verb itself may take. */
  readonly powerLimitMs: number;
  /** How long a host keeps an ask for a verb's end open; shorter than any ask may last. */
  readonly verbWaitMs: number;
  /** Hosts that may fail a create before it ends in error. */
  readonly attemptsMax: number;
  /** Copying a disk on its host. */
  readonly snapshotLimitMs: number;
  /** Bringing the copy to the image service, with all retries. */
  readonly uploadLimitMs: number;
  /** A shelved server leaves its host after so long; 0: at once, -1: only when somebody asks. */
  readonly shelvedOffloadMs: number;
  /** Taking the disk or the memory of a server to another host. */
  readonly moveLimitMs: number;
  /** A resized server that waits for so long is confirmed by itself; 0: never. */
  readonly resizeConfirmMs: number;
  /** Whether a server may get its new size where it is. */
  readonly resizeToSameHost: boolean;
  readonly schedulerSlices: number;
  /** How long a deleted server can be restored; 0: not at all. */
  readonly reclaimAfterMs: number;
  /** Nobody who deletes waits for a host that is silent for longer. */
  readonly hostSilentMs: number;
};

export const INSTANCE_DEFAULTS: InstanceSettings = {
  placeLimitMs: 60_000,
  spawnLimitMs: 300_000,
  destroyLimitMs: 60_000,
  stopGraceMs: 60_000,
  rebootGraceMs: 120_000,
  powerLimitMs: 60_000,
  verbWaitMs: 20_000,
  attemptsMax: 3,
  snapshotLimitMs: 1_800_000,
  uploadLimitMs: 3_600_000,
  shelvedOffloadMs: 0,
  moveLimitMs: 3_600_000,
  resizeConfirmMs: 0,
  resizeToSameHost: true,
  reclaimAfterMs: 0,
  schedulerSlices: 1,
  hostSilentMs: 15_000,
};
