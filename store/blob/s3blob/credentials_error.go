package s3blob

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"example.com/nixs3/store/blob"
)

// credentialsError says that there are no credentials: either nothing is
// configured, then every source that was tried is named, or what is configured
// fails. It is blob.ErrNoCredentials.
type credentialsError struct {
	profile string // that the URL names
	sources []aws.CredentialSource
	err     error // of the source that failed, the last one where there was none
}

func (e *credentialsError) Is(target error) bool { return target == blob.ErrNoCredentials }
func (e *credentialsError) Unwrap() error        { return e.err }

// RetryableError keeps the SDK from asking again: the sources have retried.
func (e *credentialsError) RetryableError() bool { return false }

func (e *credentialsError) Error() string {
	if missing, ok := errors.AsType[config.SharedConfigProfileNotExistError](e.err); ok {
		return fmt.Sprintf("%v: %s", blob.ErrNoCredentials, missingProfile(missing.Profile))
	}
	if nothing := len(e.sources) == 1 && e.sources[0] == aws.CredentialSourceIMDS; nothing {
		return fmt.Sprintf("%v; tried %s; for a public bucket add anonymous=true", blob.ErrNoCredentials, strings.Join(e.tried(), ", "))
	}
	text := blob.ErrNoCredentials.Error()
	if where := e.describe(); where != "" {
		text += " from " + where
	}
	text += ": " + rootCause(e.err)
	if e.isSSO() {
		text += "; sign in with aws sso login --profile " + e.profileName()
	}
	return text
}

// profileName returns the profile that is in effect.
func (e *credentialsError) profileName() string {
	for _, name := range []string{e.profile, os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE")} {
		if name != "" {
			return name
		}
	}
	return config.DefaultSharedConfigProfile
}

// tried names every source of the chain, in its order, and why it gave nothing.
func (e *credentialsError) tried() []string {
	var all []string
	add := func(source, why string) { all = append(all, source+" ("+why+")") }
	if e.profile == "" {
		add("environment", unset("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
		add("web identity", unset("AWS_WEB_IDENTITY_TOKEN_FILE"))
	} else {
		add("environment", "passed over for profile="+e.profile)
	}
	add("profile "+e.profileName(), profileState())
	add("container", unset("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"))
	why := strings.TrimPrefix(rootCause(e.err), "no EC2 IMDS role found, ")
	if strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		why = "turned off by AWS_EC2_METADATA_DISABLED"
	}
	add("instance metadata", why)
	return all
}

// unset says which of the variables are missing.
func unset(names ...string) string {
	missing := slices.DeleteFunc(names, func(name string) bool { return os.Getenv(name) != "" })
	if len(missing) == 1 {
		return missing[0] + " is not set"
	}
	return strings.Join(missing, " and ") + " are not set"
}

// sharedFiles returns the names of the AWS configuration files.
func sharedFiles() []string {
	files := []string{os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE")}
	for i, name := range []string{config.DefaultSharedConfigFilename(), config.DefaultSharedCredentialsFilename()} {
		if files[i] == "" {
			files[i] = name
		}
	}
	return files
}

// profileState says why a profile that exists or is the default one gave
// nothing.
func profileState() string {
	files := sharedFiles()
	present := slices.DeleteFunc(slices.Clone(files), func(name string) bool {
		_, err := os.Stat(name)
		return err != nil
	})
	if len(present) == 0 {
		return "neither " + strings.Join(files, " nor ") + " exists"
	}
	return "no credentials in " + strings.Join(present, " or ")
}

func missingProfile(name string) string {
	return fmt.Sprintf("profile %s is neither in %s", name, strings.Join(sharedFiles(), " nor in "))
}

// describe names the configured source that failed.
func (e *credentialsError) describe() string {
	profile := "profile " + e.profileName()
	words := map[aws.CredentialSource]string{
		aws.CredentialSourceEnvVars:              "the environment",
		aws.CredentialSourceEnvVarsSTSWebIDToken: "the web identity of AWS_WEB_IDENTITY_TOKEN_FILE",
		aws.CredentialSourceProfile:              profile,
		aws.CredentialSourceProfileSourceProfile: "the source_profile of " + profile,
		aws.CredentialSourceProfileNamedProvider: "the credential_source of " + profile,
		aws.CredentialSourceProfileSTSWebIDToken: "the web identity of " + profile,
		aws.CredentialSourceProfileSSO:           "the SSO session of " + profile,
		aws.CredentialSourceProfileSSOLegacy:     "the SSO session of " + profile,
		aws.CredentialSourceProfileProcess:       "the credential_process of " + profile,
		aws.CredentialSourceHTTP:                 "the container's endpoint",
		aws.CredentialSourceIMDS:                 "instance metadata",
		aws.CredentialSourceProfileLogin:         "the login session of " + profile,
	}
	var chain []string
	for _, source := range e.sources {
		if word := words[source]; word != "" {
			chain = append(chain, word)
		}
	}
	return strings.Join(slices.Compact(chain), ", ")
}

func (e *credentialsError) isSSO() bool {
	return slices.Contains(e.sources, aws.CredentialSourceSSO) || slices.Contains(e.sources, aws.CredentialSourceSSOLegacy)
}

// rootCause returns the text of err without the SDK's preambles.
func rootCause(err error) string {
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return answer.Error()
	}
	return strings.TrimPrefix(err.Error(), "failed to refresh cached credentials, ")
}
