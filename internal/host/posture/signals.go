package posture

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/words"
)

func (r *Report) say(l Level, says words.Phrase, next ...words.Phrase) {
	s := Signal{Level: l, Says: says}
	if len(next) > 0 {
		s.Next = next[0]
	}
	r.Signals = append(r.Signals, s)
}

func (r *Report) signals(f Facts) {
	if f.Standing.State == host.Suspended {
		o := f.Standing.Order
		r.say(Red, words.Say("Suspended since %s by order of %s (%s)", "Suspendu depuis le %s sur ordre de %s (%s)", o.At.UTC().Format("2006-01-02 15:04 UTC"), o.Authority, o.Reference))
	}
	for _, role := range host.Roles {
		r.placementSignal(f, role)
	}
	r.mismatch(f)
	r.keySignal(f)
	for _, p := range f.Probes {
		if !p.OK && p.ID != "keys-apart" && p.ID != "log-verified" { // those have their own signals
			r.say(Red, words.Say("Probe %s: %s", "Sonde %s : %s", p.ID, p.Found))
		}
	}
	if f.Store.Failed != "" {
		r.say(Red, words.Say("The store does not answer: %s", "Le stockage ne répond pas : %s", f.Store.Failed))
	}
	switch {
	case !f.Log.Sound:
		r.say(Red, words.Say("The log does not verify: %s", "Le journal ne se vérifie pas : %s", f.Log.Problem), words.Say("keep its folder as evidence: havre audit verify", "conserver son dossier comme preuve : havre audit verify"))
	case f.Log.Checked:
		r.say(Green, words.Say("The log verifies: %s entries, every one hashed again", "Le journal se vérifie : %s entrées, toutes recalculées", Count(f.Log.Entries)))
	default:
		r.say(Green, words.Say("The log's newest checkpoint is signed: %s entries (not each hashed again for this report)", "Le dernier point de contrôle du journal est signé : %s entrées (non recalculées pour ce rapport)", Count(f.Log.Entries)))
	}
	if c := r.Certificates; len(c) > 0 && c[0].Level == Red {
		r.say(Red, words.Say("%s of %s (%s) ends on %s, in %s", "%s de %s (%s) prend fin le %s, dans %s", c[0].Scheme, c[0].Host, c[0].Layer, c[0].Until, days(c[0].Days)),
			words.Say("ask for the new certificate, or move", "demander le nouveau certificat, ou partir"))
	} else if len(c) > 0 && c[0].Level == Amber && !c[0].Until.IsZero() {
		r.say(Amber, words.Say("%s of %s (%s) ends on %s, in %s", "%s de %s (%s) prend fin le %s, dans %s", c[0].Scheme, c[0].Host, c[0].Layer, c[0].Until, days(c[0].Days)))
	}
	r.drillSignal(f)
}

func (r *Report) placementSignal(f Facts, role host.Role) {
	what := map[host.Role]words.Phrase{host.Store: words.Say("Store", "Stockage"), host.Compute: words.Say("The hub's machine", "Machine du hub")}[role]
	s := stand(f, role)
	if s == nil {
		level := Amber
		if role == host.Store {
			level = Red
		}
		r.say(level, words.Say("%s: no host is on record", "%s : aucun hébergeur enregistré", what), words.Say("havre host set --for %s", "havre host set --for %s", role))
		return
	}
	data := map[string]words.Phrase{"national-base": words.Say("health data paired with the national base", "données de santé appariées à la base nationale"),
		"health": words.Say("health data", "données de santé"), "synthetic": words.Say("invented persons", "personnes inventées")}[string(s.Data)]
	switch {
	case s.By == host.ByCriteria && s.Verdict.Immune:
		r.say(Green, words.Say("%s: every layer of %s is immune to extra-EU law (SecNumCloud 19.6), allowed for %s", "%s : chaque couche de %s est immunisée contre le droit extra-européen (SecNumCloud 19.6), permis pour %s", what, s.Host.Title, data))
	case s.By == host.ByCriteria:
		r.say(Amber, words.Say("%s: %s is not immune to extra-EU law; allowed for %s", "%s : %s n'est pas immunisé contre le droit extra-européen ; permis pour %s", what, s.Host.Title, data))
	case s.By == "":
		r.say(Red, words.Say("%s: %s may not hold %s any more: %s", "%s : %s ne peut plus porter de %s : %s", what, s.Host.Title, data, words.Phrase{EN: s.Verdict.Why(words.EN), FR: s.Verdict.Why(words.FR)}),
			words.Say("the hub is read-only; leave: havre move", "le hub est en lecture seule ; partir : havre move"))
	default:
		c := s.Derogation.ClockOf(f.At)
		level := Amber
		if c.Alarm {
			level = Red
		}
		r.say(level, words.Say("%s: %s is not immune to extra-EU law; there by derogation %s of %s (%s), %s left", "%s : %s n'est pas immunisé contre le droit extra-européen ; présent par dérogation %s de %s (%s), encore %s",
			what, s.Host.Title, s.By, s.Derogation.Authority, s.Derogation.Reference, days(c.Days)),
			words.Say("give notice by %s; read-only from %s", "préavis avant le %s ; lecture seule à partir du %s", c.NoticeBy, c.ReadOnly))
	}
}

// mismatch notices a record that cannot be right: the host's stores are reached
// in another way than the hub's.
func (r *Report) mismatch(f Facts) {
	s := stand(f, host.Store)
	if s == nil || s.Host.Endpoint.URL == "" || s.Host.Layers.IaaS.Own {
		return
	}
	if kind, _, _ := strings.Cut(s.Host.Endpoint.URL, ":"); kind != f.Store.Kind {
		r.say(Amber, words.Say("The record says %s, whose stores are %s:, and the hub's store is %s: is the record right?", "L'enregistrement dit %s, dont les stockages sont %s:, et celui du hub est %s : est-il juste ?", s.Host.Title, kind, f.Store.Place),
			words.Say("havre host set --for store", "havre host set --for store"))
	}
}

func (r *Report) keySignal(f Facts) {
	apart := len(f.Custodians) > 0 && !slices.ContainsFunc(f.Custodians, func(c Custodian) bool { return c.Where != Apart })
	switch {
	case keysWithStore(f) && f.Accepted:
		r.say(Red, words.Say("A key lies in the same place as the store: whoever gets the one gets the other. The configuration accepts it: good for a trial on one machine, for nothing else", "Une clé se trouve au même endroit que le stockage : qui obtient l'un obtient l'autre. La configuration l'accepte : bon pour un essai sur une machine, pour rien d'autre"),
			words.Say("give the key to another custodian: havre key rotate", "confier la clé à un autre gardien : havre key rotate"))
	case keysWithStore(f):
		r.say(Red, words.Say("A key lies in the same place as the store: whoever gets the one gets the other", "Une clé se trouve au même endroit que le stockage : qui obtient l'un obtient l'autre"),
			words.Say("give the key to another custodian: havre key rotate", "confier la clé à un autre gardien : havre key rotate"))
	case apart:
		r.say(Green, words.Say("Keys are apart from the store", "Les clés sont à part du stockage"))
	default:
		r.say(Amber, words.Say("Whether the keys are apart from the store cannot be told from here", "On ne peut dire d'ici si les clés sont à part du stockage"))
	}
}

func (r *Report) drillSignal(f Facts) {
	today := f.At
	switch {
	case f.Drill == nil:
		level := Amber
		if !r.DrillDue.IsZero() {
			level = Red
		}
		r.say(level, words.Say("Leaving was never rehearsed", "Le départ n'a jamais été répété"), words.Say("havre drill", "havre drill"))
	case !f.Drill.OK:
		r.say(Red, words.Say("The last rehearsal of leaving, on %s, failed", "La dernière répétition du départ, le %s, a échoué", f.Drill.At.Format("2006-01-02")), words.Say("havre drill", "havre drill"))
	case !r.DrillDue.IsZero() && r.DrillDue.Days(today) < 0:
		r.say(Red, words.Say("The next rehearsal of leaving was due on %s", "La prochaine répétition du départ était due le %s", r.DrillDue), words.Say("havre drill", "havre drill"))
	default:
		r.say(Green, words.Say("Leaving was last rehearsed on %s", "Le départ a été répété le %s", f.Drill.At.Format("2006-01-02")))
	}
}

// unknown lists what no fact speaks of: a report that is silent about it would
// be read as saying that all is well.
func (r *Report) unknown(f Facts) {
	for _, s := range f.Standing.Stands {
		if s.Host.Example {
			r.Open = append(r.Open, words.Say("The descriptor of %s is an example shipped with Havre, with facts looked up on %s; nobody at this hub says to have checked it.",
				"Le descriptif de %s est un exemple livré avec Havre, dont les faits datent du %s ; personne dans ce hub ne déclare l'avoir vérifié.", s.Host.Title, s.Host.AsOf))
		}
	}
	r.Open = append(r.Open,
		words.Say("A descriptor holds what its operator states and what was read; no report can see a supplier's secret access.", "Un descriptif contient ce que l'opérateur déclare et ce qui a été lu ; aucun rapport ne voit l'accès secret d'un fournisseur."),
		words.Say("Whoever controls the machine can read the memory of the running hub; the store alone is blind.", "Qui contrôle la machine peut lire la mémoire du hub en marche ; seul le stockage est aveugle."),
		words.Say("Sizes and times of sealed objects are visible to the host and are not hidden.", "Tailles et dates des objets scellés sont visibles de l'hébergeur et ne sont pas cachées."))
	if !f.Store.Whole {
		r.Open = append(r.Open, words.Say("The store was not counted to its end; --full does.", "Le stockage n'a pas été compté jusqu'au bout ; --full le fait."))
	}
}

func days(n int) words.Phrase {
	if n == 1 || n == -1 {
		return words.Say("%d day", "%d jour", n)
	}
	return words.Say("%s days", "%s jours", Count(int64(n)))
}

func accounts(n int) words.Phrase {
	if n == 1 {
		return words.Say("1 account", "1 compte")
	}
	return words.Say("%d accounts", "%d comptes", n)
}

func permits(n int) words.Phrase {
	if n == 1 {
		return words.Say("1 permit", "1 permis")
	}
	return words.Say("%d permits", "%d permis", n)
}

// Count writes 1234567 as "1 234 567", with thin spaces that do not break.
func Count(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Size writes bytes as MiB or GiB.
func Size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
}
