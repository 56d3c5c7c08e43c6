/** A size that can be asked for. `flavorId` is what the API calls `id`: free text, unique. */
export type Flavor = {
  readonly flavorId: string;
  readonly name: string;
  readonly vcpus: number;
  readonly memoryMiB: number;
  readonly rootGiB: number;
  readonly ephemeralGiB: number;
  readonly swapMiB: number;
  readonly rxtxFactor: number;
  readonly isPublic: boolean;
  readonly disabled: boolean;
  readonly description: string | null;
  readonly extraSpecs: { readonly [key: string]: string };
};
