/** What the API says about itself to everybody: its versions. No token is needed here. */
import { MICROVERSIONS } from './microversions.ts';

type Entry = {
  readonly id: string;
  readonly segment: string;
  readonly status: string;
  readonly version: string;
  readonly min_version: string;
  readonly updated: string;
  readonly mediaType: string;
};

const ENTRIES: readonly Entry[] = [
  {
    id: 'v2.0',
    segment: 'v2',
    status: 'DEPRECATED',
    version: '',
    min_version: '',
    updated: '2025-07-04T12:00:00Z',
    mediaType: 'application/vnd.openstack.compute+json;version=2',
  },
  {
    id: 'v2.1',
    segment: 'v2.1',
    status: 'CURRENT',
    version: `2.${MICROVERSIONS.max}`,
    min_version: `2.${MICROVERSIONS.min}`,
    updated: '2013-07-23T11:33:21Z',
    mediaType: 'application/vnd.openstack.compute+json;version=2.1',
  },
];

const DOCUMENTATION = 'http://docs.openstack.org/';

function shortForm(entry: Entry, base: string): object {
  const { id, status, version, min_version, updated } = entry;
  return { id, status, version, min_version, updated, links: [{ rel: 'self', href: `${base}/${entry.segment}/` }] };
}

function mediaTypes(entry: Entry): object {
  return [{ base: 'application/json', type: entry.mediaType }];
}

/** `GET /` */
export function allVersions(base: string): object {
  return { versions: ENTRIES.map((entry) => shortForm(entry, base)) };
}

/** `GET /v2.1/`; undefined when there is no such version. */
export function oneVersion(idOrSegment: string, base: string): object | undefined {
  const entry = ENTRIES.find((one) => one.segment === idOrSegment || one.id === idOrSegment);
  if (entry === undefined) return undefined;
  const links = [
    { rel: 'self', href: `${base}/${entry.segment}/` },
    { rel: 'describedby', type: 'text/html', href: DOCUMENTATION },
  ];
  return { version: { ...shortForm(entry, base), links, 'media-types': mediaTypes(entry) } };
}

/** 300: the same path under each version. */
export function choices(base: string, path: string): object {
  return {
    choices: ENTRIES.map((entry) => ({
      id: entry.id,
      status: entry.status,
      links: [{ rel: 'self', href: `${base}/${entry.segment}${path}` }],
      'media-types': mediaTypes(entry),
    })),
  };
}
