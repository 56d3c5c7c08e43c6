// Your cloud's configuration: data only, and only what differs from the defaults. Everything may stay away.
// `novact config` prints every setting in force and where it came from. Stronger than this file are variables
// (NOVACT_DATA, NOVACT_PORT_OFFSET, NOVACT_DATABASE_URL, NOVACT_LOG_LEVEL, NOVACT_SET_LEASES__BEAT_MS=…) and, above
// them, flags (`novact start --data … --set leases.beatMs=…`). A setting that is unknown or wrong stops the start.
import type { ClusterSettings } from './actors/settings.ts';

export default {
  // Where everything is kept that must outlive a restart; relative to this file.
  dataDir: '.novact',

  // Services listen on loopback only. `bind: '0.0.0.0'` opens them to your network; put TLS in front of them then.
  bind: '127.0.0.1',

  // What this node drives. Simulated hosts need nothing; for real guests:
  //   hosts: [{ name: 'kvm-1', driver: { kind: 'libvirt', virtType: 'kvm' } }], // 'qemu', without KVM, is the default
  hosts: [
    {
      name: 'host-{n}', // {n} counts from 1
      count: 8,
      driver: { kind: 'simulated', capacity: { vcpus: 64, memoryMiB: 256 * 1024, diskGiB: 4 * 1024 } },
    },
  ],

  // Processes of this machine, one for each core that is to be used; they answer on the same ports.
  //   processes: { count: 4 },

  // The embedded PostgreSQL is used unless you name your own (15 or newer). A password is better kept in the
  // variable NOVACT_DATABASE_URL than here.
  //   database: { url: 'postgresql://novact@db.example.org:5432/novact' },

  // How often a host's resources may be given out, and what is kept for the host itself.
  ratios: { cpu: 4.0, ram: 1.0, disk: 1.0 },
  //   reserved: { vcpus: 0, memoryMiB: 512, diskGiB: 0 },

  // Limits of a new project; -1 is unlimited.
  //   quotas: { instances: 10, cores: 20, ram: 51_200 },

  // Addresses of new servers come from here.
  network: { label: 'private', cidr: '10.20.0.0/16' },

  // Your own Identity and Image services instead of the embedded ones (the password as NOVACT_SET_IDENTITY__PASSWORD):
  //   identity: { url: 'https://keystone.example.org:5000/v3', username: 'nova', project: 'service',
  //     userDomain: 'Default', projectDomain: 'Default' },
  //   image: {}, // found in the catalog
} satisfies ClusterSettings;
