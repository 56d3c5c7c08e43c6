/**
 * Why a test of Tempest may be skipped: a service that is beside a compute service and that this cloud does not bring,
 * or a feature that the reference itself has dropped. Whatever is skipped for another reason is a failure.
 */
type Skip = {
  /** Of the test's name. */
  readonly test?: RegExp;
  /** Of what Tempest says. */
  readonly why: RegExp;
  readonly reason: string;
};

const SKIPS: readonly Skip[] = [
  { why: /Cinder|[Vv]olume service|volume-backed/, reason: 'no Block Storage service in the catalog' },
  { why: /Swapping volumes/, reason: 'no Block Storage service in the catalog' },
  {
    why: /Neutron|public_network_id|fixed_network_name|known-for-sure existing network|No fixed ip found/,
    reason: 'has to pass once the networks of this cloud work',
  },
  { why: /os-agents|nova-network is gone|Nova cert|resetNetwork/, reason: 'dropped by the reference' },
  { why: /read-only on non-Xen/, reason: 'of one hypervisor of the reference' },
  { why: /VNC Console|Console feature/, reason: 'has to pass once consoles work' },
  { why: /Instance validation tests|validation/, reason: 'logs in to guests, which simulated hosts have not' },
  { why: /certified_image_ref/, reason: 'wants an image that was signed beforehand' },
  { why: /out of the configuration range/, reason: 'of a volume service version' },
];

/** The reason that the table gives; undefined when it has none. */
export function reasonFor(test: string, why: string): string | undefined {
  return SKIPS.find((skip) => skip.why.test(why) && (skip.test?.test(test) ?? true))?.reason;
}
