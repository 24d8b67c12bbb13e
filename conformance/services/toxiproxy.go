package services

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"
)

// Toxiproxy stands between clients and servers and spoils their connections.
type Toxiproxy struct {
	process
	addr string // of its own interface
}

// StartToxiproxy starts it; its log is in dir, or in a directory of this process for "".
func StartToxiproxy(ctx context.Context, dir string) (*Toxiproxy, error) {
	var err error
	if dir == "" {
		if dir, err = scratch(); err != nil {
			return nil, err
		}
	}
	binary, err := installed("toxiproxy")
	if err != nil {
		return nil, err
	}
	t := &Toxiproxy{process: process{name: "toxiproxy", log: filepath.Join(dir, "toxiproxy.log")}}
	err = onFreePort(ctx, func(addr string) error {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		t.addr = addr
		return t.start(ctx, program{argv: []string{binary, "-host", host, "-port", port}, env: []string{"LOG_LEVEL=warn"}, death: syscall.SIGKILL},
			func(ctx context.Context) error { return accepts(ctx, addr) })
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Stop ends it; nothing passes any more.
func (t *Toxiproxy) Stop() error { return t.end(syscall.SIGTERM) }

// Proxy is one address of a Toxiproxy and the server behind it.
type Proxy struct {
	Addr string // HOST:PORT that clients connect to
	name string
	t    *Toxiproxy
}

// Before puts a proxy before a server; the name is not given twice.
func (t *Toxiproxy) Before(ctx context.Context, name, upstream string) (*Proxy, error) {
	var made struct {
		Listen string `json:"listen"`
	}
	err := t.call(ctx, http.MethodPost, "/proxies", map[string]any{"name": name, "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true}, &made)
	if err != nil {
		return nil, err
	}
	return &Proxy{Addr: made.Listen, name: name, t: t}, nil
}

// Cut lets no byte pass in either direction; connections stay open, new ones too: a partition.
func (p *Proxy) Cut(ctx context.Context) error {
	return p.both(ctx, "timeout", map[string]any{"timeout": 0})
}

// Reset resets all connections, and each new one after its first byte.
func (p *Proxy) Reset(ctx context.Context) error {
	return p.both(ctx, "reset_peer", map[string]any{"timeout": 0})
}

// Delay holds what the server sends back for d.
func (p *Proxy) Delay(ctx context.Context, d time.Duration) error {
	return p.add(ctx, "latency", "downstream", map[string]any{"latency": d.Milliseconds()})
}

// Rate lets so many bytes pass in a second, in each direction.
func (p *Proxy) Rate(ctx context.Context, bytesPerSecond int64) error {
	return p.both(ctx, "bandwidth", map[string]any{"rate": max(1, bytesPerSecond>>10)})
}

// Close closes all connections and refuses new ones; Heal opens the address again.
func (p *Proxy) Close(ctx context.Context) error {
	return p.t.call(ctx, http.MethodPost, "/proxies/"+p.name, map[string]any{"enabled": false}, nil)
}

// Heal ends all of it. What was cut is delivered late, or never.
func (p *Proxy) Heal(ctx context.Context) error {
	var state struct {
		Toxics []struct {
			Name string `json:"name"`
		} `json:"toxics"`
	}
	if err := p.t.call(ctx, http.MethodPost, "/proxies/"+p.name, map[string]any{"enabled": true}, &state); err != nil {
		return err
	}
	var errs []error
	for _, toxic := range state.Toxics {
		errs = append(errs, p.t.call(ctx, http.MethodDelete, "/proxies/"+p.name+"/toxics/"+toxic.Name, nil, nil))
	}
	return errors.Join(errs...)
}

func (p *Proxy) both(ctx context.Context, kind string, attributes map[string]any) error {
	return errors.Join(p.add(ctx, kind, "upstream", attributes), p.add(ctx, kind, "downstream", attributes))
}

func (p *Proxy) add(ctx context.Context, kind, stream string, attributes map[string]any) error {
	return p.t.call(ctx, http.MethodPost, "/proxies/"+p.name+"/toxics",
		map[string]any{"name": kind + "_" + stream, "type": kind, "stream": stream, "attributes": attributes}, nil)
}

// call asks toxiproxy's own interface.
//
// https://github.com/Shopify/toxiproxy#http-api
func (t *Toxiproxy) call(ctx context.Context, method, path string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+t.addr+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("toxiproxy: %s %s: %s: %s", method, path, res.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
