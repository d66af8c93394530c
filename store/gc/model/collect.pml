/* The protocol of packages store/gc and store/internal/lease.
 *
 * The cache holds the path Q with its archive A. Nobody refers to Q, so that it
 * is garbage. Two writers want to publish P, which refers to Q; they know the
 * protocol. A foreign writer, who does not, wants to publish F, which refers to
 * Q too. Two collectors, one after the other or at the same time, want Q and A
 * gone.
 *
 * Every atomic step is one request to a bucket whose reads and listings see all
 * finished writes. Time is not counted: a lease or a lock expires at some moment
 * after its holder was killed or was too slow, and the holder, who measures time
 * too, sends nothing after that.
 *
 * NOWAIT, NARINFOSFIRST and NOJOURNAL are mutants that must be found wrong.
 */
#define WRITERS 2

bool Q = true, P = false, F = false;    /* visible narinfos */
bool A = true;                          /* the archive of P's reference Q is stored */
bool fresh[WRITERS];                    /* A was uploaded after that lease began */

bool lease[WRITERS];                    /* the lease is in the bucket; it names P and Q */
bool names[WRITERS];                    /* and it names A */
bool over[WRITERS];                     /* the lease has expired; its holder is dead or knows it */

bool sweeping = false;                  /* the phase in the state */
byte holder = 0;                        /* of the lock */
bool lost[3];                           /* the collector no longer holds the lock, and knows it */

bool journal = false;                   /* holds Q */
bool condemned = false;                 /* an earlier run saw that nobody refers to A */
bool forgotten = false;                 /* the grace period is over: no client remembers Q */

/* What a reader must never see. Only publishing P and deleting can bring it about. */
#define BROKEN  (P && (!Q || !A))

/* A request of a process whose time is over is not sent. */
#define writes(x)    atomic { if :: over[me] -> goto out :: else -> x fi }
#define collects(x)  atomic { if :: lost[me] -> goto out :: else -> x fi }

proctype Writer(byte me) {
	bool hasA;
	lease[me] = true;                                    /* W1 */
#ifndef NOWAIT
	(!sweeping || over[me]);                             /* W2 */
#endif
	atomic {                                             /* W3: is Q there? */
		if
		:: over[me] -> goto out
		:: !over[me] && Q -> goto publish
		:: else
		fi
	}
	atomic {                                             /* is A there? */
		hasA = A;
		if :: !hasA -> goto upload :: else fi
	}
	writes(names[me] = true);                            /* found, and not named yet */
#ifndef NOWAIT
	(!sweeping || over[me]);
#endif
	atomic {
		if
		:: over[me] -> goto out
		:: !over[me] && A -> goto visible
		:: else
		fi
	}
upload:
	writes(A = true; fresh[0] = lease[0]; fresh[1] = lease[1]);
visible:
	writes(Q = true);
publish:
	writes(P = true; assert(!BROKEN));
	writes(lease[me] = false; names[me] = false);        /* W4 */
out:
	skip
}

/* A writer that knows nothing of leases publishes F if it sees Q now, or
 * remembers having seen it. */
proctype Foreign() {
end:	/* it need not publish */
	atomic { (Q || !forgotten) -> F = true }
}

proctype Collector(byte me) {
	bool seen, seenQ, spare, spareA, ripe;
	atomic { if :: holder == 0 -> holder = me :: else -> goto out fi };   /* C1 */
	atomic {                              /* what visible paths lack comes back */
		if :: F && !Q && journal && A -> if :: lost[me] -> goto out :: else -> Q = true fi :: else fi
	}
	atomic {                                                              /* C2 */
		ripe = condemned;
		if :: P || F -> goto idle :: else fi
	}
#ifndef NOJOURNAL
	collects(journal = journal || Q);                                     /* C3 */
#endif
	collects(sweeping = true);                                            /* C4 */
#ifdef NARINFOSFIRST
	atomic { seen = P || F; seenQ = Q };
#endif
	atomic { spare = lease[0]; spareA = lease[0] && (names[0] || fresh[0]) };   /* C5 */
	atomic { spare = spare || lease[1]; spareA = spareA || lease[1] && (names[1] || fresh[1]) };
#ifndef NARINFOSFIRST
	atomic { seen = P || F; seenQ = Q };
#endif
	if :: seen || seenQ && spare -> goto idle :: else fi;
	collects(Q = Q && !seenQ; assert(!BROKEN));                           /* C6 */
	atomic {                              /* the grace period was over long ago */
		if
		:: !ripe || spareA || F -> goto heal
		:: else -> forgotten = true
		fi
	}
	collects(A = false; assert(!BROKEN));                                 /* C7 */
heal:
	collects(sweeping = false; condemned = true);
	atomic {                              /* what was published meanwhile comes back */
		if
		:: lost[me] -> goto out
		:: else ->
			if :: F && !Q && journal && A -> Q = true :: else fi;
			assert(!F || Q)
		fi
	};
idle:
	collects(sweeping = false; holder = 0);                               /* C8 */
out:
	skip
}

/* Who is killed or is too slow loses its lease or its lock. */
proctype Time() {
	do
	:: break
	:: lease[0] && !over[0] -> atomic { over[0] = true; lease[0] = false; names[0] = false }
	:: lease[1] && !over[1] -> atomic { over[1] = true; lease[1] = false; names[1] = false }
	:: atomic { holder != 0 -> lost[holder] = true; holder = 0; sweeping = false }
	od
}

init {
	atomic {
		run Writer(0);
		run Writer(1);
		run Foreign();
		run Collector(1);
		run Collector(2);
		run Time()
	}
}
