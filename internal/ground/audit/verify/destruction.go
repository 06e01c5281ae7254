package verify

import (
	"fmt"
	"strings"

	"github.com/havre-hub/havre/internal/ground/record"
)

// DestructionsDir is the folder of certificates of destruction.
const DestructionsDir = "destructions"

// intentAction is the log's entry before keys are destroyed.
const intentAction = "key.destroy.intent"

// destruction checks a certificate: signed by the hub, intended before it was
// done, and in the log as it stands. The hub signs it with the key of its permits.
func (v *folder) destruction(b []byte) (string, error) {
	d, err := record.VerifyDestruction(b, v.keys.Permits...)
	if err != nil {
		return "", err
	}
	if err := v.ofHub(d.Hub); err != nil {
		return "", err
	}
	if d.Intent >= d.LogIndex {
		return "", fail("its intent is not before its result in the log")
	}
	names := make([]string, len(d.Keys))
	for i, k := range d.Keys {
		names[i] = k.Name
	}
	// The intent was logged before its position, and so the id, was known.
	if err := v.logged(d.Intent, intentAction, "", map[string]string{"keys": strings.Join(names, " ")}); err != nil {
		return "", err
	}
	if err := v.logged(d.LogIndex, record.DestroyedAction, d.ID, record.DestructionFacts(d)); err != nil {
		return "", err
	}
	open := 0
	for _, c := range d.Custodians {
		if !c.Renewed {
			open++
		}
	}
	detail := fmt.Sprintf("%s destroyed on %s, %d objects of the warehouse with them; it stands in the log as entry %d",
		strings.Join(names, ", "), d.Done.Format("2006-01-02"), d.Objects, d.LogIndex)
	if open > 0 {
		detail += fmt.Sprintf("; %d custodians could open old copies of the key ring when it was made", open)
	}
	return detail, nil
}
