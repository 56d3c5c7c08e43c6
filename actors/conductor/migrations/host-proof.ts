/**
 * What proves that a silent host's guests are dead, and since which epoch. Columns are only added, with defaults: the
 * former release goes on with the same rows while a cluster is upgraded node by node.
 */
import { Migration } from '@mikro-orm/migrations';

export class HostProof extends Migration {
  override async up(): Promise<void> {
    this.addSql(`
      alter table host add column if not exists self_fence_ms integer check (self_fence_ms > 0);
      alter table host add column if not exists self_fence_epoch bigint;
      alter table host add column if not exists proof text check (proof in ('forceDown', 'fence', 'hypervisor', 'selfFence'));
      alter table host add column if not exists proof_epoch bigint;
      create table if not exists host_beat (
        name text primary key,
        epoch bigint not null,
        beat bigint not null default 0,
        beat_at timestamptz not null default clock_timestamp()
      ) with (fillfactor = 30);
      insert into host_beat (name, epoch) select name, epoch from host on conflict do nothing;
    `);
  }
}
