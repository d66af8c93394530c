package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store"
	"example.com/nixs3/store/blob/memblob"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/s3access"
)

type doctorCommand struct {
	URL       string `arg:"" name:"url" help:"s3://bucket[/prefix]?parameter=value&…"`
	Anonymous bool   `xor:"access" help:"Test as a reader without credentials."`
	Write     bool   `xor:"access" help:"Also test the permissions of a writer, with a small object."`
	GC        bool   `xor:"access" name:"gc" help:"Also test the permissions of a garbage collector."`
	jsonFlag
}

func (doctorCommand) Help() string {
	return "Tests each operation that a reader of the cache needs, and prints its result and, for a failure, the\n" +
		"IAM action or parameter to change. The exit status is 0 if all operations work."
}

func (c *doctorCommand) Run(ctx context.Context, con *console) error {
	u, err := s3url.Parse(c.URL)
	if err != nil {
		return err
	}
	if err := checkSettings(u); err != nil {
		return err
	}
	checks := s3access.Doctor(ctx, u, c.access(), s3blob.Options{Logger: con.logger})
	print := printChecks
	if c.JSON {
		print = printChecksJSON
	}
	if err := print(con, checks); err != nil {
		return err
	}
	failed := 0
	for _, check := range checks {
		if !check.OK {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d steps failed", failed, len(checks))
	}
	return nil
}

// checkSettings checks the parameters that do not concern S3, as opening the
// cache does.
func checkSettings(u *s3url.URL) error {
	settings, err := store.SettingsFromQuery(u.Rest)
	if err == nil {
		_, err = store.New(memblob.New(), settings)
	}
	return err
}

func printChecks(con *console, checks []s3access.Check) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "STEP\t\tRESULT\n")
	for _, check := range checks {
		verdict, remedy := "ok", "advice"
		if !check.OK {
			verdict, remedy = "FAILED", "fix"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", check.Step, verdict, oneLine(check.Detail))
		if check.Remedy != "" {
			fmt.Fprintf(w, "\t\t  %s: %s\n", remedy, oneLine(check.Remedy))
		}
	}
	return w.Flush()
}

func printChecksJSON(con *console, checks []s3access.Check) error {
	type result struct {
		Step   string `json:"step"`
		OK     bool   `json:"ok"`
		Detail string `json:"detail,omitempty"`
		Remedy string `json:"remedy,omitempty"`
	}
	results := []result{}
	for _, check := range checks {
		results = append(results, result(check))
	}
	return printJSON(con.stdout, results)
}

func (c *doctorCommand) access() s3access.Access {
	switch {
	case c.GC:
		return s3access.AccessCollect
	case c.Write:
		return s3access.AccessWrite
	case c.Anonymous:
		return s3access.AccessAnonymous
	}
	return s3access.AccessRead
}

// oneLine keeps untrusted text in its table cell.
func oneLine(text string) string { return visible(strings.Join(strings.Fields(text), " ")) }
