package engine

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/packhouse/packhouse/registry"
	"github.com/packhouse/packhouse/storage/meta"
)

// signer holds the registry's own key once it was loaded. The writer's
// goroutine reads it, so it must never wait for who makes one.
type signer struct {
	making sync.Mutex
	key    atomic.Pointer[signingKey]
}

type signingKey struct {
	id  string
	key *ecdsa.PrivateKey
}

// SigningKeys lists the registry's public keys, the newest first. The first
// call makes one.
func (e *Engine) SigningKeys(ctx context.Context) ([]meta.SigningKey, error) {
	if err := e.ensureKey(ctx); err != nil {
		return nil, err
	}
	list, err := e.meta.SigningKeys(ctx)
	for i := range list {
		list[i].Private = nil
	}
	return list, wrap("engine.SigningKeys", err)
}

// ensureKey loads the registry's key, or makes it. It must not be called
// inside a transaction.
func (e *Engine) ensureKey(ctx context.Context) error {
	const op = "engine.ensureKey"
	if e.signer.key.Load() != nil {
		return nil
	}
	e.signer.making.Lock()
	defer e.signer.making.Unlock()
	if e.signer.key.Load() != nil {
		return nil
	}
	list, err := e.meta.SigningKeys(ctx)
	if err != nil {
		return wrap(op, err)
	}
	if len(list) == 0 {
		k, err := newKey()
		if err != nil {
			return wrap(op, err)
		}
		k.Private = e.cfg.Seal.Seal(sealedKey, k.ID, k.Private)
		err = e.meta.Update(ctx, keeping, func(ctx context.Context, tx *meta.Tx) error {
			if list, err = tx.SigningKeys(ctx); err != nil || len(list) > 0 {
				return err // another replica was faster
			}
			list = append(list, k)
			return tx.AddSigningKey(ctx, k)
		})
		if err != nil {
			return wrap(op, err)
		}
	}
	private, err := e.cfg.Seal.Open(sealedKey, list[0].ID, list[0].Private)
	if err != nil {
		return wrap(op, fmt.Errorf("signing key %s: %w", list[0].ID, err))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(private)
	if err != nil {
		return wrap(op, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return wrap(op, fmt.Errorf("signing key %s is a %T", list[0].ID, parsed))
	}
	e.signer.key.Store(&signingKey{list[0].ID, key})
	return nil
}

// sealedKey is what the registry's signing keys are sealed for.
const sealedKey = "signing_keys"

// sealKeys seals what an older version left as it was, and what was sealed
// with the key before, with the present one.
func (e *Engine) sealKeys(ctx context.Context) error {
	const der = 0x30 // how PKCS #8 begins, and nothing sealed does
	list, err := e.meta.SigningKeys(ctx)
	for _, k := range list {
		changed := len(k.Private) > 0 && k.Private[0] == der
		if changed {
			k.Private = e.cfg.Seal.Seal(sealedKey, k.ID, k.Private)
		} else if k.Private, changed, err = e.cfg.Seal.Reseal(sealedKey, k.ID, k.Private); err != nil {
			return fmt.Errorf("signing key %s: %w", k.ID, err)
		}
		if !changed {
			continue
		}
		if err := e.meta.Update(ctx, keeping, func(ctx context.Context, tx *meta.Tx) error { return tx.SetSigningKey(ctx, k) }); err != nil {
			return err
		}
	}
	return err
}

func newKey() (meta.SigningKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return meta.SigningKey{}, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return meta.SigningKey{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return meta.SigningKey{}, err
	}
	sum := sha256.Sum256(public)
	return meta.SigningKey{ID: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), Private: private, Public: public}, nil
}

// sign signs text with the registry's key, which [Engine.ensureKey] has loaded.
func (e *Engine) sign(text []byte) (registry.Signature, error) {
	k := e.signer.key.Load()
	if k == nil {
		return registry.Signature{}, errors.New("the registry's signing key was not loaded")
	}
	sum := sha256.Sum256(text)
	sig, err := ecdsa.SignASN1(rand.Reader, k.key, sum[:])
	return registry.Signature{KeyID: k.id, Sig: sig}, err
}
