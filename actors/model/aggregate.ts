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

/** Words of one aggregate, and aggregates of one host: all of them travel in every report of the host. */
export const AGGREGATE_WORDS_MAX = 256;
export const AGGREGATES_PER_HOST_MAX = 64;
