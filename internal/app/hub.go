package app

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/havre-hub/havre/internal/config"
	"github.com/havre-hub/havre/internal/ground/audit"
	"github.com/havre-hub/havre/internal/ground/blob"
	"github.com/havre-hub/havre/internal/ground/meta"
	"github.com/havre-hub/havre/internal/ground/seal"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
	"github.com/havre-hub/havre/internal/host"
	"github.com/havre-hub/havre/internal/hub/permit"
	"github.com/havre-hub/havre/internal/hub/receive"
	"github.com/havre-hub/havre/internal/hub/release"
	"github.com/havre-hub/havre/internal/hub/warehouse"
	"github.com/havre-hub/havre/internal/move"
)

// Hub is an open hub with all its rooms; Close it.
type Hub struct {
	Config    config.Hub
	Store     blob.Store
	Meta      *meta.DB
	Log       *audit.Log
	Warehouse *warehouse.Warehouse
	Desk      *receive.Desk
	Permits   *permit.Authority
	Airlock   *release.Airlock
	Host      *host.Office
	home      *home
	lock      *meta.FolderLock
	key       *seal.Key // the hub's own: seals what waits in the store
	logKey    *sign.Signer
	keys      sync.Map // of *seal.Key, by name (cachedKey)
	moves     *move.Mover
	stores    []blob.Store // all that were opened
}

// HubOptions say what hub to make.
type HubOptions struct {
	Dir       string
	Name      string
	Store     string // URL
	Custodian string // reference (package custodian)

	KeyBesideStore bool // accept a custodian's key that the store's host can read

	Buckets int
	Actor   string // account that makes it, for the log
}

// The names of the hub's secrets in its key ring.
const (
	keyHub     = "hub"        // opens health parts, linkage tables, waiting results
	keyStore   = "warehouse"  // opens snapshots; what a delivery brought has a key of its own (datasetKey)
	keyBucket  = "bucket"     // spreads persons over buckets
	keyLevel2  = "level-2-v1" // the hub's half of the pseudonyms
	keyLog     = "log"        // signs checkpoints
	keyProject = "project"    // project pseudonyms are derived from it, permit by permit
	secretSize = 32
)

// InitHub makes a hub: folder, keys, control database, log, and an empty
// warehouse at the store. Nothing there is ever overwritten. The card is
// written last: a folder without one holds a hub that was never finished.
func InitHub(ctx context.Context, o HubOptions) (Card, error) {
	if !havre.ValidName(o.Name) {
		return Card{}, badName("hub", o.Name)
	}
	conf := config.DefaultHub()
	conf.Name, conf.Store, conf.Custodian, conf.KeyBesideStore = o.Name, o.Store, o.Custodian, o.KeyBesideStore
	if err := checkNewPlace(o.Custodian, o.Dir, conf); err != nil {
		return Card{}, err
	}
	store, err := openStore(ctx, o.Dir, o.Store, true)
	if err != nil {
		return Card{}, err
	}
	defer blob.Rest(store)
	if err := blob.Probe(ctx, store); err != nil {
		return Card{}, err
	}
	h, err := newHome(o.Dir, o.Custodian, conf)
	if err != nil {
		return Card{}, err
	}
	key, err := h.ring.NewKey(keyHub)
	if err != nil {
		return Card{}, err
	}
	if _, err := h.ring.NewKey(keyStore); err != nil {
		return Card{}, err
	}
	for _, name := range []string{keyBucket, keyLevel2, keyProject} {
		if err := newSecret(h.ring, name, secretSize); err != nil {
			return Card{}, err
		}
	}
	if err := newLogKey(h.ring); err != nil {
		return Card{}, err
	}
	db, err := meta.Create(ctx, filepath.Join(o.Dir, "control.db"))
	if err != nil {
		return Card{}, err
	}
	defer db.Close()
	hub := &Hub{Config: conf, Store: store, Meta: db, home: h, key: key}
	if hub.logKey, err = h.signerOf(keyLog); err != nil {
		return Card{}, err
	}
	if err := audit.Create(ctx, filepath.Join(o.Dir, "log"), hub.logOptions()); err != nil {
		return Card{}, err
	}
	if hub.Log, err = audit.Open(ctx, filepath.Join(o.Dir, "log"), hub.logOptions()); err != nil {
		return Card{}, err
	}
	defer hub.Log.Close()
	wc, err := hub.warehouseConfig()
	if err != nil {
		return Card{}, err
	}
	if _, err := warehouse.Create(ctx, wc, o.Buckets, havre.NewPersonal(o.Actor)); err != nil {
		return Card{}, err
	}
	card := Card{Zone: ZoneHub, Name: o.Name, Key: h.signer.Public(), Recipient: key.Recipient().String()}
	return card, writeCard(o.Dir, card, h.signer)
}

// OpenHub opens the hub at dir for this process alone. Anything missing (key,
// log, database, warehouse) is an error, never a fresh start.
func OpenHub(ctx context.Context, dir string) (_ *Hub, err error) {
	conf := config.DefaultHub()
	h, err := openHome(dir, ZoneHub, &conf, func() string { return conf.Custodian })
	if err != nil {
		return nil, err
	}
	hub := &Hub{Config: conf, home: h}
	if err := checkPlace(custodians(h.ring), dir, conf); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = hub.Close()
		}
	}()
	if _, _, err = ReadCard(filepath.Join(dir, "card.json")); err != nil {
		return nil, havre.E("open", havre.NotFound, "the hub at "+dir+" was never finished: it has no card").
			WithHint("if `havre init` was interrupted, remove the folder and the store's objects, and run it again").Wrap(err)
	}
	if hub.lock, err = meta.Lock(dir); err != nil {
		return nil, err
	}
	if hub.key, err = h.ring.Key(keyHub); err != nil {
		return nil, err
	}
	if hub.logKey, err = h.signerOf(keyLog); err != nil {
		return nil, err
	}
	if hub.Meta, err = meta.Open(ctx, filepath.Join(dir, "control.db")); err != nil {
		return nil, err
	}
	if hub.Store, err = openStore(ctx, dir, conf.Store, false); err != nil {
		return nil, err
	}
	hub.stores = append(hub.stores, hub.Store)
	if hub.Log, err = audit.Open(ctx, filepath.Join(dir, "log"), hub.logOptions()); err != nil {
		return nil, err
	}
	if err = hub.attachMove(ctx); err != nil {
		return nil, err
	}
	wc, err := hub.warehouseConfig()
	if err != nil {
		return nil, err
	}
	if hub.Warehouse, err = warehouse.Open(ctx, wc); err != nil {
		return nil, err
	}
	if err = hub.openRooms(ctx); err != nil {
		return nil, err
	}
	if err = hub.finishKeys(ctx); err != nil {
		return nil, err
	}
	return hub, nil
}

// openRooms makes the rooms that stand on the ground opened so far.
func (h *Hub) openRooms(ctx context.Context) error {
	h.Host = host.New(host.Config{Hub: h.Config.Name, DB: h.Meta, Signer: h.home.signer, Log: h.Log, Now: havre.SystemNow})
	secret, err := h.home.ring.Get(keyLevel2)
	if err != nil {
		return err
	}
	level2, err := receive.NewLevel2(1, secret)
	if err != nil {
		return err
	}
	var keeperKey sign.PublicKey
	if cards, err := trusted(h.home.dir, ZoneKeeper); err != nil {
		return err
	} else if len(cards) == 1 {
		keeperKey = cards[0].Key
	}
	h.Desk = receive.New(receive.Config{Hub: h.Config.Name, Store: h.Store, DB: h.Meta, Key: h.key, Signer: h.home.signer,
		Keeper: keeperKey, Level2: level2, Log: h.Log, Now: havre.SystemNow, Writable: h.Host.Writable, Dataset: h.datasetKey})
	project, err := h.home.ring.Get(keyProject)
	if err != nil {
		return err
	}
	h.Permits, err = permit.Open(ctx, permit.Config{Hub: h.Config.Name, Store: h.Store, DB: h.Meta, Key: h.key, Signer: h.home.signer,
		Keeper: keeperKey, Level2: level2, Secret: project, Log: h.Log, Now: havre.SystemNow, Standing: h.Host.Readable})
	if err != nil {
		return err
	}
	h.Airlock = &release.Airlock{Hub: h.Config.Name, Meta: h.Meta, Store: h.Store, Key: h.permitKey,
		Signer: h.home.signer, Audit: h.Log, Permits: h.Permits, Accounts: h.Permits, Drawer: Drawer{}, Now: havre.SystemNow}
	return h.Airlock.Resume(ctx)
}

// Close lets go of the log, the database and the folder.
func (h *Hub) Close() (err error) {
	keep := func(e error) {
		if err == nil {
			err = e
		}
	}
	if h.Log != nil {
		keep(h.Log.Close())
	}
	if h.Meta != nil {
		keep(h.Meta.Close())
	}
	if h.lock != nil {
		keep(h.lock.Unlock())
	}
	for _, s := range h.stores {
		blob.Rest(s)
	}
	return err
}

func (h *Hub) logOptions() audit.Options {
	return audit.Options{Origin: logOrigin(h.Config.Name), Signer: h.logKey, Openings: h.Meta.Openings()}
}

func (h *Hub) warehouseConfig() (warehouse.Config, error) {
	snapshots, err := h.home.ring.Key(keyStore)
	if err != nil {
		return warehouse.Config{}, err
	}
	bucket, err := h.home.ring.Get(keyBucket)
	if err != nil {
		return warehouse.Config{}, err
	}
	return warehouse.Config{Store: h.Store, Log: h.Log, Now: havre.SystemNow,
		Keys: warehouse.Keys{Open: []*seal.Key{snapshots}, To: []seal.Recipient{snapshots.Recipient()}, Bucket: bucket, Dataset: h.datasetKey}}, nil
}
