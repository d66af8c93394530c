package httpblob

import "testing"

func FuzzNetrc(f *testing.F) {
	f.Add("machine a login b password c\nmachine d")
	f.Add("macdef x\nmachine a\n\ndefault login")
	f.Add("machine machine login login")
	f.Fuzz(func(t *testing.T, text string) {
		for host, login := range parseNetrc(text) {
			if login == nil {
				t.Errorf("%q has no login", host)
			}
		}
	})
}
