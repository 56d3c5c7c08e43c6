/** Rules about the aggregates of a host: their metadata is a word per key, and a host may have several words for one key. */
import type { HostReport } from '../../model/placement.ts';
import { fitsSpec } from './spec-operator.ts';
import type { Filter } from './filter.ts';

const SCOPE = 'aggregate_instance_extra_specs:';
const TENANT = 'filter_tenant_id';

/** All words that the aggregates of a host have for a key. A list in one word is several words. */
function wordsOf({ aggregates }: HostReport, key: string): string[] {
  return aggregates.flatMap(({ metadata }) => (Object.hasOwn(metadata, key) ? split(metadata[key] ?? '') : []));
}

function split(word: string): string[] {
  return word.split(',').map((part) => part.trim());
}

/** Every spec without a scope, or with this one, is met by a word of the host's aggregates. */
export const AGGREGATE_EXTRA_SPECS: Filter = {
  name: 'AggregateInstanceExtraSpecsFilter',
  passes: ({ report }, { extraSpecs }) =>
    Object.entries(extraSpecs).every(([key, spec]) => {
      const isScoped = key.startsWith(SCOPE);
      if (!isScoped && key.includes(':')) return true;
      return wordsOf(report, isScoped ? key.slice(SCOPE.length) : key).some((word) => fitsSpec(word, spec));
    }),
};

/** Where an aggregate names a property of images, the image's own must be among its words; an image without it passes. */
export const AGGREGATE_IMAGE_PROPERTIES: Filter = {
  name: 'AggregateImagePropertiesIsolation',
  passes: ({ report }, { imageProperties }) =>
    report.aggregates.every(({ metadata }) =>
      Object.keys(metadata).every((key) => {
        const property = Object.hasOwn(imageProperties, key) ? imageProperties[key] : undefined;
        return property === undefined || property === '' || wordsOf(report, key).includes(property);
      }),
    ),
};

/** Aggregates that name projects are for those alone; a key may have any ending, so that many fit. */
export const AGGREGATE_TENANCY: Filter = {
  name: 'AggregateMultiTenancyIsolation',
  passes: ({ report }, { projectId }) => {
    const projects = report.aggregates.flatMap(({ metadata }) =>
      Object.entries(metadata).flatMap(([key, word]) => (key.startsWith(TENANT) ? split(word) : [])),
    );
    return projects.length === 0 || projects.includes(projectId);
  },
};
