package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/packhouse/packhouse/storage/meta"
)

// sealPurpose binds a sealed key to what it is for.
func sealPurpose(purpose string) string { return "secret_keys." + purpose }

// SigningKey returns the newest Ed25519 key of a purpose. The first that asks
// makes one; of two that make one at once, both get the same.
func (s *Service) SigningKey(ctx context.Context, purpose string) (id string, key ed25519.PrivateKey, err error) {
	if k, ok := s.keys.Load(purpose); ok {
		k := k.(*serverKey)
		return k.id, k.key, nil
	}
	const op = "auth.SigningKey"
	s.making.Lock()
	defer s.making.Unlock()
	if k, ok := s.keys.Load(purpose); ok {
		k := k.(*serverKey)
		return k.id, k.key, nil
	}
	list, err := s.meta.SecretKeys(ctx, purpose)
	if err == nil && len(list) == 0 {
		list, err = s.makeKey(ctx, purpose)
	}
	if err != nil {
		return "", nil, wrap(op, err)
	}
	k, err := s.openKey(list[0])
	if err != nil {
		return "", nil, wrap(op, err)
	}
	s.keys.Store(purpose, k)
	return k.id, k.key, nil
}

// PublicKeys lists all public keys of a purpose, the newest first: what was
// signed with any of them was signed here.
func (s *Service) PublicKeys(ctx context.Context, purpose string) ([]meta.SecretKey, error) {
	list, err := s.meta.SecretKeys(ctx, purpose)
	for i := range list {
		list[i].Private = nil
	}
	return list, wrap("auth.PublicKeys", err)
}

// makeKey stores a first key, unless somebody else did meanwhile, and lists
// what there is.
func (s *Service) makeKey(ctx context.Context, purpose string) ([]meta.SecretKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(spki)
	id := hex.EncodeToString(sum[:8])
	row := meta.SecretKey{ID: id, Purpose: purpose, Private: s.cfg.Seal.Seal(sealPurpose(purpose), id, private), Public: spki}
	var list []meta.SecretKey
	err = s.meta.Update(ctx, meta.Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		if _, err := tx.AddSecretKey(ctx, row, 0); err != nil {
			return err
		}
		list, err = tx.SecretKeys(ctx, purpose)
		return err
	})
	return list, err
}

func (s *Service) openKey(row meta.SecretKey) (*serverKey, error) {
	private, err := s.cfg.Seal.Open(sealPurpose(row.Purpose), row.ID, row.Private)
	if err != nil {
		return nil, fmt.Errorf("open the server's %s key %s: %w", row.Purpose, row.ID, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("read the server's %s key %s: %w", row.Purpose, row.ID, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the server's %s key %s is a %T", row.Purpose, row.ID, parsed)
	}
	return &serverKey{row.ID, key}, nil
}

// Reseal seals all keys anew with the first of the configured sealing keys,
// and returns how many that were. An older sealing key is not needed any more
// once it returned without error.
func (s *Service) Reseal(ctx context.Context) (int, error) {
	const op = "auth.Reseal"
	n := 0
	err := s.meta.Update(ctx, meta.Options{Durable: true, Unaudited: true}, func(ctx context.Context, tx *meta.Tx) error {
		n = 0
		list, err := tx.SecretKeys(ctx, "")
		if err != nil {
			return err
		}
		for _, k := range list {
			sealed, changed, err := s.cfg.Seal.Reseal(sealPurpose(k.Purpose), k.ID, k.Private)
			if err != nil {
				return fmt.Errorf("open the server's %s key %s: %w", k.Purpose, k.ID, err)
			}
			if !changed {
				continue
			}
			if err := tx.SetSecretKey(ctx, k.ID, sealed); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, wrap(op, err)
}
