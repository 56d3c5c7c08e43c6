/** What a server remembers of the image it was made from. Bytes stay with the image service. */
export type ImageRef = {
  readonly id: string;
  readonly name: string;
  readonly diskFormat: string;
  readonly containerFormat: string;
  readonly sizeBytes: number;
  readonly hash: { readonly algorithm: 'sha512' | 'sha256' | 'md5'; readonly hex: string } | null;
  readonly minDiskGiB: number;
  readonly minMemoryMiB: number;
  readonly properties: { readonly [key: string]: string };
};

/** An image that is to be made of a server's disk. Its id is given before it exists, so that making it again makes no second one. */
export type ImageDraft = {
  readonly id: string;
  readonly name: string;
  /** The project that owns it. */
  readonly owner: string;
  readonly minDiskGiB: number;
  readonly minMemoryMiB: number;
  readonly properties: { readonly [key: string]: string };
};
