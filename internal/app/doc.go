// Package app wires the zones: it is the only place that knows all of them,
// and the only one that chooses implementations (which store, which custodian,
// which runner). Each zone has a home, a folder with its configuration, its
// key ring and the cards it trusts:
//
//	hub/     havre.yaml card.json keys/ trust/ control.db log/
//	keeper/  havre.yaml card.json keys/ trust/ register/
//	holder/  havre.yaml card.json keys/ trust/ receipts/
//
// The rules of each zone are in the zone; here is only who is handed what.
package app
