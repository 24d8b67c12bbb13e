package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/packhouse/packhouse/conformance/packhouse"
)

// packhouseOpenName is packhouse that asks nobody for credentials: what it costs to ask is judged against it.
const packhouseOpenName = "packhouse-open"

// publicRepo may be read by everybody; imageRepo may not.
const publicRepo = "public/app"

const fixtureConnections = 32

// accounts is a registry that asks for credentials, and what clients show it.
type accounts struct {
	*peer
	operator *http.Client // speaks to the data directory's socket, which asks nobody
	users    []string     // names
	tokens   []string     // texts; number i is of users[i % len(users)]
	grants   int
}

// access measures what it costs to ask for credentials: GET of one manifest, from a registry with many users, groups,
// grants and tokens, beside one that is open.
func access(ctx context.Context, b *bench) (err error) {
	im, err := newImage(1, 8)
	if err != nil {
		return err
	}
	dir := filepath.Join(b.dir, "access")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	open, err := openRegistry(ctx, packhouseOpenName, filepath.Join(dir, "open"), im)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.stop()) }()
	a, err := b.accounts(ctx, filepath.Join(dir, "accounts"), im)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.stop()) }()
	if err := b.logIns(ctx, open, a, im); err != nil {
		return err
	}
	return b.storm(ctx, a, im)
}

// openRegistry starts a registry that is open, with an image in both repositories.
func openRegistry(ctx context.Context, name, dir string, im image) (*peer, error) {
	s, err := packhouse.Start(ctx, packhouse.Options{Data: filepath.Join(dir, "data")})
	if err != nil {
		return nil, err
	}
	p := &peer{name: name, addr: s.Host, pid: s.PID(), data: s.Data, stop: s.Stop}
	for _, repo := range []string{imageRepo, publicRepo} {
		c, err := dial(ctx, p.addr)
		if err == nil {
			err = c.pushImage(repo, imageTag, im)
			c.close()
		}
		if err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return p, nil
}

// accounts starts a registry that asks for credentials, and fills it: groups of 5 users, each user in one; each group
// may read 49 repositories of its own and the one that is pulled.
func (b *bench) accounts(ctx context.Context, dir string, im image) (a *accounts, err error) {
	p, err := openRegistry(ctx, packhouseName, dir, im)
	if err != nil {
		return nil, err
	}
	if err := p.stop(); err != nil { // from now on it asks
		return nil, err
	}
	s, err := packhouse.Start(ctx, packhouse.Options{Data: p.data, Args: []string{"--auth", "on"}, Env: []string{"PACKHOUSE_TRUSTED_PROXIES=127.0.0.1"}})
	if err != nil {
		return nil, err
	}
	a = &accounts{peer: &peer{name: packhouseName, addr: s.Host, pid: s.PID(), data: s.Data, stop: s.Stop}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop())
		}
	}()
	groups, count := b.amount(200, 20), b.amount(10000, 500)
	file, err := a.accessFile(groups)
	if err != nil {
		return nil, err
	}
	if err := a.apply(ctx, file); err != nil {
		return nil, err
	}
	directory, err := os.Open(a.data) // the path of a socket must be short
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	a.operator = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: fixtureConnections, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/admin.sock", directory.Fd()))
	}}}
	defer a.operator.CloseIdleConnections()
	for i, user := range a.users[:min(stormPasswords, len(a.users))] {
		if err := a.operate(ctx, http.MethodPut, "/users/"+user+"/password", map[string]any{"password": fmt.Sprint("the right password ", i)}, nil); err != nil {
			return nil, err
		}
	}
	a.tokens = make([]string, count)
	_, err = each(ctx, a.addr, fixtureConnections, count, func(_ *conn, i int) error {
		var made struct{ Secret string }
		err := a.operate(ctx, http.MethodPost, "/tokens", map[string]any{"owner": "user:" + a.users[i%len(a.users)], "name": fmt.Sprint("token ", i)}, &made)
		a.tokens[i] = made.Secret
		return err
	})
	b.report.setting("%s: %d users, %d groups, %d grants, %d tokens; tokens and JWTs may read %s because their owner's group may, as each of the groups; %s is in a public namespace; %s is the same binary with neither, and is asked without credentials",
		packhouseName, len(a.users), groups, a.grants, count, imageRepo, publicRepo, packhouseOpenName)
	return a, err
}

// accessFile says who is in which group and what groups may do, for packhouse apply: JSON is YAML, too.
func (a *accounts) accessFile(groups int) ([]byte, error) {
	type object = map[string]any
	const groupUsers, groupGrants = 5, 50
	bench := object{"name": "bench"}
	namespaces, users, all, ofBench := []object{{"name": "public", "visibility": "public"}}, []object{}, []object{}, []object{}
	for g := range groups {
		var members []string
		for u := range groupUsers {
			name := fmt.Sprintf("user-%04d", g*groupUsers+u)
			a.users, members = append(a.users, name), append(members, name)
			users = append(users, object{"name": name})
		}
		group, namespace := fmt.Sprintf("group-%03d", g), fmt.Sprintf("team-%03d", g)
		all = append(all, object{"name": group, "members": members})
		grant := func(repo string) object {
			a.grants++
			return object{"subject": "group:" + group, "role": "reader", "repositories": repo}
		}
		var own []object
		for r := range groupGrants - 1 {
			own = append(own, grant(fmt.Sprintf("%s/repository-%02d", namespace, r)))
		}
		namespaces = append(namespaces, object{"name": namespace, "grants": own})
		ofBench = append(ofBench, grant(imageRepo))
	}
	bench["grants"] = ofBench
	return json.Marshal(object{"namespaces": append(namespaces, bench), "users": users, "groups": all})
}

// apply makes access what a file says.
func (a *accounts) apply(ctx context.Context, file []byte) error {
	binary, err := packhouse.Binary(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, binary, "apply", "-f", "-", "--data", a.data) //nolint:gosec // our own command
	cmd.Stdin = bytes.NewReader(file)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("packhouse apply: %w\n%.2000s", err, out)
	}
	return nil
}

// operate calls an operation of the administrative API and decodes its answer, unless that is not wanted.
func (a *accounts) operate(ctx context.Context, method, path string, params, answer any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost/-/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.operator.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(res.Body)
	switch err := errors.Join(err, res.Body.Close()); {
	case err != nil:
		return err
	case res.StatusCode/100 != 2:
		return fmt.Errorf("%s %s: %s: %.1000s", method, path, res.Status, text)
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

func basicHeader(user, secret string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

// jwt is what the token endpoint gives the first user.
func (a *accounts) jwt(ctx context.Context) (string, error) {
	c, err := dial(ctx, a.addr)
	if err != nil {
		return "", err
	}
	defer c.close()
	answer, err := c.get("/token?service="+a.addr+"&scope=repository:"+imageRepo+":pull", basicHeader(a.users[0], a.tokens[0])+"\r\n")
	if err != nil {
		return "", err
	}
	var made struct{ Token string }
	err = json.Unmarshal(answer, &made)
	return made.Token, err
}

// turnTokens is how many tokens are shown in turn.
const turnTokens = 100

// logIns measures each way to show who one is.
func (b *bench) logIns(ctx context.Context, open *peer, a *accounts, im image) error {
	for _, v := range []struct {
		what, repo string
		header     func(ctx context.Context) ([]string, error) // more than one are shown in turn
	}{
		{"a token as password", imageRepo, func(context.Context) ([]string, error) { return []string{basicHeader(a.users[0], a.tokens[0])}, nil }},
		{"a Bearer token", imageRepo, func(context.Context) ([]string, error) { return []string{"Authorization: Bearer " + a.tokens[0]}, nil }},
		{"a JWT of /token", imageRepo, func(ctx context.Context) ([]string, error) {
			token, err := a.jwt(ctx) // a fresh one each time: they last five minutes
			return []string{"Authorization: Bearer " + token}, err
		}},
		{"nothing, public", publicRepo, func(context.Context) ([]string, error) { return []string{""}, nil }},
		{fmt.Sprintf("%d tokens in turn", turnTokens), imageRepo, func(context.Context) (all []string, err error) {
			for i := range turnTokens {
				all = append(all, basicHeader(a.users[i%len(a.users)], a.tokens[i]))
			}
			return all, nil
		}},
	} {
		for _, by := range []string{"tag", "digest"} {
			reference := map[string]string{"tag": imageTag, "digest": im.digest}[by]
			w := row{
				name:  fmt.Sprintf("manifest GET by %s, with %s", by, v.what),
				unit:  "requests",
				peers: []string{packhouseOpenName, packhouseName}, targets: []target{{packhouseOpenName, 0.9}},
			}
			turn := func(ctx context.Context, peer string, seconds int) (measurement, error) {
				shown, err := v.header(ctx)
				if err != nil {
					return measurement{}, err
				}
				p := a.peer
				if peer == packhouseOpenName {
					p, shown = open, make([]string, len(shown))
				}
				return wrkShowing(ctx, p, b.dir, manifestPath(v.repo, reference), shown, seconds)
			}
			for _, peer := range b.among(w.peers...) { // warm up
				if _, err := turn(ctx, peer, 1); err != nil {
					return err
				}
			}
			err := b.turns(ctx, w, func(ctx context.Context, peer string, _ int) (measurement, error) {
				return turn(ctx, peer, b.amount(4, 1))
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// wrkShowing is wrk with a header line that is another one for each request, in turn; "" is none.
func wrkShowing(ctx context.Context, p *peer, dir, target string, shown []string, seconds int) (measurement, error) {
	header := []string{acceptHeader}
	if len(shown) == 1 {
		if shown[0] != "" {
			header = append(header, shown[0])
		}
		return wrk(ctx, p, dir, target, header, seconds)
	}
	var script strings.Builder
	script.WriteString("local requests, at = {}, 0\ninit = function(args)\n")
	for i, line := range shown {
		name, value, _ := strings.Cut(line, ": ")
		if name != "" {
			fmt.Fprintf(&script, "\twrk.headers[%q] = %q\n", name, value)
		}
		fmt.Fprintf(&script, "\trequests[%d] = wrk.format()\n", i+1)
	}
	script.WriteString("end\nrequest = function()\n\tat = at % #requests + 1\n\treturn requests[at]\nend\n")
	return wrkScripted(ctx, p, dir, target, header, seconds, script.String())
}
