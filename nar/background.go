package nar

import "errors"

// errStopped ends a producer after its consumer has failed.
var errStopped = errors.New("nar: stopped")

// background runs produce in a new goroutine. In the calling one it runs consume
// for each thing that is put, in order. Up to ahead things wait in between. A
// thing that is not consumed is dropped.
//
// The goroutine has ended when background returns or panics. background returns
// the error of consume, or else that of produce. A panic of either continues in
// the caller.
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
	produced := errStopped // if produce ends by runtime.Goexit
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
