/** A group of hosts with words that schedulers read. Its zone, when it has one, is the word `availability_zone`. */

export type Aggregate = {
  readonly id: number;
  readonly uuid: string;
  readonly name: string;
  readonly metadata: { readonly [key: string]: string };
  /** By name. */
  readonly hosts: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string | null;
};

export const ZONE_KEY = 'availability_zone';

/** All words of a host's aggregates travel in every report of the host: their number, and their length in bytes. */
export const AGGREGATE_WORDS_MAX = 256;
export const AGGREGATES_PER_HOST_MAX = 64;
export const HOST_WORDS_MAX_BYTES = 65_536;
