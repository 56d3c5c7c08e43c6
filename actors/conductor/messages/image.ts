/**
 * Records of the embedded Image service; the bytes are files of that service. Unused with an external one.
 * Times are wall milliseconds of the asker. `version` grows with every change of a record and guards replacing it.
 *
 * Faults: `notFound` (reason `image.none`, `image.member`, `image.tag`), `conflict`, `tooLarge`.
 */

export type ImageStatus = 'queued' | 'saving' | 'active' | 'deactivated';
export type ImageVisibility = 'public' | 'community' | 'shared' | 'private';
export type ImageMemberStatus = 'pending' | 'accepted' | 'rejected';

export type ImageRecord = {
  readonly id: string;
  readonly name: string | null;
  readonly status: ImageStatus;
  readonly visibility: ImageVisibility;
  /** Project id; null only when an administrator said so. */
  readonly owner: string | null;
  readonly protected: boolean;
  readonly hidden: boolean;
  readonly diskFormat: string | null;
  readonly containerFormat: string | null;
  readonly minDiskGiB: number;
  readonly minMemoryMiB: number;
  readonly sizeBytes: number | null;
  readonly virtualSizeBytes: number | null;
  /** MD5, in hex. */
  readonly checksum: string | null;
  /** SHA-512, in hex. */
  readonly hash: string | null;
  readonly tags: readonly string[];
  readonly properties: { readonly [key: string]: string };
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly version: number;
};

export type ImageMember = {
  readonly imageId: string;
  readonly projectId: string;
  readonly status: ImageMemberStatus;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
};

/** Who looks: an administrator sees all; others see their own, public and community images, and shared ones as members. */
export type ImageViewer = { readonly projectId: string | null; readonly admin: boolean };

export const IMAGE_SORT_KEYS = ['name', 'status', 'container_format', 'disk_format', 'size', 'id', 'created_at', 'updated_at'] as const;
export type ImageSortKey = (typeof IMAGE_SORT_KEYS)[number];
export type ImageSort = { readonly key: ImageSortKey; readonly descending: boolean };

/** All members must hold; absent: any. Lists are alternatives. */
export type ImageFilter = {
  readonly ids?: readonly string[];
  readonly names?: readonly string[];
  readonly statuses?: readonly string[];
  readonly containerFormats?: readonly string[];
  readonly diskFormats?: readonly string[];
  readonly visibility?: ImageVisibility | 'all';
  readonly owner?: string;
  readonly protected?: boolean;
  readonly hidden?: boolean;
  readonly checksum?: string;
  readonly hash?: string;
  readonly sizeMinBytes?: number;
  readonly sizeMaxBytes?: number;
  readonly minDiskGiB?: number;
  readonly minMemoryMiB?: number;
  readonly tags?: readonly string[];
  readonly properties?: { readonly [key: string]: string };
  /** How the viewer answered to shared images: `accepted` by default. */
  readonly memberStatus?: ImageMemberStatus | 'all';
  readonly created?: TimeBound;
  readonly updated?: TimeBound;
};
export type TimeBound = { readonly compare: 'gt' | 'gte' | 'lt' | 'lte' | 'eq' | 'neq'; readonly atMs: number };

/** A node's Image API, without `/v2`. */
export type ImageDoor = { readonly node: string; readonly url: string; readonly holds: boolean };
export type ImageBytes = { readonly id: string; readonly hash: string; readonly sizeBytes: number };

export type ImageProtocol = {
  /** Fault `conflict` for a used id. */
  imageCreate: { body: { record: ImageRecord }; reply: ImageRecord };
  /** null when there is none or the viewer may not see it. */
  imageShow: { body: { id: string; viewer: ImageViewer }; reply: ImageRecord | null };
  /** After the marker, in order; ids break ties. Fault `invalid` (reason `marker`) when the marker names nothing visible. */
  imageList: {
    body: { viewer: ImageViewer; filter: ImageFilter; sort: readonly ImageSort[]; marker: string | null; limit: number };
    reply: readonly ImageRecord[];
  };
  /** Replaces what users may change (never status, size, hashes). Fault `conflict` when `record.version` is not the stored one. */
  imageReplace: { body: { record: ImageRecord }; reply: ImageRecord };
  /** One status to another, if it has one of `from`. Fault `conflict` else. */
  imageSetStatus: { body: { id: string; from: readonly ImageStatus[]; to: ImageStatus; nowMs: number }; reply: ImageRecord };
  /** queued → saving, for one uploader. Fault `conflict` when it is not queued. */
  imageBeginUpload: { body: { id: string; uploadId: string; node: string; nowMs: number }; reply: ImageRecord };
  /** saving → active, with the bytes at that node. Fault `conflict` when this upload is no longer the one (it was deleted, or reset). */
  imageEndUpload: {
    body: { id: string; uploadId: string; node: string; sizeBytes: number; checksum: string; hash: string; nowMs: number };
    reply: ImageRecord;
  };
  /** saving → queued, if this upload is still the one. */
  imageAbortUpload: { body: { id: string; uploadId: string; nowMs: number }; reply: undefined };
  /** saving → queued for uploads of the node that do not run, and of nodes that were not seen for long. Says how many. */
  imageResetUploads: { body: { node: string; running: readonly string[]; nowMs: number }; reply: number };
  /** Of these hashes, those of bytes that belong to a record. */
  imageWithBytes: { body: { hashes: readonly string[] }; reply: readonly string[] };
  /** Which bytes images of these ids have. */
  imageHashes: { body: { ids: readonly string[] }; reply: readonly { readonly id: string; readonly hash: string }[] };

  /** The node answers the Image API at `url` and holds of all bytes after one hash and up to another (null: the last) exactly these. Said before it serves. */
  imageDoorOpen: { body: { node: string; url: string; hashes: readonly string[]; after: string; upTo: string | null }; reply: undefined };
  /** It still does. */
  imageDoorSeen: { body: { node: string; url: string }; reply: undefined };
  /** It holds these bytes too. False when no image has them any more. */
  imageCopied: { body: { node: string; hash: string }; reply: boolean };
  /** It will remove them, unless an image has them. `recorded`: it was known to hold them; `unknown`: nobody knows of them. */
  imageDropCopy: { body: { node: string; hash: string }; reply: 'used' | 'recorded' | 'unknown' };
  /** Where an image is served, without `except`: holders of its bytes first, then nodes that were seen lately, both in random order. */
  imageDoors: { body: { hash: string | null; except: string | null }; reply: readonly ImageDoor[] };
  /** Images that the node holds not, but others that were seen lately, at least one and fewer than `copies`; oldest first. */
  imageLacking: { body: { node: string; copies: number; limit: number }; reply: readonly ImageBytes[] };

  /** Removes record, tags and members; the bytes go after. Fault `conflict` (reason `image.protected`) for a protected one. */
  imageDelete: { body: { id: string }; reply: undefined };

  /** Adding twice is once. Fault `tooLarge` past `max`. */
  imageAddTag: { body: { id: string; tag: string; max: number; nowMs: number }; reply: undefined };
  imageRemoveTag: { body: { id: string; tag: string; nowMs: number }; reply: undefined };

  imageListMembers: { body: { imageId: string }; reply: readonly ImageMember[] };
  /** Fault `conflict` when it is one, `tooLarge` past `max`. */
  imageAddMember: { body: { member: ImageMember; max: number }; reply: ImageMember };
  imageSetMember: { body: { imageId: string; projectId: string; status: ImageMemberStatus; nowMs: number }; reply: ImageMember };
  imageRemoveMember: { body: { imageId: string; projectId: string }; reply: undefined };
};
