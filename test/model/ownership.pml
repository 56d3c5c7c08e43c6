/*
 * What may be done (P1, P2, P3): the epoch of a shard, commits and orders that are late, one instance and its claim, two
 * hosts that lie cut off, die, and come back, proof, evacuation.
 *
 * No clock decides anything here: a shard is taken whenever anybody likes, however well its owner is, and each step may
 * be delayed for ever. Leases (lease.pml) keep that rare; what is right must be right without them. A statement of the
 * store is one step. Of a row's version the model keeps what is compared: "has it changed since I read it".
 *
 * Planted mistakes: SKIP_EPOCH (commits are not fenced), NO_PROOF (silence is enough to evacuate),
 * SKIP_HOST_EPOCH (proof of a host's former life counts in its next one), ACT_FIRST (a host that comes back starts its
 * guests before it has read its claims), OLD_CLAIM (it believes the claims that it remembers),
 * NOT_TAKEN_UP (who takes a shard does not look for what is open there).
 */
#define NONE 3    /* no host */
#ifndef EPOCHS
#define EPOCHS 3  /* as many owners one after the other, */
#endif
#define PLACES 3  /* placements, */
#ifndef CUTS
#define CUTS 1    /* hosts that lie cut off, */
#endif
#ifndef DEATHS
#define DEATHS 2  /* and hosts whose guests die: are looked at */
#endif

/* The store. */
byte owner, epoch = 1;                     /* the shard's row */
byte generation, place = NONE;             /* the instance's row with its active claim */
bool open = true;                          /* an accepted operation has not ended */
byte hostEpoch[2] = 1;
bool doomed[2];                            /* a claim of that host that is only to be destroyed */

/* Two control nodes. */
byte mine[2];                              /* the epoch under which it runs the shard, as far as it knows; 0: it does not */
bool read[2], same[2], told[2];            /* it has read the row; the row has not changed since; the host was told */
mtype = { NOTHING, PLACE, END, FAIL, EVACUATE };
mtype wants[2] = NOTHING; byte under[2], host[2], asOf[2];   /* a commit under way: its epoch; host and host epoch */
byte order[2], to[2];                      /* an order under way: run this generation, on that host */

/* Two hosts. */
mtype = { READY, GONE, STARTING };         /* at work; without guests; has read its claims */
mtype phase[2] = READY;
bool cut[2];                               /* nothing reaches it; its guests run on */
byte claims[2], starts[2], runs[2];        /* generation: that it knows a claim of, that is about to start, that runs */
byte ran[2];                               /* that ran before the guests died */
bool proof[2]; byte life[2];               /* its guests are dead: true, for it is checked; in the life of this epoch */

byte reader = 1;                           /* the newest epoch whose owner has read the row */
byte cuts = CUTS, deaths = DEATHS;

inline forget(n) { read[n] = false; same[n] = false; told[n] = false }
inline want(n, what, h, e) { wants[n] = what; under[n] = mine[n]; host[n] = h; asOf[n] = e }
/* P3 */
inline oneplace() { assert(runs[0] == 0 || runs[1] == 0) }

#ifdef SKIP_EPOCH
#define FENCE(n) true
#else
#define FENCE(n) (under[n] == epoch)
#endif
#ifdef SKIP_HOST_EPOCH
#define LIVES(n) true
#else
#define LIVES(n) (asOf[n] == hostEpoch[host[n]])
#endif
#define DECIDES(n) (read[n] && wants[n] == NOTHING)
#ifdef NO_PROOF
#define MAY_EVACUATE(h) cut[h]
#define LIFE(h) hostEpoch[h]
#else
#define MAY_EVACUATE(h) proof[h]
#define LIFE(h) life[h]
#endif

proctype Node(byte n) {
end:
  do
  /* Takes the shard, from whomever, and knows only what it then reads. A commit of its former life may still be under way. */
  :: atomic { epoch < EPOCHS && owner != n -> owner = n; epoch++; mine[n] = epoch; forget(n) }
#ifdef NOT_TAKEN_UP
  :: atomic { mine[n] == 1 && !read[n] && wants[n] == NOTHING -> read[n] = true; same[n] = true }
#else
  :: atomic { mine[n] != 0 && !read[n] && wants[n] == NOTHING -> read[n] = true; same[n] = true;
      if :: mine[n] > reader -> reader = mine[n] :: else fi }
#endif
  /* Decides on what it read: a place, the order to the host, the end, or that its time is over, or what proof allows. */
  :: atomic { DECIDES(n) && open && place == NONE && generation < PLACES && phase[0] == READY && !cut[0] -> want(n, PLACE, 0, hostEpoch[0]) }
  :: atomic { DECIDES(n) && open && place == NONE && generation < PLACES && phase[1] == READY && !cut[1] -> want(n, PLACE, 1, hostEpoch[1]) }
  :: atomic { DECIDES(n) && open && place != NONE && order[n] == 0 && !told[n] -> told[n] = true; order[n] = generation; to[n] = place }
  :: atomic { DECIDES(n) && open && place != NONE && runs[place % 2] == generation && !cut[place % 2] -> want(n, END, 0, hostEpoch[0]) }
  :: atomic { DECIDES(n) && open && (place != NONE || generation == PLACES) -> want(n, FAIL, 0, hostEpoch[0]) }
  :: atomic { DECIDES(n) && place != NONE && generation < PLACES && MAY_EVACUATE(place % 2) -> want(n, EVACUATE, place, LIFE(place)) }
  /* One commit, one transaction. Whatever its outcome: the row tells. */
  :: atomic { wants[n] != NOTHING ->
      if
      :: FENCE(n) && same[n] && LIVES(n) ->
        assert(under[n] >= reader);        /* P1: nothing of an old epoch once the next owner has read */
        if
        :: wants[n] == PLACE -> generation++; place = host[n]
        :: wants[n] == END || wants[n] == FAIL -> open = false
        :: wants[n] == EVACUATE -> assert(runs[place] == 0 && starts[place] == 0);  /* silence, or an outage of the control plane, evacuates nothing */
          doomed[place] = true; hostEpoch[place]++; place = NONE; open = true
        fi; same[0] = false; same[1] = false
      :: else
      fi; wants[n] = NOTHING; under[n] = 0; host[n] = 0; asOf[n] = 0; forget(n) }
  :: atomic { read[n] && !same[n] && wants[n] == NOTHING -> forget(n) }
  od
}

proctype Host(byte h) {
  byte n;
end:
  do
  /* An order that arrives, however late, needs the claim that the store has for this host and this generation. */
  :: atomic { !cut[h] && ((order[0] != 0 && to[0] == h) || (order[1] != 0 && to[1] == h)) ->
      if
      :: order[0] != 0 && to[0] == h -> n = 0
      :: order[1] != 0 && to[1] == h -> n = 1
      fi;
      if
      :: phase[h] == READY && place == h && generation == order[n] -> claims[h] = order[n]; starts[h] = order[n]
      :: else
      fi; order[n] = 0; to[n] = 0; n = 0 }
  /* The guest starts some time later; and again, by itself, when it had ended while the host was away. */
  :: atomic { phase[h] == READY && starts[h] != 0 -> runs[h] = starts[h]; starts[h] = 0; oneplace() }
  :: atomic { phase[h] == READY && claims[h] != 0 && runs[h] == 0 && starts[h] == 0 -> starts[h] = claims[h] }
  /* It comes back: in one transaction a higher epoch and its claims; then what is doomed goes; then it is at work. */
#ifdef ACT_FIRST
  :: atomic { phase[h] == GONE && !cut[h] && ran[h] != 0 -> runs[h] = ran[h]; ran[h] = 0; oneplace() }
#endif
  :: atomic { phase[h] == GONE && !cut[h] -> phase[h] = STARTING; hostEpoch[h]++; proof[h] = false; life[h] = 0;
#ifdef OLD_CLAIM
      claims[h] = ran[h] }
#else
      claims[h] = (place == h -> generation : 0) }
#endif
  :: atomic { phase[h] == STARTING && !cut[h] -> phase[h] = READY; doomed[h] = false; ran[h] = 0;
      if :: runs[h] != claims[h] -> runs[h] = 0 :: else fi }
  od
}

/* What goes wrong with hosts. Guests may die unseen; only what stops them for certain, and keeps them from starting before the host has reconciled, is proof. */
proctype World() {
  byte h;
end:
  do
  :: atomic { cuts > 0 -> cuts--; if :: cut[0] = true :: cut[1] = true fi }
  :: atomic { cut[0] -> cut[0] = false }
  :: atomic { cut[1] -> cut[1] = false }
  :: atomic { deaths > 0 -> if :: h = 0 :: h = 1 fi;
      if
      :: phase[h] != GONE -> deaths--; phase[h] = GONE; ran[h] = (runs[h] != 0 -> runs[h] : ran[h]); runs[h] = 0; starts[h] = 0; claims[h] = 0
      :: else
      fi; h = 0 }
  :: atomic { (phase[0] == GONE && !proof[0]) -> proof[0] = true; life[0] = hostEpoch[0] }
  :: atomic { (phase[1] == GONE && !proof[1]) -> proof[1] = true; life[1] = hostEpoch[1] }
  od
}

/* P2, first half: wherever everything has come to rest, what was accepted has ended. */
proctype Rest() {
end:
  timeout -> assert(!open)
}

init { atomic { mine[0] = epoch; run Node(0); run Node(1); run Host(0); run Host(1); run World(); run Rest() } }

#ifdef ENDS
/* P2, the other half: and nothing goes in circles for ever. */
ltl ends { [] (open -> <> !open) }
#endif
