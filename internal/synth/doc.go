// Package synth makes a synthetic French population whose truth is known: who
// is who in the files of two hospitals and the national payer, and the size of
// one built-in effect (a medicine that doubles the hazard of gastrointestinal
// bleeding). No real person is in it: common family and given names, codes of
// communes and countries and the layout of the NIR are public facts,
// everything else is drawn.
//
// # Reproducible byte for byte
//
// The same Options give the same bytes on every machine. Each person has
// random streams of their own (PCG of math/rand/v2, seeded from the seed, the
// purpose and the person's number), so neither the order of work nor the
// number of processors matters; and nothing is computed in floating point, as
// compilers may fuse or approximate it differently.
//
// # Layout
//
//	holders/NAME/identity.csv     who the holder's persons are
//	holders/NAME/omop/TABLE.csv   their health data, OMOP CDM 5.4
//	truth/persons.csv             true person number, holder, holder's person id
//	truth/truth.json              the effect, true counts, error rates (see Truth)
//
// A record passes: people.go (born: traits and NIR) -> life.go (lives: moves,
// medicines, bleeding, death) -> payer.go and hospital.go (care becomes rows)
// -> identity.go (each holder types the traits, with its errors) -> output.go.
package synth
