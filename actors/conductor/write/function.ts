/**
 * The write batch as one function of the store, so that a batch is one statement: one flight, COMMIT included.
 *
 * It takes the cell's row first (batches are serial), then checks, then changes. Checks are statements after the one
 * that took the row, each with its own snapshot (READ COMMITTED). An expected refusal is a value it returns; only a
 * broken constraint is an error, and then nothing of the batch has happened. Order of checks, fixed:
 *
 *   epoch and version (P1) → host epoch and counters (P4), proof that a host left behind is dead, both claims of a move (P3)
 *   → server group → addresses and how many a project may have → quota, server group members
 *
 * Quota comes last: what it grants is what is written, so it is exact. A claim that is refused later in the order for
 * another reason may make the batch refuse a neighbour's claim that would have fitted; that one bids again.
 *
 * Parameters are JSON arrays, null when empty; `ord` numbers the batch's items from 1 to `items`.
 *   commits  one actor's commit: fence only
 *   states   what it writes: row columns and record, by item
 *   claims   changes of claims, by item
 *   drops    instances whose addresses are given back, by item
 *   takes    addresses wanted, by item
 *   uses     quota changes of commits and records of migrations, by item
 *   orders   create orders: quota need, least count, idempotency key
 *   rows     instances of the orders, by item and index
 *   events   of commits (index 0) and of rows, by item and index
 *   defaults configured quotas
 *
 * Each use of an array reads its JSON anew, which is most of what a batch costs: what is long stands where it is read
 * once. Plans are made while the tables are empty and kept, so scans and hashes of whole tables are ruled out.
 * What is ruled out is costed absurdly high, which a server with `jit` (the usual setting) takes for work worth compiling:
 * seconds per batch, measured on PostgreSQL 15. So that is off, too.
 * Benchmark: test/bench/boots.ts, figure `postgresCpuMsPerBoot`.
 * Answer: {revision, refused: {ord: why}, granted: {ord: count}, numbers: {instance: number}, seen: {ord: [ids]}, over: {ord: …}}
 */
import { INSTANCE_COLUMNS, INSTANCE_COLUMN_NAMES } from '../tables/instance-row.ts';

/** A server's group never changes, and a node of a former release does not know it. */
const LASTING = ['id', 'group_id'];
const SETS = INSTANCE_COLUMN_NAMES.filter((name) => !LASTING.includes(name))
  .map((name) => `${name} = c.${name}`)
  .join(', ');
const NAMES = INSTANCE_COLUMN_NAMES.join(', ');
const ROW_VALUES = INSTANCE_COLUMN_NAMES.map((name) => `r.${name}`).join(', ');

export const WRITE_FUNCTION = `
create or replace function novact_write(items integer, commits json, states json, claims json, drops json, takes json, uses json,
  orders json, rows json, events json, defaults json)
returns json language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $write$
#variable_conflict use_column
declare
  rev bigint;
  num bigint;
  refused text[];
  granted integer[];
  over_ json[];
  seen json[];
  r record;
  key text;
  key2 text;
  run_v bigint; run_m bigint; run_d bigint;
  run_i bigint; run_c bigint; run_r bigint;
  urun_i bigint; urun_c bigint; urun_r bigint;
  take_count bigint;
  changed boolean := false;
  numbers json := '{}';
  placed json[] := '{}';
  joined json[] := '{}';
  room_ bigint;
  group_project text;
begin
  select revision + 1, last_number into rev, num from cell for update;
  refused := array_fill(null::text, array[items]);
  granted := array_fill(null::integer, array[items]);
  over_ := array_fill(null::json, array[items]);
  seen := array_fill(null::json, array[items]);

  -- P1: the shard's epoch and the row's version. Of two right commits of one row in a batch the first alone is taken:
  -- an activation that was dropped with its commit still waiting may have a successor that loaded the same version.
  for r in
    select c.ord, case when c.wrong_epoch then 'epoch' else 'version' end as why
    from (
      select x.ord, s.epoch is distinct from x.epoch as wrong_epoch, i.version is distinct from x.version as wrong_version,
             row_number() over (partition by x.id, s.epoch is distinct from x.epoch or i.version is distinct from x.version order by x.ord) as turn
      from json_to_recordset(commits) as x(ord integer, id uuid, shard smallint, epoch bigint, version bigint)
      left join shard s on s.id = x.shard
      left join instance i on i.id = x.id) c
    where c.wrong_epoch or c.wrong_version or c.turn > 1
  loop
    refused[r.ord] := r.why;
  end loop;

  -- P4: claims in order, by host, with what the batch has granted already. P3: a host is left behind only while what
  -- proves its guests dead is of its epoch now: one that came back in between has begun another.
  key := null;
  for r in
    select k.ord, k.op, k.host, k.host_epoch, k.vcpus, k.memory_mib, k.disk_gib, h.epoch,
           h.proof is not null and h.proof_epoch = h.epoch as is_proved,
           h.vcpus - h.used_vcpus as free_v, h.memory_mib - h.used_memory_mib as free_m, h.disk_gib - h.used_disk_gib as free_d
    from json_to_recordset(claims) as k(ord integer, op text, host text, host_epoch bigint, vcpus bigint, memory_mib bigint, disk_gib bigint)
    left join host h on h.name = k.host and not h.deleted
    where k.op in ('add', 'evacuate') and refused[k.ord] is null
    order by k.host, k.ord
  loop
    if r.op = 'evacuate' then
      if r.is_proved is not true then refused[r.ord] := 'hostNotProved'; end if;
      continue;
    end if;
    if r.host is distinct from key then
      key := r.host; run_v := 0; run_m := 0; run_d := 0;
    end if;
    if r.epoch is null then
      refused[r.ord] := 'hostGone';
    elsif r.epoch <> r.host_epoch then
      refused[r.ord] := 'hostEpoch';
    elsif run_v + r.vcpus > r.free_v or run_m + r.memory_mib > r.free_m or run_d + r.disk_gib > r.free_d then
      refused[r.ord] := 'hostFull';
    else
      run_v := run_v + r.vcpus; run_m := run_m + r.memory_mib; run_d := run_d + r.disk_gib;
    end if;
  end loop;

  -- P3: only a claim that stands beside the active one of a server becomes active, and where it is said to be.
  if claims is not null then
    for r in
      select k.ord
      from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid, generation integer, host text)
      left join claim c on c.instance_id = k.instance_id and c.generation = k.generation
      where k.op = 'activate' and refused[k.ord] is null and (c.role is distinct from 'standby' or c.host is distinct from k.host)
    loop
      refused[r.ord] := 'claimGone';
    end loop;
  end if;

  -- Server groups, with what the batch has placed already. Anti-affinity counts every claim of other members: of a doomed
  -- one the guest may still run. Affinity is bound by active claims on hosts that are not proved dead.
  if position('"group_id"' in claims::text) > 0 then
    for r in
      select k.ord, k.instance_id, k.host, k.group_id, g.policy, coalesce(g.per_host, 1) as per_host
      from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid, host text, group_id uuid)
      join server_group g on g.id = k.group_id
      where k.op = 'add' and g.policy in ('affinity', 'anti-affinity') and refused[k.ord] is null
      order by k.ord
    loop
      if r.policy = 'affinity' then
        select count(*) into room_ from (
          select 1 from instance i join claim c on c.instance_id = i.id join host h on h.name = c.host
          where i.group_id = r.group_id and i.id <> r.instance_id and c.role = 'active' and c.host <> r.host
            and (h.proof is not null and h.proof_epoch = h.epoch) is not true
          union all
          select 1 from unnest(placed) as p
          where p->>'group' = r.group_id::text and p->>'host' <> r.host and p->>'instance' <> r.instance_id::text) x;
        room_ := - room_;
      else
        select r.per_host - 1 - count(distinct x.id) into room_ from (
          select i.id::text from instance i join claim c on c.instance_id = i.id
          where i.group_id = r.group_id and i.id <> r.instance_id and c.host = r.host
          union all
          select p->>'instance' from unnest(placed) as p
          where p->>'group' = r.group_id::text and p->>'host' = r.host and p->>'instance' <> r.instance_id::text) x(id);
      end if;
      if room_ < 0 then
        refused[r.ord] := 'groupPolicy';
      else
        placed := placed || json_build_object('group', r.group_id, 'host', r.host, 'instance', r.instance_id);
      end if;
    end loop;
  end if;

  -- Addresses: free in the table, and not twice in this batch.
  for r in
    select t.ord
    from (select k.*, row_number() over (partition by k.network_id, k.address order by k.ord) as turn
          from json_to_recordset(takes) as k(ord integer, network_id uuid, address inet)
          where refused[k.ord] is null) t
    where t.turn > 1 or exists (select from fixed_ip f where f.network_id = t.network_id and f.address = t.address)
  loop
    refused[r.ord] := 'addressTaken';
  end loop;

  -- How many addresses a project may have, where anything limits them. What the batch gives back counts in the next one.
  if takes is not null and ((defaults->>'fixed_ips')::bigint >= 0
    or exists (select from quota_class where class = 'default' and name = 'fixed_ips' and value >= 0)
    or exists (select from quota_limit where name = 'fixed_ips' and value >= 0))
  then
    key := null;
    for r in
      select k.ord, i.project_id, count(*) as wanted
      from json_to_recordset(takes) as k(ord integer, instance_id uuid) join instance i on i.id = k.instance_id
      where refused[k.ord] is null
      group by k.ord, i.project_id
      order by i.project_id, k.ord
    loop
      if r.project_id is distinct from key then
        key := r.project_id;
        room_ := novact_limit(r.project_id, '', 'fixed_ips', defaults);
        if room_ < 0 then
          room_ := null;
        else
          room_ := room_ - (select count(*) from fixed_ip f join instance i on i.id = f.instance_id where i.project_id = r.project_id);
        end if;
      end if;
      if r.wanted > room_ then
        refused[r.ord] := 'quota';
      else
        room_ := room_ - r.wanted;
      end if;
    end loop;
  end if;

  -- An order that came before, and whose answer got lost: the instances of then.
  for r in
    select o.ord, i.id is not null as known,
           array(select d.id from json_to_recordset(rows) as w(ord integer, idx integer, id uuid) join instance d on d.id = w.id
                 where i.id is not null and w.ord = o.ord order by w.idx) as ids,
           row_number() over (partition by o.first order by o.ord) as turn
    from json_to_recordset(orders) as o(ord integer, first uuid, project_id text)
    left join instance i on i.id = o.first and i.project_id = o.project_id
  loop
    if r.known then
      refused[r.ord] := 'seen';
      seen[r.ord] := to_json(r.ids);
    elsif r.turn > 1 then
      refused[r.ord] := 'again';
    end if;
  end loop;

  -- An idempotency key that was used: the instances of then, or a refusal when the body differs.
  for r in
    select o.ord, i.instances, i.body_hash = o.body_hash as same,
           row_number() over (partition by o.project_id, o.key order by o.ord) as turn
    from json_to_recordset(orders) as o(ord integer, project_id text, key text, body_hash text)
    left join idempotency i on i.project_id = o.project_id and i.key = o.key
    where o.key is not null and refused[o.ord] is null
  loop
    if r.instances is not null then
      refused[r.ord] := case when r.same then 'seen' else 'keyReused' end;
      seen[r.ord] := to_json(r.instances);
    elsif r.turn > 1 then
      refused[r.ord] := 'again';
    end if;
  end loop;

  -- Security groups that an order names, besides the one that every project has: deleted meanwhile, they take no server.
  if position('"secured"' in orders::text) > 0 then
    for r in
      select o.ord from json_to_recordset(orders) as o(ord integer, project_id text, secured json)
      where refused[o.ord] is null and exists (
        select from json_array_elements_text(o.secured) as s(name)
        where not exists (select from security_group g where g.project_id = o.project_id and g.name = s.name))
    loop
      refused[r.ord] := 'securityGroupGone';
    end loop;
  end if;

  -- Quota, exactly: project and user limits, with what the batch has granted already.
  key := null; key2 := null;
  for r in
    select o.ord, o.project_id, o.user_id, o.count, o.min_count, o.is_order, o.instances, o.cores, o.ram, o.group_id,
           lp.instances as lp_i, lp.cores as lp_c, lp.ram as lp_r, lu.instances as lu_i, lu.cores as lu_c, lu.ram as lu_r,
           coalesce(up.instances, 0) as up_i, coalesce(up.cores, 0) as up_c, coalesce(up.ram, 0) as up_r,
           coalesce(uu.instances, 0) as uu_i, coalesce(uu.cores, 0) as uu_c, coalesce(uu.ram, 0) as uu_r
    from (
      select w.ord, w.project_id, w.user_id, w.count, w.min_count, true as is_order, w.instances, w.cores, w.ram, w.group_id
      from json_to_recordset(orders)
        as w(ord integer, project_id text, user_id text, count integer, min_count integer, instances bigint, cores bigint, ram bigint, group_id uuid)
      union all
      -- A server that grows: what it gives back at the same time makes no room for others in this batch.
      select k.ord, k.project_id, k.user_id, 1, 1, false, greatest(k.instances, 0), greatest(k.cores, 0), greatest(k.ram, 0), null
      from json_to_recordset(uses) as k(ord integer, project_id text, user_id text, instances bigint, cores bigint, ram bigint)
      where greatest(k.instances, k.cores, k.ram) > 0) o
    left join quota_use up on up.project_id = o.project_id and up.user_id = ''
    left join quota_use uu on uu.project_id = o.project_id and uu.user_id = o.user_id
    cross join lateral novact_limits(o.project_id, '', defaults) lp
    cross join lateral novact_limits(o.project_id, o.user_id, null) lu
    where refused[o.ord] is null
    order by o.project_id, o.user_id, o.ord
  loop
    if r.project_id is distinct from key then
      key := r.project_id; key2 := null; run_i := 0; run_c := 0; run_r := 0;
    end if;
    if r.user_id is distinct from key2 then
      key2 := r.user_id; urun_i := 0; urun_c := 0; urun_r := 0;
    end if;
    take_count := least(r.count,
      novact_room(r.lp_i, r.up_i + run_i, r.instances), novact_room(r.lp_c, r.up_c + run_c, r.cores), novact_room(r.lp_r, r.up_r + run_r, r.ram),
      novact_room(r.lu_i, r.uu_i + urun_i, r.instances), novact_room(r.lu_c, r.uu_c + urun_c, r.cores), novact_room(r.lu_r, r.uu_r + urun_r, r.ram));
    if take_count < r.min_count then
      refused[r.ord] := 'quota';
      over_[r.ord] := json_build_object(
        'project', json_build_object('limit', json_build_array(r.lp_i, r.lp_c, r.lp_r), 'used', json_build_array(r.up_i + run_i, r.up_c + run_c, r.up_r + run_r)),
        'user', json_build_object('limit', json_build_array(r.lu_i, r.lu_c, r.lu_r), 'used', json_build_array(r.uu_i + urun_i, r.uu_c + urun_c, r.uu_r + urun_r)));
      continue;
    end if;
    -- A group is full for its user, not for the order: so many as the rest lets be, or none.
    if r.group_id is not null then
      select g.project_id into group_project from server_group g where g.id = r.group_id;
      if group_project is distinct from r.project_id then
        refused[r.ord] := 'groupGone';
      else
        select novact_limit(r.project_id, r.user_id, 'server_group_members', defaults) into room_;
        if room_ >= 0 and take_count + (select count(*) from instance i where i.group_id = r.group_id and i.user_id = r.user_id and not i.deleted)
          + (select coalesce(sum((j->>'count')::bigint), 0) from unnest(joined) as j where j->>'group' = r.group_id::text and j->>'user' = r.user_id) > room_
        then
          refused[r.ord] := 'groupFull';
        else
          joined := joined || json_build_object('group', r.group_id, 'user', r.user_id, 'count', take_count);
        end if;
      end if;
    end if;
    if refused[r.ord] is null then
      if r.is_order then granted[r.ord] := take_count; end if;
      run_i := run_i + take_count * r.instances; run_c := run_c + take_count * r.cores; run_r := run_r + take_count * r.ram;
      urun_i := urun_i + take_count * r.instances; urun_c := urun_c + take_count * r.cores; urun_r := urun_r + take_count * r.ram;
    end if;
  end loop;

  -- Nothing more is refused from here on.
  if commits is not null then
    update instance i set version = i.version + 1, revision = rev, open = c.open, due_at_ms = c.due_at_ms, ${SETS}
    from json_to_recordset(states) as c(ord integer, open boolean, due_at_ms bigint, ${INSTANCE_COLUMNS})
    where i.id = c.id and refused[c.ord] is null;
    changed := found;

    -- What is given back goes first, so that one commit may move a claim or an address.
    if claims is not null then
      with wanted as (
        select * from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid, generation integer, host text)
        where refused[k.ord] is null and k.op not in ('add', 'activate')),
      dropped as (
        delete from claim using wanted w
        where w.op = 'drop' and claim.instance_id = w.instance_id and claim.generation = w.generation
        returning claim.host, claim.vcpus, claim.memory_mib, claim.disk_gib),
      doomed as (
        update claim set role = 'doomed' from wanted w
        where (w.op = 'doom' or w.op = 'evacuate' and w.host = claim.host)
          and claim.instance_id = w.instance_id and claim.generation = w.generation),
      delta as (
        select host, sum(vcpus) as v, sum(memory_mib) as m, sum(disk_gib) as d, count(*) as n from dropped group by host)
      update host h set used_vcpus = used_vcpus - delta.v, used_memory_mib = used_memory_mib - delta.m,
        used_disk_gib = used_disk_gib - delta.d, claims = h.claims - delta.n
      from delta where delta.host = h.name;

      -- One after the other: at no moment has a server two active claims.
      update claim set role = 'standby'
      from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid)
      where k.op = 'activate' and refused[k.ord] is null and claim.instance_id = k.instance_id and claim.role = 'active';
      update claim set role = 'active'
      from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid, generation integer)
      where k.op = 'activate' and refused[k.ord] is null and claim.instance_id = k.instance_id and claim.generation = k.generation;

      with added as (
        insert into claim (instance_id, generation, host, role, vcpus, memory_mib, disk_gib)
        select k.instance_id, k.generation, k.host, coalesce(k.role, 'active'), k.vcpus, k.memory_mib, k.disk_gib
        from json_to_recordset(claims) as k(ord integer, op text, instance_id uuid, generation integer, host text, role text, vcpus integer, memory_mib bigint, disk_gib bigint)
        where refused[k.ord] is null and k.op = 'add'
        returning host, vcpus, memory_mib, disk_gib),
      delta as (
        select host, sum(vcpus) as v, sum(memory_mib) as m, sum(disk_gib) as d, count(*) as n from added group by host)
      update host h set used_vcpus = used_vcpus + delta.v, used_memory_mib = used_memory_mib + delta.m,
        used_disk_gib = used_disk_gib + delta.d, claims = h.claims + delta.n
      from delta where delta.host = h.name;
    end if;

    -- A guest whose claim is doomed may still run under its address: that one stays taken until its host confirms.
    if drops is not null then
      delete from fixed_ip f using json_to_recordset(drops) as d(ord integer, id uuid)
      where f.instance_id = d.id and refused[d.ord] is null
        and not exists (select from claim c where c.instance_id = d.id and c.role = 'doomed');
    end if;

    if takes is not null then
      insert into fixed_ip (network_id, address, instance_id, mac)
      select k.network_id, k.address, k.instance_id, k.mac
      from json_to_recordset(takes) as k(ord integer, network_id uuid, address inet, instance_id uuid, mac text)
      where refused[k.ord] is null;
    end if;
  end if;

  if orders is not null then
    with made as (
      insert into instance (number, shard, version, revision, open, due_at_ms, ${NAMES})
      select num + row_number() over (order by r.ord, r.idx), r.shard, 1, rev, r.open, r.due_at_ms, ${ROW_VALUES}
      from json_to_recordset(rows) as r(ord integer, idx integer, shard smallint, open boolean, due_at_ms bigint, ${INSTANCE_COLUMNS})
      where r.idx < granted[r.ord]
      returning id, number)
    select coalesce(max(number), num), json_object_agg(id, number) into num, numbers from made;
    changed := changed or numbers is not null;

    insert into idempotency (project_id, key, body_hash, instances)
    select o.project_id, o.key, o.body_hash,
      (select array_agg(r.id order by r.idx) from json_to_recordset(rows) as r(ord integer, idx integer, id uuid) where r.ord = o.ord and r.idx < granted[o.ord])
    from json_to_recordset(orders) as o(ord integer, project_id text, key text, body_hash text)
    where o.key is not null and granted[o.ord] > 0;
  end if;

  -- Both the project's total (user '') and the user's own; rows first, since a check sees a row before its conflict.
  insert into quota_use (project_id, user_id)
  select distinct o.project_id, u.user_id
  from json_to_recordset(orders) as o(ord integer, project_id text, user_id text)
  cross join lateral (values (''), (o.user_id)) as u(user_id)
  where granted[o.ord] > 0
  order by 1, 2
  on conflict do nothing;

  update quota_use q set instances = q.instances + y.instances, cores = q.cores + y.cores, ram = q.ram + y.ram
  from (
    select x.project_id, u.user_id, sum(x.instances) as instances, sum(x.cores) as cores, sum(x.ram) as ram
    from (
      select o.project_id, o.user_id, granted[o.ord] * o.instances as instances, granted[o.ord] * o.cores as cores, granted[o.ord] * o.ram as ram
      from json_to_recordset(orders) as o(ord integer, project_id text, user_id text, instances bigint, cores bigint, ram bigint)
      where granted[o.ord] > 0
      union all
      select k.project_id, k.user_id, k.instances, k.cores, k.ram
      from json_to_recordset(uses) as k(ord integer, project_id text, user_id text, instances bigint, cores bigint, ram bigint)
      where refused[k.ord] is null) x
    cross join lateral (values (''), (x.user_id)) as u(user_id)
    group by x.project_id, u.user_id) y
  where q.project_id = y.project_id and q.user_id = y.user_id;

  if uses is not null then
    update migration x set status = m.status, dest = m.dest, updated_at = m."updatedAt", progress = m.progress
    from json_to_recordset(uses) as k(ord integer, migration json)
    cross join lateral json_to_record(k.migration) as m(uuid uuid, status text, dest text, "updatedAt" timestamptz, progress json)
    where refused[k.ord] is null and k.migration is not null and x.uuid = m.uuid;
    insert into migration (uuid, instance_id, type, status, source, dest, old_flavor_id, new_flavor_id, user_id, project_id, created_at, updated_at, progress)
    select m.uuid, k.instance_id, m.type, m.status, m.source, m.dest, m."oldFlavorId", m."newFlavorId", m."userId", m."projectId", m."createdAt", m."updatedAt", m.progress
    from json_to_recordset(uses) as k(ord integer, instance_id uuid, migration json)
    cross join lateral json_to_record(k.migration) as m(uuid uuid, type text, status text, source text, dest text, "oldFlavorId" text, "newFlavorId" text,
      "userId" text, "projectId" text, "createdAt" timestamptz, "updatedAt" timestamptz, progress json)
    where refused[k.ord] is null and k.migration is not null and not exists (select from migration x where x.uuid = m.uuid);
  end if;

  if changed then
    insert into event (revision, ord, id, project_id, body)
    select rev, row_number() over (order by e.ord, e.idx), e.id, e.project_id, e.event
    from json_to_recordset(events) as e(ord integer, idx integer, id uuid, project_id text, event json)
    where refused[e.ord] is null and e.idx < coalesce(granted[e.ord], 1);
    update cell set revision = rev, last_number = num;
  else
    rev := rev - 1;
  end if;

  return json_build_object('revision', rev, 'refused', to_json(refused), 'granted', to_json(granted),
    'numbers', coalesce(numbers, '{}'::json), 'seen', to_json(seen), 'over', to_json(over_));
end
$write$;
`;

/** Limits of a project (user '') or of one user of it; −1 is unlimited. A user without rows has no limit of its own. */
export const LIMIT_FUNCTIONS = `
create or replace function novact_limits(project text, who text, defaults json, out instances bigint, out cores bigint, out ram bigint)
language sql stable as $limits$
  select
    coalesce(max(l.value) filter (where l.name = 'instances'), max(c.value) filter (where c.name = 'instances'), (defaults->>'instances')::bigint, -1),
    coalesce(max(l.value) filter (where l.name = 'cores'), max(c.value) filter (where c.name = 'cores'), (defaults->>'cores')::bigint, -1),
    coalesce(max(l.value) filter (where l.name = 'ram'), max(c.value) filter (where c.name = 'ram'), (defaults->>'ram')::bigint, -1)
  from (select name, value from quota_limit q where q.project_id = project and q.user_id = who) l
  full join (select name, value from quota_class q where q.class = 'default' and defaults is not null) c on false
$limits$;

-- One limit in force: the user's own, the project's, the class's, the configured one.
create or replace function novact_limit(project text, who text, what text, defaults json) returns bigint language sql stable as $limit$
  select coalesce(
    (select value from quota_limit where project_id = project and user_id = who and name = what),
    (select value from quota_limit where project_id = project and user_id = '' and name = what),
    (select value from quota_class where class = 'default' and name = what),
    (defaults->>what)::bigint, -1)
$limit$;

create or replace function novact_room(allowed bigint, used bigint, each_ bigint) returns bigint language sql immutable as $room$
  select case when allowed < 0 or each_ = 0 then 2147483647 else greatest(0, (allowed - used) / each_) end
$room$;
`;
