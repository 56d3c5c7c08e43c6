/*
 * Who may believe that a shard is theirs: beats, and leases counted on drifting clocks. Every step may be delayed for as
 * long as one likes: a process that is paused, or dead, is one that is not chosen. A statement of the store is one step.
 * Beats and epochs only ever grow, so the model keeps what is compared of them: "has it moved since I looked".
 *
 * Planted mistakes: FROM_ANSWER (the lease counts from the answer instead of from the asking), KEEP_ENDED (a lease that
 * was over goes on without reading who owns the shard), WAIT=3 (others wait too short a time).
 */
#ifndef N
#define N 2       /* control nodes: 2 or 3 */
#endif
#define LEASE 2   /* ticks that an owner counts from when it asked */
#ifndef WAIT
#define WAIT 4    /* ticks that others count: the lease, and one of drift on either side */
#endif

bool away;        /* the store does not answer */
byte owner;       /* the shard's row */

typedef Control {
  bool late;      /* its clock is one tick behind */
  byte left;      /* ticks of its lease that are left on its own clock */
  bool mine;      /* it runs the shard */
  byte beat;      /* 1: sent, 2: done in the store, the answer under way */
  byte age;       /* ticks since the beat was sent */
  bool moved[N];  /* the other's beat has moved since it looked */
  byte still[N]   /* so many ticks the other's beat was seen unmoved */
}
Control node[N];

#define holds(n) (node[n].left > 0 && node[n].mine)
#if N == 2
#define HOLDERS (holds(0) + holds(1))
#else
#define HOLDERS (holds(0) + holds(1) + holds(2))
#endif
/* No two nodes believe at once that they may run the shard. */
inline alone() { assert(HOLDERS <= 1) }

proctype Node(byte n) {
  byte o;
  do
  /* A beat is sent, done in the store, answered; nothing else of the node waits for it. */
  :: atomic { node[n].beat == 0 -> node[n].beat = 1 }
  :: atomic { node[n].beat == 1 && !away -> node[n].beat = 2; o = 0;
      do :: o < N -> node[o].moved[n] = (o != n); o++ :: else -> break od; o = 0 }
  :: atomic { node[n].beat == 2 -> node[n].beat = 0;
#ifdef FROM_ANSWER
      node[n].age = 0;
#endif
      if
      :: node[n].age >= LEASE -> skip
#ifdef KEEP_ENDED
      :: node[n].age < LEASE -> node[n].left = LEASE - node[n].age
#else
      :: node[n].age < LEASE && node[n].left > 0 -> node[n].left = LEASE - node[n].age
      /* It was over: what the table says counts, and not what was before. */
      :: node[n].age < LEASE && node[n].left == 0 && !away -> node[n].left = LEASE - node[n].age; node[n].mine = (owner == n)
      :: node[n].age < LEASE && node[n].left == 0 && away -> skip
#endif
      fi; node[n].age = 0; alone() }
  /* Looks at the beats of the others; a read that fails starts every wait anew. */
  :: atomic { away -> o = 0; do :: o < N -> node[n].still[o] = 0; o++ :: else -> break od; o = 0 }
  :: atomic { !away -> o = 0;
      do
      :: o < N -> if :: node[n].moved[o] -> node[n].moved[o] = false; node[n].still[o] = 0 :: else fi; o++
      :: else -> break
      od; o = 0 }
  /* Takes the shard of a node whose lease is over, if the beat still stands where it was seen. That lengthens no lease. */
  :: atomic { !away && node[n].left > 0 && owner != n && node[n].still[owner] >= WAIT && !node[n].moved[owner] ->
      owner = n; node[n].mine = true; alone() }
  od
}

/* Time, on clocks that are at most one tick off; and a store that goes and comes. */
proctype World() {
  byte n, o, ahead;
  do
  :: atomic { n = 0;
      do
      :: n < N ->
        if
        :: ahead = 1
        :: node[n].late -> ahead = 2; node[n].late = false
        :: !node[n].late -> ahead = 0; node[n].late = true
        fi;
        node[n].left = (node[n].left > ahead -> node[n].left - ahead : 0);
#ifndef KEEP_ENDED
        if :: node[n].left == 0 -> node[n].mine = false :: else fi;
#endif
        if :: node[n].beat != 0 -> node[n].age = (node[n].age + ahead > LEASE -> LEASE : node[n].age + ahead) :: else fi;
        o = 0;
        do :: o < N -> node[n].still[o] = (o == n -> 0 : (node[n].still[o] + ahead > WAIT -> WAIT : node[n].still[o] + ahead)); o++ :: else -> break od;
        n++
      :: else -> break
      od; n = 0; o = 0; ahead = 0 }
  :: atomic { away = !away }
  od
}

init {
  atomic {
    node[0].mine = true; node[0].left = LEASE;
    run Node(0); run Node(1);
#if N == 3
    run Node(2);
#endif
    run World()
  }
}
