import { describe, expect, it } from 'vitest';
import { powerOfEvent, powerOfState } from '../../../drivers/libvirt/events.ts';
import { parseCapabilities } from '../../../drivers/libvirt/host.ts';

const CAPABILITIES = `<capabilities>
  <host>
    <uuid>1</uuid>
    <cpu>
      <arch>x86_64</arch><model>EPYC</model><vendor>AMD</vendor>
      <topology sockets='2' dies='1' cores='8' threads='2'/>
      <feature name='ht'/><feature name='sse4.1'/>
    </cpu>
    <secmodel><model>apparmor</model><doi>0</doi><baselabel type='qemu'>x</baselabel></secmodel>
    <secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+1:+2</baselabel><baselabel type='qemu'>+64055:+107</baselabel></secmodel>
  </host>
  <guest><os_type>hvm</os_type><arch name='i686'/></guest>
</capabilities>`;

describe('capabilities', () => {
  it('tell the processor and the user that guests run as', () => {
    expect(parseCapabilities(CAPABILITIES)).toEqual({
      arch: 'x86_64',
      cpu: { arch: 'x86_64', model: 'EPYC', vendor: 'AMD', topology: { sockets: 2, cores: 8, threads: 2 }, features: ['ht', 'sse4.1'] },
      qemu: { uid: 64055, gid: 107 },
    });
  });

  it('that tell little are no error', () => {
    const { qemu, cpu } = parseCapabilities("<capabilities><host></host><guest><arch name='i686'/></guest></capabilities>");
    expect([qemu, cpu.arch, cpu.model, cpu.topology.cores]).toEqual([undefined, 'i686', 'unknown', 1]);
  });
});

describe('power', () => {
  it.each([
    [1, 1, 'running'],
    [2, 0, 'running'],
    [3, 1, 'paused'],
    [3, 10, 'crashed'],
    [4, 0, 'running'],
    [5, 1, 'shutdown'],
    [5, 2, 'shutdown'],
    [5, 3, 'crashed'],
    [5, 5, 'suspended'],
    [5, 6, 'crashed'],
    [6, 0, 'crashed'],
    [7, 0, 'suspended'],
    [0, 0, 'pending'],
  ] as const)('of state %i for reason %i is %s', (state, reason, power) => {
    expect(powerOfState(state, reason)).toBe(power);
  });

  it.each([
    [0, 0, undefined],
    [1, 0, undefined],
    [2, 0, 'running'],
    [3, 2, 'paused'],
    [4, 0, 'running'],
    [5, 0, 'shutdown'],
    [5, 1, 'shutdown'],
    [5, 2, 'crashed'],
    [5, 4, 'suspended'],
    [5, 5, 'crashed'],
    [6, 0, undefined],
    [7, 0, 'suspended'],
    [8, 0, 'crashed'],
  ] as const)('after event %i with detail %i is %s', (event, detail, power) => {
    expect(powerOfEvent(event, detail)).toBe(power);
  });
});
