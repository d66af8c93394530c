package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"text/tabwriter"

	"example.com/nixs3/s3url"
	"example.com/nixs3/store/blob/s3blob"
	"example.com/nixs3/store/codec"
	"example.com/nixs3/store/layout"
)

type urlCommand struct {
	URL string `arg:"" name:"url" help:"s3://bucket[/prefix]?parameter=value&…"`
	jsonFlag
}

func (urlCommand) Help() string {
	return "Prints the bucket, the prefix, the address of nix-cache-info, and every parameter with its value and\n" +
		"the origin of the value. Sends no request."
}

func (c *urlCommand) Run(ctx context.Context, con *console) error {
	u, err := s3url.Parse(c.URL)
	if err != nil {
		return err
	}
	if err := checkWritable(u.Rest); err != nil {
		return err
	}
	for _, warning := range u.Warnings() {
		con.logger.Warn(warning)
	}
	region, err := effectiveRegion(ctx, u)
	if err != nil {
		return err
	}
	parameters := u.Parameters()
	u.Region = region.value
	info, err := u.ObjectURL(layout.CacheInfoKey)
	if err != nil {
		return err
	}

	result := urlResult{Bucket: u.Bucket, Prefix: u.Prefix, CacheInfo: info.String()}
	for _, p := range parameters {
		s := setting{p.Value, p.Origin}
		switch {
		case p.Origin != "default":
		case p.Name == "region":
			s = region
		case p.Name == "profile" && os.Getenv("AWS_PROFILE") != "":
			s = setting{os.Getenv("AWS_PROFILE"), "AWS_PROFILE"}
		}
		result.Parameters = append(result.Parameters, urlParameter{p.Name, s.value, s.origin, parameterNote(p)})
	}
	if c.JSON {
		return printJSON(con.stdout, result)
	}
	return result.print(con)
}

// urlResult is the JSON of an explained URL.
type urlResult struct {
	Bucket     string         `json:"bucket"`
	Prefix     string         `json:"prefix,omitempty"`
	CacheInfo  string         `json:"nixCacheInfo"`
	Parameters []urlParameter `json:"parameters"`
}

type urlParameter struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"from"`
	Note   string `json:"note,omitempty"`
}

func (r urlResult) print(con *console) error {
	w := tabwriter.NewWriter(con.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "bucket\t%s\n", r.Bucket)
	fmt.Fprintf(w, "prefix\t%s\n", orNone(r.Prefix))
	fmt.Fprintf(w, "%s\t%s\n\n", layout.CacheInfoKey, r.CacheInfo)
	fmt.Fprint(w, "PARAMETER\tVALUE\tFROM\tNOTE\n")
	for _, p := range r.Parameters {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, orNone(p.Value), p.Origin, p.Note)
	}
	return w.Flush()
}

// checkWritable returns the error of opening a cache whose settings name a
// compression that cannot be written.
func checkWritable(settings url.Values) error {
	for _, name := range []string{"compression", "narinfo-compression", "ls-compression", "log-compression"} {
		value := settings.Get(name)
		if value == "" {
			continue
		}
		c, err := codec.Lookup(value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if c.NewWriter == nil {
			return fmt.Errorf("%s: expected a compression that can be written, got %q", name, value)
		}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func parameterNote(p s3url.Parameter) string {
	switch {
	case p.Note != "":
		return p.Note
	case p.Extension:
		return "extension of nixs3, unknown to Nix"
	}
	return ""
}

type setting struct{ value, origin string }

// effectiveRegion returns the region for which requests are signed: that of the
// URL, else of the environment or the profile.
func effectiveRegion(ctx context.Context, u *s3url.URL) (setting, error) {
	if u.Region != "" {
		return setting{u.Region, "url"}, nil
	}
	bucket, err := s3blob.Open(ctx, u, s3blob.Options{})
	if err != nil {
		return setting{}, err
	}
	defer bucket.Close()
	region := bucket.Client().Options().Region
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if value := os.Getenv(name); value != "" && value == region {
			return setting{region, name}, nil
		}
	}
	if region == s3url.DefaultRegion {
		return setting{region, "default"}, nil
	}
	return setting{region, "profile"}, nil
}
