/** Port: what doors ask of the image service. Filled by `glance-images.ts` or by the embedded service itself. */
import type { ImageRef } from '../../actors/model/image.ts';

export type ImageStatus = 'queued' | 'saving' | 'uploading' | 'importing' | 'active' | 'deactivated' | 'killed' | 'deleted' | 'pending_delete';

export type CatalogImage = ImageRef & {
  readonly status: ImageStatus;
  readonly visibility: 'public' | 'private' | 'shared' | 'community';
  /** Project that owns it; null when the service does not say. */
  readonly owner: string | null;
  readonly isProtected: boolean;
  readonly createdAt: string;
  readonly updatedAt: string;
};

export type ImageQuery = {
  readonly limit: number;
  readonly marker: string | null;
  readonly name: string | null;
  readonly status: string | null;
};

export interface ImageCatalog {
  /** null: no such image, or the token may not see it. Fault `unavailable` when the service does not answer. */
  show(imageId: string, token: string, signal: AbortSignal): Promise<CatalogImage | null>;
  /** Newest first. Fault `invalid` when the marker is unknown. */
  list(query: ImageQuery, token: string, signal: AbortSignal): Promise<readonly CatalogImage[]>;
  /** Faults: `notFound`, `forbidden` (not the owner, or protected). */
  remove(imageId: string, token: string, signal: AbortSignal): Promise<void>;
  /** Sets and drops free properties. Faults: `notFound`, `forbidden`. */
  change(
    imageId: string,
    changes: { readonly set: { readonly [key: string]: string }; readonly drop: readonly string[] },
    token: string,
    signal: AbortSignal,
  ): Promise<CatalogImage>;
}
