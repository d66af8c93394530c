// Package flow moves streams of bytes and sequences of items through
// goroutines: one stream to several readers ([Spread], [Fan]), a sequence whose
// items are worked on in parallel ([Map]), and counts of bytes on their way.
//
// No goroutine outlives the call that started it, whichever side ends early,
// fails or panics.
package flow
