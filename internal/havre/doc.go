// Package havre holds the words that every zone shares: who acts (roles), what
// things are called (ids), how an error is told (Error and its kinds), how
// progress is counted, and the types whose values never print (Secret,
// Personal). It does no input or output and imports nothing but the standard
// library, so that every zone may import it.
package havre
