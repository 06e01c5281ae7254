package posture

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/host/descriptor"
	"github.com/havre-hub/havre/internal/host/strict"
	"github.com/havre-hub/havre/internal/host/words"
)

// Level says how much a signal matters.
type Level string

// The levels.
const (
	Red   Level = "red"   // act now
	Amber Level = "amber" // watch
	Green Level = "green" // as it should be
)

// Report is the posture of a hub.
type Report struct {
	Hub          string         `json:"hub"`
	At           time.Time      `json:"at"`
	State        host.State     `json:"state"`
	Headline     words.Phrase   `json:"headline"`
	Signals      []Signal       `json:"signals"` // worst first
	Readers      []Reader       `json:"readers"`
	Orders       []Order        `json:"orders"`
	Dependencies []Dependency   `json:"dependencies"`
	Certificates []Lapse        `json:"certificates"`
	Derogations  []Left         `json:"derogations"`
	Drill        *Event         `json:"drill"`
	DrillDue     strict.Date    `json:"drill_due,omitzero"` // next rehearsal, where a derogation sets one
	Move         *Event         `json:"move"`
	Store        Store          `json:"store"`
	Custodians   []Custodian    `json:"custodians"`
	Log          Log            `json:"log"`
	Probes       []Probe        `json:"probes"`
	Open         []words.Phrase `json:"open"` // what this report does not know
}

// Signal is one thing to know first.
type Signal struct {
	Level Level        `json:"level"`
	Says  words.Phrase `json:"says"`
	Next  words.Phrase `json:"next,omitzero"` // what to do
}

// Reader is a party and what it can read.
type Reader struct {
	Who        words.Phrase `json:"who"`
	Identities words.Phrase `json:"identities"`
	Health     words.Phrase `json:"health"`
	Results    words.Phrase `json:"results"`
	Level      Level        `json:"level"`
}

// Order is what an order served at one layer would obtain.
type Order struct {
	Role    host.Role        `json:"role"`
	Layer   descriptor.Layer `json:"layer"`
	Served  string           `json:"served_on"` // operator and parent
	Laws    []string         `json:"laws"`
	Obtains words.Phrase     `json:"obtains"`
	Keys    words.Phrase     `json:"keys"`
	Level   Level            `json:"level"`
}

// Dependency is somebody outside without whom something stops.
type Dependency struct {
	On    words.Phrase `json:"on"`
	Law   string       `json:"law"`
	Lives words.Phrase `json:"lives_without"`
	Level Level        `json:"level"`
}

// Lapse is a certificate and its end.
type Lapse struct {
	Host   string           `json:"host"`
	Layer  descriptor.Layer `json:"layer"`
	Scheme string           `json:"scheme"`
	Number string           `json:"number,omitempty"`
	Until  strict.Date      `json:"until,omitzero"`
	Days   int              `json:"days"` // until its last day; meaningless where no end is stated
	Level  Level            `json:"level"`
}

// Left is a derogation and what its end makes due.
type Left struct {
	host.Derogation
	host.Clock
	Used bool `json:"used"` // a placement rests on it
}

// near is how many days before its end a certificate is worth a warning.
const (
	near     = 180
	nearEdge = 30
)

// Compose makes the report.
func Compose(f Facts) *Report {
	r := &Report{Hub: f.Hub, At: f.At, State: f.Standing.State, Signals: []Signal{}, Orders: []Order{}, Certificates: []Lapse{}, Derogations: []Left{},
		Drill: f.Drill, Move: f.Move, Store: f.Store, Custodians: f.Custodians, Log: f.Log, Probes: f.Probes, Open: []words.Phrase{}}
	r.derogations(f)
	r.certificates(f)
	r.orders(f)
	r.Readers = readers(f)
	r.Dependencies = dependencies(f)
	r.signals(f)
	r.unknown(f)
	r.Headline = headline(f)
	slices.SortStableFunc(r.Signals, func(a, b Signal) int { return rank(a.Level) - rank(b.Level) })
	return r
}

func rank(l Level) int { return map[Level]int{Red: 0, Amber: 1, Green: 2}[l] }

// stand gives where a role stands, nil if that is not on record.
func stand(f Facts, role host.Role) *host.Stand {
	for i, s := range f.Standing.Stands {
		if s.Role == role {
			return &f.Standing.Stands[i]
		}
	}
	return nil
}

// keysWithStore says whether some custodian's key is where the store is.
func keysWithStore(f Facts) bool {
	return slices.ContainsFunc(f.Custodians, func(c Custodian) bool { return c.Where == WithStore })
}

func headline(f Facts) words.Phrase {
	sealed := words.Say("Its host holds %s sealed objects (%s) and no key: it can read no record.", "L'hébergeur détient %s objets scellés (%s) et aucune clé : il ne peut lire aucun dossier.", Count(f.Store.Objects-f.Store.Clear), Size(f.Store.Bytes))
	switch {
	case keysWithStore(f) && f.Accepted:
		sealed = words.Say("%s sealed objects (%s) and a key to them lie on one machine, as in a trial: whoever runs it can read everything.",
			"%s objets scellés (%s) et une clé se trouvent sur une même machine, comme pour un essai : qui l'exploite peut tout lire.", Count(f.Store.Objects), Size(f.Store.Bytes))
	case keysWithStore(f):
		sealed = words.Say("Its host holds %s sealed objects (%s), and a key to them lies in the same place: it can read everything.",
			"L'hébergeur détient %s objets scellés (%s), et une clé se trouve au même endroit : il peut tout lire.", Count(f.Store.Objects), Size(f.Store.Bytes))
	}
	where, s := words.Say("Where its store stands is not on record.", "L'endroit où se trouve son stockage n'est pas enregistré."), stand(f, host.Store)
	if s != nil {
		where = words.Say("The store stands on %s.", "Le stockage se trouve chez %s.", s.Host.Title)
	}
	switch {
	case f.Standing.State == host.Suspended:
		return words.Say("The hub is suspended by order of %s: nothing is read or written. %s %s", "Le hub est suspendu sur ordre de %s : rien n'est lu ni écrit. %s %s", f.Standing.Order.Authority, where, sealed)
	case f.Standing.State == host.ReadOnly:
		return words.Say("The hub is read-only: it may not stay where it stands. %s %s", "Le hub est en lecture seule : il ne peut rester où il est. %s %s", where, sealed)
	case s != nil && s.By != host.ByCriteria:
		return words.Say("%s %s The hub is there by derogation %s of %s, for %s more.", "%s %s Le hub y est par la dérogation %s de %s, pour encore %s.",
			where, sealed, s.Derogation.ID, s.Derogation.Authority, days(s.Derogation.Until.Days(f.At)))
	}
	return words.Say("%s %s", "%s %s", where, sealed)
}

func (r *Report) derogations(f Facts) {
	for _, d := range f.Derogations {
		used := slices.ContainsFunc(f.Standing.Stands, func(s host.Stand) bool { return s.Derogation != nil && s.Derogation.ID == d.ID })
		l := Left{d, d.ClockOf(f.At), used}
		r.Derogations = append(r.Derogations, l)
		if used && d.Live(f.At) {
			last := strict.DateOf(f.At)
			if f.Drill != nil {
				last = strict.DateOf(f.Drill.At).AddDate(0, 0, l.DrillEvery)
			}
			r.DrillDue = last
		}
	}
}

func (r *Report) certificates(f Facts) {
	seen := map[string]bool{}
	for _, s := range f.Standing.Stands {
		for _, l := range descriptor.Layers {
			for _, c := range s.Host.Layers.Part(l).Certificates {
				x := Lapse{s.Host.Name, l, c.Scheme + " " + c.Version, c.Number, c.Until, c.Until.Days(f.At), Green}
				key := fmt.Sprint(x.Host, x.Layer, x.Scheme, x.Number, x.Until)
				if seen[key] {
					continue
				}
				seen[key] = true
				switch {
				case c.Number == "" || c.Until.IsZero():
					x.Level = Amber
				case x.Days < nearEdge:
					x.Level = Red
				case x.Days < near:
					x.Level = Amber
				}
				r.Certificates = append(r.Certificates, x)
			}
		}
	}
	slices.SortStableFunc(r.Certificates, func(a, b Lapse) int {
		if rank(a.Level) != rank(b.Level) {
			return rank(a.Level) - rank(b.Level)
		}
		return a.Days - b.Days
	})
}

// laws lists the laws that bind a layer, those of third parties too.
func laws(p *descriptor.Part) []string {
	all := []string{p.OperatorSeat}
	add := func(l string) {
		if !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	add(p.ParentLaw)
	for _, t := range p.ThirdParties {
		if t.Data == nil || t.TechnicalData == nil || *t.Data || *t.TechnicalData {
			add(t.Law)
		}
	}
	return all
}

func foreign(laws []string) bool {
	return slices.ContainsFunc(laws, func(l string) bool { return !descriptor.InEU(l) })
}

func (r *Report) orders(f Facts) {
	for _, s := range f.Standing.Stands {
		for _, l := range descriptor.Layers {
			p := s.Host.Layers.Part(l)
			if p.NotUsed != "" {
				continue
			}
			o := Order{Role: s.Role, Layer: l, Served: p.Operator, Laws: laws(p), Level: Green, Keys: words.Say("none", "aucune")}
			if p.Parent != p.Operator {
				o.Served += ", " + p.Parent
			}
			if s.Role == host.Store {
				storeOrder(f, l, &o)
			} else {
				computeOrder(l, p.Own, &o)
			}
			if foreign(o.Laws) && o.Level == Green {
				o.Level = Amber
			}
			r.Orders = append(r.Orders, o)
		}
	}
}

func storeOrder(f Facts, l descriptor.Layer, o *Order) {
	switch l {
	case descriptor.Support:
		o.Obtains = words.Say("technical data: the account, sizes, access logs that support can see", "données techniques : le compte, les tailles, les journaux d'accès visibles du support")
	case descriptor.Telemetry:
		o.Obtains = words.Say("technical data: when and from where the hub reads and writes, how much", "données techniques : quand et d'où le hub lit et écrit, et combien")
	default:
		more := words.Phrase{}
		if !f.Store.Whole {
			more = words.Say("at least ", "au moins ")
		}
		o.Obtains = words.Say("%s%s sealed objects (%s): their names, sizes and times, and no record of anybody", "%s%s objets scellés (%s) : leurs noms, tailles et dates, et aucun dossier de personne", more, Count(f.Store.Objects-f.Store.Clear), Size(f.Store.Bytes))
		if n := f.Store.Clear; n > 0 {
			o.Obtains = words.Say("%s; %s in clear: who delivered, when, how many rows", "%s ; %s en clair : qui a livré, quand, combien de lignes", o.Obtains, manifests(n))
		}
		if keysWithStore(f) {
			o.Keys = words.Say("THE KEY: it lies in the same place", "LA CLÉ : elle est au même endroit")
			o.Obtains = words.Say("everything in clear: %s objects (%s) and the key that opens them", "tout en clair : %s objets (%s) et la clé qui les ouvre", Count(f.Store.Objects), Size(f.Store.Bytes))
			o.Level = Red
		}
	}
}

func manifests(n int64) words.Phrase {
	if n == 1 {
		return words.Say("1 delivery note", "1 bordereau de livraison")
	}
	return words.Say("%s delivery notes", "%s bordereaux de livraison", Count(n))
}

func computeOrder(l descriptor.Layer, own bool, o *Order) {
	switch l {
	case descriptor.Support, descriptor.Telemetry:
		o.Obtains = words.Say("technical data about the machine", "données techniques sur la machine")
	default:
		o.Obtains = words.Say("the memory of the running hub: health data under pseudonyms that it works on at that moment", "la mémoire du hub en marche : les données de santé sous pseudonyme qu'il traite à ce moment")
		o.Keys = words.Say("those in memory", "celles en mémoire")
		o.Level = Amber
		if !own {
			o.Level = Red
		}
	}
}

func readers(f Facts) []Reader {
	no := words.Say("no", "non")
	hostReads, level := words.Say("ciphertext only", "chiffré seulement"), Green
	if keysWithStore(f) {
		hostReads, level = words.Say("YES: the key is there too", "OUI : la clé y est aussi"), Red
	}
	storeHost := words.Say("host of the store", "hébergeur du stockage")
	if s := stand(f, host.Store); s != nil {
		storeHost = words.Say("host of the store: %s", "hébergeur du stockage : %s", s.Host.Title)
	}
	machine, machineLevel := words.Say("whoever runs the hub's machine (not on record)", "qui exploite la machine du hub (non enregistré)"), Amber
	if s := stand(f, host.Compute); s != nil {
		machine = words.Say("whoever runs the hub's machine: %s", "qui exploite la machine du hub : %s", s.Host.Title)
		machineLevel = Green
		if !s.Verdict.Immune {
			machineLevel = Red
		}
	}
	keeper := words.Say("keeper (trusted third party)", "tiers de confiance")
	if f.Keeper != "" {
		keeper = words.Say("keeper %s (trusted third party)", "tiers de confiance %s", f.Keeper)
	}
	return []Reader{
		{storeHost, no, hostReads, words.Say("ciphertext only", "chiffré seulement"), level},
		{machine, no, words.Say("in memory, under pseudonyms, while it works", "en mémoire, sous pseudonyme, pendant le travail"), words.Say("in memory", "en mémoire"), machineLevel},
		{keeper, words.Say("all", "toutes"), no, no, Green},
		{words.Say("data holders (%d)", "détenteurs de données (%d)", f.Holders), words.Say("own patients", "leurs patients"), words.Say("own patients", "leurs patients"), no, Green},
		{words.Say("researchers (%s, %s in force)", "chercheurs (%s, %s en vigueur)", accounts(f.Accounts["researcher"]), permits(f.Permits)), no,
			words.Say("no rows: studies run in place within the permit", "aucune ligne : les études tournent sur place, dans les limites du permis"), words.Say("checked aggregates", "agrégats contrôlés"), Green},
		{words.Say("output checkers (%s)", "contrôleurs des sorties (%s)", accounts(f.Accounts["output_checker"])), no, no, words.Say("aggregates and their evidence", "agrégats et leurs justificatifs"), Green},
		{words.Say("anybody outside", "toute personne extérieure"), no, no, words.Say("what was released; the log, without personal values", "ce qui a été publié ; le journal, sans valeur personnelle"), Green},
	}
}

func dependencies(f Facts) []Dependency {
	var all []Dependency
	law := func(role host.Role) (string, Level) {
		s := stand(f, role)
		if s == nil {
			return "?", Amber
		}
		found := []string{}
		for _, l := range descriptor.Layers {
			if p := s.Host.Layers.Part(l); p.NotUsed == "" {
				for _, x := range laws(p) {
					if !slices.Contains(found, x) {
						found = append(found, x)
					}
				}
			}
		}
		level := Green
		if foreign(found) {
			level = Amber
		}
		return strings.Join(found, ", "), level
	}
	l, level := law(host.Store)
	all = append(all, Dependency{words.Say("host of the store", "hébergeur du stockage"), l, words.Say("not at all: reads stop until it answers, or until a verified copy elsewhere is switched to", "pas du tout : les lectures s'arrêtent jusqu'à son retour, ou jusqu'au basculement vers une copie vérifiée ailleurs"), level})
	l, level = law(host.Compute)
	all = append(all, Dependency{words.Say("the hub's machine", "la machine du hub"), l, words.Say("not at all: the hub starts elsewhere from its folder, a custodian and the store", "pas du tout : le hub redémarre ailleurs avec son dossier, un gardien des clés et le stockage"), level})
	for _, c := range f.Custodians {
		where := map[Where]Level{Apart: Green, WithStore: Red, Unknown: Amber}[c.Where]
		what := words.Say("custodian of the keys: %s", "gardien des clés : %s", c.describe())
		all = append(all, Dependency{what, "-", words.Say("until the hub starts next; each start needs one custodian", "jusqu'au prochain démarrage ; chaque démarrage exige un gardien"), where})
	}
	all = append(all, Dependency{words.Say("keeper", "tiers de confiance"), "-", words.Say("studies go on without end; new deliveries wait to be linked", "les études continuent sans limite ; les nouvelles livraisons attendent l'appariement"), Green})
	if f.Store.Kind != "file" {
		all = append(all, Dependency{words.Say("name resolution and certificate authority of the store's address", "résolution de noms et autorité de certification de l'adresse du stockage"), "?", words.Say("until the name or its certificate expires", "jusqu'à expiration du nom ou de son certificat"), Amber})
	}
	return append(all, Dependency{words.Say("software supplier, licence server, telemetry", "fournisseur du logiciel, serveur de licences, télémétrie"), "-", words.Say("without end: one program, none of these exists", "sans limite : un seul programme, rien de cela n'existe"), Green})
}

func (c Custodian) describe() words.Phrase {
	what := map[string]words.Phrase{
		"file": words.Say("a key file", "un fichier de clé"), "passphrase": words.Say("a file under a passphrase", "un fichier sous phrase de passe"),
		"pkcs11": words.Say("a token or HSM (PKCS#11)", "un jeton ou HSM (PKCS#11)"), "plugin": words.Say("an external key service", "un service de clés externe"),
		"shares": words.Say("%d of %d people together", "%d personnes sur %d ensemble", c.Needed, len(c.People)),
	}
	p, ok := what[c.Kind]
	if !ok {
		p = words.Phrase{EN: c.Kind, FR: c.Kind}
	}
	switch c.Where {
	case Apart:
		return words.Say("%s, apart from the store", "%s, à part du stockage", p)
	case WithStore:
		return words.Say("%s, IN THE SAME PLACE AS THE STORE", "%s, AU MÊME ENDROIT QUE LE STOCKAGE", p)
	}
	return words.Say("%s, where is not known", "%s, lieu inconnu", p)
}
