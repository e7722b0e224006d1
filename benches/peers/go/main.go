// A server that redeems download keys, as a first version in Go would be: net/http, the official client of Elasticsearch
// with its usual settings, and a GET and a conditional PUT for each redemption.
package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/uuid"
)

// maxBody is the largest body that is read, in bytes.
const maxBody = 4096

func main() {
	url := flag.String("url", "", "where Elasticsearch is")
	caFile := flag.String("ca-file", "", "whose certificates are believed")
	username := flag.String("username", "", "who we are to Elasticsearch")
	index := flag.String("index", "tickets", "the index of tickets")
	albumFile := flag.String("album", "", "the album that tickets give")
	flag.Parse()

	secret, err := hex.DecodeString(os.Getenv("LINK_SECRET"))
	if err != nil {
		log.Fatal("LINK_SECRET: ", err)
	}
	signer, err := newSigner(*albumFile, secret)
	if err != nil {
		log.Fatal(err)
	}
	store, err := newStore(*url, *caFile, *username, os.Getenv("ELASTICSEARCH_PASSWORD"), *index)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	handler := &redeemer{store, signer, slog.New(slog.NewJSONHandler(os.Stderr, nil))}
	mux := http.NewServeMux()
	mux.Handle("POST /redemptions", handler)
	log.Fatal(http.Serve(listener, mux))
}

// redeemer answers POST /redemptions.
type redeemer struct {
	store  *store
	signer *signer
	log    *slog.Logger
}

func (h *redeemer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	status, body := h.redeem(r)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if created, ok := body.(answer); ok {
		w.Header().Set("Location", created.Redemption.ReceiptURL)
	}
	// The whole body first, so that it goes out with its length.
	text, err := marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(text)))
	w.WriteHeader(status)
	_, _ = w.Write(text)
	h.log.Info("request", "method", r.Method, "path", r.URL.Path, "status", status, "elapsed", time.Since(begun))
}

func (h *redeemer) redeem(r *http.Request) (int, any) {
	var typed struct {
		Key string `json:"key"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody)).Decode(&typed); err != nil {
		return refuse(http.StatusBadRequest, err)
	}
	id, err := ticketID(typed.Key)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, err)
	}
	redeemed := redemption{ID: uuid.New(), At: time.Now().UTC().Truncate(time.Second)}
	switch err := h.store.redeem(r.Context(), base64url(id[:]), redeemed); {
	case errors.Is(err, errUnknown):
		return refuse(http.StatusNotFound, err)
	case errors.Is(err, errUsed):
		return refuse(http.StatusConflict, err)
	case err != nil:
		h.log.Error("not redeemed", "error", err)
		return refuse(http.StatusServiceUnavailable, err)
	}
	return http.StatusCreated, h.signer.answer(r.Host, id, redeemed.ID, redeemed.At)
}

func refuse(status int, err error) (int, any) {
	return status, map[string]string{"error": err.Error()}
}
