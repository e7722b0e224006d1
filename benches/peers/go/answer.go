package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/google/uuid"
)

// signatureLength is how much of an HMAC-SHA-256 stands in a link, in bytes.
const signatureLength = 16

// album is what a ticket gives.
type album struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Artist string `json:"artist"`
	Files  []struct {
		Name        string `json:"name"`
		MediaType   string `json:"media_type"`
		Bytes       int64  `json:"bytes"`
		SHA256      string `json:"sha256"`
		LinkSeconds int64  `json:"link_seconds"`
	} `json:"files"`
}

type answer struct {
	Redemption redemptionPart `json:"redemption"`
	Album      albumPart      `json:"album"`
	Files      []filePart     `json:"files"`
}

type redemptionPart struct {
	ID         uuid.UUID `json:"id"`
	RedeemedAt time.Time `json:"redeemed_at"`
	ReceiptURL string    `json:"receipt_url"`
}

type albumPart struct {
	ID     string `json:"id"`
	Title  string `json:"title"`
	Artist string `json:"artist"`
}

type filePart struct {
	Name      string    `json:"name"`
	MediaType string    `json:"media_type"`
	Bytes     int64     `json:"bytes"`
	SHA256    string    `json:"sha256"`
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expires_at"`
}

// signer makes links, and the answers that hold them.
type signer struct {
	album   album
	secret  []byte
	keyName []byte
}

func newSigner(albumFile string, secret []byte) (*signer, error) {
	text, err := os.ReadFile(albumFile)
	if err != nil {
		return nil, err
	}
	name := sha256.Sum256(secret)
	s := &signer{secret: secret, keyName: name[:4]}
	return s, json.Unmarshal(text, &s.album)
}

func (s *signer) sign(message []byte) []byte {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write(message)
	return mac.Sum(nil)[:signatureLength]
}

// answer is what a redemption is answered with: the album's files, each with a link that ends.
func (s *signer) answer(host string, ticket [sha256.Size]byte, redemption uuid.UUID, now time.Time) answer {
	receipt := append(ticket[:], redemption[:]...)
	receipt = append(receipt, s.keyName...)
	receipt = append(receipt, s.sign(fmt.Appendf(nil, "receipt\x00%s%s", ticket, redemption[:]))...)
	a := answer{
		Redemption: redemptionPart{redemption, now, fmt.Sprintf("http://%s/redemptions/%s", host, base64url(receipt))},
		Album:      albumPart{s.album.ID, s.album.Title, s.album.Artist},
		Files:      make([]filePart, 0, len(s.album.Files)),
	}
	for _, file := range s.album.Files {
		expires := now.Add(time.Duration(file.LinkSeconds) * time.Second)
		signature := s.sign(fmt.Appendf(nil, "link\x00%s\x00%s\x00%d", s.album.ID, file.Name, expires.Unix()))
		link := fmt.Sprintf("http://%s/files/%s/%s?expires=%d&key=%s&signature=%s", host, url.PathEscape(s.album.ID),
			url.PathEscape(file.Name), expires.Unix(), base64url(s.keyName), base64url(signature))
		a.Files = append(a.Files, filePart{file.Name, file.MediaType, file.Bytes, file.SHA256, link, expires})
	}
	return a
}

// marshal is json.Marshal that leaves the ampersands of links as they are.
func marshal(body any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(body)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
