package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
	"github.com/elastic/go-elasticsearch/v8/esapi"
	"github.com/elastic/go-elasticsearch/v8/esutil"
	"github.com/google/uuid"
)

// connections are kept open to Elasticsearch: as many as there are requests in flight. The default of net/http is two, with
// which it would make a TLS handshake for nearly each request.
const connections = 256

var (
	errUnknown = errors.New("no ticket has this key")
	errUsed    = errors.New("the ticket was used before")
)

// ticket is a document of the index.
type ticket struct {
	Album      string      `json:"album"`
	Batch      string      `json:"batch"`
	Status     string      `json:"status"`
	IssuedAt   time.Time   `json:"issued_at"`
	ValidFrom  *time.Time  `json:"valid_from,omitempty"`
	ExpiresAt  *time.Time  `json:"expires_at,omitempty"`
	Redemption *redemption `json:"redemption,omitempty"`
}

type redemption struct {
	ID       uuid.UUID `json:"id"`
	At       time.Time `json:"at"`
	Renewals int       `json:"renewals"`
}

func (t *ticket) usable(now time.Time) bool {
	return t.Status == "issued" && (t.ValidFrom == nil || !now.Before(*t.ValidFrom)) &&
		(t.ExpiresAt == nil || now.Before(*t.ExpiresAt))
}

// store is the index of tickets.
type store struct {
	client *elasticsearch.Client
	index  string
}

func newStore(url, caFile, username, password, index string) (*store, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = connections
	transport.MaxIdleConnsPerHost = connections
	client, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses: []string{url},
		Username:  username,
		Password:  password,
		CACert:    ca,
		Transport: transport,
	})
	return &store{client, index}, err
}

// redeem uses a ticket up: it reads it, and writes it on the condition that nobody has written it since.
func (s *store) redeem(ctx context.Context, id string, redeemed redemption) error {
	found := struct {
		SeqNo       int    `json:"_seq_no"`
		PrimaryTerm int    `json:"_primary_term"`
		Source      ticket `json:"_source"`
	}{}
	response, err := s.client.Get(s.index, id, s.client.Get.WithContext(ctx))
	if err := decode(response, err, http.StatusNotFound, errUnknown, &found); err != nil {
		return err
	}
	if !found.Source.usable(redeemed.At) {
		return errUsed
	}
	found.Source.Status = "redeemed"
	found.Source.Redemption = &redeemed
	response, err = s.client.Index(s.index, esutil.NewJSONReader(found.Source), s.client.Index.WithContext(ctx),
		s.client.Index.WithDocumentID(id), s.client.Index.WithIfSeqNo(found.SeqNo),
		s.client.Index.WithIfPrimaryTerm(found.PrimaryTerm))
	return decode(response, err, http.StatusConflict, errUsed, &struct{}{})
}

// decode reads an answer of Elasticsearch; a refusal with the expected status is the error that it means.
func decode(response *esapi.Response, err error, refusal int, meaning error, into any) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == refusal:
		return meaning
	case response.IsError():
		return fmt.Errorf("elasticsearch answered %s", response)
	}
	return json.NewDecoder(response.Body).Decode(into)
}
