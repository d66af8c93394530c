package nar

import "errors"

// errStopped ends a producer whose consumer has failed.
var errStopped = errors.New("nar: stopped")

// background runs produce in a goroutine of its own, and consume in the
// calling one for each thing that is put, in order. Up to ahead things wait in
// between. Those that consume does not get to see are dropped.
//
// When background returns the goroutine has ended. It returns the error of
// consume, else that of produce; a panic of produce goes on in the caller.
func background[T any](ahead int, produce func(put func(T) error) error, consume func(T) error, drop func(T)) (err error) {
	things := make(chan T, ahead)
	stop := make(chan struct{})
	put := func(v T) error {
		select {
		case <-stop:
		default:
			select {
			case things <- v:
				return nil
			case <-stop:
			}
		}
		drop(v)
		return errStopped
	}
	produced := errStopped // should produce end by runtime.Goexit
	var panicked any
	go func() {
		defer close(things)
		defer func() { panicked = recover() }()
		produced = produce(put)
	}()
	defer func() { // also when consume panics
		close(stop)
		for v := range things {
			drop(v)
		}
		if panicked != nil {
			panic(panicked)
		}
		if err == nil {
			err = produced
		}
	}()
	for v := range things {
		if err := consume(v); err != nil {
			return err
		}
	}
	return nil
}
