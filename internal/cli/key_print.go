package cli

import (
	"fmt"
	"io"

	"github.com/havre-hub/havre/internal/ground/record"
)

// printDestruction shows a certificate to people.
func printDestruction(w io.Writer, c *record.Destruction) {
	fmt.Fprintf(w, "%s of the hub %s, %s, by %s, log position %d (intent %d)\nreason: %s\n", c.ID, c.Hub, c.Done.Format("2006-01-02 15:04:05 MST"), c.By, c.LogIndex, c.Intent, c.Reason)
	for _, k := range c.Keys {
		fmt.Fprintf(w, "destroyed: %s %v\n", k.Name, k.IDs)
	}
	fmt.Fprintf(w, "gone with them: %d objects of the warehouse, %d bytes; the snapshot in force is %.16s\n", c.Objects, c.Bytes, c.Snapshot)
	for _, cu := range c.Custodians {
		if cu.Renewed {
			fmt.Fprintf(w, "custodian %s %s: its key was destroyed too, so old copies of the key ring open by it no more\n", cu.Kind, cu.ID)
			continue
		}
		fmt.Fprintf(w, "custodian %s %s: REMAINS: %s\n", cu.Kind, cu.ID, cu.Remains)
	}
}
