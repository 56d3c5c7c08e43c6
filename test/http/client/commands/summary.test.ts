import { describe, expect, it } from 'vitest';
import { renderSummary, seconds, type Summary } from '../../../../http/client/commands/summary.ts';

const summary: Summary = {
  version: '0.1.0',
  node: 'n1',
  tookMs: 1_234,
  services: [
    { name: 'Identity', url: 'http://127.0.0.1:5000/v3' },
    { name: 'Compute', url: 'http://127.0.0.1:8774/v2.1' },
  ],
  hosts: [{ kind: 'simulated', count: 8 }],
  hints: [],
  database: 'embedded PostgreSQL 18.4',
  processes: [],
  dataDir: '/home/me/my cloud/.novact',
  logFile: '/home/me/my cloud/.novact/novact.log',
  client: { cloudsYaml: '/home/me/my cloud/.novact/clouds.yaml', openrc: '/home/me/my cloud/.novact/openrc' },
  example: { flavor: 'm1.tiny', image: 'cirros' },
};

describe('the summary of a start', () => {
  it('says what listens where, where things are, and what to type next', () => {
    expect(renderSummary(summary)).toBe(`
novact 0.1.0 is up: node n1, in 1.2 s.

  Identity  http://127.0.0.1:5000/v3
  Compute   http://127.0.0.1:8774/v2.1
  Hosts     8 simulated
  Database  embedded PostgreSQL 18.4
  Data      /home/me/my cloud/.novact
  Log       /home/me/my cloud/.novact/novact.log

In another terminal, with any OpenStack client:

  export OS_CLIENT_CONFIG_FILE='/home/me/my cloud/.novact/clouds.yaml' OS_CLOUD=novact
  openstack server create --flavor m1.tiny --image cirros --wait first
  openstack server list

The administrator is OS_CLOUD=novact-admin. For clients that want variables: source '/home/me/my cloud/.novact/openrc'

Stop with Ctrl-C.
`);
  });

  it('names no client files that were not written', () => {
    const text = renderSummary({ ...summary, client: undefined, logFile: undefined, hosts: [] });
    expect(text).not.toContain('OS_CLOUD');
    expect(text).toContain('Hosts     none on this node');
  });

  it('says how a hypervisor is used, that one is down, and what to do about it', () => {
    const hosts = [
      { kind: 'libvirt', count: 1, status: { isUp: true, text: 'qemu:///system' } },
      { kind: 'libvirt', count: 1, status: { isUp: false, text: 'no libvirt answers' } },
    ];
    const text = renderSummary({ ...summary, hosts, hints: ['Start libvirt.', 'Try KVM.'] });
    expect(text).toContain('  Hosts     1 libvirt: qemu:///system; 1 libvirt, down: no libvirt answers\n');
    expect(text).toContain('\n\nStart libvirt.\nTry KVM.\n\nIn another terminal');
  });

  it.each([
    [40, '0.0 s'],
    [1_250, '1.3 s'],
    [12_400, '12 s'],
  ])('shows %d ms as %s', (ms, text) => expect(seconds(ms)).toBe(text));
});
