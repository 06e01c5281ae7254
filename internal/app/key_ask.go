package app

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/havre"
)

// Variables that hold what custodians ask for, where no terminal is at hand.
const (
	passphraseVariable = "HAVRE_PASSPHRASE"
	pinVariable        = "HAVRE_PIN"
)

// ask gives a passphrase or PIN from its variable, else from the terminal. The
// same question is asked once.
func ask() seal.Ask {
	known := map[string]havre.Secret{}
	return func(what string) (havre.Secret, error) {
		if s, ok := known[what]; ok {
			return s, nil
		}
		variable := passphraseVariable
		if strings.HasPrefix(what, "PIN") {
			variable = pinVariable
		}
		if v := os.Getenv(variable); v != "" {
			return havre.NewSecret([]byte(v)), nil
		}
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return havre.Secret{}, havre.E("custodian", havre.KeyUnavailable, "the "+what+" is needed, and there is no terminal to ask for it").
				WithHint("set $" + variable + " for this command alone")
		}
		defer tty.Close()
		fmt.Fprintf(tty, "havre: %s: ", what)
		b, err := term.ReadPassword(int(tty.Fd()))
		fmt.Fprintln(tty)
		if err != nil || len(b) == 0 {
			return havre.Secret{}, havre.E("custodian", havre.KeyUnavailable, "no "+what+" was given").Wrap(err)
		}
		known[what] = havre.NewSecret(b)
		return known[what], nil
	}
}
