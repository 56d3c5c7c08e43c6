/** The record of one move of a server from host to host or size to size: what `os-migrations` shows. Never deleted. */
export const MIGRATION_TYPES = ['migration', 'resize', 'live-migration', 'evacuation'] as const;
export type MigrationType = (typeof MIGRATION_TYPES)[number];

export const MIGRATION_STATUSES = [
  'accepted',
  'queued',
  'preparing',
  'pre-migrating',
  'migrating',
  'running',
  'post-migrating',
  'finished',
  'confirming',
  'confirmed',
  'reverting',
  'reverted',
  'done',
  'completed',
  'failed',
  'error',
  'cancelled',
] as const;
export type MigrationStatus = (typeof MIGRATION_STATUSES)[number];

/** Of a live migration, in bytes. */
export type Progress = {
  readonly memoryTotal: number;
  readonly memoryDone: number;
  readonly diskTotal: number;
  readonly diskDone: number;
};

/** What a commit writes of it: made when it is new, else changed. */
export type MigrationWrite = {
  readonly uuid: string;
  readonly type: MigrationType;
  readonly status: MigrationStatus;
  readonly source: string;
  readonly dest: string | null;
  readonly oldFlavorId: string;
  readonly newFlavorId: string;
  /** Of who asked for it. */
  readonly userId: string;
  readonly projectId: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly progress: Progress | null;
};

/** As lists show it: flavors by the numbers that the store gave them. */
export type Migration = MigrationWrite & {
  readonly id: number;
  readonly instanceId: string;
  readonly oldFlavorNumber: number | null;
  readonly newFlavorNumber: number | null;
};

/** Members that are absent do not count. */
export type MigrationFilter = {
  readonly instanceId?: string;
  readonly host?: string;
  readonly source?: string;
  readonly status?: string;
  readonly type?: string;
  readonly userId?: string;
  readonly projectId?: string;
  /** Its id. */
  readonly number?: number;
  /** Of who asked for it, for callers who see one project only. */
  readonly ofProject?: string;
  readonly changedSinceMs?: number;
  readonly changedBeforeMs?: number;
};
