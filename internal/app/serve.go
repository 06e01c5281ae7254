package app

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/havre-hub/havre/internal/ground/envelope"
	"github.com/havre-hub/havre/internal/ground/sign"
	"github.com/havre-hub/havre/internal/havre"
)

// ReadReceipt decodes a receipt of this hub.
func (h *Hub) ReadReceipt(signed []byte) (*envelope.Receipt, error) {
	return envelope.VerifyReceipt(signed, h.home.signer.Public())
}

// ServeHub serves the hub at dir until ctx ends, and opens it again when a move
// has given it other keys. ready is told the address, the first time.
func ServeHub(ctx context.Context, dir, address string, ready func(string)) error {
	told := false
	for {
		h, err := OpenHub(ctx, dir)
		if err != nil {
			return err
		}
		err = h.Serve(ctx, address, func(a string) {
			address = a
			if !told {
				ready(a)
			}
			told = true
		})
		if cerr := h.Close(); err == nil {
			err = cerr
		}
		if !errors.Is(err, errRenewed) {
			return err
		}
	}
}

// errRenewed ends Serve when the hub has to be opened again.
var errRenewed = errors.New("the hub has other keys now")

// Serve answers on the address ("" = the configured one) until ctx ends, then
// lets what is under way finish. ready is told the address once it listens.
func (h *Hub) Serve(ctx context.Context, address string, ready func(string)) error {
	if address == "" {
		address = h.Config.Listen
	}
	renewed := make(chan struct{})
	shut, err := h.openDoor(sync.OnceFunc(func() { close(renewed) }))
	if err != nil {
		return err
	}
	defer shut()
	own, err := sign.Certificate(h.home.signer)
	if err != nil {
		return err
	}
	conf := sign.ServerTLS(own, func(k sign.PublicKey) bool {
		_, err := h.Desk.HolderOf(ctx, k)
		return err == nil
	})
	l, err := tls.Listen("tcp", address, conf)
	if err != nil {
		return havre.E("serve", havre.Refused, "nothing can listen on "+address).
			WithHint("is another hub serving there? choose another address with --listen").Wrap(err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	server := &http.Server{Handler: h.Desk.Handler(log), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) }}
	ready(l.Addr().String())
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	again := false
	select {
	case err = <-done:
	case <-renewed:
		again = true
	case <-ctx.Done():
	}
	if err == nil {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = server.Shutdown(grace)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return havre.E("serve", havre.Internal, "the endpoint stopped").Wrap(err)
	}
	if again {
		return errRenewed
	}
	return nil
}
